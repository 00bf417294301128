"""Time limits on whatever the current task awaits.

Client libraries time out per read, which a dripping server never reaches; these limits are ours. They are
`asyncio.timeout` without its state machine: nothing async to enter, and the error is the caller's own.
"""

from __future__ import annotations

import asyncio
from asyncio import current_task
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf
from types import TracebackType

_UNTIDY = 64
"""Limits that were given back and may stay in the heap, beside as many as two for each that waits."""
GRACE = 1.0
"""Seconds after which a task that goes on beyond its limit is cancelled once more: time to clean up in."""


class TimerHeap:
    """When limits want to be looked at, with one timer of the loop for all of them: the one for the earliest.

    A limit that is given back stays in the heap until there are more of those than others. So what a limit
    costs does not depend on how many there are, and the loop hears of few.

    Attributes:
        heap: when each rings, and a number of its own, so that limits themselves are never compared.
        waiting: how many of them are to ring.
        loop: the one that is served; `rings_at`: when its timer rings, infinite for never.
    """

    __slots__ = ("_handle", "heap", "loop", "numbers", "rings_at", "waiting")

    def __init__(self) -> None:
        self.heap: list[tuple[float, int, Timeouts]] = []
        self.numbers = count()
        self.waiting = 0
        self.loop: asyncio.AbstractEventLoop | None = None
        self.rings_at = inf
        self._handle: asyncio.TimerHandle | None = None

    def add(self, limits: Timeouts, when: float, task: asyncio.Task[object]) -> None:
        """Have `limits`, which hold for `task`, ring at `when`, and no longer when they would have."""
        # The task's loop: to look for the running one is a system call (getpid) in CPython 3.11.
        if (loop := task.get_loop()) is not self.loop:
            self._move(loop)
        if limits.fires_at == inf:
            self.waiting += 1
        limits.fires_at = when
        heappush(self.heap, (when, next(self.numbers), limits))
        if when < self.rings_at:
            self.set(when)
        if len(self.heap) > 2 * self.waiting + _UNTIDY:
            self.tidy()

    def release(self, limits: Timeouts) -> None:
        """Have `limits`, which were added, not ring."""
        limits.fires_at = inf
        self.waiting -= 1
        if not self.waiting:
            self.heap.clear()

    def close(self) -> None:
        """Give the loop's timer back, unless somebody waits for it."""
        self.tidy()
        if not self.heap:
            self.set(inf)

    def _move(self, loop: asyncio.AbstractEventLoop) -> None:
        """Serve another loop; on the one before nobody waits any more."""
        for when, _, limits in self.heap:
            if limits.fires_at == when:
                limits.fires_at = inf
        self.heap.clear()
        self.waiting = 0
        self.set(inf)
        self.loop = loop

    def tidy(self) -> None:
        """Take out those that were given back."""
        self.heap[:] = [each for each in self.heap if each[2].fires_at == each[0]]
        heapify(self.heap)

    def set(self, when: float) -> None:
        """Have the loop's timer ring at `when`, and no longer when it would have; infinite for never."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self.rings_at = when
        if when < inf and self.loop is not None:
            self._handle = self.loop.call_at(when, self._ring)

    def _ring(self) -> None:
        # The instant it was set for, not the loop's time: loops run a timer up to their resolution early.
        now, self.rings_at, self._handle = self.rings_at, inf, None
        heap = self.heap
        while heap and heap[0][0] <= now:
            when, _, limits = heappop(heap)
            if limits.fires_at == when:
                limits.fires_at = inf
                self.waiting -= 1
                limits.ring(when)
        while heap and heap[0][2].fires_at != heap[0][0]:
            heappop(heap)
        if heap and heap[0][0] < self.rings_at:
            self.set(heap[0][0])


class Timeouts:
    """Limits on one wait after another: `with limits.until(when, error):` raises `error()` at `when`.

    They share one alarm. It is set by the first of them and, when it rings, looks whose turn it is by then: a
    wait that ends in time, as nearly all do, neither sets an alarm nor takes one back. `close` gives it back.

    A wait within a wait has a limit of its own; `when` says whether it needs one.

    Whatever the wait makes of the limit, it is late: what it returns or raises instead is no longer believed.
    One that goes on is told again with each `GRACE`. A cancellation from elsewhere passes through untouched,
    also when it arrives together with the limit.

    Attributes:
        fires_at: when the timer fires, infinite for none.
        when: the limit of the wait that goes on now, infinite for none.
    """

    __slots__ = ("_alarms", "_cancelling", "_error", "_rung", "_task", "fires_at", "when")

    def __init__(self, alarms: TimerHeap | None = None) -> None:
        """`alarms`: shared with other limits."""
        self._alarms = TimerHeap() if alarms is None else alarms
        self.fires_at = self.when = inf
        self._task: asyncio.Task[object] | None = None
        self._rung = 0
        self._error: Callable[[], Exception] = TimeoutError

    def until(self, when: float | None, error: Callable[[], Exception]) -> Timeouts:
        """The limit of the next wait.

        Args:
            when: seconds on the running loop's clock; None means no limit.
            error: makes the exception to raise.
        """
        if self._task is not None:
            return TimeLimit(when, error, self._alarms)
        self.when = inf if when is None else when
        self._error = error
        return self

    def close(self) -> None:
        """Give the alarm back, unless a wait depends on it; the next wait would set another."""
        if self.fires_at != inf and self._task is None:
            self._alarms.release(self)

    def __enter__(self) -> Timeouts:
        when = self.when
        if when == inf:
            return self
        # Of its loop, where that is known: to look for the running one is a system call, as `add` says.
        self._task = task = current_task(self._alarms.loop) or current_task() or _no_task()
        self._cancelling = task.cancelling()
        if when < self.fires_at:
            self._alarms.add(self, when, task)
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        # As `over`, spelt out: each chunk of a stream comes by here.
        if self._rung and self._ended_by_limit(error):
            raise self._error() from error
        self._task = None
        self.when = inf

    def _ended_by_limit(self, error: BaseException | None) -> bool:
        """End a wait at whose limit the alarm rang. Whether that ended it, and nothing else did."""
        task, self._task = self._task, None
        rung, self._rung = self._rung, 0
        self.when = inf
        assert task is not None
        for _ in range(rung):  # one for each ring, so that what is left are the cancellations of others
            task.uncancel()
        ours = error is None or isinstance(error, Exception | asyncio.CancelledError)
        return ours and task.cancelling() <= self._cancelling

    def ring(self, rang_at: float) -> None:
        """The alarm, which was set for `rang_at`, rings."""
        task = self._task
        if task is None:
            return
        if rang_at < self.when:  # it was set for an earlier wait
            self._alarms.add(self, self.when, task)
            return
        self._rung += 1
        self._alarms.add(self, rang_at + GRACE, task)
        task.cancel()


class ExtensibleLimits(Timeouts):
    """Limits of which one may be put off when it is reached, without the wait noticing anything.

    Attributes:
        later: asked once, at the instant of a limit, for the instant that holds in its place; it must not
            raise. None: limits hold as they are.
    """

    __slots__ = ("later",)

    def __init__(self, alarms: TimerHeap | None = None) -> None:
        super().__init__(alarms)
        self.later: Callable[[], float] | None = None

    def ring(self, rang_at: float) -> None:
        if self.later is not None and self._task is not None and rang_at >= self.when:
            later, self.later = self.later, None
            self.when = max(self.when, later())
        super().ring(rang_at)


class TimeLimit(Timeouts):
    """`with TimeLimit(when, error):` is the limit of a single wait, after which the alarm is given back.

    It holds from when it is made; who uses no `with` calls `over`, and makes the error itself. Arguments as
    of `Timeouts` and `Timeouts.until`; without `alarms` its timer is its own.
    """

    __slots__ = ("_shared",)

    def __init__(
        self,
        when: float | None,
        error: Callable[[], Exception] = TimeoutError,
        alarms: TimerHeap | None = None,
    ) -> None:
        # Not through `super().__init__` and `__enter__`: every call that is answered whole makes one.
        self._shared = alarms is not None
        self._alarms = alarms = alarms or TimerHeap()
        self._error = error
        self._rung = 0
        self.when = when = inf if when is None else when
        # Asked for the task of its loop: to look for the running loop is a system call, as `add` says.
        self._task = task = None if alarms.loop is None else current_task(alarms.loop)
        if task is None or when == inf:
            self._task, self.fires_at = None, inf
            super().__enter__()
            return
        # As `__enter__` and `add`, spelt out.
        self._cancelling = task.cancelling()
        self.fires_at = when
        alarms.waiting += 1
        heappush(alarms.heap, (when, next(alarms.numbers), self))
        if when < alarms.rings_at:
            alarms.set(when)

    def __enter__(self) -> TimeLimit:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self.over(error):
            raise self._error() from error

    def over(self, error: BaseException | None = None) -> bool:
        """End the wait, which raised `error` or nothing. Whether it was the limit that ended it.

        Asked once more, it says no.
        """
        if self.fires_at != inf:  # as `TimerHeap.release`, spelt out
            alarms, self.fires_at = self._alarms, inf
            alarms.waiting = waiting = alarms.waiting - 1
            if not waiting:
                alarms.heap.clear()
                if not self._shared:
                    alarms.close()
            elif len(alarms.heap) > 2 * waiting + _UNTIDY:
                alarms.tidy()
        if self._rung:
            return self._ended_by_limit(error)
        self._task = None
        self.when = inf
        return False


def _no_task() -> asyncio.Task[object]:
    raise RuntimeError("a time limit needs a running task")
