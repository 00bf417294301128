"""`pointsman reset`."""

from pointsman_cli.operating import operating_command

command = operating_command(
    "reset",
    "Have a running router forget what went wrong at DEPLOYMENT.\n\n"
    "Its circuit breaker closes, and a cool-down or an ejection ends. What is disabled stays so.",
    lambda answer: "reset" if answer["state"] == "up" else f"reset, and still {answer['state']}",
)
