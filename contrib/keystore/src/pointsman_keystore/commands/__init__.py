"""`pointsman credentials add|list|show|…`."""

from __future__ import annotations

import click

from pointsman_cli.options import config_option, json_option
from pointsman_cli.subcommands import Subcommands

COMMANDS = {
    "list": "List the entries: names, versions, validity; no values.",
    "show": "Show one entry, with a fingerprint in place of each value.",
    "add": "Add an entry; the first one makes the keystore.",
    "rotate": "Add a version to an entry, and have those before it end.",
    "remove": "Remove an entry, or one version of it.",
    "rewrap": "Have another passphrase or key open the keystore.",
    "export": "Write all of it, encrypted, to another file.",
    "verify": "Open every entry, and look at the permissions.",
}
"""Every subcommand with its one line of help: the attribute `command` of the module of its name here."""


@click.group("credentials", cls=Subcommands, package=__name__, table=COMMANDS, default="list")
@config_option
@json_option
def command() -> None:
    """Keep the credentials of providers in an encrypted file, which a running router reads again.

    No value is taken from the command line: it is asked for without echo, or read from standard input.
    """
