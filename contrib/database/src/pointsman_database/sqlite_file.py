"""A file of SQLite, as a database: one thread writes, others read beside it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import TypeVar

from pointsman_database.errors import DatabaseError
from pointsman_database.session import Connection, Session
from pointsman_database.spare import Spare
from pointsman_database.sqlite import SqliteConnection, make_file
from pointsman_database.writing import Writer

T = TypeVar("T")
_PATIENCE = 10.0
"""Seconds that work in a thread waits for another process that writes."""
_LOOK_AFTER = 1.0
"""Seconds after which it is looked once more whether the file is still there."""
_LOOK_EVERY = 64
"""Immediate writes after which it is looked, too."""
_LOG_PAGES = 1000
"""Immediate writes after which the log is moved into the file."""


class SqliteFile:
    """One file. It is made when it is not there.

    Attributes:
        was_gone: it was not there when `trouble` last looked.
        one_writes: is held by an immediate write, and by who moves a long log.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._readers: Spare[SqliteConnection] = Spare()
        self._immediate: list[Immediate] = []
        self._trouble = ""
        self._looked = 0.0
        self.was_gone = False
        self.one_writes = Lock()
        try:
            make_file(file)
            self._writing = SqliteConnection(file, patience=_PATIENCE)
            self._inode = os.stat(file).st_ino
        except (OSError, sqlite3.Error) as error:
            raise self._failed(error) from error
        self._writer = Writer(self, f"writes {file.name}")

    def read(self, work: Callable[[Session], T], /) -> T:
        try:
            connection = self._readers.take() or SqliteConnection(
                self._file, patience=_PATIENCE, writes=False
            )
            try:
                connection.begin_reading()
                return work(connection)
            finally:
                connection.rollback()
                self._readers.give_back(connection)
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def submit(self, work: Callable[[Session], T], /) -> Future[T]:
        return self._writer.submit(work)

    def migrating(self, work: Callable[[Connection], T], /) -> T:
        connection = SqliteConnection(self._file, patience=_PATIENCE)
        try:
            return work(connection)  # `BEGIN IMMEDIATE` is the lock, and is taken for each migration
        except sqlite3.Error as error:
            raise self._failed(error) from error
        finally:
            connection.rollback()
            connection.close()

    def immediate(self, patience: float) -> Immediate:
        """Writes in the thread that asks."""
        try:
            made = Immediate(self, SqliteConnection(self._file, patience=patience))
        except sqlite3.Error as error:
            raise self._failed(error) from error
        self._immediate.append(made)
        return made

    def trouble(self) -> str:
        self._look()
        return self._trouble

    def close(self) -> None:
        self._writer.close()
        self._readers.close()
        for each in self._immediate:
            each.connection.close()
        self._immediate.clear()
        self._writing.close()  # the last one: it moves the rest of the log into the file

    # What the writer asks for, in its thread.

    def begun(self) -> Connection:
        if gone := self.gone():
            raise DatabaseError(gone)
        self._writing.begin()
        return self._writing

    def given_up(self, error: Exception) -> Exception:
        return self._failed(error) if isinstance(error, sqlite3.Error) else error

    def idle(self) -> None:
        self._writing.checkpoint(self.one_writes)

    # What immediate writes ask and tell.

    def gone(self) -> str:
        """A file that was removed or replaced goes on taking what is written, and nobody will read it."""
        try:
            same = os.stat(self._file).st_ino == self._inode
        except OSError:
            same = False
        return "" if same else f"{self._file}: {_GONE}"

    def noted(self, error: Exception | None) -> None:
        """One has failed, or, after some that did, is written."""
        self._trouble = "" if error is None else str(self._failed(error))

    def tidy(self) -> None:
        """Have the log moved into the file, in the thread that may take its time."""
        self._writer.tidy()

    def _look(self) -> None:
        if (now := monotonic()) - self._looked < _LOOK_AFTER:
            return
        self._looked = now
        gone = self.gone()
        self.was_gone = bool(gone)
        if gone:
            self._trouble = gone
        elif self._trouble.endswith(_GONE):
            self._trouble = ""

    def _failed(self, error: Exception) -> DatabaseError:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return DatabaseError(f"{self._file}: {why}{_help(error)}")


_GONE = "the file was removed or replaced while it was in use; start again to begin with what is there now"


def _help(error: Exception) -> str:
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return ""
    match code & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return "; another process has written to it for too long"
        case sqlite3.SQLITE_FULL:
            return "; make room on that disk"
        case sqlite3.SQLITE_NOTADB:
            return "; it is no file of SQLite: name another, or move it away"
        case sqlite3.SQLITE_CORRUPT:
            return "; restore it from a copy, or move it away to begin anew"
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN:
            return "; this process may not write it, or the folder that it is in"
    return ""


class Immediate:
    """Writes in the thread that asks, and without a sync of the disk: in tens of microseconds.

    What it wrote outlives the process, however that ends; a machine that loses power may lose the last
    seconds, and never half of a transaction.
    """

    def __init__(self, place: SqliteFile, connection: SqliteConnection) -> None:
        self.connection = connection
        self._place = place
        self._failed = False
        self._since = 0

    def write(self, work: Callable[[Session], T], /) -> T:
        """What `work` comes to, written. Raises: DatabaseError."""
        connection = self.connection
        try:
            look = self._since % _LOOK_EVERY == 0 or self._place.was_gone
            if look and (gone := self._place.gone()):
                raise DatabaseError(gone)
            with self._place.one_writes:
                connection.begin()
                result = work(connection)
                connection.commit()
        except BaseException as error:
            connection.rollback()
            if isinstance(error, sqlite3.Error):
                self._failed = True
                self._place.noted(error)
                raise self._place.given_up(error) from error
            raise
        if self._failed:
            self._failed = False
            self._place.noted(None)
        self._since += 1
        if self._since >= _LOG_PAGES:
            self._since = 0
            self._place.tidy()
        return result


__all__ = ["Immediate", "SqliteFile"]
