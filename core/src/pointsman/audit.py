"""Audit: the interface of the sink plugins.

Every request and every attempt becomes one event. Prompts and answers are not in it, and are told only to a
sink that records them. A sink is told synchronously and hands the writing on, so the path never waits for a
disk.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct
from pydantic import BaseModel

from pointsman.auth import Discreet
from pointsman.context import Context
from pointsman.events import Event, RequestStarted

if TYPE_CHECKING:
    from pointsman.types import ChatResponse, EmbedResponse, Request


class AuditSink(Protocol):
    """Where audit records go.

    One that wants to hear of more than what has ended names in `kinds` what it is told of besides, such as
    `RequestStarted`. One that must not miss a request is an `AwaitedAuditSink`.
    """

    def __call__(self, event: Event) -> None:
        """Take one event. Must not block and must not raise."""

    def close(self) -> None:
        """Write what is still held, then give back the resource. May block; called once."""


class ReportingAuditSink(AuditSink, Protocol):
    """A sink that can say how it stands."""

    def status(self) -> SinkStatus:
        """How it stands now. Must not block and must not raise."""


class SinkStatus(Struct, frozen=True):
    """How it stands with a sink, as a `ReportingAuditSink` says.

    Attributes:
        mode: what becomes of requests while it cannot write, such as `drop_counted`.
        seq: the number of the last record that is kept.
        waiting: records that are not kept yet; dropped: those that never will be, since it was made.
        disk_full, io_errors, slow: how often what it writes to was full, failed otherwise, or took too long.
        trouble: why it cannot write just now; "" where it can.
    """

    mode: str = ""
    seq: int = 0
    waiting: int = 0
    dropped: int = 0
    disk_full: int = 0
    io_errors: int = 0
    slow: int = 0
    trouble: str = ""


class AwaitedAuditSink(AuditSink, Protocol):
    """A sink that has to take a request before anything is asked of an upstream."""

    async def admit(self, started: RequestStarted) -> None:
        """Return once it is safe that the request was taken; called once, before its guards and attempts.

        It is told of its end as of every other, whether it was admitted or not. A request that waits here
        keeps its deadline, and can be cancelled.

        Raises: AuditUnavailable when the request must not be made.
        """


class AuditedExchange(Discreet, frozen=True):
    """What was asked and answered in one request.

    Attributes:
        request_id, caller, tags: as its events have them.
        request: as guards let it go on.
        answer: as the caller has it; of a stream that broke off what was delivered; None for none.
        scrub: hides the secrets of the configuration in a text.
    """

    unshown = ("request", "answer")
    request_id: str
    caller: str
    tags: Mapping[str, str]
    request: Request
    answer: ChatResponse | EmbedResponse | None
    scrub: Callable[[str], str]


class RecordingAuditSink(AuditSink, Protocol):
    """A sink that records what is asked and answered, while `records_content` is true."""

    records_content: bool

    def exchanged(self, exchange: AuditedExchange) -> None:
        """A request is over, or its stream. Must not block and must not raise."""


class AuditContext(Context, frozen=True, kw_only=True, eq=False):
    """What an audit sink is made from.

    Attributes:
        directory: that of the configuration file; the working directory when there is no file.
    """

    directory: Path


class AuditFactory(Struct, frozen=True):
    """What an audit plugin offers: `make` returns an `AuditSink`."""

    name: str
    settings: type[BaseModel]
    make: Callable[[AuditContext], AuditSink]
