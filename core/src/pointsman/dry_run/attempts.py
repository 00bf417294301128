"""The attempts that a request would make, were each to fail: by the rules of failover, on nobody's time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pointsman.dry_run.rehearsal import Rehearsals
from pointsman.errors import CallError, Unavailable
from pointsman.execution.execution import Execution
from pointsman.execution.failover import none_available, open_pools
from pointsman.execution.queueing import worth_a_place
from pointsman.explanations import ExplainedAttempt
from pointsman.routing.deployment import Deployment
from pointsman.routing.pool import Pool


class _Turn(NamedTuple):
    pool: Pool
    deployment: Deployment


class PlannedAttempts(NamedTuple):
    """What would be done, in order, and what would be left to do before any of it.

    Attributes:
        attempts: at most as many as the retry policy allows, and one for each fallback that has not begun.
        first: the deployment of the first of them.
        waits: there is none, for want of room: the request waits in line.
        error: there is none, and nothing to wait for.
    """

    attempts: list[ExplainedAttempt]
    first: Deployment | None
    waits: bool
    error: CallError | None


def order(execution: Execution, rehearsals: Rehearsals, now: float) -> PlannedAttempts:
    """What `execution` would do from `now` on, were every attempt to find its upstream unavailable.

    Args:
        execution: one that never runs, over pools that are rehearsals; it is used up.
    """
    attempts: list[ExplainedAttempt] = []
    first: Deployment | None = None
    for turn in _turns(execution, rehearsals, now):
        first = first or turn.deployment
        attempts.append(
            ExplainedAttempt(
                turn.pool.name,
                turn.deployment.id,
                turn.deployment.id in execution.demand.tried,
                rehearsals.of(turn.deployment).left_out,
            )
        )
        _fails(execution, turn)
    if attempts:
        return PlannedAttempts(attempts, first, waits=False, error=None)
    if execution.refusal is None and worth_a_place(execution, now):
        return PlannedAttempts([], None, waits=True, error=None)
    return PlannedAttempts([], None, waits=False, error=execution.refusal or none_available(execution, now))


def _turns(execution: Execution, rehearsals: Rehearsals, now: float) -> Iterator[_Turn]:
    while True:
        turn = _next(execution, now)
        if turn is None:
            if execution.dropping is None or not execution.dropping.goes_round(execution):
                return
            continue
        refusal = rehearsals.of(turn.deployment).refusal
        if refusal is None:
            yield turn
        else:
            execution.demand.tried.add(turn.deployment.id)
            execution.passed_over(turn.pool, turn.deployment, refusal)


def _next(execution: Execution, now: float) -> _Turn | None:
    """As `failover.lease_for`, and no lease is taken.

    The retry budget is looked at as it is now: what the attempts take of it, their waits may bring back.
    """
    demand, failures, budget = execution.demand, execution.failures, execution.budget
    demand.well_only = failures.last is not None and budget is not None and not budget.allows(now)
    for pool in open_pools(execution, now):
        ready = pool.ready(now, demand, refused=_nobody)
        if ready:
            return _Turn(pool, pool.choice(ready, execution.request, demand.affinity))
    if failures.spent or demand.well_only or execution.refusal is not None:
        return None
    for pool in execution.chain:
        for deployment in failures.fewest_first(pool.ready(now, demand.again(), refused=_nobody)):
            return _Turn(pool, deployment)
    return None


def _fails(execution: Execution, turn: _Turn) -> None:
    """As `accounting.attempt_failed` and `retrying.plan`, of a request that goes on."""
    error = Unavailable("as a dry run has it")
    execution.demand.tried.add(turn.deployment.id)
    execution.made += 1
    execution.refusal = None
    failures = execution.retry_state()
    failures.last = error
    failures.add(error, turn.deployment, turn.pool)
    failures.spent = failures.spent or execution.made >= execution.retry.attempts


def _nobody(_id: str, _why: object) -> None:
    """Who is told why a deployment is left out; then chance plays no part."""
