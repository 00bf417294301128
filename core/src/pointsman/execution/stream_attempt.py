"""One attempt at a stream: up to its first content by the rules of failover, then chunk by chunk."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Sequence
from functools import partial

from pointsman._internal.plugin_errors import OWN, is_own
from pointsman._internal.timeouts import GRACE, ExtensibleLimits
from pointsman.errors import AttemptTimeout, Outcome
from pointsman.events import FirstToken
from pointsman.execution.accounting import end_attempt, succeeded
from pointsman.execution.adjusting import adjusted
from pointsman.execution.execution import Execution
from pointsman.execution.hedging import hedge_beside, race
from pointsman.execution.time_limits import call, ends, opening_ends, put_off, silent
from pointsman.http.event_stream import EventStream
from pointsman.routing.lease import Lease
from pointsman.types import ChatRequest, ChatResponse, Done, StreamEvent
from pointsman.values.typed_answers import typed
from pointsman.wire.assembly import Assembly

HELD_EVENTS = 16
HELD_SIZE = 64 * 1024
"""Events before the first content that are held back at most, and characters of all of them; then the stream
counts as committed."""
QUIET_GAPS = 3
"""Gaps in a row in which signs of life without content keep a stream alive."""


class StreamAttempt:
    """One attempt at a stream. `Execution.run(StreamAttempt)` returns the one that answers.

    Attributes:
        source: where its events come from; None until the upstream has answered.
        ready: events that were read and not yet delivered.
        assembly: all events that were read, put together.
        told: those that are for the caller, put together; the same but where guards filter them.
        whole: the end marker has been seen.
        response: the whole answer, once that is accounted for.
        time: keeps the limits of whatever of the provider is awaited.
        idle: seconds that the stream may be silent.
        ends: the instant at which it ends, wherever it is.
    """

    __slots__ = (
        "_call",
        "_execution",
        "assembly",
        "ends",
        "idle",
        "lease",
        "ready",
        "response",
        "source",
        "time",
        "told",
        "whole",
    )

    def __init__(self, execution: Execution, lease: Lease) -> None:
        self._execution = execution
        self.lease = lease
        self.source: EventStream | None = None
        self.ready: deque[StreamEvent] = deque()
        self.assembly = self.told = lease.coming = Assembly()
        self.whole = False
        self.response: ChatResponse | None = None
        self.time = ExtensibleLimits(execution.setting.alarms)
        self._call = call(execution, lease, self.time)
        self.idle = self._call.timeouts.idle
        self.ends = ends(execution, lease)

    @classmethod
    async def ask(cls, execution: Execution, lease: Lease) -> StreamAttempt:
        """One that has its first content, at the deployment of `lease` or at one that was asked beside it."""
        attempt = cls(execution, lease)
        execution.opening.append(attempt)
        late = hedge_beside(execution, lease)
        try:
            if late is None:
                await attempt.read_to_content()
            else:
                attempt = await race(execution, attempt, late)
            if attempt.whole:
                await attempt.complete()
        finally:
            execution.opening.clear()
        return attempt

    @staticmethod
    def accepted(_execution: Execution, _lease: Lease, attempt: StreamAttempt) -> StreamAttempt:
        """`attempt`: it holds its lease until its last chunk, and what it brings is checked as it comes."""
        return attempt

    def beside(self, lease: Lease) -> StreamAttempt:
        """Another attempt of the same request, which holds `lease`."""
        other = type(self)(self._execution, lease)
        self._execution.opening.append(other)
        return other

    async def read_to_content(self) -> None:
        """Open the stream and read up to its first content, or to its end. On an error it is closed."""
        execution, lease = self._execution, self.lease
        if not lease.is_open:
            # It was let go before its task came to run.
            raise asyncio.CancelledError
        request, deployment, time = execution.request, lease.deployment, self.time
        assert isinstance(request, ChatRequest)
        until, late = opening_ends(execution, lease)
        if until < self.ends:
            time.later = partial(put_off, execution, lease, until)
        try:
            asked = request
            if deployment.adjusts or execution.dropping is not None:
                asked = adjusted(execution, deployment, request)
            with time.until(until, late):
                self.source = source = await self._opened(asked)
            while True:
                # One wait at a time: the end of each says whether it was late.
                with time.until(self.ends if lease.slow else until, late):
                    events = await source.next(self.ends)
                    if not events and events is not None:  # a sign of life; None is the end
                        await _turn()
                if events is None:
                    self.whole = True
                    return
                if self.take(events) or self._holds_too_much():
                    return
        except BaseException as error:
            self.abort()
            lease.usage = self.assembly.usage  # for whoever accounts for it
            method = "stream" if self.source is None else "next"
            if (fault := execution.plugin_error(lease, method, error)) is not None:
                raise fault from error
            raise
        finally:
            time.later = fault = None  # else the frame that it holds would hold it, and what called it

    def _opened(self, asked: ChatRequest) -> Awaitable[EventStream]:
        """What the provider answers with."""
        if self._execution.options.original is None:
            return self.lease.deployment.provider.stream(asked, self._call)
        from pointsman.execution.relaying import opened  # for those whose callers wrote them themselves

        return opened(self._execution, self.lease, asked, self._call)

    async def read(self) -> None:
        """Read until there is something for the caller, be it the end: `ready` is not empty then."""
        execution, source, time, ready = self._execution, self.source, self.time, self.ready
        assert source is not None
        idle, at_most = self.idle, self.ends
        # Counted from when the caller asks: a slow caller is not a silent upstream.
        began = execution.now()
        until = began + idle
        if until > at_most:  # in place of `min`, a call with each read
            until = at_most
        while True:
            with time.until(until, self._silent):
                events = await source.next(until)
                if not events and events is not None:
                    await _turn()
            if events is None:
                await self.complete()
            else:
                self.take(events)
            if ready:
                return
            now = execution.now()
            if events:  # guards keep them from the caller, and the upstream is not silent all the same
                began = now
            until = min(now + idle, began + idle * (1 + QUIET_GAPS), at_most)

    async def complete(self) -> None:
        """The end marker was seen: the answer is whole, the lease ends, the connection goes back."""
        execution, source, time = self._execution, self.source, self.time
        assert source is not None
        # A plugin's object: it may lack this, or hold something else there.
        upstream_id = getattr(source, "upstream_request_id", "")
        if not isinstance(upstream_id, str):
            upstream_id = ""
        whole = self.told.response(upstream_id)
        whole = succeeded(execution, self.lease, whole, self.assembly.usage)
        if execution.request.response_format is not None:  # type: ignore[union-attr]  # chats are streamed
            whole = typed(whole, execution.request)
        self.response = whole
        # After the books: to close may take `GRACE` or fail, and neither is to count against the answer.
        try:
            with time.until(execution.now() + GRACE, TimeoutError):
                await source.aclose()
        except BaseException as error:
            # The answer is whole; what happens to its connection is no concern of the caller's.
            self.abort()
            if not is_own(error):
                raise
        time.close()
        self.ready.append(Done(self.response))

    def take(self, events: Sequence[StreamEvent]) -> bool:
        """Keep `events` for the caller; whether there has been content by now."""
        self.assembly.extend(events)
        self.ready.extend(events)
        lease = self.lease
        if lease.first_event_at is None and any(event.content for event in events):
            now = self._execution.now()
            lease.first_event(now)
            if self._execution.setting.events.detailed:
                where = lease.pool, lease.deployment.id, lease.number
                self._execution.tell(FirstToken, *where, now - lease.started_at)
        return lease.first_event_at is not None

    def abort(self) -> None:
        """Close the connection now; a plugin that fails at it must hold up neither lease nor error."""
        self.time.close()
        if self.source is None:
            return
        try:
            self.source.abort()
        except OWN as error:
            self._execution.plugin_error(self.lease, "abort", error)  # which logs it

    def discard(self) -> None:
        """End the attempt without judging the deployment, its connection first."""
        self.abort()
        end_attempt(self._execution, self.lease, Outcome.NEUTRAL, usage=self.assembly.usage)

    def _silent(self) -> AttemptTimeout:
        """The error of a stream whose next content did not come in time."""
        return silent(self._execution, self.lease)

    def _holds_too_much(self) -> bool:
        held = self.ready
        return len(held) > HELD_EVENTS or sum(len(repr(event)) for event in held) > HELD_SIZE


async def _turn() -> None:
    """Let the loop come round: a source that gives signs of life without ever waiting would hold it up,
    and with it the timer of its own limit.
    """
    await asyncio.sleep(0)
