"""Where the attempts after the first can go: elsewhere, to a fallback, or back to what failed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pointsman.errors import NoDeploymentAvailable, RuleNotMet
from pointsman.execution.makers import lease_of_maker
from pointsman.routing.deployment import Deployment
from pointsman.routing.lease import Lease
from pointsman.routing.pool import Pool, chain

if TYPE_CHECKING:
    from pointsman.execution.execution import Execution
    from pointsman.execution.retry_state import RetryState


def lease_for(execution: Execution, now: float, *, back: bool = True) -> Lease | None:
    """A lease on what was not tried, else, when it may go `back`, on what failed; None for none."""
    demand, failures = execution.demand, execution.failures
    if failures.last is not None:
        demand.well_only = not _affordable(execution, failures, now)
    elif demand.maker and (lease := lease_of_maker(execution, now)) is not None:
        return lease
    for pool in open_pools(execution, now):
        lease = pool.lease(execution.request, now=now, expires=execution.deadline, demand=demand)
        if lease is not None:
            return _charged(execution, lease, now)
    if failures.spent or not (back and failures.retryable) or demand.well_only:
        return None
    for pool in execution.chain:
        for deployment in failures.fewest_first(pool.ready(now, demand.again())):
            lease = pool.hold(deployment, execution.request, now, execution.deadline, demand)
            if lease is not None:
                return _charged(execution, lease, now)
    return None


def open_pools(execution: Execution, now: float) -> Sequence[Pool]:
    """The pools that may take the next attempt, in order.

    Every pool of the chain that has something ready keeps one attempt in reserve: three dead deployments
    must not use up the attempts that the fallback would have answered.
    """
    failures = execution.failures
    pools = [pool for pool in _led_to(execution, failures) if pool.name not in failures.closed]
    if failures.spent:
        return [pool for pool in pools if pool.name not in failures.causes]
    left = execution.retry.attempts - execution.made
    while len(pools) > 1:
        head, *rest = pools
        waiting = [pool for pool in rest if pool.ready(now, execution.demand)]
        if not (head.name in failures.causes and waiting and left <= len(waiting)):
            break
        pools = rest
    return pools


def _led_to(execution: Execution, failures: RetryState) -> Sequence[Pool]:
    """The pools of the chain to which what has happened so far leads."""
    if len(execution.chain) == 1:
        return execution.chain
    by_name = {pool.name: pool for pool in execution.chain}
    return chain(execution.chain[0], by_name.__getitem__, failures.follows)


def ready_elsewhere(execution: Execution, now: float, *, well_only: bool = False) -> Sequence[Deployment]:
    """What the next attempt could go to at once, of those that this request has not tried."""
    execution.demand.well_only = well_only
    return [each for pool in open_pools(execution, now) for each in pool.ready(now, execution.demand)]


def goes_elsewhere(execution: Execution, lease: Lease) -> bool:
    """Whether another attempt would begin elsewhere at once, should that of `lease` fail now.

    Back to what failed does not count: the one at work may be about to answer.
    """
    if execution.setting.running.closed:
        return False
    now, failures = execution.now(), execution.failures
    if failures.spent or execution.made >= execution.retry.attempts:
        begun = {lease.pool, *failures.causes}
        pools = [each for each in _led_to(execution, failures) if each.name not in begun | failures.closed]
    else:
        pools = list(open_pools(execution, now))
    execution.demand.well_only = execution.budget is not None and not execution.budget.allows(now)
    return any(pool.ready(now, execution.demand) for pool in pools)


def none_available(execution: Execution, now: float) -> NoDeploymentAvailable:
    """The error that says of all pools of the request why none of their deployments can be chosen."""
    pools = _led_to(execution, execution.failures)
    errors = [pool.none_available(now, execution.demand) for pool in pools]
    # Pools that may not take the request at all are no reason to come back later.
    errors = [error for error in errors if not isinstance(error, RuleNotMet)] or errors[:1]
    if len(errors) == 1:
        return execution.complete(errors[0])
    waits = [error.retry_after for error in errors if error.retry_after is not None]
    all_of_them = NoDeploymentAvailable(
        "; ".join(error.message for error in errors),
        reasons={id: why for error in errors for id, why in error.reasons.items()},
        retry_after=min(waits, default=None),
    )
    refused = {error.refusal for error in errors}
    all_of_them.refusal = refused.pop() if len(refused) == 1 else None
    return execution.complete(all_of_them)


# ── what it costs the retry budget ───────────────────────────────────────────────────────────────────


def _affordable(execution: Execution, failures: RetryState, now: float) -> bool:
    """Whether an attempt at what fails can be paid for."""
    return execution.budget is None or failures.prepaid or execution.budget.allows(now)


def prepay(execution: Execution, failures: RetryState, now: float) -> bool:
    """Whether the next attempt may go to what fails: it is charged now, so that nobody waits in vain."""
    if execution.budget is not None and not failures.prepaid:
        failures.prepaid = execution.budget.retry(now)
        return failures.prepaid
    return True


def _charged(execution: Execution, lease: Lease, now: float) -> Lease:
    """`lease`, paid for if its attempt adds to what fails: to what this request tried, or failed last.

    Whatever was planned, what counts is the deployment that takes the attempt.
    """
    budget, failures = execution.budget, execution.failures
    if budget is None or failures.last is None:
        return lease
    prepaid, failures.prepaid = failures.prepaid, False
    if lease.deployment.live.failing or lease.deployment.id in execution.demand.tried:
        if not prepaid:
            budget.retry(now)  # it is there, or only those that look well could have been chosen
        lease.paid = (budget,)
    elif prepaid:
        budget.refund(now)
    return lease


def refund_unused(execution: Execution, failures: RetryState) -> None:
    """Give back what was paid for an attempt that never began.

    It was cancelled while it waited, or found no deployment that could take it: nothing of it ever left the
    process.
    """
    if failures.prepaid and execution.budget is not None:
        failures.prepaid = False
        execution.budget.refund(execution.now())
