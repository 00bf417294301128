"""`pointsman credentials show`."""

from __future__ import annotations

from time import time

import click

from pointsman_cli.options import Asked
from pointsman_cli.output import print_json, print_table
from pointsman_keystore.asking import Place, refuse_values, store_options
from pointsman_keystore.edits import lacking
from pointsman_keystore.shown import described


@click.command("show")
@click.argument("name", nargs=-1, callback=refuse_values, metavar="NAME")
@store_options
def command(asked: Asked, place: Place, name: tuple[str, ...]) -> None:
    """Show the entry NAME, with a fingerprint in place of each value."""
    entries = place.store().load().entries
    if name[0] not in entries:
        raise lacking(entries, name[0])
    found = described(name[0], entries[name[0]], time())
    if asked.json:
        print_json(found)
        return
    columns = ("version", "state", "from", "until", "created", "fingerprint", "note")
    keys = ("number", "state", "not_before", "not_after", "created", "fingerprint", "note")
    print_table(columns, [[each[key] or "-" for key in keys] for each in found["versions"]])
