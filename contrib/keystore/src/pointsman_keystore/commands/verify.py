"""`pointsman credentials verify`."""

from __future__ import annotations

from time import time

import click

from pointsman_cli.options import Asked
from pointsman_cli.output import counted, print_json, say
from pointsman_keystore.asking import Place, store_options
from pointsman_keystore.shown import state


@click.command("verify")
@store_options
def command(asked: Asked, place: Place) -> None:
    """Open every entry, and look at the permissions. The exit code is 2 where something is wrong."""
    entries, now = place.store().load().entries, time()
    versions = sum(len(each) for each in entries.values())
    ended = sorted(
        name
        for name, each in entries.items()
        if all(state(one, each, now) in ("ended", "early") for one in each)
    )
    if asked.json:
        told = {"entries": len(entries), "versions": versions, "unusable": ended}
        print_json({"path": str(place.path), **told})
        return
    held = f"{counted(len(entries), 'entry', 'entries')}, {counted(versions, 'version')}"
    say(f"{place.path} is whole: {held}; only you can read it")
    for name in ended:
        say(f"{name} has no version that is valid now")
