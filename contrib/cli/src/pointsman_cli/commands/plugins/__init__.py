"""`pointsman plugins list|new|check|…`."""

from __future__ import annotations

import click

from pointsman_cli.options import config_option, json_option
from pointsman_cli.subcommands import Subcommands

COMMANDS = {
    "list": "List what is installed.",
    "new": "Write a new plugin of KIND, to be called NAME, as a package that works.",
    "check": "Try the contracts of an installed plugin.",
}
"""Every subcommand with its one line of help: the attribute `command` of the module of its name here."""


@click.group("plugins", cls=Subcommands, package=__name__, table=COMMANDS, default="list")
@config_option
@json_option
def command() -> None:
    """List what is installed.

    Without a command: what `list` does, with its options.
    """
