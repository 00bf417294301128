"""Time limits on whatever the current task awaits.

Client libraries time out per read, which a dripping server never reaches; these limits are ours. They are
`asyncio.timeout` without its state machine: nothing async to enter, and the error is the caller's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf
from types import TracebackType


class TimeLimits:
    """Limits on one wait after another: `with limits.until(when, error):` raises `error()` at `when`.

    They share one timer. It is set by the first of them and, when it rings, looks whose turn it is by then: a
    wait that ends in time, as nearly all do, neither sets a timer nor cancels one. `close` gives it back.

    A cancellation from elsewhere passes through untouched, also when it arrives together with the limit.
    """

    __slots__ = ("_cancelling", "_error", "_fired", "_handle", "_rings_at", "_task", "_when")

    def __init__(self) -> None:
        self._handle: asyncio.TimerHandle | None = None
        self._rings_at = inf
        self._task: asyncio.Task[object] | None = None
        self._when = inf

    def until(self, when: float | None, error: Callable[[], Exception]) -> TimeLimits:
        """The limit of the next wait.

        Args:
            when: seconds on the running loop's clock; None means no limit.
            error: makes the exception to raise.
        """
        self._when = inf if when is None else when
        self._error = error
        return self

    def close(self) -> None:
        """Give the timer back, unless a wait depends on it; the next wait would set another."""
        if self._handle is not None and self._task is None:
            self._handle.cancel()
            self._handle = None

    def __enter__(self) -> None:
        when = self._when
        if when == inf:
            return
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a time limit needs a running task")
        self._cancelling = task.cancelling()
        self._fired = False
        self._task = task
        if self._handle is None:
            self._set(task)
        elif self._rings_at > when:
            self._handle.cancel()
            self._set(task)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        task, self._task = self._task, None
        if task is None or not self._fired:
            return
        if task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise self._error() from error

    def _set(self, task: asyncio.Task[object]) -> None:
        self._rings_at = self._when
        self._handle = task.get_loop().call_at(self._when, self._ring)

    def _ring(self) -> None:
        self._handle = None
        task = self._task
        if task is None:
            return
        if self._rings_at < self._when:  # it was set for an earlier wait
            self._set(task)
            return
        self._fired = True
        task.cancel()


class TimeLimit(TimeLimits):
    """`with TimeLimit(when, error):` is the limit of a single wait; arguments as of `TimeLimits.until`."""

    __slots__ = ()

    def __init__(self, when: float | None, error: Callable[[], Exception]) -> None:
        super().__init__()
        self.until(when, error)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        super().__exit__(kind, error, traceback)
