"""Answers of the Responses API, kept in a file so that callers can go on from them and look at them again."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from logging import Logger
from pathlib import Path
from threading import Lock
from typing import Final, TypeVar

from msgspec import Struct

R = TypeVar("R")

_VERSION: Final = 1
_MOST_WAITING: Final = 64 * 2**20
"""Bytes that may wait to be written: a disk that hangs must not fill the memory."""
_LONGEST: Final = 10_000
"""Answers of one conversation."""
_SCHEMA = """
CREATE TABLE answer (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    caller TEXT NOT NULL,
    previous TEXT NOT NULL,
    created REAL NOT NULL,
    bytes INTEGER NOT NULL,
    turn BLOB NOT NULL,
    body BLOB NOT NULL,
    UNIQUE (id, caller)
);
CREATE INDEX answer_created ON answer (created);
"""
_CHAIN = """
WITH RECURSIVE chain (id, previous, turn, depth) AS (
    SELECT id, previous, turn, 0 FROM answer WHERE id = :id AND caller = :caller AND created >= :oldest
    UNION ALL
    SELECT answer.id, answer.previous, answer.turn, depth + 1 FROM answer, chain
    WHERE answer.id = chain.previous AND answer.caller = :caller AND created >= :oldest AND depth < :longest
)
SELECT id, previous, turn FROM chain ORDER BY depth DESC
"""


class KeptAnswer(Struct, frozen=True):
    """One answer.

    Attributes:
        caller: whose it is; nobody else ever sees it.
        previous: the id of the answer that it went on from; "" for none.
        turn: what was said in it, as JSON that goes before the next items.
        body: the response object.
    """

    id: str
    caller: str
    previous: str
    turn: bytes
    body: bytes


class History(Struct, frozen=True):
    """What was said up to an answer.

    Attributes:
        root: the id of the first answer.
        turns: from the first to the last; None where some of it is gone, or is not the caller's.
    """

    root: str
    turns: Sequence[bytes] | None


class ResponseStore:
    """A file of answers, bounded by their age and by their size together. One thread does all with it.

    What is kept is there for whoever asks afterwards, though it is written a little later: many at once.

    Args:
        path: made for its owner alone; opened when first needed.
        max_age: seconds.
        max_bytes: of all answers together; the oldest go first.
        wall: seconds since 1970.
    """

    def __init__(
        self, path: Path, *, max_age: float, max_bytes: int, wall: Callable[[], float], log: Logger
    ) -> None:
        self.path = path
        self._max_age = max_age
        self._max_bytes = max_bytes
        self._wall = wall
        self._log = log
        # Its thread ends with the process by itself, after what was handed to it is done.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pointsman-responses")
        self._lock = Lock()
        self._waiting: list[KeptAnswer] = []
        self._waiting_bytes = 0
        self._failing = False
        self._bytes = 0
        self._file: sqlite3.Connection | None = None

    def keep(self, answer: KeptAnswer) -> None:
        """Keep `answer`, soon. Never waits and never fails: where it cannot be kept, the log says so."""
        size = _size(answer)
        with self._lock:
            fits = size <= self._max_bytes and self._waiting_bytes + size <= _MOST_WAITING
            if fits:
                self._waiting.append(answer)
                self._waiting_bytes += size
                if len(self._waiting) == 1:
                    self._thread.submit(self._write)
        if not fits:
            self._log.warning("response %.80r is not kept: no room for its %d bytes", answer.id, size)

    async def body(self, id: str, caller: str) -> bytes | None:
        """The response object of that id; None where the caller has none."""
        question = "SELECT body FROM answer WHERE id = ? AND caller = ? AND created >= ?"

        def look(file: sqlite3.Connection) -> bytes | None:
            row = file.execute(question, (id, caller, self._oldest())).fetchone()
            return None if row is None else bytes(row[0])

        return await self._asked(look)

    async def history(self, id: str, caller: str) -> History | None:
        """What was said up to the answer of that id; None where nobody has one of it."""
        return await self._asked(lambda file: self._history(file, id, caller))

    async def forget(self, id: str, caller: str) -> bool:
        """Delete the answer of that id; whether there was one."""

        def delete(file: sqlite3.Connection) -> bool:
            with file:
                gone = file.execute(
                    "DELETE FROM answer WHERE id = ? AND caller = ? RETURNING bytes", (id, caller)
                ).fetchall()
            self._bytes -= sum(size for (size,) in gone)
            return bool(gone)

        return await self._asked(delete)

    async def aclose(self) -> None:
        """Write what waits, and close the file."""

        def close(file: sqlite3.Connection) -> None:
            file.close()
            self._file = None

        if self._file is not None or self._waiting:
            await self._asked(close)
        self._thread.shutdown(wait=False)

    # ── on the thread ────────────────────────────────────────────────────────────────────────────────

    async def _asked(self, do: Callable[[sqlite3.Connection], R]) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: do(self._opened()))

    def _write(self) -> None:
        with self._lock:
            answers, self._waiting, self._waiting_bytes = self._waiting, [], 0
        try:
            file = self._opened()
            with file:
                for each in answers:
                    self._insert(file, each)
                self._evict(file)
            self._failing = False
        except (OSError, sqlite3.Error) as error:
            if not self._failing:  # once for each time that it begins to fail
                self._log.warning("responses cannot be kept in %s: %s", self.path.name, error)
            self._failing = True
            if self._file is not None:  # opened anew, and counted, the next time
                self._file.close()
                self._file = None

    def _insert(self, file: sqlite3.Connection, answer: KeptAnswer) -> None:
        size = _size(answer)
        of_it = (answer.id, answer.caller)
        for (before,) in file.execute(
            "DELETE FROM answer WHERE id = ? AND caller = ? RETURNING bytes", of_it
        ):
            self._bytes -= before
        file.execute(
            "INSERT INTO answer (id, caller, previous, created, bytes, turn, body) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*of_it, answer.previous, self._wall(), size, answer.turn, answer.body),
        )
        self._bytes += size

    def _evict(self, file: sqlite3.Connection) -> None:
        old = file.execute("DELETE FROM answer WHERE created < ? RETURNING bytes", (self._oldest(),))
        self._bytes -= sum(size for (size,) in old.fetchall())
        while self._bytes > self._max_bytes:
            oldest = "SELECT number FROM answer ORDER BY number LIMIT 1"
            gone = file.execute(f"DELETE FROM answer WHERE number = ({oldest}) RETURNING bytes").fetchone()  # noqa: S608
            self._bytes = 0 if gone is None else self._bytes - gone[0]

    def _history(self, file: sqlite3.Connection, id: str, caller: str) -> History | None:
        asked = {"id": id, "caller": caller, "oldest": self._oldest(), "longest": _LONGEST}
        rows = file.execute(_CHAIN, asked).fetchall()
        if not rows:
            others = file.execute("SELECT 1 FROM answer WHERE id = ?", (id,)).fetchone()
            return None if others is None else History(id, None)
        root, before, _turn = rows[0]
        return History(root, None if before else [bytes(turn) for _, _, turn in rows])

    def _oldest(self) -> float:
        return self._wall() - self._max_age

    def _opened(self) -> sqlite3.Connection:
        if self._file is None:
            # Conversations are in it: it is made for its owner alone, before anything is written.
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
            file = sqlite3.connect(self.path)
            try:
                self._bytes = _prepared(file, self.path)
            except BaseException:
                file.close()
                raise
            self._file = file
        return self._file


def _prepared(file: sqlite3.Connection, path: Path) -> int:
    """Bytes of the answers in `file`, after it was made ready."""
    file.execute("PRAGMA journal_mode = WAL")
    file.execute("PRAGMA synchronous = NORMAL")
    (version,) = file.execute("PRAGMA user_version").fetchone()
    if version == 0:
        file.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
    elif version != _VERSION:
        raise sqlite3.DatabaseError(f"{path.name} was written by another version of pointsman ({version})")
    (size,) = file.execute("SELECT coalesce(sum(bytes), 0) FROM answer").fetchone()
    return int(size)


def _size(answer: KeptAnswer) -> int:
    return len(answer.turn) + len(answer.body)
