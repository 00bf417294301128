"""`pointsman disable`."""

from pointsman_cli.operating import in_flight, operating_command

command = operating_command(
    "disable",
    "Have a running router send no further calls to DEPLOYMENT.\n\n"
    "Calls that run there go on; `pointsman drain` waits for them, and `pointsman enable` takes it back.",
    lambda answer: f"disabled, {in_flight(answer)}",
)
