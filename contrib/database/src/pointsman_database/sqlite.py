"""One connection to a file of SQLite."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

_LONG_LOG_PAGES = 16_000
"""Pages in the log, some 64 MiB, from which on writes are held up while it is moved into the file."""


def make_file(file: Path) -> None:
    """Have `file` there, for its owner alone, as the files are that SQLite puts beside it.

    Raises: OSError.
    """
    if not file.parent.is_dir():
        file.parent.mkdir(mode=0o700, parents=True)
    with suppress(FileExistsError):
        # One that is there is never opened here: to close it again would take away the locks that connections
        # of this process have on it, and another process would then take the log from under them.
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    with suppress(PermissionError):  # somebody else's, who shares it with us
        os.chmod(file, 0o600)


class SqliteConnection:
    """A connection for one thread at a time. It never moves the log into the file: `checkpoint` does that.

    Args:
        patience: seconds that it waits for another that writes.
        writes: whether it may.
    """

    dialect = "sqlite"

    def __init__(self, file: Path, *, patience: float, writes: bool = True) -> None:
        mode = "rw" if writes else "ro"
        # Not made by it: a database that somebody removed would come back empty.
        self._sqlite = sqlite3.connect(
            f"{file.as_uri()}?mode={mode}",
            uri=True,
            timeout=patience,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        if writes:
            self._sqlite.execute("PRAGMA journal_mode=WAL")
        self._sqlite.execute("PRAGMA synchronous=NORMAL")
        # Else whoever commits at the wrong moment would pay for the log of all, with a sync of the disk.
        self._sqlite.execute("PRAGMA wal_autocheckpoint=0")
        self._sqlite.execute("PRAGMA foreign_keys=ON")

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> Sequence[Sequence[Any]]:
        return self._sqlite.execute(sql, values).fetchall()

    def execute_many(self, sql: str, rows: Iterable[Sequence[Any]], /) -> None:
        self._sqlite.executemany(sql, rows)

    def begin(self) -> None:
        self._sqlite.execute("BEGIN IMMEDIATE")

    def begin_reading(self) -> None:
        """Open a transaction that sees the same however long it takes."""
        self._sqlite.execute("BEGIN")

    def commit(self) -> None:
        self._sqlite.execute("COMMIT")

    def rollback(self) -> None:
        if self._sqlite.in_transaction:
            self._sqlite.execute("ROLLBACK")

    @property
    def open(self) -> bool:
        return self._sqlite.in_transaction

    def script(self, sql: str) -> None:
        statement = ""
        for line in sql.splitlines(keepends=True):
            statement += line
            if sqlite3.complete_statement(statement):
                self._sqlite.execute(statement)
                statement = ""
        if statement.strip():
            self._sqlite.execute(statement)

    def checkpoint(self, stop_writing: AbstractContextManager[object]) -> None:
        """Move what is in the log into the file, as far as nobody reads it still.

        Args:
            stop_writing: what nobody else of this process writes inside of. It is entered only where the log
                has become long.
        """
        ((_, pages, _),) = self.execute("PRAGMA wal_checkpoint(PASSIVE)")
        if pages < _LONG_LOG_PAGES:
            return
        # Who writes next begins the log anew, unless something was written while the rest was moved. Where
        # writes never pause that is always so, and the log would grow for ever: so they are held up for once,
        # while the last few pages are moved.
        with stop_writing:
            ((patience,),) = self.execute("PRAGMA busy_timeout")
            self.execute("PRAGMA busy_timeout=0")  # nor does anybody wait for those who read
            try:
                self.execute("PRAGMA wal_checkpoint(FULL)")
            finally:
                self.execute(f"PRAGMA busy_timeout={patience}")

    def close(self) -> None:
        self._sqlite.close()
