"""Audit: the interface of the sink plugins, and the two that are built in.

Every request and every attempt becomes one record. Prompts and answers are not in it. The sink is told
synchronously and hands the writing to a thread, so the path never waits for a disk.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, Protocol, TextIO

from pydantic import BaseModel, ConfigDict, Field

from pointsman.clock import Clock
from pointsman.errors import ConfigError
from pointsman.events import AttemptEnded, BreakerChanged, Event, HealthChanged, Reloaded, RequestEnded
from pointsman.types import Usage

VERSION = 1
_NAMES: dict[type[Event], str] = {
    AttemptEnded: "attempt",
    RequestEnded: "request",
    BreakerChanged: "breaker",
    HealthChanged: "health",
    Reloaded: "reload",
}
_CAP = 1024


class AuditSink(Protocol):
    """Where audit records go."""

    def __call__(self, event: Event) -> None:
        """Take one event. Must not block and must not raise."""

    def close(self) -> None:
        """Write what is still held, then give back the resource. May block; called once."""


@dataclass(frozen=True, slots=True)
class AuditFactory:
    """What an audit plugin offers: `make(settings, clock)` returns an `AuditSink`."""

    name: str
    settings: type[BaseModel]
    make: Callable[[Any, Clock], AuditSink]


def record(event: Event, *, seq: int, wall: float) -> dict[str, Any]:
    """`event` as a plain, JSON-able record.

    Keys `v`, `seq`, `ts` (ISO 8601, UTC) and `event`, then the event's own fields that hold something;
    times in milliseconds (`ms`, `first_token_ms`); strings are cut at 1 KiB.
    """
    out: dict[str, Any] = {
        "v": VERSION,
        "seq": seq,
        "ts": _ts(wall),
        "event": _NAMES[type(event)],
    }
    for field in fields(event):
        value = getattr(event, field.name)
        match field.name:
            case "wall":
                continue
            case "seconds":
                out["ms"] = round(value * 1e3, 3)
            case "first_token":
                if value is not None:
                    out["first_token_ms"] = round(value * 1e3, 3)
            case _ if isinstance(value, Usage):
                out["usage"] = {
                    each.name: tokens
                    for each in fields(value)
                    if (tokens := getattr(value, each.name)) is not None
                }
            case "hedge" if not value:
                continue
            case _ if value is not None and value != "":
                out[field.name] = value[:_CAP] if isinstance(value, str) else value
    return out


def _ts(wall: float) -> str:
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds")


def _new_file(directory: Path, wall: float) -> tuple[Path, TextIO]:
    """A file that nobody else writes to, named after the time and this process."""
    stamp = datetime.fromtimestamp(wall, UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    for number in count():
        path = directory / f"audit-{stamp}-{os.getpid()}{f'-{number}' if number else ''}.jsonl"
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
        return path, os.fdopen(descriptor, "w", encoding="utf-8")
    raise AssertionError("unreachable")


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

    When the disk cannot keep up and the buffer is full, records are dropped and counted, and the next
    record that gets through is `gap`: it says how many (`count`) and from which sequence number on
    (`from_seq`).
    """

    def __init__(self, settings: JsonlSettings, clock: Clock) -> None:
        self._clock = clock
        self._seq = 0
        self._dropped = 0
        try:
            settings.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path, self._file = _new_file(settings.path, clock.wall())
        except OSError as error:
            raise ConfigError(f"audit files cannot be written in {settings.path}: {error}") from error
        self._buffer = settings.buffer
        # A simple queue, because it is the one that may be used in a `__del__`: a stream that is dropped
        # tells its end wherever the collector happens to run, in the midst of another `put` too.
        self._queue: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="pointsman-audit", daemon=True)
        self._thread.start()

    def __call__(self, event: Event) -> None:
        wall = self._clock.wall()
        room = self._buffer - self._queue.qsize()
        if self._dropped and room > 0:
            self._put_gap(wall)
            room -= 1
        self._seq += 1
        if room > 0:
            self._queue.put(record(event, seq=self._seq, wall=wall))
        else:
            self._dropped += 1

    def close(self) -> None:
        if self._dropped:
            self._put_gap(self._clock.wall())
        self._queue.put(None)
        self._thread.join()

    def _put_gap(self, wall: float) -> None:
        dropped, self._dropped = self._dropped, 0
        self._seq += 1
        gap = {"v": VERSION, "seq": self._seq, "ts": _ts(wall), "event": "gap"}
        self._queue.put({**gap, "from_seq": self._seq - dropped, "count": dropped, "reason": "buffer full"})

    def _write(self) -> None:
        failed = False
        file = self._file
        while True:
            entry = self._queue.get()
            try:
                if entry is None:
                    file.close()
                    return
                file.write(json.dumps(entry, ensure_ascii=True, separators=(",", ":")) + "\n")
                if self._queue.empty():
                    file.flush()
            except (OSError, ValueError, TypeError):
                if not failed:
                    failed = True
                    logging.getLogger("pointsman").exception("audit records cannot be written")
                if entry is None:
                    return


class LoggingSink:
    """Each record as one JSON message of a Python logger."""

    def __init__(self, settings: LoggingSettings, clock: Clock) -> None:
        self._log = logging.getLogger(settings.logger)
        self._clock = clock
        self._seq = 0

    def __call__(self, event: Event) -> None:
        if self._log.isEnabledFor(logging.INFO):
            self._seq += 1
            entry = record(event, seq=self._seq, wall=self._clock.wall())
            self._log.info("%s", json.dumps(entry, separators=(",", ":")))

    def close(self) -> None:
        """Nothing to give back: the logger belongs to the application."""


BUILT_IN = (
    AuditFactory("jsonl", JsonlSettings, JsonlSink),
    AuditFactory("logging", LoggingSettings, LoggingSink),
)
