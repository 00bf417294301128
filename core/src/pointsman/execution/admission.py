"""Attempts that a store shared by several routers has to admit, too, before anything is sent.

The lease comes first and awaits nothing: it is what this router knows, and holds the place here while the
store is asked. Where that refuses, the lease is given back as if it had never been, and the search goes on;
what refused is remembered, so that nobody asks again before it may have room. Without a store none of this
is called.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from pointsman.errors import Outcome
from pointsman.resilience.admission_queue import NotYet
from pointsman.routing.lease import NEVER_SENT, Lease

if TYPE_CHECKING:
    from pointsman.execution.execution import Execution


async def is_admitted(execution: Execution, lease: Lease) -> bool:
    """Whether the attempt may be made that holds `lease`; if not, that is given back."""
    state, asked = execution.setting.state, lease.reservation
    if state is None or asked is None:
        return True  # nothing of it is shared
    admitted = False
    try:
        admitted = await state.admit(asked)
    finally:
        now = execution.now()
        if not admitted and lease.is_open:
            lease.release(Outcome.NEUTRAL, now, ending=NEVER_SENT)
    if not admitted:
        lease.deployment.live.readiness.invalidate()  # what kept it may not be what is remembered
        execution.routed_at = now
        return False
    if not lease.is_open:  # the router closed meanwhile, and accounted for it
        raise asyncio.CancelledError
    lease.started_at = now
    return True


class AskingInLine:
    """An attempt of a caller in line, who keeps the place while the store is asked about a lease.

    Args:
        attempt: gives that lease, or says why there is none.
        wake: is called when the store has answered.
    """

    __slots__ = ("_attempt", "_execution", "_lease", "_task", "_wake")

    def __init__(
        self, execution: Execution, attempt: Callable[[float], Lease | NotYet], wake: Callable[[], None]
    ) -> None:
        self._execution = execution
        self._attempt = attempt
        self._wake = wake
        self._lease: Lease | None = None
        self._task: asyncio.Task[bool] | None = None

    def __call__(self, now: float) -> Lease | NotYet:
        task, lease = self._task, self._lease
        if task is not None and lease is not None:
            if not task.done():
                return NotYet()
            self._task = self._lease = None
            if not task.cancelled() and task.result():
                return lease
        got = self._attempt(now)
        if isinstance(got, NotYet):
            return got
        self._lease = got
        self._task = task = asyncio.ensure_future(is_admitted(self._execution, got))
        task.add_done_callback(self._answered)
        return NotYet()

    def _answered(self, task: asyncio.Task[bool]) -> None:
        if not task.cancelled():
            task.exception()  # else asyncio logs what a caller who is gone did not ask for
        self._wake()

    def end(self) -> None:
        """The caller leaves the line; a lease that is asked about is given back."""
        task, lease, self._task, self._lease = self._task, self._lease, None, None
        if task is None or lease is None:
            return
        if not task.done():
            task.cancel()
        elif lease.is_open:
            lease.release(Outcome.NEUTRAL, self._execution.now(), ending=NEVER_SENT)
