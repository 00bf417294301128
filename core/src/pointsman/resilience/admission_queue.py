"""The admission queue: callers wait in it for a place, each in a task of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from math import inf
from typing import Generic, TypeVar

from msgspec import Struct

from pointsman.errors import CallError, DeadlineExceeded, QueueFull
from pointsman.resilience.fair_queue import FairQueue, QueuePriority, Waiter

T = TypeVar("T")

_SOON = 1e-3  # seconds: the next try after an answer that said "now" and yet "no"


class NotYet(Struct, frozen=True):
    """What an attempt answers when there is nothing for its caller.

    Attributes:
        at: when time alone may have made room, if nothing is given back before; infinity when it will not.
        pass_on: what is free is of no use to this caller, so others may have it. Otherwise nobody goes
            before it.
        closed: nothing but time can help before `at`, so that what is waited now tells nothing of the pace.
    """

    at: float = inf
    pass_on: bool = False
    closed: bool = False


Attempt = Callable[[float], T | NotYet]
"""Called with `now`, synchronously: what the caller waits for, or why not."""


class _Ticket(Generic[T]):
    """What the queue knows of one caller; the future only says that something is here."""

    __slots__ = ("attempt", "error", "future", "has", "needs", "timer", "value", "waiter")

    def __init__(
        self, waiter: Waiter, attempt: Attempt[T], needs: Hashable, future: asyncio.Future[None]
    ) -> None:
        self.waiter = waiter
        self.attempt = attempt
        self.needs = needs
        self.future = future
        self.timer: asyncio.TimerHandle | None = None
        self.has: list[T] = []
        self.error: Exception | None = None

    def end(self, error: Exception | None = None) -> None:
        self.error = error
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if not self.future.done():
            self.future.set_result(None)


class Crowd:
    """Those who wait, in all the queues that share it: whoever gives something back looks here first.

    Attributes:
        waiting: how many they are, or were a moment ago.
    """

    __slots__ = ("waiting",)

    def __init__(self) -> None:
        self.waiting = 0


class AdmissionQueue(Generic[T]):
    """Callers that await their turn in a `FairQueue`.

    When a place may have become free, somebody calls `wake`. In the next turn of the loop the callers that
    are due try, one after the other and synchronously, each with its own attempt, until one gets nothing.
    What an attempt gets belongs to its caller at once; when the caller was cancelled in that very moment, it
    goes to `give_back` and the next one is woken. No place is lost, and nobody is woken for nothing.

    Args:
        give_back: takes what was got for a caller that is gone. It may call `wake`; that is done anyway.
        crowd: counts the callers, where they are to be counted together with those of other queues.
    """

    __slots__ = ("__weakref__", "_crowd", "_give_back", "_loop", "_pumping", "_timer", "line", "tickets")

    def __init__(self, line: FairQueue, give_back: Callable[[T], object], crowd: Crowd | None = None) -> None:
        self.line = line
        self._crowd = crowd or Crowd()
        self._give_back = give_back
        self.tickets: dict[int, _Ticket[T]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pumping: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_empty(self) -> bool:
        """Nobody waits, so that a newcomer may take what is free without overtaking anybody."""
        return not self.tickets

    async def wait(
        self,
        attempt: Attempt[T],
        *,
        key: str = "",
        priority: int = QueuePriority.NORMAL,
        deadline: float = inf,
        needs: Hashable = None,
    ) -> T:
        """What `attempt` gives when it is this caller's turn.

        Args:
            deadline: seconds on the running loop's clock.
            needs: callers with equal `needs` can use the same places: where the first of them gets nothing,
                the others are not asked.

        Raises: QueueFull, at once or when the longest wait is over; DeadlineExceeded; what `attempt` raises.
        """
        loop = self._bound()
        now = loop.time()
        waiter, victim = self.line.enter(key, now, priority=priority, deadline=deadline)
        if victim is not None:
            # It has left the line already, to make room; only its task does not know yet.
            self.tickets.pop(victim.number).end(self._shed())
        seat: _Ticket[T] = _Ticket(waiter, attempt, needs, loop.create_future())
        self.tickets[waiter.number] = seat
        seat.timer = loop.call_at(waiter.until, self._expire, seat)
        self.wake()  # something may be free that those before it have no use for
        self._crowd.waiting += 1
        try:
            await seat.future
        except BaseException:
            self._gone(seat)
            raise
        finally:
            self._crowd.waiting -= 1
        if seat.error is not None:
            raise seat.error
        return seat.has.pop()

    def wake(self) -> None:
        """A place may have become free. Costs nothing when nobody waits.

        To be called on the thread of the loop; elsewhere it goes through `loop.call_soon_threadsafe`.
        """
        if self.tickets and self._pumping is None and self._loop is not None and not self._loop.is_closed():
            self._pumping = self._loop.call_soon(self._pump)

    def refuse_all(self, error: Callable[[], CallError]) -> None:
        """Everybody leaves with an `error()` of their own."""
        for seat in list(self.tickets.values()):  # a copy: each leaves as it is dismissed
            self._dismiss(seat, error())

    def _pump(self) -> None:
        self._pumping = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        assert self._loop is not None
        now = self._loop.time()
        while (waiter := self.line.wake()) is not None:
            seat = self.tickets[waiter.number]
            answer = self._tried(seat, now)
            if answer is None:
                continue
            at = answer.at
            self.line.closed_until = at if answer.closed else 0.0
            if answer.pass_on:
                at = min(at, self._pass_on(seat, now))
            self.line.back(waiter)
            if at < inf:
                self._timer = self._loop.call_at(at if at > now else now + _SOON, self._ring)
            return

    def _pass_on(self, first: _Ticket[T], now: float) -> float:
        """Ask those behind `first`, each kind of needs until one of it gets nothing; when to ask again."""
        at = inf
        asked_in_vain = {first.needs}
        for waiter in self.line.behind(first.waiter):
            seat = self.tickets.get(waiter.number)
            if seat is None or seat.needs in asked_in_vain:
                continue
            answer = self._tried(seat, now)
            if answer is None:
                continue
            at = min(at, answer.at)
            if not answer.pass_on:
                break
            asked_in_vain.add(seat.needs)
        return at

    def _tried(self, seat: _Ticket[T], now: float) -> NotYet | None:
        """None when the caller is through with waiting, whatever came of it."""
        if seat.future.done():  # cancelled, and its task has not run yet
            self.tickets.pop(seat.waiter.number)
            self.line.leave(seat.waiter, now)
            return None
        if seat.waiter.until <= now:
            self._expire(seat)
            return None
        try:
            got = seat.attempt(now)
        except Exception as error:
            self._dismiss(seat, error)
            return None
        if isinstance(got, NotYet):
            return got
        self.tickets.pop(seat.waiter.number)
        self.line.served(seat.waiter, now)
        seat.has.append(got)
        seat.end()
        return None

    def _ring(self) -> None:
        self._timer = None
        self.wake()

    def _expire(self, seat: _Ticket[T]) -> None:
        waiter = seat.waiter
        waited = waiter.until - waiter.entered_at
        if waiter.until >= waiter.deadline:
            self._dismiss(
                seat,
                DeadlineExceeded(f"the deadline of the request passed after {waited:.1f} s in the queue"),
            )
            return
        self._dismiss(
            seat,
            QueueFull(
                f"no deployment had room for {waited:.1f} s, which is the longest that a call may wait",
                retry_after=max(self.line.pace(), _SOON),
            ),
        )

    def _dismiss(self, seat: _Ticket[T], error: Exception) -> None:
        """The caller leaves with `error`, unless it is gone already."""
        if self.tickets.pop(seat.waiter.number, None) is None:
            return
        assert self._loop is not None
        self.line.leave(seat.waiter, self._loop.time())
        self.wake()  # what it stood in the way of may be of use to the next
        seat.end(error)

    def _gone(self, seat: _Ticket[T]) -> None:
        """The caller was cancelled, possibly after its turn had come."""
        if seat.has:
            self._give_back(seat.has.pop())
        elif self.tickets.pop(seat.waiter.number, None) is not None:
            assert self._loop is not None
            self.line.leave(seat.waiter, self._loop.time())
        if seat.timer is not None:
            seat.timer.cancel()
        self.wake()  # for what it stood in the way of, too

    def _shed(self) -> QueueFull:
        return QueueFull(
            "the queue is full, and a call that matters more took the place",
            retry_after=self.line.pace() or self.line.settings.wait,
        )

    def _bound(self) -> asyncio.AbstractEventLoop:
        """The running loop; a queue with callers in it belongs to the loop that they wait on."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            if self.tickets:
                raise RuntimeError("this queue belongs to another event loop, on which calls wait")
            self._loop = loop
            self._pumping = self._timer = None
        return loop
