"""`pointsman credentials rotate`."""

from __future__ import annotations

from time import time

import click

from pointsman_cli.options import Asked
from pointsman_keystore.asking import (
    Place,
    asked_value,
    done,
    duration,
    instant,
    refuse_values,
    store_options,
    told_instant,
)
from pointsman_keystore.edits import lacking, rotated


@click.command("rotate")
@click.argument("name", nargs=-1, callback=refuse_values, metavar="NAME")
@click.option(
    "--overlap",
    default="1h",
    show_default=True,
    metavar="TIME",
    callback=duration,
    help="How long the versions before it can still be used.",
)
@click.option("--not-after", metavar="INSTANT", callback=instant, help="The new one is used until then.")
@click.option("--note", default="", metavar="TEXT", help="A word on it, which is encrypted too.")
@store_options
def command(
    asked: Asked, place: Place, name: tuple[str, ...], overlap: float, not_after: float | None, note: str
) -> None:
    """Add a version to the entry NAME, and have those before it end.

    A running router uses the new one within a second, or with the first call for which the old one is
    rejected. Its value is asked for without echo, or read from standard input.
    """
    (entry,) = name
    store = place.store()
    entries = store.load().entries
    if entry not in entries:
        raise lacking(entries, entry)
    value = asked_value(entry)
    now = time()
    store.change(
        lambda entries: rotated(entries, entry, value, now, overlap=overlap, not_after=not_after, note=note)
    )
    done(f"rotated {entry}; what was there before ends at {told_instant(now + overlap)}", asked)
