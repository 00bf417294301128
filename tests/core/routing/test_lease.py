"""A lease is had whole or not at all, and only what its end says follows from it."""

from __future__ import annotations

from typing import Any

import pytest
from routers import built, config

from pointsman.errors import Outcome
from pointsman.resilience.retry_budget import RetryBudget
from pointsman.routing.deployment import Deployment
from pointsman.routing.lease import NEVER_SENT, USUAL, FailureDetails, Lease
from pointsman.testing import Scripted


def one(*, general: dict[str, Any] | None = None, **said: Any) -> Deployment:
    deployments = [{"provider": "a", "model": "x", **said}]
    given = config("a", models={"m": {"deployments": deployments}}, **(general or {}))
    (deployment,) = built(given, Scripted()).pools["m"].deployments
    return deployment


def had(deployment: Deployment) -> Lease:
    lease = deployment.acquire(0.0, 60.0)
    assert lease is not None
    return lease


def test_who_gets_no_permit_of_the_breaker_takes_nothing_of_the_limits() -> None:
    deployment = one(limits={"requests": "5/h", "tokens": "100/h"})
    deployment.live.breaker.force_open(0.0)

    assert deployment.acquire(0.0, 60.0, 40) is None

    assert deployment.live.limits is not None
    (scope,) = deployment.live.limits.scopes
    assert scope.requests is not None
    assert scope.tokens is not None
    assert (scope.requests.remaining(0.0), scope.tokens.remaining(0.0)) == (5, 100)
    assert deployment.live.in_flight == 0


@pytest.mark.parametrize(
    ("outcome", "ending", "given_back"),
    [
        (Outcome.NEUTRAL, NEVER_SENT, 1),
        (Outcome.CLIENT_FAULT, NEVER_SENT, 1),
        (Outcome.UPSTREAM_FAULT, NEVER_SENT, 0),  # or retries at a port where nobody listens had no bound
        (Outcome.UPSTREAM_FAULT, USUAL, 0),
    ],
)
def test_a_retry_that_was_never_sent_is_given_back_unless_the_upstream_is_to_blame(
    outcome: Outcome, ending: FailureDetails, given_back: int
) -> None:
    lease, budget = had(one()), RetryBudget()
    assert budget.retry(0.0)
    lease.paid = (budget,)

    lease.release(outcome, 1.0, ending=ending)

    assert budget.refunds == given_back


@pytest.mark.parametrize(
    ("outcome", "timed_out", "lower"),
    [
        (Outcome.OVERLOAD, False, True),
        (Outcome.UPSTREAM_FAULT, True, True),
        (Outcome.UPSTREAM_FAULT, False, False),
    ],
)
def test_what_bears_fewer_calls_is_what_was_overloaded_or_silent_and_not_what_is_broken(
    outcome: Outcome, timed_out: bool, lower: bool
) -> None:
    deployment = one(max_in_flight=20, general={"adaptive_concurrency": {}})
    before = deployment.live.places
    assert before is not None

    had(deployment).release(outcome, 30.0, ending=FailureDetails(timed_out=timed_out))

    assert deployment.live.places is not None
    assert (deployment.live.places < before) is lower
