"""The ledger in a database: at once where that is a file of SQLite, by a thread where it is not."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from importlib.resources import files
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from pointsman_callers.ledger import Attempt, Books, Counted, LedgerUnavailable, OpenHold, Spent
from pointsman_callers.ledger.backlog import AtOnce, Backlog, ByThread
from pointsman_callers.ledger.books import ended_as_held, expire, let_go, put_hold, put_settlement, remembered
from pointsman_database import Component, Database, DatabaseError

if TYPE_CHECKING:
    from pointsman import Config

_PATIENCE = 0.05
"""Seconds that the loop waits at most for another process that writes."""
_LOOK_EVERY = 3_600.0
"""Seconds between looks for what need not be kept."""
_log = logging.getLogger("pointsman")


class KeptLedger:
    """A `Ledger` in a database.

    In a file of SQLite everything is written when the call returns, so that nothing is lost however the
    process ends. In a Postgres a thread writes all that waits together, a round trip later: what a process
    that is killed had not written by then is counted as it was held, or, of what it had only just held, not
    at all.

    Args:
        address, directory: as of `Database.open`.
        clock: seconds of a clock that only moves forward.
        keep: seconds after which what was spent is forgotten; None: it stays.
    """

    def __init__(
        self,
        address: str,
        directory: Path,
        *,
        clock: Callable[[], float] = monotonic,
        keep: float | None = None,
    ) -> None:
        self.keep = keep
        self._address = address
        self._directory = directory
        self._clock = clock
        self._database: Database | None = None
        self._backlog: Backlog | None = None
        self._of_others: dict[str, OpenHold] = {}
        self._ending: tuple[Sequence[OpenHold], Future[set[str]]] | None = None
        self._going: Future[bool] | None = None
        self._let_go_at = float("-inf")

    @property
    def database(self) -> Database | None:
        """Where it is kept; None while it is not open."""
        return self._database

    def open(self, wall: float) -> Books:
        database = Database.open(self._address, self._directory)
        try:
            database.migrate(COMPONENT.name, COMPONENT.folder)
            database.write(lambda session: expire(session, wall))
            books = database.read(lambda session: remembered(session, wall))
            immediate = database.immediate(patience=_PATIENCE)
        except BaseException:
            database.close()
            raise
        self._backlog = (
            ByThread(database, self._clock) if immediate is None else AtOnce(immediate, self._clock)
        )
        self._database = database
        self._of_others = {each.id: each for each in books.held}
        return books

    def hold(
        self, id: str, attempt: Attempt, estimate: Spent, counted: Sequence[Counted], expires: float
    ) -> None:
        if not counted:
            return
        if self._backlog is None:
            raise LedgerUnavailable("the ledger is closed")
        try:
            self._backlog.now(
                partial(put_hold, id=id, attempt=attempt, estimate=estimate, counted=counted, expires=expires)
            )
        except DatabaseError as error:
            raise LedgerUnavailable(str(error)) from error

    def settle(self, id: str, attempt: Attempt, spent: Spent | None, counted: Sequence[Counted]) -> None:
        if self._backlog is not None:
            self._backlog.add(partial(put_settlement, id=id, attempt=attempt, spent=spent, counted=counted))

    def expired(self, wall: float) -> Sequence[OpenHold]:
        if self._backlog is None or self._database is None:
            return ()
        self._backlog.again()
        self._let_go(wall)
        if self._ending is not None:
            return self._ended(*self._ending)
        over = [each for each in self._of_others.values() if each.expires <= wall]
        if over:
            ids = [each.id for each in over]
            self._ending = over, self._database.submit(lambda session: ended_as_held(session, ids, wall))
        return ()

    def _let_go(self, wall: float) -> None:
        """Have what is old go, a little at a time: each second while there is more, else each hour."""
        if self._going is not None:
            if not self._going.done():
                return
            more = self._going.exception() is None and self._going.result()
            self._going, self._let_go_at = None, self._clock() + (0.0 if more else _LOOK_EVERY)
        keep = self.keep
        if keep is not None and self._database is not None and self._clock() >= self._let_go_at:
            self._going = self._database.submit(lambda session: let_go(session, wall, keep))

    def trouble(self) -> str:
        backlog, database = self._backlog, self._database
        if backlog is None or database is None:
            return ""
        # Asked each second: a file that was removed is noticed before the next attempt, not by one of many.
        why = backlog.why or database.trouble()
        said = [why] if why else []
        if backlog.why and len(backlog):
            said.append(f"{len(backlog):,} entries wait to be kept")
        if backlog.lost:
            said.append(f"{backlog.lost:,} entries are lost")
        return "; ".join(said)

    def close(self) -> None:
        database, backlog = self._database, self._backlog
        self._database = self._backlog = None
        if database is None or backlog is None:
            return
        try:
            backlog.close()
            if backlog.lost:
                _log.error("the ledger has lost %d entries: %s", backlog.lost, backlog.why)
        finally:
            database.close()

    def _ended(self, over: Sequence[OpenHold], future: Future[set[str]]) -> Sequence[OpenHold]:
        if not future.done():
            return ()
        self._ending = None
        try:
            as_held = future.result()
        except DatabaseError:
            return ()  # they stay held, and are looked at again
        for each in over:
            del self._of_others[each.id]
        return [each if each.id in as_held else OpenHold(each.id, each.expires, ()) for each in over]


def _addresses(config: Config) -> Sequence[str]:
    """Where a configuration keeps it."""
    # Without budgets of its own it keeps what keys of callers use beside these.
    section = config.sections.get("budgets", config.sections.get("callers"))
    if not isinstance(section, dict):
        return ()
    address = section.get("database", DEFAULT)
    return (address,) if isinstance(address, str) else ()


DEFAULT = "./pointsman.db"
"""Where budgets are kept when nobody says where."""

COMPONENT = Component("ledger", files("pointsman_callers.ledger") / "migrations", _addresses)
