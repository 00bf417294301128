"""The thread that writes the log: events come in on one side, groups of records go out to the disk."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from msgspec import Struct

from pointsman.audit import SinkStatus
from pointsman.audit_log.checkpoints import Checkpoints
from pointsman.audit_log.committing import Committer, Entry, kept_of
from pointsman.audit_log.contents import Content
from pointsman.audit_log.records import MAKERS, Gap, body_of, timestamp
from pointsman.events import Event, RequestStarted

GATHER = 0.005
"""Seconds that records are gathered at most before they are synced together, and between two groups."""
_BATCH = 256
"""Records that are made at once. They are beside those that the buffer has room for."""
_RETRY = 1.0
"""Seconds after which a disk that failed is tried again; what came meanwhile waits."""
_log = logging.getLogger("pointsman")


class Awaited(Struct, frozen=True, eq=False):
    """A record that somebody waits for.

    Attributes:
        taken: gets "" once it is kept, or why it is not.
    """

    event: RequestStarted
    loop: asyncio.AbstractEventLoop
    taken: asyncio.Future[str]


class LogWriter:
    """Takes events from any thread, and has a committer keep them.

    Whoever hands something in only puts it down; numbers, records and lines are made in the writer's thread.

    Attributes:
        thread: in which it writes.
        trouble: why nothing can be written just now; "" where it can.
        waiting: how many records have come and are not looked at yet.
    """

    def __init__(
        self,
        committer: Committer,
        *,
        wall: Callable[[], float],
        now: Callable[[], float],
        buffer: int,
        checkpoints: Checkpoints | None = None,
        prepare: Callable[[], list[Entry]] = list,
        gathers: bool = True,
        refuses: bool = False,
    ) -> None:
        """Begin to write.

        Args:
            prepare: called first, in the thread; returns what is to be recorded before all else.
            gathers: wait for more to come with the first record of a group; nobody waits for it.
            refuses: who waits is told at once that the disk fails, and not only if it goes on to.
        """
        self._committer, self._checkpoints, self._prepare = committer, checkpoints, prepare
        self._wall, self._now, self._buffer, self._gathers = wall, now, buffer, gathers
        self._refuses = refuses
        self._dropped = self._lost = 0
        self._why = ""
        # Both may be used in a `__del__`: a stream that is dropped tells its end wherever the collector
        # happens to run, in the midst of another `put` too. Locks and events may not.
        self._waiting: deque[tuple[float, Event | RequestStarted | Content | Gap | Awaited]] = deque()
        self._bell: SimpleQueue[bool] = SimpleQueue()
        """False: something waits, and the thread is asleep. True: write all, and end."""
        self._rung = True
        """Nobody has to ring: the thread looks by itself before long."""
        self._rooms: deque[tuple[asyncio.AbstractEventLoop, asyncio.Future[str]]] = deque()
        # Of the thread alone: what is not kept yet, and who waits for each of that.
        self._held: list[Entry] = []
        self._held_for: list[Awaited | None] = []
        self._began = -GATHER
        self.trouble = ""
        self.thread = threading.Thread(target=self._run, name="pointsman-audit", daemon=True)
        self.thread.start()

    @property
    def path(self) -> Path:
        return self._committer.path

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def put(self, event: Event | RequestStarted | Content | Awaited) -> None:
        """Take one event; where there is no room it is dropped, and counted in the next that gets through."""
        waiting = self._waiting
        if self._dropped and len(waiting) < self._buffer:
            self._put_gap()
        if len(waiting) < self._buffer:
            waiting.append((self._wall(), event))
        else:
            if not self._dropped:
                self._why = f"buffer full: {self.trouble}" if self.trouble else "buffer full"
            self._dropped += 1
        if not self._rung:
            self._rung = True
            self._bell.put(False)

    async def room(self) -> None:
        """Return when some of what waits has gone on its way."""
        loop = asyncio.get_running_loop()
        gone: asyncio.Future[str] = loop.create_future()
        self._rooms.append((loop, gone))
        await gone

    def close(self) -> None:
        """Write what is left, as far as can be."""
        if self._dropped:
            self._put_gap()
        self._bell.put(True)
        self.thread.join()

    def status(self, mode: str) -> SinkStatus:
        """How it stands."""
        counts = self._committer.counts
        trouble = self.trouble
        if not trouble and self._checkpoints is not None and self._checkpoints.failed:
            trouble = f"{self._checkpoints.failed} checkpoints could not be written"
        return SinkStatus(
            mode,
            self._committer.link.seq,
            len(self._waiting) + len(self._held),
            self._dropped + self._lost,
            counts.full,
            counts.failed,
            counts.slow,
            trouble,
        )

    def _put_gap(self) -> None:
        dropped, self._dropped = self._dropped, 0
        self._lost += dropped
        self._waiting.append((self._wall(), Gap(0, dropped, self._why)))

    # ── in the thread ────────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        for entry in self._prepare():
            self._hold(entry)
        while not self._ends():
            self._write_waiting()
            self._tell_of_checkpoint()
        self._write_waiting()
        self._write_waiting()  # what stands for a file that was deleted meanwhile
        if left := len(self._held) + len(self._waiting):
            _log.error("%d audit records are lost: %s", left, self.trouble)
        self._refuse_those_who_wait(self.trouble or "the audit log is closed")
        try:
            self._committer.close()
        except OSError as error:
            self._complain(error)
        self._tell_of_checkpoint(last=True)

    def _ends(self) -> bool:
        """Wait until there is something to write; whether it is the last."""
        if self.trouble:
            return self._ends_within(_RETRY)
        if not self._held and not self._waiting:
            self._rung = False  # before the look: what comes during it rings
            if not self._waiting and self._ends_within(self._checkpoint_in()):
                return True
            self._rung = True
        if self._gathers:
            return self._ends_within(GATHER)
        pause = self._began + GATHER - self._now()
        return pause > 0 and self._ends_within(pause)

    def _ends_within(self, seconds: float | None) -> bool:
        try:
            return self._bell.get(timeout=seconds)
        except Empty:
            return False

    def _write_waiting(self) -> None:
        """Write what waits, as far as the disk takes it."""
        self._began = self._now()
        slow = self._committer.counts.slow
        try:
            while self._held or self._waiting:
                self._make_entries()
                self._kept(self._committer.commit(self._held))
        except OSError as error:
            self._kept(kept_of(error))
            self._complain(error)
        else:
            if self.trouble:
                self.trouble = ""
                _log.warning("audit records are written again, to %s", self.path)
        if self._committer.counts.slow > slow == 0:
            _log.warning("the disk of the audit took longer than 250 ms; further times are only counted")

    def _kept(self, count: int) -> None:
        kept_for = [each for each in self._held_for[:count] if each is not None]
        del self._held[:count], self._held_for[:count]
        for each in kept_for:
            _resolve(each.loop, each.taken, "")
        while self._rooms:
            _resolve(*self._rooms.popleft(), "")

    def _refuse_those_who_wait(self, why: str) -> None:
        waits = [*self._held_for, *(event for _, event in self._waiting if event.__class__ is Awaited)]
        for each in waits:
            if isinstance(each, Awaited):
                _resolve(each.loop, each.taken, why)
        self._held_for = [None] * len(self._held)

    def _make_entries(self) -> None:
        """Make records of what waits, as many as are made at once."""
        waiting = self._waiting
        ts, since, until = "", 0.0, 0.0  # the records of a call are mostly of the same millisecond
        for _ in range(min(len(waiting), _BATCH - len(self._held))):
            event: Any
            wall, event = waiting.popleft()
            if not since <= wall < until:
                milliseconds = int(wall * 1e3)
                ts, since, until = timestamp(milliseconds), milliseconds / 1e3, (milliseconds + 1) / 1e3
            waits: Awaited | None = None
            kind = event.__class__  # `isinstance` takes 1,000 instructions to say that it is none
            if kind is Awaited:
                waits, event = event, event.event
                kind = RequestStarted
            elif kind is Gap:
                _log.error("%d audit records were dropped: %s", event.missing, event.reason)
                self._hold(Entry(ts, "gap", b"", event.missing, event.reason))
                continue
            try:
                record: Any = MAKERS[kind](event, 0, ts)
                entry = Entry(ts, record.event, body_of(record))
            except Exception as error:  # what plugins put into events can be anything
                _log.error("an audit record cannot be written: %s", type(error).__name__)
                entry = Entry(ts, "gap", b"", 1, "not to be written as JSON")
                if waits is not None:
                    _resolve(waits.loop, waits.taken, "it cannot be written as JSON")
            self._hold(entry, waits)

    def _hold(self, entry: Entry, waits: Awaited | None = None) -> None:
        self._held.append(entry)
        self._held_for.append(waits)

    def _complain(self, error: OSError) -> None:
        """A disk that fails is told of once, and again when it fails otherwise; calls go on."""
        trouble = error.strerror or type(error).__name__
        if trouble != self.trouble:
            self.trouble = trouble
            _log.error("audit records cannot be written to %s: %s", self.path, trouble)
        if self._refuses:
            self._refuse_those_who_wait(trouble)

    def _checkpoint_in(self) -> float | None:
        return None if self._checkpoints is None else self._checkpoints.due_in(self._committer.link)

    def _tell_of_checkpoint(self, *, last: bool = False) -> None:
        if self._checkpoints is None:
            return
        if last or self._checkpoint_in() == 0.0:
            self._checkpoints.tell(self.path.name, self._committer.link)
        if last:
            try:
                self._checkpoints.close()
            except OSError as error:
                _log.error("the last audit checkpoint is lost: %s", error.strerror)


def _resolve(loop: asyncio.AbstractEventLoop, taken: asyncio.Future[str], said: str) -> None:
    def tell() -> None:
        if not taken.done():
            taken.set_result(said)

    try:
        loop.call_soon_threadsafe(tell)
    except RuntimeError:  # the loop is closed, and nobody waits any more
        return
