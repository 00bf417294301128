"""Waiting in line for room: for a request that lacks nothing else, or that must not overtake who waits."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from pointsman.errors import CallError, Outcome
from pointsman.events import Queued
from pointsman.execution.failover import lease_for, none_available, open_pools
from pointsman.execution.time_limits import deadline_passed
from pointsman.resilience.admission_queue import AdmissionQueue, NotYet
from pointsman.resilience.fair_queue import QueuePriority
from pointsman.routing.deployment import Deployment
from pointsman.routing.lease import NEVER_SENT, Lease

if TYPE_CHECKING:
    from pointsman.execution.execution import Execution

_PRIORITIES = {"high": QueuePriority.HIGH, "normal": QueuePriority.NORMAL, "low": QueuePriority.LOW}


async def queued_lease(execution: Execution) -> Lease:
    """The lease of the next attempt, after its turn in the queue of the model has come.

    Raises: NoDeploymentAvailable, QueueFull or DeadlineExceeded.
    """
    demand, queue, failures = execution.demand, execution.chain[0].queue, execution.failures
    assert queue is not None
    until = _patience(execution, queue, execution.now())
    if execution.setting.events.detailed:
        execution.tell(Queued, execution.request.model)

    def attempt(now: float) -> Lease | NotYet:
        lease = lease_for(execution, now)
        if lease is not None:
            return lease
        lacking = _lacking_room(execution, now)
        if min(lacking.values(), default=inf) >= until:
            raise none_available(execution, now)
        instants = [each.available_at(now, demand.tokens) for each in lacking]
        return NotYet(
            min((at for at in instants if at is not None), default=inf),
            # A picky caller must not hold up those behind it, who can use what it cannot.
            pass_on=bool(demand.require or demand.tried),
            closed=all(each.live.cooling_until > now for each in lacking),
        )

    try:
        lease = await queue.wait(
            attempt,
            key=execution.options.caller,
            priority=_PRIORITIES[execution.options.priority],
            deadline=execution.deadline,
            needs=(
                frozenset(demand.tried),
                frozenset(failures.retryable),
                failures.prepaid,
                tuple(demand.require.items()),
                demand.tokens,
            ),
        )
    except CallError as error:
        raise execution.complete(error) from execution.failures.last
    now = execution.now()
    if now >= execution.deadline:
        # Its turn came before the deadline, and the loop came round to it after.
        lease.release(Outcome.NEUTRAL, now, ending=NEVER_SENT)
        raise deadline_passed(execution, "when its turn in the queue had come") from execution.failures.last
    return lease


def worth_a_place(execution: Execution, now: float) -> bool:
    """Whether there may be room for the next attempt before its time in the queue, if any, is over."""
    queue = execution.chain[0].queue
    if queue is None:
        return False
    return min(_lacking_room(execution, now).values(), default=inf) < _patience(execution, queue, now)


def _patience(execution: Execution, queue: AdmissionQueue[Lease], now: float) -> float:
    """Until when a caller who comes to `queue` now waits in line."""
    return min(now + queue.line.settings.wait, execution.deadline)


def _lacking_room(execution: Execution, now: float) -> dict[Deployment, float]:
    """Those that could take the next attempt, had they but room, and when each may have it."""
    demand = execution.demand
    retryable = execution.failures.retryable
    return {
        each: at
        for pool in open_pools(execution, now)
        for each in pool.allowed(demand.require)
        if each.id not in demand.tried or each.id in retryable
        if (at := each.room_at(now, demand.tokens)) is not None
    }
