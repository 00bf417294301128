"""The stream object: a streamed answer as its caller sees it.

It is a class and not a generator, because a generator that is dropped before its first step never runs its
`finally`. Until the first content it fails over like any call; after it a failure is one `MidStreamError`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

from pointsman.errors import CallError, MidStreamError, Outcome
from pointsman.execution.accounting import end_attempt, end_request, ended_by_router, fail_request
from pointsman.execution.execution import Execution
from pointsman.execution.stream_attempt import StreamAttempt
from pointsman.execution.time_limits import deadline_passed, is_over
from pointsman.types import ChatResponse, Relayed, StreamEvent

if TYPE_CHECKING:
    from pointsman.execution.guarded import GuardedExecution
    from pointsman.execution.guarded_stream import AnsweredStream

log = logging.getLogger("pointsman")


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

    # new ──first step──> opening ──first content──> open ──end marker──> whole
    #  │                     │                         │                    │
    #  └──────── aclose, an error, a cancellation, __del__ ──> closed <──aclose
    #
    #            _execution  _attempt  _attempt.response  _opener   _closed   the next step
    #   new      None        None                         None      False     opens
    #   opening  set         None                         its task  False     is refused: one task reads
    #   open     set         set       None               None      False     reads on
    #   whole    set         set       set                None      False     what is ready, then the end
    #   closed   any         any       any                any       True      the end
    #
    # `_reading` is true while a task takes a step, in any of these; no other one may then.

    def __init__(self, begin: Callable[[], Execution]) -> None:
        self._begin = begin
        self._execution: Execution | None = None
        self._attempt: StreamAttempt | AnsweredStream | None = None
        self._ready: deque[StreamEvent] = deque()
        self._withheld = 0  # characters that were read and, as the stream was closed, never handed out
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._reading = False
        self._opener: asyncio.Task[Any] | None = None

    @property
    def response(self) -> ChatResponse:
        """The whole answer. Raises RuntimeError before the stream is at its end."""
        if self._attempt is None or self._attempt.response is None:
            raise RuntimeError("the stream is not at its end; iterate over it first, or read `text`")
        return self._attempt.response

    @property
    def text(self) -> str:
        """The text so far: of the events that were handed out, once the stream is closed too."""
        if self._attempt is None:
            return ""
        read = self._attempt.told.text
        return read[: len(read) - self._withheld - _length(self._attempt.ready)]

    @property
    def relayed(self) -> bool:
        """Whether what is there to be read has its frames with it, as the upstream wrote them."""
        return any(type(event) is Relayed for event in self._ready)

    @property
    def request_id(self) -> str:
        """Ours; "" before the first step."""
        return "" if self._execution is None else self._execution.request_id

    @property
    def deployment(self) -> str:
        """The id of the deployment that answers; "" before it is known."""
        if self._execution is None or self._execution.last is None:
            return ""
        return self._execution.last.deployment.id

    @property
    def dropped(self) -> Sequence[str]:
        """Names of the options that were left out of what was asked; known with the first content."""
        execution = self._execution
        if execution is None or execution.last is None or execution.dropping is None:
            return ()
        return execution.dropping.of(execution.last.deployment)

    async def __aenter__(self) -> ChatStream:
        if self._closed:
            raise RuntimeError("this stream is closed; call `stream()` for a new one")
        if self._execution is None:
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
        if self._closed or (self._attempt is not None and self._attempt.response is not None):
            raise StopAsyncIteration
        self._reading = True
        try:
            attempt = self._attempt or await self._open()
            if not self._ready:
                await attempt.read()
        except BaseException as error:
            broken = self._broken(error)
            if broken is None:
                raise
            raise broken from broken.cause
        finally:
            self._reading = False
            broken = None  # else the frame that it holds would hold it, and with it the caller's stream
        return attempt.ready.popleft()

    async def batch(self) -> list[StreamEvent]:
        """The events that one read brought, in order; none at the end of the stream. Raises: as a step."""
        try:
            events = [await self.__anext__()]
        except StopAsyncIteration:
            return []
        events += self._ready
        self._ready.clear()
        return events

    async def aclose(self) -> None:
        """End the call if it still runs: the connection is closed at once and the lease given back.

        Another task may do so; one that waits for the stream to open then gets a CallError.
        """
        if self._closed:
            return
        self._shut()
        if self._attempt is None or self._attempt.response is None:
            self._let_go()
        if self._opener is not None and self._opener is not asyncio.current_task():
            self._opener.cancel()

    def __del__(self) -> None:
        execution, attempt, loop = self._execution, self._attempt, self._loop
        if not isinstance(attempt, StreamAttempt) or execution is None or loop is None:
            return
        if not attempt.lease.is_open:
            return
        log.warning("stream of request %s was dropped before its end; use `async with`", execution.request_id)
        usage = attempt.assembly.usage

        # Without `self`, which would come back to life with it.
        def abandon() -> None:
            end_attempt(execution, attempt.lease, Outcome.NEUTRAL, usage=usage)
            end_request(execution, "abandoned")

        if loop.is_running():
            # The collector may come by in another thread, or in the midst of another call's bookkeeping.
            loop.call_soon_threadsafe(abandon)
        else:
            abandon()
        if not loop.is_closed():
            loop.call_soon_threadsafe(attempt.abort)

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────

    async def _open(self) -> StreamAttempt | AnsweredStream:
        """Fail over until a deployment delivers content, or its whole answer."""
        self._loop = asyncio.get_running_loop()
        self._execution = execution = self._begin()
        self._opener = opener = asyncio.current_task()
        cancelling = 0 if opener is None else opener.cancelling()
        try:
            if type(execution) is Execution:  # and no guard before it
                attempt: StreamAttempt | AnsweredStream = await execution.run(StreamAttempt)
            else:
                attempt = await cast("GuardedExecution", execution).open()
            self._attempt = attempt
        except BaseException as error:
            closed, self._closed = self._closed, True  # an error closes it, too; who did so first matters
            interrupted = closed and isinstance(error, asyncio.CancelledError)
            # It was `aclose` in another task that cancelled this one, unless others did too.
            if interrupted and opener is not None and opener.uncancel() <= cancelling:
                raise CallError("the stream was closed while it was being opened") from None
            raise
        finally:
            self._opener = None
        if not self._closed:
            self._ready = attempt.ready
        return attempt

    def _broken(self, error: BaseException) -> MidStreamError | None:
        """What the caller gets for `error`, which ended a step; None for that itself.

        That is so before the stream is open, and when the caller's task is cancelled.
        """
        execution, attempt = self._execution, self._attempt
        if execution is None or not isinstance(attempt, StreamAttempt):
            return None
        lease, assembly, told = attempt.lease, attempt.assembly, attempt.told
        failure: CallError | None = execution.plugin_error(lease, "next", error)
        if failure is not None:
            failure.__cause__ = error
        elif isinstance(error, CallError):
            failure = error
        self._shut()
        if failure is None:
            self._let_go()
            return None
        attempt.abort()
        at = lease.deployment.id
        failure.deployment = failure.deployment or at
        outcome = failure.outcome
        if (closed := ended_by_router(execution, failure)) is not None:
            outcome, failure = Outcome.NEUTRAL, closed
        elif is_over(execution, failure):
            # Our own deadline, not the deployment, ended it.
            outcome = Outcome.NEUTRAL
            failure = deadline_passed(execution, f"while {at} was at work", at)
        end_attempt(execution, lease, outcome, error=failure, usage=assembly.usage)
        broken = MidStreamError(
            f"the stream from {at} broke after {told.events} events: {failure.message}",
            cause=failure,
            text=told.text,
            events=told.events,
            usage=assembly.usage,
        )
        fail_request(execution, broken)
        return broken

    def _shut(self) -> None:
        """Nothing is delivered any more, also of what was read."""
        self._closed = True
        if self._ready:
            self._withheld += _length(self._ready)
            self._ready.clear()

    def _let_go(self) -> None:
        """End a call that still runs, without judging the deployment."""
        execution = self._execution
        if execution is None:
            return
        for attempt in execution.opening if self._attempt is None else (self._attempt,):
            attempt.discard()
        end_request(execution, "cancelled")


def _length(ahead: Iterable[StreamEvent]) -> int:
    """Characters of text in events that one read brought and nobody has been handed yet."""
    return sum(len(event.text) for event in ahead)
