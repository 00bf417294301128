"""Hedging: a request that waits for its first token is sent to a second deployment as well."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from pointsman.errors import CallError, DeadlineExceeded, NoDeploymentAvailable, Outcome, Unsupported
from pointsman.execution.accounting import attempt_failed, end_attempt
from pointsman.execution.admission import is_admitted, is_held
from pointsman.routing.lease import Lease

if TYPE_CHECKING:
    from pointsman.execution.execution import Execution
    from pointsman.execution.stream_attempt import StreamAttempt


def hedge_beside(execution: Execution, lease: Lease) -> float | None:
    """Seconds without content after which a second attempt beside `lease` is worth it; None for never."""
    settings, window = execution.setting.hedging, lease.deployment.live.window
    if settings is None or window is None or not _may_hedge(execution):
        return None
    late = window.quantile(settings.quantile, lease.started_at, at_least=settings.minimum_samples)
    return None if late is None else max(late, settings.floor)


def _may_hedge(execution: Execution) -> bool:
    """Whether a request of which nothing was delivered may have a second attempt beside the one that runs.

    One is enough, and where an attempt has found an overload more load is the last thing that is needed.
    """
    return execution.hedge is None and execution.failures.overloads == 0


async def race(execution: Execution, first: StreamAttempt, late: float) -> StreamAttempt:
    """Run `first`; when it has no content after `late` seconds, run another one elsewhere beside it.

    Returns the one that has content first; the other is closed, its lease released without a judgement, and
    what it cost recorded. One that fails while the other runs decides nothing.

    Raises: what `first` raised, once both have failed.
    """
    task = asyncio.ensure_future(first.read_to_content())
    running, done = {task: first}, set[asyncio.Task[None]]()
    error: BaseException | None = None
    failure: BaseException | None = None
    try:
        done, _ = await asyncio.wait(running, timeout=late)
        lease = None if done else await _hedge_beside(execution, first.lease, task)
        if lease is not None:
            second = first.beside(lease)
            running[asyncio.ensure_future(second.read_to_content())] = second
        while True:
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            # In the order of their beginning, not of `done`, which is a set: the first attempt wins a tie.
            for task in [each for each in running if each in done]:
                attempt = running.pop(task)
                error = asyncio.CancelledError() if task.cancelled() else task.exception()
                if error is None:
                    execution.last = attempt.lease
                    return attempt
                if attempt is first:
                    failure = error
                if running or attempt is not first:
                    _failed_beside(execution, attempt.lease, error)
            if not running:
                assert failure is not None
                raise failure
    finally:
        for task, attempt in running.items():
            attempt.discard()  # its lease ends now, however long its task takes to
            task.add_done_callback(_heard)
            task.cancel()
        # A frame that holds the error that holds the frame would hold the caller's stream, too.
        del task, running, done, error, failure


def _heard(task: asyncio.Task[None]) -> None:
    """What a loser still raises is of no interest; asyncio would log it otherwise."""
    if not task.cancelled():
        task.exception()


async def _hedge_beside(execution: Execution, beside: Lease, first: asyncio.Task[None]) -> Lease | None:
    """As `_hedge`, for as long as `first` has not ended: who has to admit another attempt, and takes long or
    fails at it, must cost the one that runs nothing.
    """
    if execution.setting.state is None and execution.setting.budgets is None:
        return await _hedge(execution, beside)  # which waits for nobody
    asking = asyncio.ensure_future(_hedge(execution, beside))
    try:
        await asyncio.wait((first, asking), return_when=asyncio.FIRST_COMPLETED)
        if asking.done():
            with suppress(CallError):  # a plugin's mistake, which the log has
                return asking.result()
        return None
    except asyncio.CancelledError:
        if asking.done() and not asking.cancelled() and asking.exception() is None:
            lease = asking.result()
            if lease is not None:
                end_attempt(execution, lease, Outcome.NEUTRAL)
        raise
    finally:
        asking.cancel()  # what it holds it gives back


async def _hedge(execution: Execution, beside: Lease) -> Lease | None:
    """A lease for the second attempt, elsewhere in the same pool; None when there is to be none.

    It counts as an attempt and is paid from the budgets of hedges and of retries. It overtakes nobody
    who waits in line.
    """
    now, demand = execution.now(), execution.demand
    pool, queue = execution.pool_of(beside), execution.chain[0].queue
    if execution.setting.running.closed or now >= execution.deadline or not _may_hedge(execution):
        return None
    if not (queue is None or queue.is_empty) or execution.made >= execution.retry.attempts:
        return None
    budgets = [each for each in (execution.chain[0].hedges, execution.budget) if each is not None]
    if not all(each.allows(now) for each in budgets):
        return None
    demand.well_only = False
    lease = pool.lease(execution.request, now=now, expires=execution.deadline, demand=demand)
    if lease is None or not await is_admitted(execution, lease):
        return None
    if execution.setting.budgets is not None and not await is_held(execution, lease):
        return None
    for each in budgets:
        each.retry(now)
    lease.paid = budgets
    execution.hedge = lease
    execution.made = lease.number = execution.made + 1
    demand.tried.add(lease.deployment.id)
    execution.tell_of_attempt(lease)
    return lease


def _failed_beside(execution: Execution, lease: Lease, error: BaseException) -> None:
    """Account for an attempt that failed beside another: it alone decides nothing."""
    if isinstance(error, Unsupported):
        end_attempt(execution, lease, Outcome.CLIENT_FAULT, error=error)
        if lease is execution.hedge:
            execution.made -= 1  # nothing of it was sent, so it costs nothing
    elif isinstance(error, CallError):
        with suppress(DeadlineExceeded, NoDeploymentAvailable):  # the other one is told the same
            attempt_failed(execution, lease, error)
    else:
        end_attempt(execution, lease, Outcome.NEUTRAL, usage=lease.usage)
