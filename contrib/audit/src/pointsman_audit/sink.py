"""Sinks that keep records in a table: what is told waits in memory, and one thread writes it together."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, cast

from msgspec import Struct

from pointsman.audit import AuditedExchange, SinkStatus
from pointsman.audit_log.chain import UNKEYED
from pointsman.audit_log.contents import Content, content_of
from pointsman.audit_log.records import MAKERS, Gap, body_of, record_of, timestamp
from pointsman.builtin.audit import key_of
from pointsman.plugin import AuditContext, AuditSink, AuditUnavailable, Event, RequestStarted
from pointsman_audit.chained import TableChain
from pointsman_audit.records_table import RecordsTable
from pointsman_audit.rows import row_of
from pointsman_audit.settings import Mode, PostgresSettings, TableSettings
from pointsman_database import Database, DatabaseError, read_address

log = logging.getLogger("pointsman")
_TOGETHER = 200
"""Records that are written at once."""
_GATHER = 0.05
"""Seconds in which records are gathered: a transaction costs as much for one as for a hundred."""
_GATHER_AWAITED = 0.002
"""The same where requests wait for it."""
_RETRY = 1.0
"""Seconds after which a database that failed is tried again."""
_PATIENCE = 1.0
"""Seconds that a request waits for its record where the mode is `block`."""
_LONGEST = 10.0
"""The same for `fail_closed`, of a database that says nothing at all."""
_TIDY_EVERY = 3_600.0
"""Seconds between two looks for what is too old."""


class _Told(Struct, frozen=True, gc=False):
    """An event that waits. `acknowledge` hears whether it was written."""

    wall: float
    event: Event | RequestStarted | Content | Gap
    acknowledge: Callable[[bool], None] | None = None


_OURS = _Told(0.0, Gap(0, 0, ""))


class TableSink:
    """Every event is one row, or is counted in a record `gap`.

    A database that fails is tried again each second; what comes meanwhile waits in the buffer. Where that is
    full, records are dropped, and the next that gets through is a `gap`. The caller's thread only puts events
    down.

    Args:
        opened: opens the database; called in the writer's thread until it succeeds.
        wall: seconds since 1970.
        key: of the chain.

    Attributes:
        kinds: what it is told of beside what has ended.
    """

    kinds: Sequence[type[Any]] = (RequestStarted,)
    _gather = _GATHER

    def __init__(
        self,
        opened: Callable[[], RecordsTable],
        settings: TableSettings,
        wall: Callable[[], float],
        key: bytes = UNKEYED,
    ) -> None:
        self._opened = opened
        self._settings = settings
        self._wall = wall
        self._buffer = settings.buffer
        # Both may be used in a `__del__`, where locks and events may not: see `jsonl`.
        self._waiting: deque[_Told] = deque()
        self._bell: SimpleQueue[bool] = SimpleQueue()
        """False: something waits, and the thread is asleep. True: write all, and end."""
        self._rung = True
        self._dropped = 0
        self._closed = False
        # Of the thread alone.
        self._table: RecordsTable | None = None
        self._held: list[tuple[_Told, tuple[Any, ...]]] = []
        self._chain = TableChain(key)
        self._trouble = ""
        self._kept = self._lost = self._failed = 0
        self._tidied = float("-inf")
        self._thread = threading.Thread(target=self._run, name="pointsman-audit-table", daemon=True)
        self._thread.start()

    def __call__(self, event: Event | RequestStarted) -> None:
        self._put(_Told(self._wall(), event))

    @property
    def records_content(self) -> bool:
        """Whether it wants to be told what is asked and answered."""
        return self._settings.content is not None

    def exchanged(self, exchange: AuditedExchange) -> None:
        """Keep of it what the settings say."""
        assert self._settings.content is not None
        self._put(_Told(self._wall(), content_of(exchange, self._settings.content)))

    def status(self) -> SinkStatus:
        """How it stands."""
        waiting = len(self._waiting) + len(self._held)
        lost, failed = self._lost + self._dropped, self._failed
        return SinkStatus(
            self._settings.mode, self._kept, waiting, lost, io_errors=failed, trouble=self._trouble
        )

    def close(self) -> None:
        self._closed = True
        self._bell.put(True)
        self._thread.join()

    def _put(self, told: _Told) -> None:
        if len(self._waiting) < self._buffer:
            if self._dropped:
                self._put_gap()
            self._waiting.append(told)
        else:
            self._dropped += 1
        if not self._rung:
            self._rung = True
            self._bell.put(False)

    def _put_gap(self) -> None:
        dropped, self._dropped = self._dropped, 0
        self._waiting.append(_Told(self._wall(), Gap(0, dropped, "buffer full")))

    # ── in the thread ────────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        while not self._ends():
            self._write()
        if self._dropped:
            self._put_gap()
        self._write()
        if self._chain.name and not self._held:
            self._hold(row_of(*self._chain.closed()))
            self._write()
        if left := len(self._held) + len(self._waiting):
            log.error("%d audit records are lost: %s", left, self._trouble)
        self._refuse_waiting()
        if self._table is not None:
            self._table.close()

    def _ends(self) -> bool:
        """Wait until there is something to write; whether it is the last."""
        if self._ends_within(_RETRY if self._trouble else self._gather):
            return True
        if self._held or self._waiting:
            return False
        self._rung = False  # before the look: what comes during it rings
        if not self._waiting and self._bell.get():
            return True
        self._rung = True
        return self._ends_within(self._gather)

    def _ends_within(self, seconds: float) -> bool:
        try:
            return self._bell.get(timeout=seconds)
        except Empty:
            return False

    def _write(self) -> None:
        """Write what waits, as far as the database takes it."""
        try:
            if self._table is None:
                self._table = self._opened()
            while self._held or self._waiting:
                self._make_rows()
                self._table.add([row for _, row in self._held])
                written, self._held = self._held, []
                self._kept = self._chain.seq
                _acknowledge((told for told, _ in written), True)
            self._tidy(self._table)
        except DatabaseError as error:
            self._complain(str(error))
        except Exception as error:  # whatever a driver does: the thread goes on, and says so
            self._complain(f"{type(error).__name__}: {error}")
        else:
            if self._trouble:
                self._trouble = ""
                log.warning("audit records are written again")

    def _make_rows(self) -> None:
        for _ in range(min(len(self._waiting), _TOGETHER - len(self._held))):
            told = self._waiting.popleft()
            ts, event = timestamp(int(told.wall * 1e3)), told.event
            if self._chain.is_over(ts):
                if self._chain.name:
                    self._hold(row_of(*self._chain.closed()))
                opened = self._chain.opened(ts)
                self._hold(row_of(self._chain.name, opened))
            if isinstance(event, Gap):
                log.error("%d audit records were dropped: %s", event.missing, event.reason)
                self._lost += event.missing
                event = Gap(self._chain.passed_over(event.missing), event.missing, event.reason)
            self._held.append((told, self._row(event, ts)))

    def _hold(self, row: tuple[Any, ...]) -> None:
        """A row of ours, of which nobody waits to hear."""
        self._held.append((_OURS, row))

    def _row(self, event: Any, ts: str) -> tuple[Any, ...]:
        try:
            record: Any = MAKERS[type(event)](event, 0, ts)
            name, body = record.event, body_of(record)
        except Exception as error:  # what plugins put into events can be anything
            log.error("an audit record cannot be written: %s", type(error).__name__)
            self._lost += 1
            gap = Gap(self._chain.passed_over(1), 1, "not to be written as JSON")
            name, body = "gap", body_of(record_of(gap, 0, ts))
        return row_of(self._chain.name, self._chain.line(ts, name, body))

    def _tidy(self, table: RecordsTable) -> None:
        now, keep = monotonic(), self._settings.keep
        if now - self._tidied < _TIDY_EVERY:
            return
        self._tidied = now
        if gone := table.keep(self._wall(), age=keep.age, size_bytes=keep.size, current=self._chain.name):
            log.info("%d audit records went, for they are beyond what is kept", gone)

    def _complain(self, trouble: str) -> None:
        """Told once, and again when it fails otherwise; calls go on."""
        self._failed += 1
        if trouble != self._trouble:
            self._trouble = trouble
            log.error("audit records cannot be written: %s", trouble)

    def _refuse_waiting(self) -> None:
        """Nobody waits for a record that may never be there."""
        _acknowledge((*(told for told, _ in self._held), *self._waiting), False)


class AwaitedTableSink(TableSink):
    """One whose requests are made only once the table has the record of their start."""

    kinds = ()
    _gather = _GATHER_AWAITED

    def _complain(self, trouble: str) -> None:
        super()._complain(trouble)
        if self._settings.mode == "fail_closed":
            self._refuse_waiting()

    async def admit(self, started: RequestStarted) -> None:
        """Return once the record of `started` is there.

        Raises: AuditUnavailable where the mode is `fail_closed` and it cannot be written, or no room is left
            for the end of what was admitted; where it is `block` and it is not there after a second.
        """
        waits = self._settings.mode == "block"
        if self._closed or (not waits and (self._trouble or len(self._waiting) > self._buffer // 2)):
            raise AuditUnavailable("no record of the request can be kept, and none is made without")
        loop = asyncio.get_running_loop()
        written: asyncio.Future[bool] = loop.create_future()

        def acknowledge(is_written: bool) -> None:
            loop.call_soon_threadsafe(_settle, written, is_written)

        self._put(_Told(self._wall(), started, acknowledge))
        try:
            async with asyncio.timeout(_PATIENCE if waits else _LONGEST):
                kept = await written
        except TimeoutError:
            kept = False
        if not kept:
            raise AuditUnavailable("no record of the request could be kept in time")


def _acknowledge(told: Iterable[_Told], written: bool) -> None:
    for each in told:
        if each.acknowledge is not None:
            try:
                each.acknowledge(written)
            except RuntimeError:  # its loop is closed, and nobody waits there any more
                continue


def _settle(future: asyncio.Future[bool], written: bool) -> None:
    if not future.done():
        future.set_result(written)


def sink_for(context: AuditContext) -> AuditSink:
    """The sink that the settings in `context` ask for.

    A file is opened at once. A server may be away for a while: it is connected to by the thread that writes.

    Raises: ConfigError for an address that is none, and a file that cannot be opened.
    """
    settings: TableSettings = context.settings
    at_server = isinstance(settings, PostgresSettings)
    text = settings.database.reveal() if at_server else settings.database  # type: ignore[attr-defined]
    address = read_address(text, context.directory)
    if (address.dialect == "postgres") is not at_server:
        kind = "a server" if at_server else "a file"
        raise DatabaseError(f"`database` is to be {kind} here: {address.shown}")

    if at_server and find_spec("psycopg") is None:  # else only the thread would find that out
        raise DatabaseError("an address of Postgres needs psycopg: pip install 'pointsman-audit[postgres]'")

    def opened() -> RecordsTable:
        return RecordsTable(Database.open(text, context.directory))

    table = None if at_server else opened()
    make = TableSink if settings.mode == "drop_counted" else AwaitedTableSink
    to_table, key = opened if table is None else lambda: table, key_of(settings.key)
    return cast("AuditSink", make(to_table, settings, context.clock.wall, key))


__all__ = ["AwaitedTableSink", "Mode", "TableSink", "sink_for"]
