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

_TIDY_FROM = 64
GRACE = 1.0
"""Seconds after which a task that goes on beyond its limit is cancelled once more: time to clean up in."""


class TimerHeap:
    """When limits want to be looked at, with one timer of the loop for all of them: the one for the earliest.

    A limit that is given back stays in the heap until there are more of those than others. So what a limit
    costs does not depend on how many there are, and the loop hears of few.
    """

    __slots__ = ("_given_back", "_handle", "_heap", "_loop", "_numbers", "_rings_at")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timeouts]] = []
        self._numbers = count()  # so that limits themselves are never compared
        self._given_back = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handle: asyncio.TimerHandle | None = None
        self._rings_at = inf

    def add(self, limits: Timeouts, when: float, loop: asyncio.AbstractEventLoop) -> None:
        """Have `limits` ring at `when`, and no longer when they would have."""
        if loop is not self._loop:
            self._move(loop)
        if limits.fires_at != inf:
            self.release()
        limits.fires_at = when
        heappush(self._heap, (when, next(self._numbers), limits))
        if when < self._rings_at:
            self._set(when)

    def release(self) -> None:
        """Hear that limits which were added are not to ring as they were."""
        self._given_back = given_back = self._given_back + 1
        if given_back == len(self._heap):
            self._heap.clear()
            self._given_back = 0
        elif given_back > _TIDY_FROM and 2 * given_back > len(self._heap):
            self._tidy()

    def close(self) -> None:
        """Give the loop's timer back, unless somebody waits for it."""
        self._tidy()
        if not self._heap:
            self._set(inf)

    def _move(self, loop: asyncio.AbstractEventLoop) -> None:
        """Serve another loop; on the one before nobody waits any more."""
        for when, _, limits in self._heap:
            if limits.fires_at == when:
                limits.fires_at = inf
        self._heap.clear()
        self._given_back = 0
        self._set(inf)
        self._loop = loop

    def _tidy(self) -> None:
        self._heap[:] = [each for each in self._heap if each[2].fires_at == each[0]]
        heapify(self._heap)
        self._given_back = 0

    def _set(self, when: float) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._rings_at = when
        if when < inf and self._loop is not None:
            self._handle = self._loop.call_at(when, self._ring)

    def _ring(self) -> None:
        # The instant it was set for, not the loop's time: loops run a timer up to their resolution early.
        now, self._rings_at, self._handle = self._rings_at, inf, None
        heap = self._heap
        while heap and heap[0][0] <= now:
            when, _, limits = heappop(heap)
            if limits.fires_at == when:
                limits.ring()
            else:
                self._given_back -= 1
        while heap and heap[0][2].fires_at != heap[0][0]:
            heappop(heap)
            self._given_back -= 1
        if heap and heap[0][0] < self._rings_at:
            self._set(heap[0][0])


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
        self.fires_at = inf
        self._task: asyncio.Task[object] | None = None
        self._rung = 0
        self.when = inf

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
            self.fires_at = inf
            self._alarms.release()

    def __enter__(self) -> Timeouts:
        when = self.when
        if when == inf:
            return self
        task = current_task()
        if task is None:
            raise RuntimeError("a time limit needs a running task")
        self._cancelling = task.cancelling()
        self._task = task
        if when < self.fires_at:
            # The task's own: to look for the running one is a system call (getpid) in CPython 3.11.
            self._alarms.add(self, when, task.get_loop())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self._rung:
            self._end(kind, error)
        self._task = None
        self.when = inf

    def _end(self, kind: type[BaseException] | None, error: BaseException | None) -> None:
        """The wait is over, and late. Raises the error of the limit unless something else ended it."""
        task, self._task = self._task, None
        rung, self._rung = self._rung, 0
        self.when = inf
        assert task is not None
        for _ in range(rung):  # one for each ring, so that what is left are the cancellations of others
            task.uncancel()
        ours = kind is None or issubclass(kind, Exception | asyncio.CancelledError)
        if ours and task.cancelling() <= self._cancelling:
            raise self._error() from error

    def ring(self) -> None:
        """The alarm rings."""
        rang_at, self.fires_at = self.fires_at, inf
        task = self._task
        if task is None:
            return
        if rang_at < self.when:  # it was set for an earlier wait
            self._alarms.add(self, self.when, task.get_loop())
            return
        self._rung += 1
        self._alarms.add(self, rang_at + GRACE, task.get_loop())
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

    def ring(self) -> None:
        if self.later is not None and self._task is not None and self.fires_at >= self.when:
            later, self.later = self.later, None
            self.when = max(self.when, later())
        super().ring()


class TimeLimit(Timeouts):
    """`with TimeLimit(when, error):` is the limit of a single wait, after which the alarm is given back.

    Arguments as of `Timeouts` and `Timeouts.until`; without `alarms` its timer is its own.
    """

    __slots__ = ("_shared",)

    def __init__(
        self, when: float | None, error: Callable[[], Exception], alarms: TimerHeap | None = None
    ) -> None:
        # Not through `super().__init__`: every call that is answered whole makes one of these.
        self._shared = alarms is not None
        self._alarms = TimerHeap() if alarms is None else alarms
        self.fires_at = inf
        self._task = None
        self._rung = 0
        self.when = inf if when is None else when
        self._error = error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.fires_at != inf:
            self.fires_at = inf
            self._alarms.release()
            if not self._shared:
                self._alarms.close()
        if self._rung:
            self._end(kind, error)
        self._task = None
        self.when = inf
