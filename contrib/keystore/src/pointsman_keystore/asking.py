"""What the commands ask for: which keystore, what opens it, and values, none of which is ever an argument."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import click
from msgspec import Struct
from pydantic import TypeAdapter, ValidationError

from pointsman.plugin import ConfigError, Duration, Secret
from pointsman_cli.errors import USAGE, Failed
from pointsman_cli.options import Asked, config_option, json_option, pass_asked, verbose_option
from pointsman_cli.output import say
from pointsman_keystore.edits import checked_value, looks_like_a_value
from pointsman_keystore.file import KeystoreError
from pointsman_keystore.format import LARGEST_VALUE, Master
from pointsman_keystore.settings import DEFAULT_FILE, PASSPHRASE, KeyringPlace, StoreSettings
from pointsman_keystore.store import Keystore
from pointsman_keystore.unlocking import made_master, master_of

F = TypeVar("F", bound=Callable[..., Any])
_LEAST_PASSPHRASE = 12
"""Characters; scrypt makes guessing slow, and not impossible."""


class Place(Struct, frozen=True):
    """Which keystore, and what opens it.

    Attributes:
        directory: what its paths are relative to.
    """

    settings: StoreSettings
    directory: Path

    @property
    def path(self) -> Path:
        return self.directory / (self.settings.path or DEFAULT_FILE)

    @property
    def says_how(self) -> bool:
        """Whether something other than a person says what opens it."""
        said = self.settings
        return any((said.passphrase, said.key_file, said.key_env, said.keyring)) or PASSPHRASE in os.environ

    def store(self) -> Keystore:
        """The keystore that is there. What opens it is asked for once, where nothing else says it."""
        return Keystore(self.path, cache(self._master))

    def new_store(self) -> Keystore:
        """One that is to be made."""
        return Keystore(self.path, cache(self._new_master))

    def _master(self) -> Master:
        if self.says_how:
            return master_of(self.settings, self.directory)
        return Master(passphrase=asked_passphrase(f"passphrase of {self.path}"))

    def _new_master(self) -> Master:
        if self.says_how:
            return made_master(self.settings, self.directory)
        return Master(passphrase=new_passphrase(f"passphrase for the new keystore {self.path}"))


def store_options(function: F) -> F:
    """Adds what says which keystore; the command gets a `Place` as `place`, after `asked`."""

    @pass_asked
    def with_place(
        asked: Asked,
        /,
        store: str | None,
        key_file: str | None,
        key_env: str | None,
        keyring: bool,
        **more: Any,
    ) -> Any:
        return function(asked, place=_place(asked, store, key_file, key_env, keyring), **more)

    made: Any = with_place
    made.__doc__, made.__name__ = function.__doc__, function.__name__
    # Options of the command itself come before these.
    made.__click_params__ = getattr(function, "__click_params__", [])
    for option in (
        verbose_option,
        json_option,
        config_option,
        click.option("--keyring", is_flag=True, help="A key in the keyring of the system opens it."),
        click.option("--key-env", metavar="VARIABLE", help="The key in this variable opens it."),
        click.option("--key-file", metavar="FILE", help="The key in this file opens it."),
        click.option("--store", metavar="FILE", help=f"The keystore; else as configured, or {DEFAULT_FILE}."),
    ):
        made = option(made)
    return made  # type: ignore[no-any-return]  # as click types its decorators


def _place(
    asked: Asked, store: str | None, key_file: str | None, key_env: str | None, keyring: bool
) -> Place:
    if sum(map(bool, (key_file, key_env, keyring))) > 1:
        raise click.UsageError("one of --key-file, --key-env and --keyring opens it")
    configured, directory = _configured(asked)
    said = StoreSettings(
        path=None if store is None else Path(store).absolute(),
        key_file=None if key_file is None else Path(key_file).absolute(),
        key_env=key_env,
        keyring=KeyringPlace() if keyring else None,
    )
    return Place(said.over(configured), directory)


def _configured(asked: Asked) -> tuple[StoreSettings | None, Path]:
    """What the configuration says under `keystore`, and where it is."""
    from pointsman.build.loading import as_config
    from pointsman.dry_run.configs import load_config
    from pointsman_cli.configured import config_file

    file = config_file(asked, os.environ, Path())
    if file is None:
        return None, Path()
    try:
        config, complete = as_config(file), True
    except ConfigError:  # a variable of some other provider may be missing here
        config, complete = load_config(file), False
    given = config.sections.get("keystore")
    if given is None:
        return None, config.directory
    try:
        settings = StoreSettings.model_validate(given)
    except ValidationError as error:
        message = error.errors(include_input=False, include_url=False)[0]["msg"]
        raise Failed(f"the section `keystore` of {file} is wrong: {message}", code=USAGE) from None
    if not complete:
        settings = settings.model_copy(update={"passphrase": None})
    return settings, config.directory


def asked_value(name: str) -> Secret:
    """A credential, from standard input, or from a person who does not see it. Raises KeystoreError."""
    if sys.stdin.isatty():
        return checked_value(click.prompt(f"value of {name}", hide_input=True, err=True))
    text = sys.stdin.read(LARGEST_VALUE + 2)
    return checked_value(text.removesuffix("\n").removesuffix("\r"))


def asked_passphrase(what: str, *, instead: str = "") -> Secret:
    """A passphrase, from a person. Raises KeystoreError: there is none here, and `instead` would do."""
    if not sys.stdin.isatty():
        instead = instead or f"set {PASSPHRASE}, or use --key-file, --key-env or --keyring"
        raise KeystoreError(f"nobody is here who could be asked: {instead}")
    return Secret(click.prompt(what, hide_input=True, err=True))


def new_passphrase(what: str, *, instead: str = "") -> Secret:
    """A passphrase that a person has said twice."""
    passphrase = asked_passphrase(what, instead=instead)
    if len(passphrase.reveal()) < _LEAST_PASSPHRASE:
        raise KeystoreError(f"a passphrase has {_LEAST_PASSPHRASE} characters at least; take several words")
    if asked_passphrase("the same again") != passphrase:
        raise KeystoreError("the two differ; nothing was written")
    return passphrase


def other_place(place: Place, key_file: str | None, key_env: str | None, keyring: bool) -> Master:
    """What is to open it from now on, or a copy of it; asked for where no option says it."""
    said = StoreSettings(
        key_file=None if key_file is None else Path(key_file).absolute(),
        key_env=key_env,
        keyring=KeyringPlace() if keyring else None,
    )
    if any((key_file, key_env, keyring)):
        return made_master(said, place.directory)
    if NEW_PASSPHRASE in os.environ:
        return master_of(StoreSettings(passphrase=Secret(os.environ[NEW_PASSPHRASE])), place.directory)
    instead = f"for the new passphrase set {NEW_PASSPHRASE}, or use --new-key-file or --new-key-env"
    return Master(passphrase=new_passphrase("new passphrase", instead=instead))


NEW_PASSPHRASE = "POINTSMAN_KEYSTORE_NEW_PASSPHRASE"  # noqa: S105 - the name of a variable


def refuse_values(_ctx: click.Context, _option: click.Parameter, words: tuple[str, ...]) -> tuple[str, ...]:
    """For a command that takes one name: whoever writes more may have written a credential."""
    if len(words) != 1 or looks_like_a_value(words[0]):
        raise click.UsageError(
            "give the name of one entry and nothing else. A credential is never an argument, where others "
            "could read it: you are asked for it, or it is read from standard input"
        )
    return words


def instant(_ctx: click.Context, option: click.Parameter, text: str | None) -> float | None:
    """Seconds since 1970 UTC."""
    if text is None:
        return None
    try:
        read = datetime.fromisoformat(text.strip())
    except ValueError:
        raise click.BadParameter("expected an instant, such as 2026-12-31T00:00:00Z", param=option) from None
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()


def duration(_ctx: click.Context, option: click.Parameter, text: str) -> float:
    """Seconds."""
    try:
        return TypeAdapter(Duration).validate_python(text)
    except ValidationError:
        raise click.BadParameter("expected a duration, such as 1h or 30m", param=option) from None


def told_instant(seconds: float | None) -> str | None:
    """As people and programs read it."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def done(message: str, asked: Asked) -> None:
    """Say on stderr what was done."""
    if not asked.json:
        say(message)
