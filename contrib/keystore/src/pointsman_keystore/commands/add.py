"""`pointsman credentials add`."""

from __future__ import annotations

from time import time

import click

from pointsman.plugin import Secret
from pointsman_cli.options import Asked
from pointsman_keystore.asking import Place, asked_value, done, instant, refuse_values, store_options
from pointsman_keystore.edits import added, checked_name


@click.command("add")
@click.argument("name", nargs=-1, callback=refuse_values, metavar="NAME")
@click.option("--not-before", metavar="INSTANT", callback=instant, help="It is used from then on.")
@click.option("--not-after", metavar="INSTANT", callback=instant, help="It is used until then.")
@click.option("--note", default="", metavar="TEXT", help="A word on it, which is encrypted too.")
@store_options
def command(
    asked: Asked,
    place: Place,
    name: tuple[str, ...],
    not_before: float | None,
    not_after: float | None,
    note: str,
) -> None:
    """Add the entry NAME; the first one makes the keystore.

    Its value is asked for without echo, or read from standard input: pass show anthropic | pointsman
    credentials add anthropic
    """
    entry, is_new = checked_name(name[0]), not place.path.exists()
    store = place.new_store() if is_new else place.store()
    if not is_new:
        added(store.load().entries, entry, Secret(""), time())  # before anybody is asked for anything
    value = asked_value(entry)
    put = store.create if is_new else store.change
    put(
        lambda entries: added(
            entries, entry, value, time(), not_before=not_before, not_after=not_after, note=note
        )
    )
    done(f"added {entry} to {'the new keystore ' if is_new else ''}{place.path}", asked)
