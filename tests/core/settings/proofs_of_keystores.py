"""Credentials out of a keystore, and out of the keyring of the system."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from typing import Any

import keyring
from keyring.backend import KeyringBackend
from proofs_of_connections import asked, at, header, upstream
from proving import Given, Setting, proves

from pointsman.plugin import Secret
from pointsman_keystore.edits import added
from pointsman_keystore.format import Entries, Master
from pointsman_keystore.store import Keystore

PASSPHRASE = "correct horse battery"
RAW = bytes(range(32))
KEY = b64encode(RAW).decode()


def kept(setting: Setting, name: str, master: Master, value: str = "sk-kept") -> str:
    """A keystore with the entries `one` and `other`; its path."""

    def both(entries: Entries) -> Entries:
        return added(added(entries, "one", Secret(value), 0.0), "other", Secret(f"{value}-other"), 0.0)

    setting.folder.chmod(0o700)
    path = setting.folder / name
    if not path.exists():
        Keystore(path, lambda: master).create(both, n=2**10)
    return str(path)


async def credential(setting: Setting, value: object, auth: Given) -> str | None:
    """The credential of a call; None where there was none."""
    async with upstream() as it:
        await asked(setting.to(value, at(it.port, auth=auth)))
        return header(it.heads[0], "authorization") if it.heads else None


def sent(setting: Setting, value: object, **auth: Any) -> str | None:
    return asyncio.run(credential(setting, value, {"type": "keystore", **auth}))


@proves("auth:keystore.entry")
def the_credential_is_that_entry(setting: Setting) -> None:
    path = kept(setting, "store", Master(passphrase=Secret(PASSPHRASE)))
    for entry, value in (("one", "sk-kept"), ("other", "sk-kept-other")):
        assert sent(setting, entry, path=path, passphrase=PASSPHRASE) == f"Bearer {value}"


@proves("auth:keystore.path")
def it_is_in_that_file(setting: Setting) -> None:
    for name in ("first", "second"):
        path = kept(setting, name, Master(passphrase=Secret(PASSPHRASE)), f"sk-{name}")
        assert sent(setting, path, entry="one", passphrase=PASSPHRASE) == f"Bearer sk-{name}"


@proves("auth:keystore.passphrase")
def that_passphrase_opens_it(setting: Setting) -> None:
    path = kept(setting, "store", Master(passphrase=Secret(PASSPHRASE)))
    assert sent(setting, PASSPHRASE, entry="one", path=path) == "Bearer sk-kept"
    assert sent(setting, "another", entry="one", path=path) is None


@proves("auth:keystore.key_file")
def the_key_in_that_file_opens_it(setting: Setting) -> None:
    path = kept(setting, "store", Master(key=RAW))
    for name, key in (("right", KEY), ("wrong", b64encode(bytes(32)).decode())):
        (setting.folder / name).write_text(key)
        (setting.folder / name).chmod(0o600)
    assert sent(setting, str(setting.folder / "right"), entry="one", path=path) == "Bearer sk-kept"
    assert sent(setting, str(setting.folder / "wrong"), entry="one", path=path) is None


@proves("auth:keystore.key_env")
def the_key_in_that_variable_opens_it(setting: Setting) -> None:
    path = kept(setting, "store", Master(key=RAW))
    setting.environment.setenv("RIGHT", KEY)
    setting.environment.setenv("WRONG", b64encode(bytes(32)).decode())
    assert sent(setting, "RIGHT", entry="one", path=path) == "Bearer sk-kept"
    assert sent(setting, "WRONG", entry="one", path=path) is None


class Ring(KeyringBackend):
    """What the system keeps: for each service and user another value."""

    priority = 1  # type: ignore[assignment]  # a property there

    def get_password(self, service: str, username: str) -> str:
        return KEY if username == "right" else f"sk-{service}-{username}"

    def set_password(self, service: str, username: str, password: str) -> None:
        raise NotImplementedError


@proves("auth:keystore.keyring")
def the_key_in_the_keyring_opens_it(setting: Setting) -> None:
    path = kept(setting, "store", Master(key=RAW))
    setting.environment.setattr(keyring, "get_password", Ring().get_password)
    assert sent(setting, {"user": "right"}, entry="one", path=path) == "Bearer sk-kept"
    assert sent(setting, {"user": "wrong"}, entry="one", path=path) is None


@proves("auth:keyring.service", "auth:keyring.user")
def the_credential_is_what_the_keyring_has_there(setting: Setting) -> None:
    setting.environment.setattr(keyring, "get_password", Ring().get_password)
    for value in ("blue", "green"):
        auth = {"type": "keyring", "user": "me", "service": "us"}
        place = {**auth, setting.key.rpartition(".")[2]: value}
        found = asyncio.run(credential(setting, value, auth))
        assert found == f"Bearer sk-{place['service']}-{place['user']}"
