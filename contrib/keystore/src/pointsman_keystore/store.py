"""A keystore: its file, its lock and what opens it, together."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from threading import Lock as Mutex

from msgspec import Struct

from pointsman_keystore.file import KeystoreError, Stamp, Step, locked, read, write
from pointsman_keystore.format import (
    CannotOpen,
    Entries,
    Lock,
    Master,
    header_of,
    new_lock,
    opened,
    sealed,
    unlocked,
)


def cannot_be_opened(path: Path) -> KeystoreError:
    """The one error for another key, an edited byte and a cut."""
    return KeystoreError(
        f"the keystore {path} cannot be opened: its key or passphrase is another one, or the file was changed"
    )


class Loaded(Struct, frozen=True):
    """What a keystore held when it was read."""

    entries: Entries
    stamp: Stamp


class Keystore:
    """One file. All methods may block, scrypt alone for 0.3 s; it is for several threads.

    Args:
        master: gives what opens it. Asked again where it does not open it any more.
    """

    def __init__(self, path: Path, master: Callable[[], Master]) -> None:
        self.path = path
        self._master = master
        self._lock: Lock | None = None
        self._mutex = Mutex()

    def load(self) -> Loaded:
        """What is in it now. Raises KeystoreError."""
        with self._mutex:
            data, stamp = read(self.path)
            return Loaded(self._open(data), stamp)

    def opened_by(self) -> str:
        """`passphrase` or `key`. Raises KeystoreError."""
        try:
            return header_of(read(self.path)[0])[0].opened_by
        except CannotOpen:
            raise cannot_be_opened(self.path) from None

    def change(self, edit: Callable[[Entries], Entries], step: Step = lambda _step: None) -> None:
        """Have it hold what `edit` makes of what it holds. Raises KeystoreError: it is as it was."""
        with self._mutex, locked(self.path):
            entries = self._open(read(self.path)[0])
            assert self._lock is not None
            self._write(edit(entries), self._lock, step)

    def create(self, edit: Callable[[Entries], Entries], *, n: int = 2**17) -> None:
        """Make it, with what `edit` makes of no entries. Raises KeystoreError, also where there is one."""
        with self._mutex, locked(self.path):
            if self.path.exists():
                raise KeystoreError(f"there is a keystore {self.path} already")
            entries = edit({})
            self._lock = new_lock(self._master(), os.urandom, n=n)
            self._write(entries, self._lock)

    def rewrap(self, master: Master, step: Step = lambda _step: None) -> None:
        """Have another master key open it, and no other; with a new data key. Raises KeystoreError."""
        with self._mutex, locked(self.path):
            entries = self._open(read(self.path)[0])
            lock = new_lock(master, os.urandom)
            self._write(entries, lock, step)
            self._master, self._lock = lambda: master, lock

    def export(self, path: Path, master: Master) -> int:
        """Write all of it to another file, which `master` opens; how many entries. Raises KeystoreError."""
        entries = self.load().entries
        with locked(path):
            if path.exists():
                raise KeystoreError(f"there is a file {path} already")
            write(path, _sealed(entries, new_lock(master, os.urandom), path))
        return len(entries)

    def _write(self, entries: Entries, lock: Lock, step: Step = lambda _step: None) -> None:
        write(self.path, _sealed(entries, lock, self.path), step)

    def _open(self, data: bytes) -> Entries:
        try:
            if self._lock is None or header_of(data)[1] != self._lock.header:
                self._lock = unlocked(data, self._master())
            return opened(data, self._lock)
        except CannotOpen:
            raise cannot_be_opened(self.path) from None


def _sealed(entries: Entries, lock: Lock, path: Path) -> bytes:
    try:
        return sealed(entries, lock, os.urandom)
    except ValueError as error:
        raise KeystoreError(f"the keystore {path} is not written: {error}") from None
