"""The audit sinks that are built in: a chained log in files, and messages of a Python logger.

Every event becomes one record.
"""

# The annotations are not put off as elsewhere: pydantic would have to compile each of them, from its text.
import asyncio
import logging
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ByteSize, ConfigDict, Field, model_validator

from pointsman._internal.regular_files import read_regular
from pointsman.audit import AuditedExchange, AuditFactory, AuditSink, SinkStatus
from pointsman.audit_log.chain import AuditKeys, Link
from pointsman.audit_log.checkpoints import Checkpoints, pinned
from pointsman.audit_log.committing import Committer, Entry, Rotation
from pointsman.audit_log.contents import ContentSettings, content_of
from pointsman.audit_log.records import line, timestamp
from pointsman.audit_log.recovery import Recovery
from pointsman.audit_log.retention import let_go
from pointsman.audit_log.writer import Awaited, LogWriter
from pointsman.clock import Clock, monotonic
from pointsman.errors import AuditUnavailable, ConfigError
from pointsman.events import Event, RequestStarted
from pointsman.units import Duration

LEAST_KEY = 16
_LARGEST_KEY = 64 * 1024
_log = logging.getLogger("pointsman")


class KeySettings(BaseModel):
    """`key: {file: /run/secrets/audit.key}` or `key: {env: AUDIT_KEY}`"""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    file: Path | None = Field(None, description="the file whose content is the key, without blanks around it")
    env: str = Field("", description="the environment variable that holds the key")

    @model_validator(mode="after")
    def _is_one(self) -> "KeySettings":
        if (self.file is None) == (not self.env):
            raise ValueError("say either `file` or `env`")
        return self


class RotateSettings(BaseModel):
    """`rotate: {size: 67108864, age: 1d}`"""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    size: int = Field(
        64 * 1024 * 1024, ge=4096, description="bytes after which a file is followed by another"
    )
    age: Duration = Field(default=86_400.0, gt=0, description="seconds after which it is")


class CheckpointSettings(BaseModel):
    """`checkpoints: {directory: /mnt/elsewhere, logger: pointsman.checkpoints}`"""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    directory: Path | None = Field(None, description="where they are kept: not where the log is")
    logger: str = Field("", description="name of a Python logger that gets each at level INFO")


class KeepSettings(BaseModel):
    """`keep: {age: 90d, size: 10GiB}`"""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    age: Duration | None = Field(default=None, ge=60, description="files go all of whose records are older")
    size: ByteSize | None = Field(
        default=None, ge=2**20, description="bytes of all files that are not written any more; the oldest go"
    )


class JsonlSettings(BaseModel):
    """`{type: jsonl, path: ./audit}`"""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    path: Path = Field(description="directory of the files; made with mode 0700 when it is missing")
    buffer: int = Field(
        10_000, ge=1, description="records that may wait for the disk; further ones are dropped"
    )
    mode: Literal["drop_counted", "block", "fail_closed"] = Field(
        "drop_counted",
        description="requests whose start cannot be recorded go on, wait, or are refused",
    )
    wait: Duration = Field(
        1.0, gt=0, le=60, description="seconds that a request waits for its record, in the modes that wait"
    )
    sync: Literal["group", "none"] = Field(
        "group", description="have the disk keep records in groups, or leave that to the system"
    )
    key: KeySettings | None = Field(
        None, description="the key of the chain; without it anybody can compute it"
    )
    rotate: RotateSettings = Field(
        default_factory=lambda: RotateSettings.model_validate({}),
        description="when a file is followed by another",
    )
    keep: KeepSettings = Field(
        default_factory=lambda: KeepSettings.model_validate({}),
        description="how long, and how much: looked at when it begins, and with each file that follows",
    )
    checkpoints: CheckpointSettings | None = Field(
        None, description="where it is told how far the log has come"
    )
    content: ContentSettings | None = Field(
        None, description="what is recorded of what was asked and answered; without it nothing"
    )


class LoggingSettings(BaseModel):
    """`{type: logging, logger: pointsman.audit}`"""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    logger: str = Field("pointsman.audit", description="name of the Python logger; records are at level INFO")


def key_of(settings: KeySettings | None) -> bytes:
    """The key of a log as its settings say it; b"" for none. Raises ConfigError."""
    if settings is None:
        return b""
    try:
        found = (
            os.environ.get(settings.env, "").encode("utf-8", "surrogateescape")
            if settings.file is None
            else read_regular(settings.file, _LARGEST_KEY)
        ).strip()
    except OSError as error:
        raise ConfigError(f"the key of the audit cannot be read: {error}") from error
    if len(found) < LEAST_KEY:
        source = settings.file or f"the environment variable {settings.env}"
        raise ConfigError(
            f"the key of the audit in {source} has {len(found)} bytes; make one of at least {LEAST_KEY}, "
            "such as with `openssl rand -hex 32`"
        )
    return found


class JsonlSink:
    """One JSON line for each record, chained, in files of this process, written by a thread.

    Every record is in the log or counted in a record `gap`, which says how many are missing (`count`), from
    which sequence number on (`from_seq`), and why. While the disk fails, records wait in the buffer and are
    written once it works again; where the buffer is full they are dropped, and the next that gets through is
    a `gap`. So is the first after a file that somebody deleted, of what went with that.

    Attributes:
        path: the file that is being written; writer: what writes it.
    """

    kinds: tuple[type[RequestStarted], ...] = (RequestStarted,)
    _awaited = False

    def __init__(self, settings: JsonlSettings, clock: Clock) -> None:
        """Raises ConfigError when files cannot be written there."""
        self._settings, self._wall, self._key = settings, clock.wall, key_of(settings.key)
        told = settings.checkpoints
        # The thread's own clock: it may not ask that of an event loop.
        now = monotonic
        try:
            committer = Committer(
                settings.path,
                wall=self._wall,
                now=now,
                key=self._key,
                synced=settings.sync == "group",
                rotation=Rotation(settings.rotate.size, settings.rotate.age),
                rotated=self._let_go,
            )
            self._checkpoints = (
                None
                if told is None
                else Checkpoints(told.directory, told.logger, key=self._key, wall=self._wall, now=now)
            )
        except (OSError, ValueError) as error:  # ValueError: a name that no file can have
            raise ConfigError(f"audit files cannot be written in {settings.path}: {error}") from error
        self._committer = committer
        prepare: Callable[[], list[Entry]] = self._begin
        if settings.mode == "fail_closed":
            first = self._recover()
            self._refuse_broken(first)
            prepare = partial(self._begin, first)
        self.writer = LogWriter(
            committer,
            wall=self._wall,
            now=now,
            buffer=settings.buffer,
            checkpoints=self._checkpoints,
            prepare=prepare,
            gathers=not self._awaited,
            refuses=settings.mode == "fail_closed",
        )

    @property
    def path(self) -> Path:
        return self.writer.path

    @property
    def syncs(self) -> int:
        """How often the disk was told to keep a group."""
        return self._committer.counts.syncs

    def __call__(self, event: Event) -> None:
        self.writer.put(event)

    @property
    def records_content(self) -> bool:
        """Whether it wants to be told what is asked and answered."""
        return self._settings.content is not None

    def exchanged(self, exchange: AuditedExchange) -> None:
        """Record of it what the settings say."""
        assert self._settings.content is not None
        self.writer.put(content_of(exchange, self._settings.content))

    def status(self) -> SinkStatus:
        """How it stands with the log."""
        return self.writer.status(self._settings.mode)

    def close(self) -> None:
        self.writer.close()

    def _begin(self, recovered: list[Entry] | None = None) -> list[Entry]:
        """What is to be recorded first. What need not be kept goes after that, for it is linked to."""
        first = self._recover() if recovered is None else recovered
        self._let_go()
        return first

    def _let_go(self) -> None:
        """Delete what need not be kept any more."""
        keep, told = self._settings.keep, self._settings.checkpoints
        if keep.age is None and keep.size is None:
            return
        try:
            gone = let_go(
                self._settings.path,
                self._wall,
                monotonic,
                age=keep.age,
                size_bytes=keep.size,
                checkpoints=None if told is None else told.directory,
                key=self._key,
            )
        except OSError as error:  # what is kept too long is tried again
            _log.error("old audit files in %s cannot be deleted: %s", self._settings.path, error.strerror)
        else:
            for each in gone:
                _log.info("the audit file %s was deleted: it need not be kept", each.path)

    def _recover(self) -> list[Entry]:
        """End what others left behind in the directory; returns what is to be recorded of it."""
        settings, ts = self._settings, timestamp(int(self._wall() * 1e3))
        told = settings.checkpoints
        pins: dict[str, Link] = {}
        try:
            if self._checkpoints is not None:
                self._checkpoints.recover()
                pins = pinned(told.directory if told is not None else None, AuditKeys((self._key,)))
            recovery = Recovery(settings.path, key=self._key, ts=ts, now=monotonic, pins=pins)
            self._committer.go_on_from(recovery.run())
        except OSError as error:
            _log.error("what is in %s cannot be looked at: %s", settings.path, error.strerror)
            return []
        for each in recovery.found:
            if each.found.torn:
                _log.warning("%s: %d bytes at its end were torn; kept beside it", each.name, each.found.torn)
            elif each.found.broken:
                _log.error("%s is broken from record %d on: %s", each.name, each.found.broken, each.found.why)
        if recovery.left:
            _log.warning("%d older audit files were not looked at: no time", recovery.left)
        return [each.entry(ts) for each in recovery.found if each.found.broken]

    def _refuse_broken(self, found: list[Entry]) -> None:
        if not found:
            return
        self._committer.close()
        self._committer.path.unlink(missing_ok=True)
        if self._checkpoints is not None:
            self._checkpoints.close()
        raise ConfigError(
            f"the audit log in {self._settings.path} is broken; what was logged says where. "
            "Move the broken file away, or use another mode than fail_closed"
        )


class AwaitedJsonlSink(JsonlSink):
    """A log without whose record of its start no request is made: in the modes `block` and `fail_closed`.

    Half of the buffer is kept for the attempts and the ends of what was admitted.
    """

    kinds = ()
    _awaited = True
    _closed = False

    async def admit(self, started: RequestStarted) -> None:
        settings, loop = self._settings, asyncio.get_running_loop()
        awaited = Awaited(started, loop, loop.create_future())
        why, put = f"not within {settings.wait:g} s", False
        try:
            async with asyncio.timeout(settings.wait):
                if settings.mode == "block":
                    while self._full() and not self._closed:
                        await self.writer.room()
                why = self._refusal()
                if not why:
                    put, why = True, f"not within {settings.wait:g} s"
                    self.writer.put(awaited)
                    why = await awaited.taken
        except TimeoutError:
            pass
        finally:
            if not put and not self._closed:
                self.writer.put(started)  # it was taken, and has an end
        if why:
            raise AuditUnavailable(f"the audit did not record the request: {why}")

    def close(self) -> None:
        self._closed = True
        super().close()

    def _full(self) -> bool:
        return 2 * self.writer.waiting >= self._settings.buffer

    def _refusal(self) -> str:
        if self._closed:
            return "the log is closed"
        if self._settings.mode == "fail_closed":
            return self.writer.trouble or ("its buffer is full" if self._full() else "")
        return ""


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


def jsonl(settings: JsonlSettings, clock: Clock) -> AuditSink:
    """The sink of these settings. Raises ConfigError."""
    return (JsonlSink if settings.mode == "drop_counted" else AwaitedJsonlSink)(settings, clock)


BUILT_IN = (
    AuditFactory("jsonl", JsonlSettings, lambda context: jsonl(context.settings, context.clock)),
    AuditFactory("logging", LoggingSettings, lambda context: LoggingSink(context.settings, context.clock)),
)
