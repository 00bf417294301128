"""What a pool remembers of who is ready, and when that is forgotten."""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import inf

import pytest

from pointsman.builtin.strategies import RoundRobin
from pointsman.errors import Outcome
from pointsman.resilience.circuit_breaker import Breaker, BreakerSettings
from pointsman.resilience.rate_limit import Gcra, RateLimits, RateLimitScope
from pointsman.routing.deployment import Demand, Deployment
from pointsman.routing.deployment_state import Admin, DeploymentState, Readiness
from pointsman.routing.pool import Pool
from pointsman.strategy import Member


class NoChance(random.Random):
    def random(self) -> float:
        return 0.0


RNG = NoChance()


class Shown(RoundRobin):
    """Knows of which deployments it could choose."""

    ready: Sequence[Member] = ()

    def pick(self, ready: Sequence[Member], request: object, /) -> Member:
        self.ready = ready
        return super().pick(ready, request)


def deployment(name: str, readiness: Readiness) -> Deployment:
    breaker = Breaker(BreakerSettings(), RNG)
    live = DeploymentState(name, breaker, RNG, readiness)
    return Deployment(name, "x", None, None, live)  # type: ignore[arg-type]


class Model:
    """A pool of `a`, and of `b` that cools down until 10. Calls of up to 50 tokens have plenty of room."""

    def __init__(self) -> None:
        readiness = Readiness()
        self.a, self.b = deployment("a", readiness), deployment("b", readiness)
        self.b.live.keep_away(0.0, 10.0, within=inf)
        self.a.live.limits = RateLimits([RateLimitScope(tokens=Gcra(100, 1.0))])
        self.strategy = Shown()
        self.pool = Pool(name="m", deployments=[self.a, self.b], strategy=self.strategy, scrub=str)

    def shown(self, now: float, tokens: int = 0) -> Sequence[Member]:
        """Of which deployments the strategy could choose for a call."""
        self.strategy.ready = ()
        lease = self.pool.lease(None, now=now, expires=inf, demand=Demand(tokens=tokens))  # type: ignore[arg-type]
        del lease
        return self.strategy.ready


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When it was looked up who is ready."""
    found: list[float] = []
    search = Pool.search

    def counted(pool: Pool, now: float, demand: Demand) -> Sequence[Deployment]:
        found.append(now)
        return search(pool, now, demand)

    monkeypatch.setattr(Pool, "search", counted)
    return found


def test_what_is_remembered_is_the_same_tuple_each_time(searches: list[float]) -> None:
    model = Model()

    first = model.shown(1.0)

    assert first == (model.a,)
    assert model.shown(1.5, tokens=5) is first
    assert model.shown(9.9, tokens=50) is first
    assert searches == [1.0]


@pytest.mark.parametrize(("now", "tokens", "ids"), [(10.0, 0, "ab"), (11.0, 0, "ab"), (1.0, 51, "a")])
def test_nothing_is_remembered_from_its_end_on_or_for_larger_calls(
    now: float, tokens: int, ids: str, searches: list[float]
) -> None:
    model = Model()
    model.shown(1.0)

    assert "".join(each.id for each in model.shown(now, tokens)) == ids
    assert searches == [1.0, now]


def test_a_change_of_any_deployment_ends_what_is_remembered() -> None:
    model = Model()
    model.shown(1.0)
    model.a.live.admit(Admin.DOWN)

    assert model.shown(1.0) == ()


def test_what_changed_while_it_was_looked_up_is_not_remembered() -> None:
    class Changing(RateLimits):
        """An operator takes the deployment out while somebody looks."""

        def wait(self, tokens: int, now: float) -> float:
            model.a.live.admit(Admin.DOWN)
            return 0.0

    model = Model()
    model.a.live.limits = Changing([])

    assert model.shown(1.0) == (model.a,)
    assert model.shown(1.0) == ()


@pytest.mark.parametrize(
    "demand", [Demand({"local": "true"}), Demand(tried={"b"}), Demand(well_only=True)], ids=str
)
def test_what_a_picky_request_finds_is_not_remembered(demand: Demand, searches: list[float]) -> None:
    model = Model()
    for now in (1.0, 1.1):
        model.pool.lease(None, now=now, expires=inf, demand=demand)  # type: ignore[arg-type]
    model.shown(1.2)

    assert searches == [1.0, 1.1, 1.2]


def test_a_picky_request_is_shown_those_of_the_remembered_that_it_may_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = Model()
    model.shown(11.0)
    monkeypatch.setattr(Deployment, "reasons", None)  # nobody is asked again

    assert model.pool.ready(11.0, Demand()) == (model.a, model.b)
    assert model.pool.ready(11.0, Demand(tried={"a"})) == [model.b]
    model.b.live.failing = True
    assert model.pool.ready(11.0, Demand(well_only=True)) == [model.a]


def test_a_fault_changes_nothing_until_breaker_or_ejection_say_so(searches: list[float]) -> None:
    model = Model()
    model.shown(1.0)
    failed = model.a.acquire(1.0, inf)
    assert failed is not None
    failed.release(Outcome.UPSTREAM_FAULT, 1.0)

    assert model.shown(1.0) == (model.a,)
    assert searches == [1.0]


def test_deployments_whose_changes_are_told_apart_make_no_pool() -> None:
    apart = [deployment("a", Readiness()), deployment("b", Readiness())]

    with pytest.raises(ValueError, match="too many values"):
        Pool(name="m", deployments=apart, strategy=RoundRobin(), scrub=str)
