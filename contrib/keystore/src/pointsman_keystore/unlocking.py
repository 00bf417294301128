"""Where the master key of a keystore comes from: a passphrase, a file, a variable, the OS keyring."""

from __future__ import annotations

import os
import stat
from base64 import b64decode, b64encode
from collections.abc import Mapping
from pathlib import Path

from pointsman.plugin import Secret, read_regular
from pointsman_keystore.file import KeystoreError
from pointsman_keystore.format import Master
from pointsman_keystore.settings import PASSPHRASE, KeyringPlace, StoreSettings

_LARGEST_KEY = 1024
HOW_TO_MAKE_ONE = "`openssl rand -base64 32` makes one"


def master_of(settings: StoreSettings, directory: Path, environ: Mapping[str, str] = os.environ) -> Master:
    """What opens the keystore. May block. Raises KeystoreError."""
    if settings.passphrase is not None:
        return Master(passphrase=_passphrase(settings.passphrase.reveal(), "the configuration"))
    if settings.key_file is not None:
        return Master(key=_key_in_file(directory / settings.key_file))
    if settings.key_env is not None:
        if settings.key_env not in environ:
            raise KeystoreError(f"the variable {settings.key_env} with the key of the keystore is not set")
        return Master(key=as_key(environ[settings.key_env], f"the variable {settings.key_env}"))
    if settings.keyring is not None:
        place = settings.keyring
        found = from_keyring(place.service, place.user)
        if found is None:
            raise KeystoreError(
                f"the keyring has no key of the keystore under {place.service} / {place.user}"
            )
        return Master(key=as_key(found, "the keyring"))
    if PASSPHRASE in environ:
        return Master(passphrase=_passphrase(environ[PASSPHRASE], f"the variable {PASSPHRASE}"))
    raise KeystoreError(
        f"nothing says what opens the keystore: set {PASSPHRASE}, or write `passphrase`, `key_file`, "
        "`key_env` or `keyring` under `keystore` in the configuration"
    )


def _passphrase(text: str, source: str) -> Secret:
    if not text:
        raise KeystoreError(f"the passphrase from {source} is empty")
    return Secret(text)


def _key_in_file(path: Path) -> bytes:
    try:
        text = read_regular(path, _LARGEST_KEY).decode("latin-1")
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        raise KeystoreError(f"there is no key file {path}; {HOW_TO_MAKE_ONE}") from None
    except (OSError, ValueError) as error:
        raise KeystoreError(f"the key file {path} cannot be read: {error}") from None
    if os.name == "posix" and mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise KeystoreError(f"others may read or write the key file {path}: chmod 600 {path}")
    return as_key(text, f"the file {path}")


def as_key(text: str, source: str) -> bytes:
    """The 32 bytes in base64. Raises KeystoreError."""
    try:
        key = b64decode(text.strip(), validate=True)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise KeystoreError(f"the key in {source} is not 32 bytes in base64; {HOW_TO_MAKE_ONE}")
    return key


def made_master(settings: StoreSettings, directory: Path, environ: Mapping[str, str] = os.environ) -> Master:
    """As `master_of` for a store that is made; a key file or an entry of the keyring that is lacking, too."""
    key = b64encode(os.urandom(32)).decode()
    if settings.key_file is not None and not (directory / settings.key_file).exists():
        path = directory / settings.key_file
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(descriptor, "w", encoding="ascii") as stream:
                stream.write(key + "\n")
                stream.flush()
                os.fsync(descriptor)
        except OSError as error:
            raise KeystoreError(f"the key file {path} cannot be written: {error.strerror}") from None
    place = settings.keyring
    if place is not None and from_keyring(place.service, place.user) is None:
        into_keyring(place, key)
    return master_of(settings, directory, environ)


def from_keyring(service: str, user: str) -> str | None:
    """What the keyring of the system has there; None for nothing. May block. Raises KeystoreError."""
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        raise KeystoreError(
            "the keyring needs a package: pip install 'pointsman-keystore[keyring]'"
        ) from None
    try:
        return keyring.get_password(service, user)
    except KeyringError as error:
        raise KeystoreError(f"the keyring of the system cannot be read: {type(error).__name__}") from None


def into_keyring(place: KeyringPlace, value: str) -> None:
    """Keep `value` there. Raises KeystoreError."""
    import keyring
    from keyring.errors import KeyringError

    try:
        keyring.set_password(place.service, place.user, value)
    except KeyringError as error:
        raise KeystoreError(f"the keyring of the system cannot be written: {type(error).__name__}") from None
