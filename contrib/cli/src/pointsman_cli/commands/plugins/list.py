"""`pointsman plugins list`."""

from __future__ import annotations

import click

from pointsman_cli.options import Asked, json_option, pass_asked
from pointsman_cli.output import print_json, print_table, say


@click.command("list")
@json_option
@pass_asked
def command(asked: Asked) -> None:
    """List what is installed.

    Nothing of it is imported; a plugin that is used and broken is told when it is used.
    """
    from pointsman.plugins.registry import Plugins

    listing = Plugins().listing()
    if asked.json:
        print_json(listing)
        return
    rows = [[each.kind, each.name, each.distribution, each.version, each.state] for each in listing]
    print_table(["kind", "name", "distribution", "version", "state"], rows)
    for each in listing:
        if each.error:
            say(f"{each.kind} {each.name or each.distribution}: {each.error}")
