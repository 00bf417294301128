"""The stream object: a streamed answer as its caller sees it.

It is a class and not a generator, because a generator that is dropped before its first step never runs its
`finally`. Until the first content it fails over like any call; after it a failure is one `MidStreamError`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any

from pointsman._internal.plugin_errors import is_own
from pointsman._internal.timeouts import GRACE
from pointsman.errors import (
    CallError,
    MidStreamError,
    Outcome,
)
from pointsman.execution.execution import Execution
from pointsman.execution.stream_attempt import StreamAttempt, raced, turn
from pointsman.routing.lease import Lease
from pointsman.types import ChatResponse, Done, StreamEvent

log = logging.getLogger("pointsman")

QUIET_GAPS = 3
"""Gaps in a row in which signs of life without content keep a stream alive."""


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

    def __init__(self, begin: Callable[[], Execution]) -> None:
        self._begin = begin
        self._attempts: Execution | None = None
        self._opening: StreamAttempt | None = None
        self._ready: deque[StreamEvent] = deque()
        self._beside: StreamAttempt | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
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
        return "" if self._opening is None else self._opening.assembly.text

    @property
    def request_id(self) -> str:
        """Ours; "" before the first step."""
        return "" if self._attempts is None else self._attempts.request_id

    @property
    def deployment(self) -> str:
        """The id of the deployment that answers; "" before it is known."""
        return "" if self._opening is None else self._opening.lease.deployment.id

    async def __aenter__(self) -> ChatStream:
        if self._closed and self._attempts is None:
            raise RuntimeError("the stream is closed")
        self._reading = True
        try:
            await self._open()
        finally:
            self._reading = False
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
        if self._reading:
            raise RuntimeError("two tasks read the same stream; give each its own")
        if self._closed or self._response is not None:
            raise StopAsyncIteration
        self._reading = True
        try:
            return await self._advance()
        finally:
            self._reading = False

    async def aclose(self) -> None:
        """End the call if it still runs: the connection is closed at once and the lease given back.

        Another task may do so; one that waits for the stream to open then gets a CallError.
        """
        if self._closed:
            return
        self._shut()
        if self._response is None:
            self._let_go("cancelled")
        if self._opener is not None and self._opener is not asyncio.current_task():
            self._opener.cancel()

    def __del__(self) -> None:
        attempts, opening, loop = self._attempts, self._opening, self._loop
        if opening is None or not opening.lease.is_open or attempts is None or loop is None:
            return
        log.warning("stream of request %s was dropped before its end; use `async with`", attempts.request_id)
        usage = opening.assembly.usage

        def abandon() -> None:
            attempts.end(opening.lease, Outcome.NEUTRAL, usage=usage)
            attempts.finish("abandoned")

        if loop.is_running():
            # The collector may come by in another thread, or in the midst of another call's bookkeeping.
            loop.call_soon_threadsafe(abandon)
        else:
            abandon()
        if not loop.is_closed():
            loop.call_soon_threadsafe(opening.abort)

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
        if self._opening is not None and not self._closed:
            self._ready = self._opening.ready

    async def _first(self, lease: Lease) -> None:
        """One attempt, or two side by side: open the stream and read up to its first content."""
        attempts = self._attempts
        assert attempts is not None
        self._opening = opening = StreamAttempt(attempts, lease)
        late = attempts.hedge_after(lease)
        if late is None:
            await opening.run()
        else:
            try:
                self._opening = opening = await raced(attempts, opening, late, self._begun_beside)
            finally:
                self._beside = None
        if opening.whole:
            await self._complete(opening)

    def _begun_beside(self, opening: StreamAttempt) -> None:
        self._beside = opening

    async def _advance(self) -> StreamEvent:
        """The next event, which has yet to come."""
        if self._attempts is None:
            await self._open()
            if self._ready:
                return self._ready.popleft()
        attempts, opening = self._attempts, self._opening
        assert attempts is not None
        assert opening is not None
        source, ready, time = opening.source, opening.ready, opening.time
        assert source is not None
        idle, ends = opening.idle, opening.ends
        # Counted from when the caller asks: a slow caller is not a silent upstream.
        began = attempts.now()
        until = began + idle
        if until > ends:
            until = ends
        try:
            while True:
                with time.until(until, opening.silent):
                    events = await source.next(until)
                    if not events and events is not None:
                        await turn()
                if events is None:
                    await self._complete(opening)
                else:
                    opening.take(events)
                if ready:
                    break
                until = min(attempts.now() + idle, began + idle * (1 + QUIET_GAPS), ends)
        except BaseException as error:
            failure: CallError | None = attempts.plugin_error(opening.lease, "next", error)
            if failure is not None:
                failure.__cause__ = error
            elif isinstance(error, CallError):
                failure = error
            else:
                self._shut()
                self._let_go("cancelled")
                raise
            broken = self._broken(opening, failure)
            raise broken from broken.cause
        return ready.popleft()

    async def _complete(self, opening: StreamAttempt) -> None:
        """The end marker was seen: the answer is whole, the lease ends, the connection goes back."""
        attempts, source, time = self._attempts, opening.source, opening.time
        assert attempts is not None
        assert source is not None
        upstream_id = getattr(source, "upstream_request_id", "")
        if not isinstance(upstream_id, str):
            upstream_id = ""
        whole = opening.assembly.response(upstream_id)
        self._response = response = attempts.signed(whole, opening.lease)
        attempts.end(
            opening.lease,
            Outcome.OK,
            usage=opening.assembly.usage,
            upstream_request_id=upstream_id,
        )
        attempts.finish("ok")
        try:
            with time.until(attempts.now() + GRACE, TimeoutError):
                await source.aclose()
        except BaseException as error:
            # The answer is whole; what happens to its connection is no concern of the caller's.
            opening.abort()
            if not is_own(error):
                raise
        time.close()
        opening.ready.append(Done(response))

    def _broken(self, opening: StreamAttempt, error: CallError) -> MidStreamError:
        attempts, lease, assembly = self._attempts, opening.lease, opening.assembly
        assert attempts is not None
        opening.abort()
        self._shut()
        error.deployment = error.deployment or lease.deployment.id
        outcome = error.outcome
        if attempts.is_over(error):
            # Our own deadline, not the deployment, ended it.
            outcome = Outcome.NEUTRAL
            error = attempts.deadline_passed(lease.deployment)
        attempts.end(lease, outcome, error=error, usage=assembly.usage)
        broken = MidStreamError(
            f"the stream from {lease.deployment.id} broke after {assembly.events} events: {error.message}",
            cause=error,
            text=assembly.text,
            events=assembly.events,
            usage=assembly.usage,
        )
        attempts.failed(broken)
        return broken

    def _shut(self) -> None:
        """Nothing is delivered any more, also of what was read."""
        self._closed = True
        self._ready.clear()

    def _let_go(self, result: str) -> None:
        """End a call that still runs, without judging the deployment."""
        for opening in (self._opening, self._beside):
            if opening is not None:
                opening.discard()
        if self._attempts is not None:
            self._attempts.finish(result)
