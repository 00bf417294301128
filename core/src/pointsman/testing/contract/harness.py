"""A provider on the bench: whatever the upstream answers next, and what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, ClassVar, Protocol

import pytest
from msgspec import Struct

from pointsman._internal.httpx_lazy import httpx
from pointsman.errors import CallError
from pointsman.http.client import Client, Endpoint
from pointsman.http.event_stream import EventStream
from pointsman.provider import Call, ProviderFactory
from pointsman.testing.replay import (
    CannedReply,
    ReplayStep,
    ReplayTransport,
    call_for,
    client_for,
    provider_for,
)
from pointsman.types import ChatRequest, ChatResponse, StreamEvent

KEY = "canary-key-5c0ffee5"
"""The credential of every provider on the bench."""
PATIENCE = 5.0
"""Seconds, of a loop whose time passes at once."""
_TURNS = 5
_REASON = "given up by the contract"


class Subject(Protocol):
    """What is put on the bench."""

    factory: ProviderFactory
    settings: ClassVar[Mapping[str, Any]]
    options: ClassVar[Mapping[str, Any]]
    base_url: str
    model: str
    request: ChatRequest


class Told(Struct, frozen=True):
    """What a stream told: its events, and the error that ended it; None when it ended properly."""

    events: Sequence[StreamEvent]
    error: CallError | None


class Bench:
    """One provider over a transport that gives whatever `reply` is now.

    One without an endpoint is left alone by what is about HTTP; `anyhow` says that this is not.
    """

    def __init__(
        self,
        subject: Subject,
        reply: ReplayStep | Callable[[httpx.Request], ReplayStep] = None,
        *,
        anyhow: bool = False,
    ) -> None:
        self.reply = reply
        self.transport = ReplayTransport(self._step)
        self.provider = provider_for(
            subject.factory,
            self.transport,
            settings=subject.settings,
            base_url=subject.base_url,
            key=KEY,
        )
        if self.provider.endpoint is None and not anyhow:
            pytest.skip("the provider has no endpoint, and this is about what goes over HTTP")
        self._subject = subject
        self._client: Client | None = None

    @property
    def endpoint(self) -> Endpoint:
        """Where its calls go; only what is about HTTP asks."""
        assert self.provider.endpoint is not None
        return self.provider.endpoint

    def call(self, *, request_id: str = "req-1", attempt: int = 1, seconds: float = 60.0) -> Call:
        """One attempt."""
        # One for all of a deployment's calls, as with a router.
        if self._client is None and self.provider.endpoint is not None:
            self._client = client_for(self.endpoint, self.transport, key=KEY)
        return call_for(
            self._client,
            model=self._subject.model,
            options=self._subject.options,
            request_id=request_id,
            attempt=attempt,
            seconds=seconds,
        )

    async def chat(self, reply: CannedReply) -> ChatResponse:
        """The whole answer that the provider makes of `reply`."""
        self.begin(reply)
        try:
            return await self.provider.chat(self._subject.request, self.call())
        finally:
            await self.check_released()

    async def stream(self, reply: CannedReply) -> Told:
        """What the provider makes of `reply` as a stream."""
        self.begin(reply)
        try:
            source = await self.provider.stream(self._subject.request, self.call())
        except CallError as error:
            return Told((), error)
        told = await self.read(source)
        await self.check_released()
        return told

    async def read(self, source: EventStream) -> Told:
        """What a stream tells to its end, or to the error that ends it; it is closed then."""
        events: list[StreamEvent] = []
        try:
            while (some := await source.next(self.now() + PATIENCE)) is not None:
                events += some
            assert await source.next(self.now() + PATIENCE) is None, "the stream goes on after its end"
        except CallError as error:
            source.abort()
            return Told(events, error)
        finally:
            await source.aclose()
        return Told(events, None)

    async def check_released(self) -> None:
        """Assert that every answer was closed."""
        if not all(body.released for body in self.transport.bodies):
            await turns()
        for body in self.transport.bodies:
            assert body.released, f"an answer was left open after {body.delivered} pieces"

    def now(self) -> float:
        """Seconds on the running loop's clock."""
        return asyncio.get_running_loop().time()

    def begin(self, reply: ReplayStep) -> None:
        """Answer with `reply` from now on, and forget what was."""
        self.reply = reply
        self.transport.requests.clear()
        self.transport.bodies.clear()

    def _step(self, request: httpx.Request) -> ReplayStep:
        return self.reply(request) if callable(self.reply) else self.reply


async def error_of(work: Coroutine[Any, Any, Any]) -> CallError:
    """The error that `work` ends with."""
    try:
        result = await work
    except CallError as error:
        return error
    raise AssertionError(f"expected an error, got {result!r}")


async def exhausted(source: EventStream, bench: Bench) -> None:
    """Read a stream to its end."""
    while await source.next(bench.now() + PATIENCE) is not None:
        pass


async def turns() -> None:
    """Let the loop do everything that needs no waiting."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)


async def cancelled(work: Coroutine[Any, Any, Any], waiting: Callable[[], bool]) -> None:
    """Cancel `work` once it is `waiting`, and assert that the cancellation comes out as it went in."""
    task = asyncio.ensure_future(work)
    for _ in range(200):
        await turns()
        if waiting() or task.done():
            break
    await turns()
    assert not task.done(), f"the call did not wait for the answer: {task!r}"
    task.cancel(_REASON)
    await asyncio.wait([task], timeout=1.0)
    assert task.done(), "the call goes on although it was cancelled"
    if not task.cancelled():
        ending = task.exception() or task.result()
        pytest.fail(f"the call was cancelled, and ended with {ending!r}")
    with pytest.raises(asyncio.CancelledError) as caught:
        task.result()
    assert caught.value.args == (_REASON,), "the cancellation was replaced by another"
