"""The stream object: a streamed answer as its caller sees it.

It is a class and not a generator, because a generator that is dropped before its first step never runs its
`finally`. Until the first content it fails over like any call; after it a failure is one `MidStreamError`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any

from pointsman.attempts import Attempts
from pointsman.deployment import Lease
from pointsman.errors import (
    AttemptTimeout,
    BadResponse,
    CallError,
    DeadlineExceeded,
    MidStreamError,
    Outcome,
)
from pointsman.sources import EventSource
from pointsman.types import (
    ChatRequest,
    ChatResponse,
    Done,
    Finished,
    FinishReason,
    JsonObject,
    ReasoningBlock,
    ReasoningDelta,
    RefusalDelta,
    Started,
    StreamEvent,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
    UsageUpdate,
)

log = logging.getLogger("pointsman")

HELD_EVENTS = 16
"""Events before the first content that are held back at most; then the stream counts as committed."""
QUIET_GAPS = 3
"""Gaps in a row in which signs of life without content keep a stream alive."""
_CLOSE_WITHIN = 1.0


class Assembly:
    """Puts the events of a stream together into the whole answer."""

    __slots__ = (
        "_blocks",
        "_calls",
        "_finish",
        "_id",
        "_model",
        "_native",
        "_reasoning",
        "_refusal",
        "_text",
        "events",
        "usage",
    )

    def __init__(self) -> None:
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._refusal: list[str] = []
        self._blocks: list[JsonObject] = []
        self._calls: dict[int, list[str]] = {}
        self._finish: FinishReason | None = None
        self._native: str | None = None
        self._id = self._model = ""
        self.usage: Usage | None = None
        self.events = 0

    def add(self, event: StreamEvent) -> None:
        """Take the next event."""
        self.events += 1
        match event:
            case TextDelta():
                self._text.append(event.text)
            case ReasoningDelta():
                self._reasoning.append(event.reasoning)
            case ToolCallDelta():
                # Pieces of a call: id and name come once, the arguments in any number of pieces.
                call = self._calls.setdefault(event.index, ["", ""])
                call[0] = call[0] or event.id
                call[1] = call[1] or event.name
                call.append(event.arguments)
            case UsageUpdate():
                self.usage = event.usage
            case Finished():
                if self._finish is None:
                    self._finish, self._native = event.finish_reason, event.native
            case ReasoningBlock():
                self._blocks.append(event.block)
            case RefusalDelta():
                self._refusal.append(event.refusal)
            case Started():
                self._id, self._model = event.id or self._id, event.model or self._model

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self._text)

    def response(self) -> ChatResponse:
        """The whole answer, as far as the events tell it."""
        return ChatResponse(
            text=self.text,
            tool_calls=tuple(
                ToolCall(id, name, "".join(pieces), index)
                for index, (id, name, *pieces) in sorted(self._calls.items())
            ),
            finish_reason=self._finish or "stop",
            usage=self.usage or Usage(),
            model=self._model,
            id=self._id,
            reasoning="".join(self._reasoning) or None,
            reasoning_blocks=tuple(self._blocks),
            refusal="".join(self._refusal) or None,
            native_finish_reason=self._native,
        )


class ChatStream:
    """A streamed answer: iterate over its events, then read `response`.

        async with router.stream("assistant", "Why is the sky blue?") as stream:
            async for event in stream:
                print(event.text, end="")
        stream.response.usage

    Leaving the `async with` early, cancelling the task, `aclose`, or dropping the object ends the call at
    the upstream at once. Nothing is taken before the first step, so an unused stream costs nothing.

    Raises, while entering or at the first step: whatever `Router.chat` raises. Later only `MidStreamError`,
    which carries what had been delivered.
    """

    def __init__(self, begin: Callable[[], Attempts]) -> None:
        self._begin = begin
        self._attempts: Attempts | None = None
        self._lease: Lease | None = None
        self._source: EventSource | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready: deque[StreamEvent] = deque()
        self._assembly = Assembly()
        self._response: ChatResponse | None = None
        self._closed = False
        self._reading = False
        self._opener: asyncio.Task[Any] | None = None

    @property
    def response(self) -> ChatResponse:
        """The whole answer. Raises RuntimeError before the stream is at its end."""
        if self._response is None:
            raise RuntimeError("the stream is not at its end; iterate over it first, or read `text`")
        return self._response

    @property
    def text(self) -> str:
        """The text so far."""
        return self._assembly.text

    @property
    def request_id(self) -> str:
        """Ours; "" before the first step."""
        return "" if self._attempts is None else self._attempts.request_id

    @property
    def deployment(self) -> str:
        """The id of the deployment that answers; "" before it is known."""
        return "" if self._lease is None else self._lease.deployment.id

    async def __aenter__(self) -> ChatStream:
        if self._closed and self._attempts is None:
            raise RuntimeError("the stream is closed")
        await self._open()
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> ChatStream:
        return self

    async def __anext__(self) -> StreamEvent:
        if self._ready:
            return self._ready.popleft()
        if self._response is not None or self._closed:
            raise StopAsyncIteration
        if self._reading:
            raise RuntimeError("two tasks read the same stream; give each its own")
        self._reading = True
        try:
            await self._advance()
        finally:
            self._reading = False
        return self._ready.popleft()

    async def aclose(self) -> None:
        """End the call if it still runs: the connection is closed at once and the lease given back.

        Another task may do so; one that waits for the stream to open then gets a CallError.
        """
        if self._closed:
            return
        self._closed = True
        self._ready.clear()
        if self._response is None:
            self._let_go("cancelled")
        if self._opener is not None and self._opener is not asyncio.current_task():
            self._opener.cancel()

    def __del__(self) -> None:
        attempts, lease, source, loop = self._attempts, self._lease, self._source, self._loop
        if lease is None or not lease.is_open or attempts is None or loop is None:
            return
        log.warning("stream of request %s was dropped before its end; use `async with`", attempts.request_id)
        usage = self._assembly.usage

        def abandon() -> None:
            attempts.end(lease, Outcome.NEUTRAL, usage=usage)
            attempts.finish("abandoned")

        if loop.is_running() and not _runs_here(loop):
            # The collector came by in another thread: the state belongs to the loop's.
            loop.call_soon_threadsafe(abandon)
        else:
            abandon()
        if source is not None and not loop.is_closed():
            loop.call_soon_threadsafe(_abort, source)

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────

    async def _open(self) -> None:
        """Fail over until a deployment delivers content, or its whole answer."""
        if self._attempts is not None:
            return
        self._loop = asyncio.get_running_loop()
        self._attempts = attempts = self._begin()
        self._opener = opener = asyncio.current_task()
        cancelling = 0 if opener is None else opener.cancelling()
        try:
            await attempts.run(self._first)
        except BaseException as error:
            attempts.failed(error)
            closed, self._closed = self._closed, True
            interrupted = closed and isinstance(error, asyncio.CancelledError)
            # It was `aclose` in another task that cancelled this one, unless others did too.
            if interrupted and opener is not None and opener.uncancel() <= cancelling:
                raise CallError("the stream was closed while it was being opened") from None
            raise
        finally:
            self._opener = None

    async def _first(self, lease: Lease) -> None:
        """One attempt: open the stream and read up to its first content."""
        attempts = self._attempts
        assert attempts is not None
        request = attempts.request
        assert isinstance(request, ChatRequest)
        deployment = lease.deployment
        self._lease, self._source = lease, None
        self._ready.clear()
        self._assembly = Assembly()
        call = attempts.call(lease)
        until = min(lease.started_at + call.limits.first_token, call.limits.until(lease.started_at))
        source: EventSource | None = None
        try:
            with attempts.limit(lease):
                source = await deployment.provider.stream(request.with_defaults(deployment.defaults), call)
            self._source = source
            while True:
                events = await source.next(until)
                if events is None:
                    await self._complete(lease, source)
                    return
                self._take(events)
                if any(event.content for event in events):
                    lease.first_event(attempts.now())
                    break
                if len(self._ready) > HELD_EVENTS:
                    break
        except BaseException:
            if source is not None:
                _abort(source)
            raise

    async def _advance(self) -> None:
        """Make the next events ready."""
        if self._attempts is None:
            await self._open()
            if self._ready:
                return
        attempts, lease, source = self._attempts, self._lease, self._source
        assert attempts is not None
        assert lease is not None
        assert source is not None
        idle = attempts.terms.idle_timeout or lease.deployment.idle
        # Counted from when the caller asks: a slow caller is not a silent upstream.
        patience = min(attempts.now() + idle * (1 + QUIET_GAPS), attempts.deadline)
        try:
            while not self._ready:
                until = min(attempts.now() + idle, patience)
                events = await source.next(until)
                if events is None:
                    await self._complete(lease, source)
                elif events:
                    self._take(events)
                    if any(event.content for event in events):
                        lease.first_event(attempts.now())
        except CallError as error:
            raise self._broken(error) from error
        except Exception as error:
            wrapped = BadResponse(f"provider plugin of {lease.deployment.id} raised {error!r}"[:500])
            raise self._broken(wrapped) from error
        except BaseException:
            self._closed = True
            self._let_go("cancelled")
            raise

    def _take(self, events: Sequence[StreamEvent]) -> None:
        for event in events:
            self._assembly.add(event)
            self._ready.append(event)

    async def _complete(self, lease: Lease, source: EventSource) -> None:
        """The end marker was seen: the answer is whole, the lease ends, the connection goes back."""
        attempts = self._attempts
        assert attempts is not None
        assembled = replace(self._assembly.response(), upstream_request_id=source.upstream_request_id)
        self._response = response = attempts.signed(assembled, lease)
        attempts.end(
            lease,
            Outcome.OK,
            usage=self._assembly.usage,
            upstream_request_id=source.upstream_request_id,
        )
        attempts.finish("ok")
        self._ready.append(Done(response))
        try:
            await source.aclose()
        except Exception:
            # The answer is whole; what happens to its connection is no concern of the caller's.
            _abort(source)
        except BaseException:
            _abort(source)
            raise

    def _broken(self, error: CallError) -> MidStreamError:
        attempts, lease, source = self._attempts, self._lease, self._source
        assert attempts is not None
        assert lease is not None
        assert source is not None
        _abort(source)
        self._closed = True
        error.deployment = error.deployment or lease.deployment.id
        outcome = error.outcome
        if isinstance(error, AttemptTimeout) and attempts.now() >= attempts.deadline:
            # Our own deadline, not the deployment, ended it.
            outcome = Outcome.NEUTRAL
            error = DeadlineExceeded(
                f"the deadline of the request passed while {error.deployment} was at work",
                deployment=error.deployment,
            )
        attempts.end(lease, outcome, error=error, usage=self._assembly.usage)
        broken = MidStreamError(
            f"the stream from {lease.deployment.id} broke after {self._assembly.events} events: "
            f"{error.message}",
            cause=error,
            text=self._assembly.text,
            events=self._assembly.events,
            usage=self._assembly.usage,
        )
        attempts.failed(broken)
        return broken

    def _let_go(self, result: str) -> None:
        """End a call that still runs, without judging the deployment."""
        if self._source is not None:
            _abort(self._source)
        if self._attempts is not None:
            if self._lease is not None:
                self._attempts.end(self._lease, Outcome.NEUTRAL, usage=self._assembly.usage)
            self._attempts.finish(result)


def _abort(source: EventSource) -> None:
    """Close the connection of `source`; a plugin that fails at it must hold up neither lease nor error."""
    try:
        source.abort()
    except Exception:
        log.exception("a provider plugin failed to close a stream")


def _runs_here(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
