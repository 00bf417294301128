"""`pointsman enable`."""

from pointsman_cli.operating import in_flight, operating_command

command = operating_command(
    "enable",
    "Have a running router send calls to DEPLOYMENT again.\n\n"
    "What went wrong there before is not forgotten; `pointsman reset` does that.",
    lambda answer: f"enabled, {in_flight(answer)}",
)
