"""Requests that an audit sink has to take before they are made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest
from pydantic import BaseModel

from pointsman import AuditUnavailable, DeadlineExceeded, Router, UnknownModel
from pointsman.events import RequestEnded, RequestStarted
from pointsman.plugin import (
    Answered,
    AuditFactory,
    ChatRequest,
    ChatResponse,
    Event,
    Guard,
    GuardCall,
    GuardFactory,
    PointsmanSpec,
    Refused,
    hookimpl,
)
from pointsman.testing import Scripted


class Sink:
    """Notes what it is told, in order; `gate` is awaited by `admit`."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.closed = False

    def __call__(self, event: Event) -> None:
        self.told.append(event)

    def close(self) -> None:
        self.closed = True


class Awaited(Sink):
    def __init__(self) -> None:
        super().__init__()
        self.waits: Callable[[RequestStarted], Awaitable[None]] = self.at_once

    async def at_once(self, started: RequestStarted) -> None: ...

    async def admit(self, started: RequestStarted) -> None:
        self.told.append(started)
        await self.waits(started)


class Hearing(Sink):
    kinds = (RequestStarted,)


class Knows(Guard):
    """Answers `known`, refuses `bad`."""

    async def before(self, request: ChatRequest, call: GuardCall) -> ChatRequest | Answered:
        match request.messages[-1].text:
            case "known":
                return Answered(ChatResponse("as ever"))
            case "bad":
                raise Refused("no")
        return request


class Plugin(PointsmanSpec):
    def __init__(self, *sinks: Sink) -> None:
        self.sinks = sinks

    @hookimpl
    def pointsman_audit_sinks(self) -> Sequence[AuditFactory]:
        return [
            AuditFactory(f"s{n}", BaseModel, lambda context, sink=sink: sink)
            for n, sink in enumerate(self.sinks)
        ]

    @hookimpl
    def pointsman_guards(self) -> Sequence[GuardFactory]:
        return [GuardFactory("knows", BaseModel, lambda context: Knows())]


def router(upstream: Scripted, *sinks: Sink) -> Router:
    config = {
        "providers": {"gpu": {"type": "scripted"}},
        "models": {
            "m": {"deployments": ["gpu/x"]},
            "guarded": {"deployments": ["gpu/x"], "guards": ["knows"]},
        },
        "audit": [f"s{n}" for n in range(len(sinks))],
    }
    return Router.from_config(config, plugins=[upstream, Plugin(*sinks)])


@pytest.fixture
def sink() -> Awaited:
    return Awaited()


@pytest.fixture
async def routed(sink: Awaited, upstream: Scripted) -> AsyncIterator[Router]:
    async with router(upstream, sink) as it:
        yield it


@pytest.fixture
def upstream() -> Scripted:
    return Scripted()


def said(sink: Sink) -> list[tuple[str, str]]:
    """Of each request the start and the end, in the order in which they were told."""
    return [
        (each.model, "start" if isinstance(each, RequestStarted) else each.error or each.result)
        for each in sink.told
        if isinstance(each, RequestStarted | RequestEnded)
    ]


async def unavailable(started: RequestStarted) -> None:
    raise AuditUnavailable("the disk is full")


async def for_ever(started: RequestStarted) -> None:
    await asyncio.Event().wait()


async def test_a_request_is_shown_once_before_anything_is_asked(
    sink: Awaited, routed: Router, upstream: Scripted
) -> None:
    asked_by_then: list[int] = []

    async def look(started: RequestStarted) -> None:
        asked_by_then.append(len(upstream.calls))

    sink.waits = look
    upstream.script("gpu", "one", "two")

    reply = await routed.chat("m", "hi", caller="ci", tags={"a": "b"})
    async with routed.stream("guarded", "hi") as stream:
        async for _ in stream:
            pass

    assert asked_by_then == [0, 1]
    started = sink.told[0]
    assert (started.request_id, started.caller, started.tags) == (reply.request_id, "ci", {"a": "b"})
    assert said(sink) == [("m", "start"), ("m", "ok"), ("guarded", "start"), ("guarded", "ok")]


async def test_a_request_that_is_not_taken_is_not_made_and_has_its_end(
    sink: Awaited, routed: Router, upstream: Scripted
) -> None:
    sink.waits = unavailable

    for model in ("m", "guarded"):
        with pytest.raises(AuditUnavailable, match="full") as refused:
            await routed.chat(model, "known")
        assert refused.value.request_id.startswith("req_")
        with pytest.raises(AuditUnavailable):
            async with routed.stream(model, "known"):
                pass

    assert not upstream.calls
    assert (
        said(sink)
        == [("m", "start"), ("m", "audit_unavailable")] * 2
        + [
            ("guarded", "start"),
            ("guarded", "audit_unavailable"),
        ]
        * 2
    )
    assert routed.status().in_flight == 0


async def test_a_sink_that_fails_lets_nothing_pass(
    sink: Awaited, routed: Router, upstream: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    async def bug(started: RequestStarted) -> None:
        raise KeyError("who")

    sink.waits = bug

    with pytest.raises(AuditUnavailable, match="the log says more"):
        await routed.chat("m", "hi")

    assert not upstream.calls
    assert "audit plugin 'Awaited' failed in admit(): KeyError" in caplog.text


async def test_what_guards_answer_and_refuse_has_a_start_and_an_end(sink: Awaited, routed: Router) -> None:
    await routed.chat("guarded", "known")
    with pytest.raises(Refused):
        await routed.chat("guarded", "bad")
    with pytest.raises(UnknownModel):
        await routed.chat("nobody", "hi")

    assert said(sink) == [
        ("guarded", "start"), ("guarded", "answered"), ("guarded", "start"), ("guarded", "refused"),
        ("nobody", "unknown_model"),
    ]  # fmt: skip


@pytest.mark.parametrize("model", ["m", "guarded"])
@pytest.mark.parametrize("stream", [False, True])
async def test_one_that_is_cancelled_while_it_waits_has_a_start_and_one_end(
    model: str, stream: bool, sink: Awaited, routed: Router, upstream: Scripted
) -> None:
    waiting = asyncio.Event()

    async def wait(started: RequestStarted) -> None:
        waiting.set()
        await for_ever(started)

    sink.waits = wait

    async def ask() -> None:
        if stream:
            async with routed.stream(model, "hi"):
                pass
        else:
            await routed.chat(model, "hi")

    task = asyncio.ensure_future(ask())
    await waiting.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert said(sink) == [(model, "start"), (model, "cancelled")]
    assert not upstream.calls


async def test_it_keeps_its_deadline_while_it_waits(sink: Awaited, routed: Router) -> None:
    sink.waits = for_ever

    with pytest.raises(DeadlineExceeded, match="before the audit had taken it"):
        await routed.chat("m", "hi", timeout=0.01)

    assert said(sink) == [("m", "start"), ("m", "deadline_exceeded")]


async def test_who_only_wants_to_hear_of_starts_is_told_and_not_awaited(upstream: Scripted) -> None:
    hearing, plain = Hearing(), Sink()
    upstream.script("gpu", "one")
    async with router(upstream, hearing, plain) as routed:
        await routed.chat("m", "hi")

    assert said(hearing) == [("m", "start"), ("m", "ok")]
    assert said(plain) == [("m", "ok")]
