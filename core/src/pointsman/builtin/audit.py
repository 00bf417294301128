"""The audit sinks that are built in: lines of JSON in a file, and messages of a Python logger.

Every event becomes one record.
"""

# The annotations are not put off as elsewhere: pydantic would have to compile each of them, from its text.
import logging
import threading
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import Struct, defstruct, to_builtins
from msgspec.json import Encoder
from pydantic import BaseModel, ConfigDict, Field

from pointsman._internal import jsonio
from pointsman.audit import AuditFactory
from pointsman.builtin.line_file import LineFile
from pointsman.clock import Clock
from pointsman.errors import ConfigError
from pointsman.events import (
    NO_TAGS,
    AttemptEnded,
    BreakerChanged,
    Event,
    HealthChanged,
    Reloaded,
    RequestEnded,
)
from pointsman.types import Usage

VERSION = 1
_CAP = 1024
_BATCH = 256
"""Records that are written at once. They are beside those that the buffer has room for."""
_GATHER = 0.02
"""Seconds in which records are gathered before the disk is bothered: waking a thread for each would cost more
than the record does."""
_RETRY = 1.0
"""Seconds after which a disk that failed is tried again; what came meanwhile waits."""
_log = logging.getLogger("pointsman")


class _Line(Struct, frozen=True, gc=False):  # holds no object that could hold it, so nothing can leak
    """A line to be written, and the numbers it tells of: its own, and those that it counts as missing."""

    first: int
    last: int
    text: bytes


class _Gap(NamedTuple):
    """Records that are not in the file."""

    from_seq: int
    missing: int
    reason: str


# ── records ──────────────────────────────────────────────────────────────────────────────────────────


def _record_of(event: type[Event | _Gap]) -> type[Struct]:
    """What is written of such an event: a head, then its fields in their order.

    One that holds nothing is left out: "", None, or what the field is when nobody gives it.
    """
    fields = [
        (name, Any, event._field_defaults.get(name, "" if kind is str else None))
        for name, kind in event.__annotations__.items()
    ]
    return defstruct(
        event.__name__,
        ["v", "seq", "ts", "event", *fields],
        rename={"seconds": "ms", "first_token": "first_token_ms", "missing": "count"},
        omit_defaults=True,
        frozen=True,
    )


_RECORDS: dict[type[Event | _Gap], tuple[str, type[Struct]]] = {
    kind: (name, _record_of(kind))
    for kind, name in (
        (AttemptEnded, "attempt"),
        (RequestEnded, "request"),
        (BreakerChanged, "breaker"),
        (HealthChanged, "health"),
        (Reloaded, "reload"),
        (_Gap, "gap"),
    )
}
# One encoder for all: the two lines of a call take 42,000 instructions; they took 52,500 in code of our own.
# A subclass of `str` is text. Whatever else JSON does not have is refused.
_encode = Encoder(enc_hook=str.__str__).encode


class _Tokens(Struct, frozen=True, omit_defaults=True):
    """The kinds of tokens that the upstream counted."""

    prompt: int | None = None
    completion: int | None = None
    cached: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None


def line(event: Event | _Gap, *, seq: int, wall: float) -> bytes:
    """`event` as a record: one JSON object, without the end of its line.

    Keys `v`, `seq`, `ts` (ISO 8601, UTC) and `event`, then the event's own fields that hold something;
    times in milliseconds (`ms`, `first_token_ms`); strings are cut at 1 KiB.

    Raises: ValueError, OverflowError, TypeError for what JSON cannot hold.
    """
    entry = _entry(event, seq, _ts(int(wall * 1e3)))
    text = _json(entry)
    if len(text) > _CAP:  # only then there may be anything to cut
        plain = to_builtins(entry, enc_hook=str.__str__)
        text = _json({key: value[:_CAP] if isinstance(value, str) else value for key, value in plain.items()})
    return text


def _json(value: Any) -> bytes:
    try:
        return _encode(value)
    except UnicodeEncodeError:  # half a surrogate pair, which only the standard library writes
        return jsonio.dumps(to_builtins(value, enc_hook=str.__str__))


def _entry(event: Event | _Gap, seq: int, ts: str) -> Struct:
    name, record = _RECORDS[type(event)]
    # By position, since every call has two of them. None is the time when it began, which is not written: it
    # follows from the others.
    if isinstance(event, AttemptEnded):
        first_token_ms = None if event.first_token is None else _ms(event.first_token)
        return record(
            VERSION, seq, ts, name, *event[:8], None, _ms(event.seconds), first_token_ms,
            _tokens(event.usage), *event[12:15], _tags(event.tags),
        )  # fmt: skip
    if isinstance(event, RequestEnded):
        return record(
            VERSION, seq, ts, name, *event[:9], None, _ms(event.seconds),
            _tokens(event.usage), event.caller, _tags(event.tags),
        )  # fmt: skip
    return record(VERSION, seq, ts, name, *event)


def _tokens(usage: Usage | None) -> _Tokens | None:
    if usage is None:
        return None
    return _Tokens(usage.prompt, usage.completion, usage.cached, usage.cache_write, usage.reasoning)


def _tags(tags: Mapping[str, str]) -> Mapping[str, str]:
    return dict(tags) if tags else NO_TAGS


def _ms(seconds: float) -> float:
    return int(seconds * 1e6 + 0.5) / 1e3  # a third of what `round` takes


@lru_cache(maxsize=4)  # the two records of a call are mostly of the same millisecond
def _ts(milliseconds: int) -> str:
    return f"{_to_the_second(milliseconds // 1000)}.{milliseconds % 1000:03}+00:00"


@lru_cache(maxsize=4)
def _to_the_second(wall: int) -> str:
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%dT%H:%M:%S")


# ── the sinks ────────────────────────────────────────────────────────────────────────────────────────


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

    Attributes:
        path: the file that is being written.
    """

    def __init__(self, settings: JsonlSettings, clock: Clock) -> None:
        self._clock = clock
        self._seq = 0
        self._dropped = 0
        self._why = ""
        from queue import SimpleQueue  # most routers write no audit

        self._directory = settings.path
        try:
            self._file = LineFile(settings.path, clock.wall())
        except (OSError, ValueError) as error:  # ValueError: a name that no file can have
            raise ConfigError(f"audit files cannot be written in {settings.path}: {error}") from error
        self._buffer = settings.buffer
        # Both may be used in a `__del__`: a stream that is dropped tells its end wherever the collector
        # happens to run, in the midst of another `put` too. Locks and events may not.
        self._waiting: deque[tuple[int, float, Event | _Gap]] = deque()
        self._bell: SimpleQueue[bool] = SimpleQueue()
        """False: something waits, and nobody has rung before. True: write all, and end."""
        self._rung = False
        # Of the thread alone: what is being written, and the numbers that the file tells of; 0 for none.
        self._held: list[_Line] = []
        self._first = self._last = 0
        self._trouble = ""
        self._thread = threading.Thread(target=self._write, name="pointsman-audit", daemon=True)
        self._thread.start()

    @property
    def path(self) -> Path:
        return self._file.path

    def __call__(self, event: Event) -> None:
        wall = self._clock.wall()
        room = self._buffer - len(self._waiting)
        if self._dropped and room > 0:
            self._put_gap(wall)
            room -= 1
        self._seq += 1
        if room > 0:
            self._waiting.append((self._seq, wall, event))
            if not self._rung:
                self._rung = True
                self._bell.put(False)
        else:
            if not self._dropped:
                self._why = f"buffer full: {self._trouble}" if self._trouble else "buffer full"
            self._dropped += 1

    def close(self) -> None:
        if self._dropped:
            self._put_gap(self._clock.wall())
        self._bell.put(True)
        self._thread.join()

    def _put_gap(self, wall: float) -> None:
        dropped, self._dropped = self._dropped, 0
        self._seq += 1
        self._waiting.append((self._seq, wall, _Gap(self._seq - dropped, dropped, self._why)))

    # ── in the thread ────────────────────────────────────────────────────────────────────────────────

    def _write(self) -> None:
        from queue import Empty

        closing = False
        while not closing:
            if self._trouble:
                # Nobody rings again before the next try, except for the end.
                with suppress(Empty):
                    closing = self._bell.get(timeout=_RETRY)
            else:
                closing = self._bell.get()
                if not closing:
                    with suppress(Empty):
                        closing = self._bell.get(timeout=_GATHER)
            self._rung = False  # before the look: what comes during it rings again
            self._write_waiting()
            if self._trouble:
                self._rung = True
        if left := len(self._held) + len(self._waiting):
            _log.error("%d audit records are lost: %s", left, self._trouble)
        try:
            self._file.close()
        except OSError as error:
            self._complain(error)

    def _write_waiting(self) -> None:
        """Write what waits, as far as the disk takes it."""
        try:
            self._replace_removed()
            while self._held or self._waiting:
                while self._waiting and len(self._held) < _BATCH:
                    self._held.append(self._encoded(*self._waiting.popleft()))
                whole, failure = self._file.append([each.text for each in self._held])
                if whole:
                    self._first = self._first or self._held[0].first
                    self._last = self._held[whole - 1].last
                    del self._held[:whole]
                if failure is not None:
                    raise failure
                self._replace_removed()
        except OSError as error:
            self._complain(error)
        else:
            if self._trouble:
                self._trouble = ""
                _log.warning("audit records are written again, to %s", self._file.path)

    def _encoded(self, seq: int, wall: float, event: Event | _Gap) -> _Line:
        first = seq
        if isinstance(event, _Gap):
            first = event.from_seq
            _log.error("%d audit records were dropped: %s", event.missing, event.reason)
        try:
            return _Line(first, seq, line(event, seq=seq, wall=wall) + b"\n")
        except Exception as error:  # what plugins put into events can be anything
            _log.error("an audit record cannot be written: %s", type(error).__name__)
            return self._in_place_of(seq, seq, "not to be written as JSON")

    def _in_place_of(self, first: int, last: int, reason: str) -> _Line:
        gap = _Gap(first, last - first + 1, reason)
        return _Line(first, last, line(gap, seq=last, wall=self._clock.wall()) + b"\n")

    def _replace_removed(self) -> None:
        """Begin another file when that of before was deleted: its first record counts what went with it."""
        if not self._file.removed:
            return
        # The old one is closed last: where no new one can be had, it is still there to be tried.
        removed, self._file = self._file, LineFile(self._directory, self._clock.wall())
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
