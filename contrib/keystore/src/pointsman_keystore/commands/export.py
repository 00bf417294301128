"""`pointsman credentials export`."""

from __future__ import annotations

from pathlib import Path

import click

from pointsman_cli.options import Asked
from pointsman_cli.output import counted
from pointsman_keystore.asking import NEW_PASSPHRASE, Place, done, other_place, store_options


@click.command("export")
@click.argument("file", metavar="FILE")
@click.option("--encrypted", is_flag=True, help="As there is no other way, this has to be said.")
@click.option("--new-key-file", metavar="FILE", help="The key in this file opens it, made if there is none.")
@click.option("--new-key-env", metavar="VARIABLE", help="The key in this variable opens it.")
@store_options
def command(
    asked: Asked,
    place: Place,
    file: str,
    encrypted: bool,
    new_key_file: str | None,
    new_key_env: str | None,
) -> None:
    """Write all of it to FILE, a keystore that another passphrase or key opens."""
    if not encrypted:
        raise click.UsageError("say --encrypted: values are written in no other way")
    store = place.store()
    store.load()
    count = store.export(Path(file), other_place(place, new_key_file, new_key_env, keyring=False))
    done(f"wrote {counted(count, 'entry', 'entries')} to {file}", asked)


command.epilog = f"In scripts the new passphrase can stand in {NEW_PASSPHRASE}."
