"""Waiting in line for room: for a request that lacks nothing else, or that must not overtake who waits."""

from __future__ import annotations

from functools import partial
from math import inf
from typing import TYPE_CHECKING

from pointsman.errors import CallError, Outcome
from pointsman.events import Queued
from pointsman.execution.admission import AskingInLine, is_admitted
from pointsman.execution.failover import lease_for, none_available, open_pools
from pointsman.execution.time_limits import deadline_passed
from pointsman.resilience.admission_queue import AdmissionQueue, NotYet
from pointsman.resilience.circuit_breaker import BreakerState
from pointsman.resilience.fair_queue import QueuePriority
from pointsman.routing.deployment import Deployment
from pointsman.routing.deployment_state import DeploymentState
from pointsman.routing.lease import NEVER_SENT, Lease

if TYPE_CHECKING:
    from pointsman.execution.execution import Execution

_PRIORITIES = {"high": QueuePriority.HIGH, "normal": QueuePriority.NORMAL, "low": QueuePriority.LOW}


async def admitted_lease(execution: Execution) -> Lease:
    """The lease of the next attempt, which the store that routers share has admitted.

    Raises: as `Execution.next_lease` and `queued_lease`.
    """
    for _ in range(sum(len(pool.deployments) for pool in execution.chain)):
        lease = execution.next_lease()
        if lease is None:
            return await queued_lease(execution)
        if await is_admitted(execution, lease):
            return lease
    if execution.chain[0].queue is None:
        raise none_available(execution, execution.now()) from execution.failures.last
    return await queued_lease(execution)


async def queued_lease(execution: Execution) -> Lease:
    """The lease of the next attempt, after its turn in the queue of the model has come.

    Raises: NoDeploymentAvailable, QueueFull or DeadlineExceeded.
    """
    demand, queue, failures = execution.demand, execution.chain[0].queue, execution.failures
    assert queue is not None
    until = _patience(execution, queue, execution.now())
    if execution.setting.events.detailed:
        execution.tell(Queued, execution.request.model)

    attempt = partial(_attempt, execution, until)
    asking = None if execution.setting.state is None else AskingInLine(execution, attempt, queue.wake)
    try:
        lease = await queue.wait(
            asking or attempt,
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
    finally:
        if asking is not None:
            asking.end()
    now = execution.now()
    if now >= execution.deadline:
        # Its turn came before the deadline, and the loop came round to it after.
        lease.release(Outcome.NEUTRAL, now, ending=NEVER_SENT)
        raise deadline_passed(execution, "when its turn in the queue had come") from execution.failures.last
    return lease


def _attempt(execution: Execution, until: float, now: float) -> Lease | NotYet:
    """The lease of the next attempt, or why whoever waits `until` then has none yet.

    Raises: NoDeploymentAvailable when there will be none by then.
    """
    demand = execution.demand
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
        closed=all(_is_shut(each.live, now) for each in lacking),
    )


def _is_shut(live: DeploymentState, now: float) -> bool:
    """Whether nothing that is given back makes room there, only time."""
    breaker = live.breaker
    return live.cooling_until > now or (breaker.state is BreakerState.OPEN and not breaker.admits(now))


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
