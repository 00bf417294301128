"""Which deployments are ready is looked up again only when something has changed; nobody may notice."""

from __future__ import annotations

import random
from typing import Any

from routers import router

from pointsman.deployment import ANYTHING, Admin, Demand, Lease
from pointsman.errors import Outcome
from pointsman.health import within_caps
from pointsman.pool import Pool
from pointsman.testing import Scripted, run


def configuration(rng: random.Random) -> dict[str, Any]:
    names = "abcdef"[: rng.randint(1, 6)]
    levels = rng.choice([[0], [0, 0, 1]])
    return {
        "providers": {name: {"type": "scripted"} for name in names},
        "models": {
            "m": {
                "deployments": [
                    {
                        "provider": name,
                        "model": "x",
                        "priority": rng.choice(levels),
                        **({"max_in_flight": rng.randint(1, 3)} if rng.random() < 0.5 else {}),
                    }
                    for name in names
                ]
            }
        },
        "circuit_breaker": {"failure_threshold": 2, "reset_timeout": 1.0, "half_open_max_calls": 2},
        "warm_up": rng.choice([None, {"window": 2.0}]),
        "outliers": rng.choice([None, None, {"failure_threshold": 2, "base_ejection": 1.0}]),
        "limits": {"account": {"requests": "2/s"}},
        "panic_threshold": 0,
    }


def looked_up(pool: Pool, now: float) -> list[str]:
    """The ids of the ready ones, looked up without what is remembered."""
    ready = pool.ready(now, ANYTHING)
    if any(each.live.warm_up is not None and each.live.warm_up.ends > now for each in ready):
        ready = within_caps(ready, now)
    return [each.id for each in ready]


def test_what_is_remembered_is_what_would_be_looked_up_after_any_history() -> None:
    start = random.randrange(2**32)
    print("seed", start)
    remembered = 0

    async def history(seed: int) -> None:
        nonlocal remembered
        rng = random.Random(seed)
        given = configuration(rng)
        if rng.random() < 0.2:
            given["providers"]["a"]["shared_limits"] = ["account"]
        async with router(Scripted(), given, seed=seed) as r:
            pool = r._snapshot.pools["m"]
            pool._rng = None  # chance between levels would be drawn twice
            now = r._now()
            leases: list[Lease] = []
            for _ in range(120):
                each = rng.choice(pool.deployments)
                match rng.randrange(10):
                    case 0 | 1 | 2:
                        lease = pool.lease(None, now=now, expires=now + 9, demand=Demand())
                        if lease is not None:
                            leases.append(lease)
                    case 3 | 4 if leases:
                        outcome = rng.choice([Outcome.OK, Outcome.OK, *Outcome])
                        leases.pop(rng.randrange(len(leases))).release(outcome, now)
                    case 5:
                        now += rng.choice([0.0, 0.1, 1.0, 3.0])
                    case 6 if rng.random() < 0.3:
                        each.live.admit(rng.choice([Admin.UP, Admin.UP, *Admin]))
                    case 7 if rng.random() < 0.2:
                        r.reset(each.id)
                    case 8 if rng.random() < 0.2:
                        r.force_open(each.id)
                    case 9 if rng.random() < 0.3:
                        each.live.cool_down(now, rng.choice([None, 0.5]))
                before = pool._steady
                expected = looked_up(pool, now)

                assert [each.id for each in pool._usable(now, ANYTHING)] == expected, seed

                remembered += pool._steady is before is not None
                first = pool._usable(now, ANYTHING)
                assert [each.id for each in first] == expected, seed
            for lease in leases:
                lease.release(Outcome.NEUTRAL, now)

    for seed in range(start, start + 150):
        run(history(seed))
    assert remembered > 1000


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
            (choice,) = r.explain("m")["chain"]

            assert choice["pick"] == "b/x"
            assert choice["refused"] == {
                "a/x": "disabled by an operator",
                "c/x": "priority 2 comes after 1",
            }

    run(main())
