"""Attempts that a store shared by several routers has to admit, too, before anything is sent.

The lease comes first and awaits nothing: it is what this router knows, and holds the place here while the
store is asked. Where that refuses, the lease is given back as if it had never been, and the search goes on;
what refused is remembered, so that nobody asks again before it may have room. Without a store none of this
is called.

So it is with budgets, after that: what they refuse is passed over as what a deployment cannot do is, for
another one may cost less.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from pointsman._internal.plugin_errors import fault, is_own
from pointsman._internal.timeouts import TimeLimit
from pointsman.budget import HoldAsked
from pointsman.errors import BudgetExceeded, CallError, Outcome
from pointsman.execution.accounting import answers_asked
from pointsman.execution.adjusting import amended
from pointsman.execution.time_limits import deadline_passed
from pointsman.resilience.admission_queue import NotYet
from pointsman.resilience.token_estimate import input_estimate
from pointsman.routing.lease import NEVER_SENT, Lease
from pointsman.types import EmbedRequest

if TYPE_CHECKING:
    from pointsman.execution.execution import Execution
    from pointsman.routing.deployment import Deployment


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


async def is_held(execution: Execution, lease: Lease) -> bool:
    """Whether budgets allow the attempt that holds `lease`; if not, that is given back, and passed over.

    Raises: DeadlineExceeded when they have not said by the request's deadline.
    """
    budgets, alarms = execution.setting.budgets, execution.setting.alarms
    assert budgets is not None
    asked, held = hold_asked(execution, lease.pool, lease.deployment), False
    late = partial(deadline_passed, execution, "before its budgets had said whether it may be made")
    try:
        with TimeLimit(execution.deadline, late, alarms):
            lease.hold = await budgets.hold(asked)
        held = True
    except BudgetExceeded as error:
        execution.demand.tried.add(lease.deployment.id)
        # Nor back to it: where nothing waits it would ask until its deadline, and hold up the loop.
        execution.failures.retryable.discard(lease.deployment.id)
        execution.passed_over(execution.pool_of(lease), lease.deployment, error)
        return False
    except BaseException as error:  # somebody else's code: anything can happen
        if isinstance(error, CallError) or not is_own(error):
            raise
        scrub = execution.setting.scrubber.text
        raise fault("service", "budgets", "hold", error, scrub=scrub) from error
    finally:
        execution.routed_at = now = execution.now()
        if not held and lease.is_open:
            lease.release(Outcome.NEUTRAL, now, ending=NEVER_SENT)
    if not lease.is_open:  # the router closed meanwhile, and accounted for it
        if lease.hold is not None:
            lease.hold.settle(None, None, sent=False)
        raise asyncio.CancelledError
    lease.started_at = now
    return True


def hold_asked(execution: Execution, model: str, deployment: Deployment) -> HoldAsked:
    """What an attempt at `deployment`, as one of `model`, asks of budgets."""
    request = amended(execution, deployment, execution.request)
    answers = answers_asked(execution)
    most = 0 if isinstance(request, EmbedRequest) else request.max_tokens
    return HoldAsked(
        request_id=execution.request_id,
        attempt=execution.made + 1,
        first=execution.made == execution.unsent,
        model=model,
        deployment=deployment.id,
        caller=execution.options.caller,
        tags=execution.options.tags,
        prompt_tokens=input_estimate(request),
        most_completion=most and most * answers,
        price=deployment.price,
        seconds=max(0.0, execution.deadline - execution.now()),
        wall=execution.setting.clock.wall(),
        answers=answers,
    )


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
