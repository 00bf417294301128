"""`pointsman credentials list`."""

from __future__ import annotations

from time import time

import click

from pointsman_cli.options import Asked
from pointsman_cli.output import print_json, print_table
from pointsman_keystore.asking import Place, store_options
from pointsman_keystore.shown import COLUMNS, described, rows


@click.command("list")
@store_options
def command(asked: Asked, place: Place) -> None:
    """List the entries: names, versions, validity; no values."""
    entries, now = place.store().load().entries, time()
    if asked.json:
        print_json([described(name, entries[name], now) for name in sorted(entries)])
    else:
        print_table(COLUMNS, rows(entries, now))
