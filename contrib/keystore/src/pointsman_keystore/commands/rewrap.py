"""`pointsman credentials rewrap`."""

from __future__ import annotations

import click

from pointsman_cli.options import Asked
from pointsman_keystore.asking import NEW_PASSPHRASE, Place, done, other_place, store_options


@click.command("rewrap")
@click.option("--new-key-file", metavar="FILE", help="The key in this file opens it, made if there is none.")
@click.option("--new-key-env", metavar="VARIABLE", help="The key in this variable opens it.")
@click.option("--new-keyring", is_flag=True, help="A key in the keyring of the system opens it.")
@store_options
def command(
    asked: Asked, place: Place, new_key_file: str | None, new_key_env: str | None, new_keyring: bool
) -> None:
    """Have another passphrase or key open the keystore, and the one of before no more.

    Every value is encrypted anew. Without an option the new passphrase is asked for twice.
    """
    store = place.store()
    store.load()
    store.rewrap(other_place(place, new_key_file, new_key_env, new_keyring))
    done(f"{place.path} is opened by what you gave; say so in the configuration of each router", asked)


command.epilog = f"In scripts the new passphrase can stand in {NEW_PASSPHRASE}."
