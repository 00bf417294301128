"""`pointsman reload`."""

from __future__ import annotations

from pathlib import Path

import click

from pointsman_cli.operating import router_line, socket_option
from pointsman_cli.options import Asked, config_option, json_option, pass_asked
from pointsman_cli.output import print_json, print_text


@click.command("reload")
@socket_option
@config_option
@json_option
@pass_asked
def command(asked: Asked, socket_file: Path | None) -> None:
    """Have a running router read its configuration again.

    It reads the file that it was started with. When that has a mistake, nothing changes. Calls that run keep
    what they started with.
    """
    with router_line(asked, socket_file) as line:
        answer = line.ask("reload")
    if asked.json:
        print_json(answer)
    else:
        count = answer["deployments"]
        print_text(f"reloaded {answer['config']}: {count} deployment{'' if count == 1 else 's'}")
