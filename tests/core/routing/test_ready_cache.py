"""What a pool remembers of who is ready, and when that is forgotten."""

from __future__ import annotations

import random

import pytest

from pointsman.routing.deployment import Deployment
from pointsman.routing.deployment_state import Admin, DeploymentState, Readiness
from pointsman.routing.ready_cache import ReadyCache


def deployment(name: str, readiness: Readiness) -> Deployment:
    live = DeploymentState(name, breaker=None, rng=random.Random(0), readiness=readiness)
    return Deployment(name, "x", None, None, live)  # type: ignore[arg-type]


def filled(*, until: float = 10.0, tokens: float = 100) -> tuple[ReadyCache, Deployment]:
    readiness = Readiness()
    one = deployment("a", readiness)
    cache = ReadyCache([one, deployment("b", readiness)])
    cache.put([one], version=readiness.version, until=until, tokens=tokens)
    return cache, one


def test_what_is_remembered_is_the_same_tuple_each_time() -> None:
    cache, one = filled()

    assert cache.get(1.0, 5) == (one,)
    assert cache.get(9.9, 100) is cache.get(1.0, 5)


@pytest.mark.parametrize(("now", "tokens"), [(10.0, 0), (11.0, 0), (1.0, 101)])
def test_nothing_is_remembered_from_its_end_on_or_for_larger_calls(now: float, tokens: int) -> None:
    cache, _ = filled(until=10.0, tokens=100)

    assert cache.get(now, tokens) is None


def test_a_change_of_any_deployment_ends_what_is_remembered() -> None:
    cache, one = filled()
    one.live.admit(Admin.DOWN)

    assert cache.get(1.0, 0) is None


def test_what_changed_while_it_was_looked_up_is_not_remembered() -> None:
    readiness = Readiness()
    one = deployment("a", readiness)
    cache = ReadyCache([one])
    version = readiness.version
    one.live.admit(Admin.DOWN)
    cache.put([one], version=version, until=10.0, tokens=100)

    assert cache.get(1.0, 0) is None


def test_nothing_is_remembered_before_it_was_looked_up() -> None:
    assert ReadyCache([deployment("a", Readiness())]).get(1.0, 0) is None


def test_deployments_whose_changes_are_told_apart_are_always_looked_up() -> None:
    cache = ReadyCache([deployment("a", Readiness()), deployment("b", Readiness())])

    assert cache.readiness is None
    assert cache.get(1.0, 0) is None
