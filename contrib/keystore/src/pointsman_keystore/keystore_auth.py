"""`keystore`: a credential in an encrypted file, which is read again when that changes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from threading import Thread

from pointsman.plugin import (
    AuthContext,
    AuthenticationFailed,
    AuthFactory,
    CredentialVersion,
    NotReady,
    Secret,
    VersionedAuth,
)
from pointsman_keystore.edits import lacking
from pointsman_keystore.file import KeystoreError, stamp_of
from pointsman_keystore.format import Entries
from pointsman_keystore.settings import DEFAULT_FILE, KeystoreSettings, StoreSettings
from pointsman_keystore.store import Keystore, Loaded
from pointsman_keystore.unlocking import master_of

_LOOK_EVERY = 1.0
"""Seconds between two looks at the stamp of the file."""


class WatchedStore:
    """One keystore, as the sources of one router share it: opened once, and read again beside the calls.

    Attributes:
        loaded: what it held when it was last read well; None before.
        trouble: why the last reading failed; "" for none.
    """

    def __init__(self, store: Keystore) -> None:
        self._store = store
        self.loaded: Loaded | None = None
        self.trouble = ""
        self._looked_at: float | None = None
        self._thread: Thread | None = None
        self._failed_at: object = None

    def look(self, now: float) -> None:
        """Have it read in a thread, where it has changed; at most once a second."""
        if self._looked_at is not None and now - self._looked_at < _LOOK_EVERY:
            return
        self._looked_at = now
        if self.has_changed() and (self._thread is None or not self._thread.is_alive()):
            self._thread = Thread(target=self._read_quietly, name="keystore", daemon=True)
            self._thread.start()

    def has_changed(self) -> bool:
        """Whether the file is another one than when it was last read, or tried to be."""
        stamp = stamp_of(self._store.path)
        return stamp != self._failed_at and (self.loaded is None or stamp != self.loaded.stamp)

    def read(self) -> Loaded:
        """What it holds now. Blocks. Raises KeystoreError."""
        stamp = stamp_of(self._store.path)
        try:
            self.loaded = self._store.load()
        except KeystoreError as error:
            self.trouble, self._failed_at = error.message, stamp
            raise
        self.trouble, self._failed_at = "", None
        return self.loaded

    def _read_quietly(self) -> None:
        try:
            self.read()
        except KeystoreError:
            return  # `trouble` says so; what was read before goes on to serve


class KeystoreAuth(VersionedAuth):
    """The versions of one entry."""

    def __init__(self, context: AuthContext) -> None:
        settings: KeystoreSettings = context.settings
        general = context.section if isinstance(context.section, StoreSettings) else None
        self._entry = settings.entry
        self._clock = context.clock
        self._store = _shared(context, settings.over(general))
        self._seen: Loaded | None = None
        self._versions: Sequence[CredentialVersion] | None = None
        self._must_read = False

    def versions(self) -> Sequence[CredentialVersion]:
        self._store.look(self._clock.now())
        if self._store.loaded is not self._seen and self._store.loaded is not None:
            self._take(self._store.loaded)
        if self._versions is None or self._must_read:
            raise NotReady(f"the keystore of entry {self._entry} was not read yet")
        return self._versions

    def current(self) -> Secret | None:
        wall = self._clock.wall()
        valid = [
            each
            for each in self.versions()
            if (each.not_before or 0.0) <= wall and (each.not_after is None or wall < each.not_after)
        ]
        return max(valid, key=lambda each: each.not_before or 0.0).secret if valid else None

    def rejected(self, secret: Secret) -> bool:
        """Whether the file has changed since, so that there may be another one."""
        if self._store.has_changed():
            self._must_read = True
        return self._must_read

    async def refresh(self) -> None:
        try:
            loaded = await asyncio.to_thread(self._store.read)
        except KeystoreError as error:
            self._must_read = False  # what there was goes on to serve
            if self._versions:
                return
            raise AuthenticationFailed(error.message) from None
        self._must_read = False
        self._take(loaded)
        if not self._versions:
            raise AuthenticationFailed(lacking(loaded.entries, self._entry).message)

    def trouble(self) -> str:
        if self._store.trouble:
            return self._store.trouble
        if self._store.loaded is None:
            return "the keystore was not read yet"
        if self._entry not in self._store.loaded.entries:
            return lacking(self._store.loaded.entries, self._entry).message
        return ""

    def _take(self, loaded: Loaded) -> None:
        found = _versions(loaded.entries, self._entry)
        # One that was removed is not used any more: there is none, which `refresh` says.
        self._seen, self._versions = loaded, (found or None)


def _versions(entries: Entries, name: str) -> tuple[CredentialVersion, ...]:
    return tuple(
        CredentialVersion(f"{name} {each.number}", each.value, each.not_before, each.not_after)
        for each in entries.get(name, ())
    )


def _shared(context: AuthContext, settings: StoreSettings) -> WatchedStore:
    """The keystore that they mean, which all sources of a router have in common: scrypt runs once."""
    path, directory = context.directory / (settings.path or Path(DEFAULT_FILE)), context.directory
    opened_by = (settings.passphrase, settings.key_file, settings.key_env, settings.keyring)
    key = ("keystore", path, *(None if each is None else hash(each) for each in opened_by))
    store = context.shared.get(key)
    if not isinstance(store, WatchedStore):
        store = WatchedStore(Keystore(path, lambda: master_of(settings, directory)))
        context.shared[key] = store
    return store


FACTORY = AuthFactory("keystore", KeystoreSettings, KeystoreAuth)
