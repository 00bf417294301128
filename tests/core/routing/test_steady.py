"""Which deployments are ready is looked up again only when something has changed; nobody may notice."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from math import inf
from typing import Any

import pytest
from routers import built, router

from pointsman import Router
from pointsman.errors import Outcome, PluginError
from pointsman.resilience.rate_limit import Gcra, RateLimits, RateLimitScope
from pointsman.resilience.warm_up import admitted
from pointsman.routing.deployment import Demand, Deployment
from pointsman.routing.deployment_state import Admin
from pointsman.routing.lease import FailureDetails, Lease
from pointsman.routing.pool import Pool, Remembered
from pointsman.strategy import Member, Strategy
from pointsman.testing import Scripted, run


def limits(rng: random.Random) -> dict[str, Any] | None:
    """None, or rate limits that bind often, sometimes, or never."""
    if rng.random() < 0.4:
        return None
    count = rng.choice([1, 3, 8, 50, 1000])
    requests = {"requests": f"{count}/s", "burst_requests": rng.choice([None, None, 1, 2, 3, 4])}
    tokens = {
        "tokens": f"{count * 100}/s",
        "burst_tokens": rng.choice([None, None, 1, 99, 400]),
        "oversize": rng.choice(["refuse", "full"]),
    }
    return rng.choice([requests, tokens, requests | tokens])


def configuration(rng: random.Random) -> dict[str, Any]:
    names = "abcdef"[: rng.randint(1, 6)]
    levels = rng.choice([[0], [0, 0, 1]])
    limited = rng.random() < 0.7
    adaptive = rng.random() < 0.3
    deployments = []
    for name in names:
        each: dict[str, Any] = {"provider": name, "model": "x", "priority": rng.choice(levels)}
        if adaptive or rng.random() < 0.5:
            each["max_in_flight"] = rng.randint(1, 3)
        if limited:
            each["limits"] = limits(rng)
        deployments.append(each)
    given = {
        "providers": {name: {"type": "scripted"} for name in names},
        "models": {"m": {"deployments": deployments}, "n": {"deployments": rng.sample(deployments, 1)}},
        "circuit_breaker": {"failure_threshold": rng.choice([1, 1, 20]), "reset_timeout": 0.1},
        "warm_up": rng.choice([None, None, {"window": 2.0}]),
        "outliers": rng.choice([None, {"failure_threshold": 1, "base_ejection": 1.0}]),
        "health": rng.choice([None, None, {"rise": 1, "fall": 1}]),
        "adaptive_concurrency": {"pace": 0.1} if adaptive else None,
        "limits": {"account": limits(rng) or {"requests": "2/s"}},
        "panic_threshold": rng.choice([0, 0.5]),
    }
    for name in rng.sample(names, rng.randint(0, len(names))) if rng.random() < 0.3 else ():
        given["providers"][name]["shared_limits"] = ["account"]  # type: ignore[index]
    return given


def looked_up(pool: Pool, now: float, demand: Demand) -> list[str]:
    """The ids of the ready ones, looked up without what is remembered."""
    known, pool.remembered = pool.remembered, Remembered()
    ready = pool.ready(now, demand)
    pool.remembered = known
    if any(each.live.warm_up is not None and each.live.warm_up.ends > now for each in ready):
        ready = admitted(ready, now)
    return [each.id for each in ready]


class Spy(Strategy):
    """Notes of which deployments it could choose, and lets nobody have one."""

    def pick(self, ready: Sequence[Member], _request: object, /) -> Member:
        self.seen = [member.id for member in ready]
        raise LookupError


def chosen_from(pool: Pool, now: float, demand: Demand) -> list[str]:
    """The ids of those that the strategy is shown, which may be remembered. Nothing is taken."""
    strategy, pool.strategy = pool.strategy, (spy := Spy())
    spy.seen = []
    with suppress(PluginError):
        pool.lease(None, now=now, expires=now, demand=demand)  # type: ignore[arg-type]
    pool.strategy = strategy
    return spy.seen


def happens(rng: random.Random, r: Router, pools: list[Pool], now: float, leases: list[Lease]) -> float:
    """Something, chosen by chance; returns what time it is then."""
    pool = rng.choice(pools)
    each = rng.choice(pool.deployments)
    match rng.randrange(13):
        case 0 | 1 | 2:
            tokens = rng.choice([0, 1, 30, 60, 200, 5000])
            lease = pool.lease(None, now=now, expires=now + 9, demand=Demand(tokens=tokens))  # type: ignore[arg-type]
            if lease is not None:
                leases.append(lease)
        case 3 | 4 | 5 if leases:
            lease = leases.pop(rng.randrange(len(leases)))
            lease.release(
                rng.choice([Outcome.OK, Outcome.OK, *Outcome]),
                now,
                rng.choice([None, 0, 10, 100, 3000]),
                FailureDetails(sent=rng.random() < 0.8, timed_out=rng.random() < 0.5),
            )
        case 6:
            return now + rng.choice([0.0, 0.01, 0.1, 1.0, 3.0])
        case 7 if rng.random() < 0.3:
            each.live.admit(rng.choice([Admin.UP, Admin.UP, *Admin]))
        case 8 if rng.random() < 0.2:
            r.reset(each.id)
        case 9 if rng.random() < 0.2:
            r.force_open(each.id)
        case 10 if rng.random() < 0.3:
            each.live.overloaded(now, now, rng.choice([None, 0.5]), inf)
        case 11 if each.live.limits is not None and rng.random() < 0.5:
            each.live.limits.lower(
                now,
                requests=rng.choice([None, 0, 1, 500]),
                tokens=rng.choice([None, 0, 30, 50_000]),
                tokens_until=rng.choice([None, now - 1, now + 0.3]),
            )
        case 12 if each.outlier is not None and each.outlier.checks is not None:
            each.outlier.checks.report(rng.choice([None, None, ValueError()]), now)
    return now


def test_what_is_remembered_is_what_would_be_looked_up_after_any_history(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    searches: list[Pool] = []
    search = Pool.search

    def counted(pool: Pool, now: float, demand: Demand) -> Sequence[Deployment]:
        searches.append(pool)
        return search(pool, now, demand)

    monkeypatch.setattr(Pool, "search", counted)
    start = random.randrange(2**32)
    print("seed", start)
    remembered: Counter[str] = Counter()

    async def history(seed: int) -> None:
        rng = random.Random(seed)
        given = configuration(rng)
        async with router(Scripted(), given, seed=seed) as r:
            # Its own pools, and none that are built aside: `reset` and `force_open` of the router change them.
            pools = list(r._snapshot.pools.values())
            for pool in pools:
                pool.rng = None  # chance between levels would be drawn twice
            now = asyncio.get_running_loop().time()
            leases: list[Lease] = []
            for _ in range(120):
                now = happens(rng, r, pools, now, leases)
                for pool in pools:
                    demand = Demand(tokens=rng.choice([0, 0, 1, 40, 90, 3000]))
                    expected = looked_up(pool, now, demand)

                    searches.clear()
                    assert chosen_from(pool, now, demand) == expected, seed

                    known = not searches
                    for name in ("limits", "adaptive"):
                        if any(getattr(each.live, name) is not None for each in pool.deployments):
                            remembered[name] += known
                    remembered["outliers"] += known and pool.deployments[0].outlier is not None
                    remembered["all"] += known
                    assert chosen_from(pool, now, demand) == expected, seed

                    ids = [each.id for each in pool.deployments]
                    tried = set(rng.sample(ids, rng.randint(0, len(ids))))
                    picky = Demand(tokens=demand.tokens, tried=tried, well_only=rng.random() < 0.5)
                    assert chosen_from(pool, now, picky) == looked_up(pool, now, picky), seed
            for lease in leases:
                lease.release(Outcome.NEUTRAL, now)

    for seed in range(start, start + 150):
        run(history(seed))
    assert min(remembered[name] for name in ("all", "limits", "outliers", "adaptive")) > 1000, remembered


def test_a_lease_that_is_dropped_while_the_ready_ones_are_looked_up_is_not_missed() -> None:
    class Dropping(RateLimits):
        """Its look at the time makes way for the garbage collector."""

        def wait(self, tokens: int, now: float) -> float:
            held.clear()
            return super().wait(tokens, now)

    held: list[Lease] = []
    given = {
        "providers": {name: {"type": "scripted"} for name in "ab"},
        "models": {
            "m": {"deployments": [{"provider": name, "model": "x", "max_in_flight": 1} for name in "ab"]}
        },
    }

    async def main() -> None:
        pool, now = built(given, Scripted()).pools["m"], asyncio.get_running_loop().time()
        a, b = pool.deployments
        b.live.limits = Dropping([RateLimitScope(Gcra(100, 1.0))])
        lease = a.acquire(now, now + 9)
        assert lease is not None
        held.append(lease)
        del lease

        assert chosen_from(pool, now, Demand()) == [b.id]

        assert chosen_from(pool, now, Demand()) == [a.id, b.id]

    run(main())


def test_a_first_level_that_cannot_serve_is_explained_by_what_is_wrong_with_it() -> None:
    given = {
        "providers": {name: {"type": "scripted"} for name in "abc"},
        "models": {
            "m": {
                "deployments": [
                    {"provider": name, "model": "x", "priority": place} for place, name in enumerate("abc")
                ]
            }
        },
    }

    async def main() -> None:
        async with router(Scripted(), given) as r:
            r.disable("a/x")
            (choice,) = r.explain("m").to_dict()["chain"]

            assert choice["pick"] == "b/x"
            assert choice["refused"] == {
                "a/x": "disabled by an operator",
                "c/x": "priority 2 comes after 1",
            }

    run(main())
