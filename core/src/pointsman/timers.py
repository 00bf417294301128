"""A time limit on whatever the current task awaits.

Client libraries time out per read, which a dripping server never reaches; these limits are ours. They are
`asyncio.timeout` without its state machine: nothing async to enter, and the error is the caller's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType


class TimeLimit:
    """`with TimeLimit(when, error):` raises `error()` in place of whatever is awaited at `when`.

    Args:
        when: seconds on the running loop's clock; None means no limit.
        error: makes the exception to raise.

    A cancellation from elsewhere passes through untouched, also when it arrives together with the limit.
    """

    __slots__ = ("_cancelling", "_error", "_fired", "_handle", "_task", "_when")

    def __init__(self, when: float | None, error: Callable[[], Exception]) -> None:
        self._when = when
        self._error = error
        self._handle: asyncio.TimerHandle | None = None
        self._fired = False

    def __enter__(self) -> TimeLimit:
        if self._when is not None:
            task = asyncio.current_task()
            if task is None:
                raise RuntimeError("a time limit needs a running task")
            self._task = task
            self._cancelling = task.cancelling()
            self._handle = asyncio.get_running_loop().call_at(self._when, self._fire)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self._handle is None:
            return
        self._handle.cancel()
        self._handle = None
        if self._fired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise self._error() from error

    def _fire(self) -> None:
        self._fired = True
        self._task.cancel()
