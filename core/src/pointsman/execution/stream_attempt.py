"""One attempt at a stream, up to its first content; and two of them side by side."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from pointsman._internal.plugin_errors import OWN
from pointsman.errors import AttemptTimeout, Outcome
from pointsman.execution.execution import Execution
from pointsman.http.event_stream import EventStream
from pointsman.routing.lease import Lease
from pointsman.types import ChatRequest, StreamEvent
from pointsman.wire.assembly import Assembly

HELD_EVENTS = 16
HELD_SIZE = 64 * 1024
"""Events before the first content that are held back at most, and characters of all of them; then the stream
counts as committed."""


class StreamAttempt:
    """One attempt at a stream.

    Attributes:
        source: where its events come from; None until the upstream has answered.
        ready: events that were read and not yet delivered.
        assembly: all events that were read, put together.
        whole: the end marker has been seen.
        time: keeps the limits of whatever of the provider is awaited.
        idle: seconds that the stream may be silent.
        ends: the instant at which it ends, wherever it is.
    """

    __slots__ = (
        "_attempts",
        "_call",
        "assembly",
        "ends",
        "idle",
        "lease",
        "ready",
        "source",
        "time",
        "whole",
    )

    def __init__(self, attempts: Execution, lease: Lease) -> None:
        self._attempts = attempts
        self.lease = lease
        self.source: EventStream | None = None
        self.ready: deque[StreamEvent] = deque()
        self.assembly = Assembly()
        self.whole = False
        self.time = attempts.limits()
        self._call = call = attempts.call(lease, self.time)
        self.idle = call.limits.idle
        self.ends = attempts.ends(lease)

    async def run(self) -> None:
        """Open the stream and read up to its first content, or to its end. On an error it is closed."""
        attempts, lease = self._attempts, self.lease
        request = attempts.request
        assert isinstance(request, ChatRequest)
        deployment = lease.deployment
        if not lease.is_open:
            # It was let go before its task came to run.
            raise asyncio.CancelledError
        time = self.time
        until, late = attempts.opening_ends(lease)
        if until < self.ends:
            time.later = lambda: attempts.put_off(lease, until)
        try:
            asked = request.with_defaults(deployment.defaults)
            with time.until(until, late):
                self.source = source = await deployment.provider.stream(asked, self._call)
            while True:
                # One wait at a time: the end of each says whether it was late.
                with time.until(self.ends if lease.slow else until, late):
                    events = await source.next(self.ends)
                    if not events and events is not None:
                        await turn()
                if events is None:
                    self.whole = True
                    return
                if self.take(events) or self._holds_too_much():
                    return
        except BaseException as error:
            self.abort()
            method = "stream" if self.source is None else "next"
            if (fault := attempts.plugin_error(lease, method, error)) is not None:
                raise fault from error
            raise
        finally:
            time.later = None

    def silent(self) -> AttemptTimeout:
        """The error of a stream whose next content did not come in time."""
        return self._attempts.silent(self.lease)

    def take(self, events: Sequence[StreamEvent]) -> bool:
        """Keep `events` for the caller; whether there has been content by now."""
        self.assembly.extend(events)
        self.ready.extend(events)
        lease = self.lease
        if lease.first_event_at is None and any(event.content for event in events):
            lease.first_event(self._attempts.now())
        return lease.first_event_at is not None

    def _holds_too_much(self) -> bool:
        held = self.ready
        return len(held) > HELD_EVENTS or sum(len(repr(event)) for event in held) > HELD_SIZE

    def abort(self) -> None:
        """Close the connection now; a plugin that fails at it must hold up neither lease nor error."""
        self.time.close()
        if self.source is None:
            return
        try:
            self.source.abort()
        except OWN as error:
            self._attempts.plugin_error(self.lease, "abort", error)  # which logs it

    def discard(self) -> None:
        """End the attempt without judging the deployment, its connection first."""
        self.abort()
        self._attempts.end(self.lease, Outcome.NEUTRAL, usage=self.assembly.usage)


async def turn() -> None:
    """Let the loop come round: a source that gives signs of life without ever waiting would hold it up,
    and with it the timer of its own limit.
    """
    await asyncio.sleep(0)


async def raced(
    attempts: Execution, first: StreamAttempt, late: float, begun: Callable[[StreamAttempt], None]
) -> StreamAttempt:
    """Run `first`; when it has no content after `late` seconds, run another one elsewhere beside it.

    Returns the one that has content first; the other is closed, its lease released without a judgement, and
    what it cost recorded. One that fails while the other runs decides nothing. `begun` is told of the second.

    Raises: what `first` raised, once both have failed.
    """
    task = asyncio.ensure_future(first.run())
    running, done = {task: first}, set[asyncio.Task[None]]()
    error: BaseException | None = None
    failure: BaseException | None = None
    try:
        done, _ = await asyncio.wait(running, timeout=late)
        lease = None if done else attempts.hedge(first.lease)
        if lease is not None:
            second = StreamAttempt(attempts, lease)
            begun(second)
            running[asyncio.ensure_future(second.run())] = second
        while True:
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in [each for each in running if each in done]:
                opening = running.pop(task)
                error = asyncio.CancelledError() if task.cancelled() else task.exception()
                if error is None:
                    attempts.chosen(opening.lease)
                    return opening
                if opening is first:
                    failure = error
                if running or opening is not first:
                    attempts.failed_beside(opening.lease, error)
            if not running:
                assert failure is not None
                raise failure
    finally:
        for task, opening in running.items():
            opening.discard()
            task.add_done_callback(_heard)
            task.cancel()
        # A frame that holds the error that holds the frame would hold the caller's stream, too.
        del task, running, done, error, failure


def _heard(task: asyncio.Task[None]) -> None:
    """What a loser still raises is of no interest; asyncio would log it otherwise."""
    if not task.cancelled():
        task.exception()
