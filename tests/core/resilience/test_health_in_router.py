"""Health where it works: checks, ejection, priority levels, panic and warm-up between a router and upstreams."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from routers import config, router

from pointsman import ConfigError, NoDeploymentAvailable, Router
from pointsman.errors import Unavailable
from pointsman.events import HealthChanged
from pointsman.testing import Scripted, ScriptedAnswer, run

NO_BREAKER = {"circuit_breaker": {"enabled": False}}
FREE = {"type": "exponential", "budget": None}


def states(r: Router) -> dict[str, str | None]:
    """Why each deployment of `m` is blocked, by id."""
    return {each["id"]: each["blocked"] for each in r.status().to_dict()["models"]["m"]["deployments"]}


def test_checks_take_a_dead_provider_out_and_bring_it_back_without_a_call() -> None:
    upstream = Scripted()
    given = config("ab", health={"interval": "10s"})

    async def main() -> None:
        async with router(upstream, given) as r:
            told: list[HealthChanged] = []
            r.listen(lambda event: told.append(event) if isinstance(event, HealthChanged) else None)
            assert states(r) == {"a/x": None, "b/x": None}
            upstream.ill.add("a")
            await asyncio.sleep(45)
            assert states(r) == {"a/x": "unhealthy: its checks fail", "b/x": None}
            assert {(await r.chat("m", "hi")).deployment for _ in range(6)} == {"b/x"}
            upstream.ill.clear()
            await asyncio.sleep(35)
            assert states(r) == {"a/x": None, "b/x": None}
            assert [(each.subject, each.healthy) for each in told] == [("a", False), ("a", True)]
        assert len(asyncio.all_tasks()) == 1

    run(main())
    assert upstream.count("a") == 0


def test_without_a_health_section_nothing_is_ever_checked() -> None:
    upstream = Scripted()

    async def main() -> None:
        async with router(upstream, config("ab")):
            await asyncio.sleep(3_600)

    run(main())
    assert upstream.probes == Counter()


def test_a_deployment_that_fails_in_a_row_is_ejected_and_the_last_one_never() -> None:
    upstream = Scripted()
    for name in "abc":
        upstream.default(name, Unavailable("down"))

    async def main() -> None:
        given = config("abc", outliers={"failure_threshold": 3}, retry=FREE, panic_threshold=0, **NO_BREAKER)
        async with router(upstream, given) as r:
            for _ in range(30):
                with pytest.raises((Unavailable, NoDeploymentAvailable)):
                    await r.chat("m", "hi")
            blocked = [why for why in states(r).values() if why]
            assert blocked == ["unhealthy: ejected"]
            await asyncio.sleep(60)
            assert not any(states(r).values())

    run(main())


def test_a_reload_that_is_refused_brings_no_ejected_deployment_back() -> None:
    upstream = Scripted()
    upstream.default("c", Unavailable("down"))
    rules: dict[str, Any] = {"outliers": {"failure_threshold": 3}, "retry": FREE, **NO_BREAKER}

    async def main() -> None:
        async with router(upstream, config("abc", **rules)) as r:
            while not any(states(r).values()):
                await r.chat("m", "hi")
            with pytest.raises(ConfigError, match="audit"):
                # Of itself it would: alone in its model, `c` is the last one.
                await r.reload(config("c", audit=[{"type": "jsonl", "path": "/dev/null/x"}], **rules))
            assert states(r) == {"a/x": None, "b/x": None, "c/x": "unhealthy: ejected"}
            await r.reload(config("c", **rules))
            assert states(r) == {"c/x": None}

    run(main())


def levels(**changes: Any) -> dict[str, Any]:
    """Ten deployments at priority 0, ten at priority 1."""
    names = [f"p{n}" for n in range(20)]
    return {
        "providers": {name: {"type": "scripted"} for name in names},
        "models": {
            "m": {
                "deployments": [
                    {"provider": name, "model": "x", "priority": n // 10} for n, name in enumerate(names)
                ]
            }
        },
        **changes,
    }


@pytest.mark.parametrize(
    ("down", "share"),
    # h = 140 % of the healthy share, at most 100 %: nothing spills until 28.6 % are ill.
    [(0, 0.0), (2, 0.0), (3, 0.02), (5, 0.3), (8, 0.72), (10, 1.0)],
)
def test_what_a_level_cannot_bear_spills_to_the_next_in_proportion(down: int, share: float) -> None:
    upstream = Scripted()

    async def main() -> None:
        async with router(upstream, levels(), seed=7) as r:
            for n in range(down):
                r.disable(f"p{n}/x")
            for _ in range(2_000):
                await r.chat("m", "hi")

    run(main())
    spilled = sum(1 for name, _, _ in upstream.calls if int(name[1:]) >= 10) / 2_000
    assert spilled == pytest.approx(share, abs=0.035)


def test_in_a_panic_health_is_not_believed_but_an_open_breaker_still_is() -> None:
    upstream = Scripted()
    names = "abcd"
    given = config(names, health={"interval": "10s"})

    async def main() -> None:
        async with router(upstream, given) as r:
            upstream.ill |= {"a", "b", "c"}
            await asyncio.sleep(45)
            for _ in range(40):
                await r.chat("m", "hi")
            assert all(upstream.count(name) == 10 for name in names)

        upstream.calls.clear()
        upstream.ill.clear()
        async with router(upstream, {**given, "panic_threshold": 0}) as r:
            upstream.ill |= {"a", "b", "c"}
            await asyncio.sleep(45)
            for _ in range(40):
                await r.chat("m", "hi")
            assert upstream.count("d") == 40

    run(main())


def test_in_a_panic_what_is_ill_and_taken_out_by_an_operator_or_full_besides_is_left_alone() -> None:
    upstream = Scripted()
    deployments = [{"provider": name, "model": "x", "max_in_flight": 1} for name in "abcd"]
    given = config("abcd", health={"interval": "10s"}, queue=None, models={"m": {"deployments": deployments}})

    async def main() -> None:
        async with router(upstream, given) as r:
            upstream.ill |= {"a", "b", "c"}
            await asyncio.sleep(45)
            r.disable("a/x")
            upstream.default("b", ScriptedAnswer(after=100.0))
            while not upstream.count("b"):
                running = asyncio.ensure_future(r.chat("m", "hi"))
                await asyncio.sleep(1)
            before = upstream.count("b")
            for _ in range(20):
                await r.chat("m", "hi")
            running.cancel()
            assert (upstream.count("a"), upstream.count("b") - before) == (0, 0)
            assert upstream.count("c")

    run(main())


def test_a_deployment_that_comes_back_is_not_buried_at_once() -> None:
    upstream = Scripted()
    for name in "ab":
        upstream.default(name, ScriptedAnswer(after=1.0))
    given = config("ab", strategy="least_connections", circuit_breaker={"failure_threshold": 1})

    async def main() -> None:
        async with router(upstream, given) as r:
            upstream.script("a", Unavailable("down"))
            await asyncio.gather(*(r.chat("m", "hi") for _ in range(2)))
            await asyncio.sleep(20)
            while r.status().to_dict()["models"]["m"]["deployments"][0]["breaker"]["state"] != "closed":
                await asyncio.gather(*(r.chat("m", "hi") for _ in range(2)))
            upstream.most_in_flight.clear()

            calls = [asyncio.ensure_future(r.chat("m", "hi")) for _ in range(100)]
            await asyncio.sleep(0.5)
            early = upstream.in_flight["a"]
            await asyncio.gather(*calls)
            await asyncio.sleep(40)
            calls = [asyncio.ensure_future(r.chat("m", "hi")) for _ in range(100)]
            await asyncio.sleep(0.5)
            late = upstream.in_flight["a"]
            await asyncio.gather(*calls)
            assert early <= 20, f"{early} of 100 went to the one that had just come back"
            assert late == 50

    run(main())


def test_the_adaptive_limit_falls_on_overload_and_rises_again() -> None:
    upstream = Scripted()
    given = config("a", adaptive_concurrency={}, retry="none")
    given["models"]["m"]["deployments"] = [{"provider": "a", "model": "x", "max_in_flight": 40}]

    def bears_ten(_request: Any, _call: Any) -> ScriptedAnswer:
        from pointsman.errors import Overloaded

        full = upstream.in_flight["a"] >= 10
        return ScriptedAnswer(after=0.2, error=Overloaded("busy", retry_after=0.01) if full else None)

    upstream.default("a", bears_ten)

    async def main() -> None:
        async with router(upstream, given) as r:

            async def caller() -> None:
                for _ in range(400):
                    try:
                        await r.chat("m", "hi")
                    except Exception:
                        await asyncio.sleep(0.05)

            await asyncio.gather(*(caller() for _ in range(30)))
            limit = r.status().to_dict()["models"]["m"]["deployments"][0]["places"]
            assert 5 <= limit <= 20

    run(main())


def test_the_first_token_of_a_call_sets_the_pace_of_those_after_it_alone() -> None:
    """While none is known the pace is that of the settings: also for the first call, however quick it was."""
    upstream = Scripted()
    given = {
        "providers": {"a": {"type": "scripted"}},
        "models": {"m": {"deployments": [{"provider": "a", "model": "x", "max_in_flight": 9}]}},
        "adaptive_concurrency": {"initial": 1, "pace": "10s"},
    }

    async def main() -> None:
        async with router(upstream, given) as r:
            for after in (0.1, 0.5):
                upstream.script("a", ScriptedAnswer(after=after))
                async with r.stream("m", "hi") as stream:
                    assert [each async for each in stream]
            assert r.status().to_dict()["models"]["m"]["deployments"][0]["adaptive"]["limit"] == 2

    run(main())


def test_adaptive_concurrency_without_a_ceiling_is_refused_at_start() -> None:
    with pytest.raises(ConfigError, match=r"max_in_flight: adaptive_concurrency needs it"):
        router(Scripted(), config("a", adaptive_concurrency={}))


def test_a_reset_forgets_what_went_wrong_and_wakes_who_waits() -> None:
    from pointsman.errors import RateLimited

    upstream = Scripted()
    upstream.script("a", *[Unavailable("down")] * 5, RateLimited("slow down", retry_after=50))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with router(upstream, config("a", retry="none")) as r:
            for _ in range(5):
                with pytest.raises(Unavailable):
                    await r.chat("m", "hi")
            assert "breaker open" in (states(r)["a/x"] or "")
            r.reset("a/x")
            with pytest.raises(RateLimited):
                await r.chat("m", "hi")
            assert "cooling down" in (states(r)["a/x"] or "")
            r.reset("a/x")
            assert (await r.chat("m", "hi")).text == "ok"

            r.force_open("a/x")
            with pytest.raises(NoDeploymentAvailable):
                await r.chat("m", "hi")
            await asyncio.sleep(10_000)
            with pytest.raises(NoDeploymentAvailable):
                await r.chat("m", "hi")
            r.reset("a/x")
            assert (await r.chat("m", "hi")).text == "ok"
            assert loop.time() < 10_001

    run(main())
