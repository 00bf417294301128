"""`pointsman credentials remove`."""

from __future__ import annotations

import click

from pointsman_cli.options import Asked
from pointsman_keystore.asking import Place, done, refuse_values, store_options
from pointsman_keystore.edits import removed


@click.command("remove")
@click.argument("name", nargs=-1, callback=refuse_values, metavar="NAME")
@click.option("--version", "number", type=int, metavar="N", help="This version alone.")
@store_options
def command(asked: Asked, place: Place, name: tuple[str, ...], number: int | None) -> None:
    """Remove the entry NAME, or one version of it. Nobody asks back, and it cannot be undone."""
    (entry,) = name
    place.store().change(lambda entries: removed(entries, entry, number))
    done(f"removed {entry}" + ("" if number is None else f", version {number}"), asked)
