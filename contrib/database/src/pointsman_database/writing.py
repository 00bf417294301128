"""The one thread that writes: what waits is written together, in one transaction."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

from pointsman_database.session import Connection, Work

_TOGETHER = 200
"""Pieces of work in one transaction, at most."""


class Place(Protocol):
    """Where the thread writes."""

    def begun(self) -> Connection:
        """A connection with a transaction that may write. Raises what the database raises."""

    def given_up(self, error: Exception) -> Exception:
        """What work is told that failed for `error`."""

    def idle(self) -> None:
        """Nothing is waiting, or much was written: time for what nobody should wait for."""


class _Asked(NamedTuple):
    work: Work[Any]
    done: Future[Any]


class Writer:
    """Takes work from any thread. It begins with the first work and ends with `close`."""

    def __init__(self, place: Place, name: str, *, tidy_after: int = 1000) -> None:
        self._place = place
        self._name = name
        self._tidy_after = tidy_after
        self._waiting: deque[_Asked] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._untidy = False

    def submit(self, work: Work[Any]) -> Future[Any]:
        """What `work` comes to, once that is written.

        Raises: RuntimeError after `close`.
        """
        asked = _Asked(work, Future())
        with self._changed:
            if self._closed:
                raise RuntimeError("the database is closed")
            self._waiting.append(asked)
            self._wake()
        return asked.done

    def tidy(self) -> None:
        """Have the place tidied soon, whatever else is waiting."""
        with self._changed:
            if not self._closed:
                self._untidy = True
                self._wake()

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        self._changed.notify()

    def close(self) -> None:
        """Write what waits, and end."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        since = 0
        while True:
            with self._changed:
                while not self._waiting and not self._closed and not self._untidy:
                    if since and not self._changed.wait(1.0):
                        break  # a second of quiet after something was written
                    if not since:
                        self._changed.wait()
                batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), _TOGETHER))]
                if not batch and self._closed:
                    return
                untidy, self._untidy = self._untidy, False
            if batch:
                self._write([each for each in batch if each.done.set_running_or_notify_cancel()])
                since += len(batch)
            if untidy or not batch or since >= self._tidy_after:
                since = 0
                self._make_tidy()

    def _make_tidy(self) -> None:
        with suppress(Exception):  # what writes next meets the same, and says so to who asked for it
            self._place.idle()

    def _write(self, batch: list[_Asked]) -> None:
        ended: list[tuple[Any, Exception | None]] = []
        try:
            connection = self._place.begun()
            try:
                for work, _ in batch:
                    ended.append(self._one(connection, work, alone=len(batch) == 1))
                    if not connection.open:  # a full disk ends it, with all that came before
                        raise ended[-1][1] or RuntimeError("work has ended the transaction that it shared")
                connection.commit()
            except BaseException:
                connection.rollback()
                raise
        except Exception as error:  # work is others' code, and a database can fail at anything
            ended = [(None, error)] * len(batch)
        for (_, done), (result, failure) in zip(batch, ended, strict=True):
            if failure is None:
                done.set_result(result)
            else:
                done.set_exception(self._place.given_up(failure))

    def _one(self, connection: Connection, work: Work[Any], *, alone: bool) -> tuple[Any, Exception | None]:
        """What `work` returned, or raised: then nothing of it is left, and the work of others stays."""
        if alone:
            return work(connection), None  # the transaction is its own
        connection.execute("SAVEPOINT work")
        try:
            result = work(connection)
        except Exception as error:  # work is others' code: who asked for it is told
            if connection.open:
                connection.execute("ROLLBACK TO SAVEPOINT work")
                connection.execute("RELEASE SAVEPOINT work")
            return None, error
        connection.execute("RELEASE SAVEPOINT work")
        return result, None
