"""What is to be written, in order: at once or by a thread, and again for as long as that fails."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from typing import Protocol

from pointsman_callers.ledger.books import one_at_a_time
from pointsman_database import Database, DatabaseError, Session
from pointsman_database.sqlite_file import Immediate

_AGAIN = 1.0
"""Seconds until the next try after one that failed: in between nobody waits."""
_TOGETHER = 200
_MOST = 100_000
"""Entries that wait; what comes after them is lost, and counted."""

_log = logging.getLogger("pointsman")

Entry = Callable[[Session], None]


class Backlog(Protocol):
    """Entries that are written in order.

    Attributes:
        why: what failed last; "" where all is well.
        lost: entries that will never be written.
    """

    why: str
    lost: int

    def now(self, entry: Entry) -> None:
        """Write `entry`, or have it on its way. Raises: DatabaseError, and then it is forgotten."""

    def add(self, entry: Entry) -> None:
        """Write `entry` after all that wait, now or later. Never raises."""

    def again(self) -> None:
        """Try what waits, if it is time."""

    def __len__(self) -> int:
        """How many wait."""

    def close(self) -> None:
        """Write what waits, once more. May block."""


class _Retrying:
    """What both have in common."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._not_before = 0.0
        self._waiting: deque[Entry] = deque()
        self.why = ""
        self.lost = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def _full(self) -> bool:
        if len(self._waiting) < _MOST:
            return False
        self.lost += 1
        return True

    def _failed(self, error: BaseException) -> None:
        if not self.why:
            _log.error("the ledger cannot be kept now; what is spent waits in memory: %s", error)
        self.why = str(error) or type(error).__name__
        self._not_before = self._clock() + _AGAIN

    def _succeeded(self) -> None:
        if self.why:
            _log.warning("the ledger is kept again")
        self.why = ""

    @property
    def _early(self) -> bool:
        return bool(self.why) and self._clock() < self._not_before


class AtOnce(_Retrying):
    """In the thread that asks, which waits for nobody for longer than the `immediate` says."""

    def __init__(self, immediate: Immediate, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self._immediate = immediate

    def now(self, entry: Entry) -> None:
        self.again()
        if self._waiting or self._early:
            raise DatabaseError(self.why)
        try:
            self._immediate.write(entry)
        except DatabaseError as error:
            self._failed(error)
            raise
        self._succeeded()

    def add(self, entry: Entry) -> None:
        if not self._full():
            self._waiting.append(entry)
            self.again()

    def again(self) -> None:
        while self._waiting and not self._early:
            batch = [self._waiting[n] for n in range(min(len(self._waiting), _TOGETHER))]
            try:
                self._immediate.write(all_of(batch))
            except DatabaseError as error:
                self._failed(error)
                return
            for _ in batch:
                self._waiting.popleft()
            self._succeeded()

    def close(self) -> None:
        self._not_before = 0.0
        self.again()
        self.lost += len(self._waiting)


class ByThread(_Retrying):
    """By the thread of the database that writes: all that waits together, while nobody waits for it."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self._database = database
        self._lock = threading.Lock()
        self._under_way: list[Entry] = []
        self._future: Future[None] | None = None

    def __len__(self) -> int:
        return len(self._waiting) + len(self._under_way)

    def now(self, entry: Entry) -> None:
        if self.why:
            self.again()
            raise DatabaseError(self.why)
        self.add(entry)

    def add(self, entry: Entry) -> None:
        if not self._full():
            self._waiting.append(entry)
            self.again()

    def again(self) -> None:
        with self._lock:
            if self._future is not None or not self._waiting or self._early:
                return
            self._under_way = [self._waiting.popleft() for _ in range(min(len(self._waiting), _TOGETHER))]
            self._future = future = self._database.submit(all_of(self._under_way))
        future.add_done_callback(self._done)

    def close(self) -> None:
        with self._lock:
            future, self._future = self._future, None  # from here on `_done` leaves things alone
        if future is not None:
            wait([future])
            if future.exception() is None:
                self._under_way = []
        rest = [*self._under_way, *self._waiting]
        if rest:
            try:
                self._database.write(all_of(rest))
            except DatabaseError as error:
                self._failed(error)
                self.lost += len(rest)

    def _done(self, future: Future[None]) -> None:
        """In the thread that writes."""
        with self._lock:
            if self._future is not future:
                return
            self._future = None
            error = future.exception()
            if error is None:
                self._succeeded()
            else:
                self._waiting.extendleft(reversed(self._under_way))
                self._failed(error)
            self._under_way = []
        self.again()


def all_of(entries: Iterable[Entry]) -> Entry:
    """The work of all of them in one transaction."""

    def work(session: Session) -> None:
        one_at_a_time(session)
        for each in entries:
            each(session)

    return work
