"""The audit sinks that are built in: lines of JSON in a file, and messages of a Python logger.

Every event becomes one record.
"""

# The annotations are not put off as elsewhere: pydantic would have to compile each of them, from its text.
import logging
import threading
from collections import deque
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from pointsman.audit import AuditFactory
from pointsman.builtin.audit_records import MAKERS, Gap, line, lines, record_of, timestamp
from pointsman.builtin.line_file import LineFile
from pointsman.clock import Clock
from pointsman.errors import ConfigError
from pointsman.events import Event

_BATCH = 256
"""Records that are written at once. They are beside those that the buffer has room for."""
_GATHER = 0.02
"""Seconds in which records are gathered before the disk is bothered: waking a thread for each would cost more
than the record does."""
_RETRY = 1.0
"""Seconds after which a disk that failed is tried again; what came meanwhile waits."""
_log = logging.getLogger("pointsman")


class JsonlSettings(BaseModel):
    """`{type: jsonl, path: ./audit}`"""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    path: Path = Field(description="directory of the files; made with mode 0700 when it is missing")
    buffer: int = Field(
        10_000, ge=1, description="records that may wait for the disk; further ones are dropped"
    )


class LoggingSettings(BaseModel):
    """`{type: logging, logger: pointsman.audit}`"""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    logger: str = Field("pointsman.audit", description="name of the Python logger; records are at level INFO")


class JsonlSink:
    """One JSON line for each record, in a file of this process, written by a thread.

    Every record is in the file or counted in a record `gap`, which says how many are missing (`count`), from
    which sequence number on (`from_seq`), and why. While the disk fails, records wait in the buffer and are
    written once it works again; where the buffer is full they are dropped, and the next that gets through is
    a `gap`. A `gap` of what could not be written at all stands in the place of those that it counts: of a
    record that cannot be JSON, and of a whole file that somebody deleted.

    The caller's thread only puts events down; numbers, records and lines are made in the writer's.

    Attributes:
        path: the file that is being written.
    """

    def __init__(self, settings: JsonlSettings, clock: Clock) -> None:
        from queue import SimpleQueue  # most routers write no audit

        self._wall = clock.wall
        self._dropped = 0
        self._why = ""
        self._directory = settings.path
        try:
            self._file = LineFile(settings.path, self._wall())
        except (OSError, ValueError) as error:  # ValueError: a name that no file can have
            raise ConfigError(f"audit files cannot be written in {settings.path}: {error}") from error
        self._buffer = settings.buffer
        # Both may be used in a `__del__`: a stream that is dropped tells its end wherever the collector
        # happens to run, in the midst of another `put` too. Locks and events may not.
        self._waiting: deque[tuple[float, Event | Gap]] = deque()
        self._bell: SimpleQueue[bool] = SimpleQueue()
        """False: something waits, and the thread is asleep. True: write all, and end."""
        self._rung = True
        """Nobody has to ring: the thread looks by itself before long."""
        # Of the thread alone: records that are not in the file yet, the number of the last that was made, and
        # the numbers that the file tells of; 0 for none.
        self._held: list[Any] = []
        self._seq = 0
        self._first = self._last = 0
        self._trouble = ""
        self._thread = threading.Thread(target=self._write, name="pointsman-audit", daemon=True)
        self._thread.start()

    @property
    def path(self) -> Path:
        return self._file.path

    def __call__(self, event: Event) -> None:
        waiting = self._waiting
        if self._dropped and len(waiting) < self._buffer:
            self._put_gap()
        if len(waiting) < self._buffer:
            waiting.append((self._wall(), event))
        else:
            if not self._dropped:
                self._why = f"buffer full: {self._trouble}" if self._trouble else "buffer full"
            self._dropped += 1
        if not self._rung:
            self._rung = True
            self._bell.put(False)

    def close(self) -> None:
        if self._dropped:
            self._put_gap()
        self._bell.put(True)
        self._thread.join()

    def _put_gap(self) -> None:
        dropped, self._dropped = self._dropped, 0
        self._waiting.append((self._wall(), Gap(0, dropped, self._why)))

    # ── in the thread ────────────────────────────────────────────────────────────────────────────────

    def _write(self) -> None:
        while not self._ends():
            self._write_waiting()
        self._write_waiting()
        self._write_waiting()  # what stands for a file that was deleted meanwhile
        if left := len(self._held) + len(self._waiting):
            _log.error("%d audit records are lost: %s", left, self._trouble)
        try:
            self._file.close()
        except OSError as error:
            self._complain(error)

    def _ends(self) -> bool:
        """Wait until there is something to write; whether it is the last."""
        if self._ends_within(_RETRY if self._trouble else _GATHER):
            return True
        if self._held or self._waiting:
            return False
        self._rung = False  # before the look: what comes during it rings
        if not self._waiting and self._bell.get():
            return True
        self._rung = True
        return self._ends_within(_GATHER)

    def _ends_within(self, seconds: float) -> bool:
        from queue import Empty

        try:
            return self._bell.get(timeout=seconds)
        except Empty:
            return False

    def _write_waiting(self) -> None:
        """Write what waits, as far as the disk takes it."""
        try:
            self._replace_removed()
            while self._held or self._waiting:
                self._make_records()
                whole, failure = self._file.append(self._made_lines(), len(self._held))
                if whole:
                    self._first = self._first or _first_of(self._held[0])
                    self._last = self._held[whole - 1].seq
                    del self._held[:whole]
                if failure is not None:
                    raise failure
        except OSError as error:
            self._complain(error)
        else:
            if self._trouble:
                self._trouble = ""
                _log.warning("audit records are written again, to %s", self._file.path)

    def _make_records(self) -> None:
        """Number what waits, as much as is written at once."""
        waiting, held = self._waiting, self._held
        ts, since, until = "", 0.0, 0.0  # the records of a call are mostly of the same millisecond
        for _ in range(min(len(waiting), _BATCH - len(held))):
            wall, event = waiting.popleft()
            if event.__class__ is Gap:  # `isinstance` takes 1,000 instructions to say that it is none
                _log.error("%d audit records were dropped: %s", event.missing, event.reason)
                event = Gap(self._seq + 1, event.missing, event.reason)
                self._seq += event.missing
            self._seq = seq = self._seq + 1
            if not since <= wall < until:
                milliseconds = int(wall * 1e3)
                ts, since, until = timestamp(milliseconds), milliseconds / 1e3, (milliseconds + 1) / 1e3
            try:
                held.append(MAKERS[event.__class__](event, seq, ts))
            except Exception as error:  # what plugins put into events can be anything
                held.append(self._in_place_of_odd(seq, error))

    def _made_lines(self) -> bytes:
        try:
            return lines(self._held)
        except Exception:  # as above
            for place, record in enumerate(self._held):
                try:
                    lines([record])
                except Exception as error:
                    self._held[place] = self._in_place_of_odd(record.seq, error)
            return lines(self._held)

    def _in_place_of_odd(self, seq: int, error: Exception) -> Any:
        _log.error("an audit record cannot be written: %s", type(error).__name__)
        return self._in_place_of(seq, seq, "not to be written as JSON")

    def _in_place_of(self, first: int, last: int, reason: str) -> Any:
        return record_of(Gap(first, last - first + 1, reason), last, timestamp(int(self._wall() * 1e3)))

    def _replace_removed(self) -> None:
        """Begin another file when that of before was deleted: its first record counts what went with it."""
        if not self._file.removed:
            return
        # The old one is closed last: where no new one can be had, it is still there to be tried.
        removed, self._file = self._file, LineFile(self._directory, self._wall())
        _log.error("the audit file %s was deleted; going on in %s", removed.path, self._file.path)
        if self._first:
            self._held.insert(0, self._in_place_of(self._first, self._last, "file deleted"))
            self._first = 0
        removed.close()

    def _complain(self, error: OSError) -> None:
        """A disk that fails is told of once, and again when it fails otherwise; calls go on."""
        trouble = error.strerror or type(error).__name__
        if trouble != self._trouble:
            self._trouble = trouble
            _log.error("audit records cannot be written to %s: %s", self._file.path, trouble)


def _first_of(record: Any) -> int:
    """The first number that a record tells of: of a `gap` that of what it counts."""
    first: int = getattr(record, "from_seq", record.seq)
    return first


class LoggingSink:
    """Each record as one JSON message of a Python logger."""

    def __init__(self, settings: LoggingSettings, clock: Clock) -> None:
        self._log = logging.getLogger(settings.logger)
        self._clock = clock
        self._seq = 0

    def __call__(self, event: Event) -> None:
        if self._log.isEnabledFor(logging.INFO):
            self._seq += 1
            self._log.info("%s", line(event, seq=self._seq, wall=self._clock.wall()).decode())

    def close(self) -> None:
        """Nothing to give back: the logger belongs to the application."""


BUILT_IN = (
    AuditFactory("jsonl", JsonlSettings, lambda context: JsonlSink(context.settings, context.clock)),
    AuditFactory("logging", LoggingSettings, lambda context: LoggingSink(context.settings, context.clock)),
)
