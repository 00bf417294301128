"""The status: what the machines know of each deployment, as plain data that JSON can hold."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from routers import config, router

from pointsman import NoDeploymentAvailable, Router, SyncRouter
from pointsman.errors import InvalidRequest, RateLimited, Unavailable
from pointsman.testing import Scripted, ScriptedAnswer, run

ALL = {
    "health": {"interval": "10s"},
    "outliers": {"failure_threshold": 2, "base_ejection": "30s"},
    "warm_up": {"window": "20s"},
    "adaptive_concurrency": {},
    "circuit_breaker": {"enabled": False},
    "panic_threshold": 0,
}


def of(r: Router) -> dict[str, dict[str, Any]]:
    """Each deployment of `m` by its id, as it comes back from JSON: strict JSON knows no infinity."""
    status = json.loads(json.dumps(r.status().to_dict(), allow_nan=False))
    return {each["id"]: each for each in status["models"]["m"]["deployments"]}


def limited(providers: str, **more: Any) -> dict[str, Any]:
    given = config(providers, **more)
    given["models"]["m"]["deployments"] = [
        {"provider": each, "model": "x", "max_in_flight": 4, "limits": {"requests": "60/min"}}
        for each in providers
    ]
    return given


def test_what_is_not_configured_is_none() -> None:
    async def main() -> None:
        given = config("a", warm_up=None, queue=None, circuit_breaker={"enabled": False})
        async with router(Scripted(), given) as r:
            a = of(r)["a/x"]
            assert {a[each] for each in ("ejection", "checks", "warm_up", "adaptive", "refused")} == {None}
            assert a["breaker"]["state"] == "disabled"
            assert r.status().to_dict()["models"]["m"]["queue"] is None

    run(main())


def test_before_anything_happened_all_is_well_and_still_plain_data() -> None:
    r = router(Scripted(), limited("ab", **ALL))  # no loop has ever run

    a = of(r)["a/x"]

    assert a["ejection"]["ejected"] is False
    assert a["ejection"]["seconds_left"] is None
    assert (a["checks"]["healthy"], a["checks"]["seconds_ago"]) == (True, None)
    assert a["warm_up"] == {"active": False, "seconds_left": 0.0, "share": 1.0}
    assert a["adaptive"]["limit"] == 4
    assert a["limits"][0]["requests"]["remaining"] == 60
    assert a["refused"] is None


def test_an_ejection_is_shown_with_the_time_that_is_left_and_then_the_warm_up() -> None:
    upstream = Scripted()
    upstream.default("a", Unavailable("down"))

    async def main() -> None:
        async with router(upstream, limited("ab", **ALL)) as r:
            while not of(r)["a/x"]["ejection"]["ejected"]:
                await r.chat("m", "hi")
            a = of(r)["a/x"]
            assert 26 < a["ejection"]["seconds_left"] < 34
            assert a["ejection"]["ejections"] == 1
            assert a["refused"] == a["blocked"] == "unhealthy: ejected"
            assert of(r)["b/x"]["refused"] is None

            await asyncio.sleep(a["ejection"]["seconds_left"] + 10)
            a = of(r)["a/x"]
            assert (a["ejection"]["ejected"], a["ejection"]["seconds_left"]) == (False, None)
            assert a["warm_up"]["active"] is True
            assert a["warm_up"]["seconds_left"] == pytest.approx(10)
            assert a["warm_up"]["share"] == pytest.approx(0.5)
            assert a["refused"] is None

    run(main())


def test_failing_checks_are_shown_with_their_last_error_and_age() -> None:
    upstream = Scripted()
    upstream.ill.add("a")

    async def main() -> None:
        async with router(upstream, limited("ab", **ALL)) as r:
            await asyncio.sleep(60)
            checks = of(r)["a/x"]["checks"]
            assert checks["healthy"] is False
            assert checks["last_error"]
            assert 0 <= checks["seconds_ago"] <= 12
            assert of(r)["a/x"]["refused"] == "unhealthy: its checks fail"

    run(main())


def test_a_breaker_says_in_how_many_seconds_it_lets_a_probe_through() -> None:
    upstream = Scripted()
    upstream.default("a", Unavailable("down"))

    async def main() -> None:
        async with router(upstream, config("a", retry="none")) as r:
            assert of(r)["a/x"]["breaker"]["seconds_left"] is None
            for _ in range(6):
                with pytest.raises((Unavailable, NoDeploymentAvailable)):
                    await r.chat("m", "hi")
            assert 14 < of(r)["a/x"]["breaker"]["seconds_left"] < 19
            r.force_open("a/x")
            assert of(r)["a/x"]["breaker"]["seconds_left"] is None

    run(main())


def test_who_waits_in_line_is_counted() -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(after=2))
    given = config("a")
    given["models"]["m"]["deployments"] = [{"provider": "a", "model": "x", "max_in_flight": 1}]

    async def main() -> None:
        async with router(upstream, given) as r:
            calls = [asyncio.ensure_future(r.chat("m", "hi")) for _ in range(3)]
            await asyncio.sleep(1)
            queue = r.status().to_dict()["models"]["m"]["queue"]
            assert (queue["waiting"], queue["by_priority"]) == (2, [0, 2, 0])
            assert of(r)["a/x"]["refused"] == "full: 1 of 1 in flight"
            await asyncio.gather(*calls)
            assert r.status().to_dict()["models"]["m"]["queue"]["served"] == 2

    run(main())


def test_a_lower_level_is_refused_while_the_first_is_well_and_blocked_by_nothing() -> None:
    given = config("ab")
    given["models"]["m"]["deployments"] = ["a/x", {"provider": "b", "model": "x", "priority": 1}]

    async def main() -> None:
        async with router(Scripted(), given) as r:
            assert of(r)["b/x"]["refused"] == "priority 1 comes after 0"
            assert of(r)["b/x"]["blocked"] is None
            r.disable("a/x")
            assert {id: each["refused"] for id, each in of(r).items()} == {
                "a/x": "disabled by an operator", "b/x": None,
            }  # fmt: skip

    run(main())


def test_in_a_panic_what_is_ill_is_blocked_by_its_health_and_not_refused() -> None:
    upstream = Scripted()
    upstream.ill.update("ab")

    async def main() -> None:
        async with router(upstream, config("ab", health={"interval": "10s"})) as r:
            await asyncio.sleep(60)
            assert {each["blocked"] for each in of(r).values()} == {"unhealthy: its checks fail"}
            assert {each["refused"] for each in of(r).values()} == {None}
            assert (await r.chat("m", "hi")).text == "ok"

    run(main())


def test_it_tells_which_transport_each_deployment_really_uses() -> None:
    async def main() -> None:
        given = {
            "transport": "auto",
            "providers": {
                "a": {"type": "openai", "base_url": "http://127.0.0.1:1"},
                "b": {"type": "openai", "base_url": "http://127.0.0.1:1", "proxy": "http://127.0.0.1:1"},
                "c": {"type": "openai", "base_url": "http://127.0.0.1:1", "transport": "httpx"},
            },
            "models": {"m": {"deployments": ["a/x", "b/x", "c/x"]}},
        }
        r = Router.from_config(given)
        expected = {"a/x": "h1", "b/x": "aiohttp", "c/x": "httpx"}

        assert {id: each["transport"] for id, each in of(r).items()} == expected, "before it has begun"
        async with r:
            assert {id: each["transport"] for id, each in of(r).items()} == expected

    run(main())


def test_the_last_error_stays_with_its_age_until_the_next_one() -> None:
    upstream = Scripted()
    upstream.script(
        "a", Unavailable("down " * 100, status=503), ScriptedAnswer(), RateLimited("slow down", status=429)
    )

    async def main() -> None:
        async with router(upstream, config("a", retry="none")) as r:
            assert of(r)["a/x"]["last_error"] is None
            with pytest.raises(Unavailable):
                await r.chat("m", "hi")
            await asyncio.sleep(20)
            await r.chat("m", "hi")
            last = of(r)["a/x"]["last_error"]
            assert (last["code"], last["status"], len(last["message"])) == ("unavailable", 503, 200)
            assert last["seconds_ago"] == pytest.approx(20, abs=1)
            with pytest.raises(RateLimited):
                await r.chat("m", "hi")
            assert of(r)["a/x"]["last_error"]["message"] == "slow down"

    run(main())


def test_a_request_that_is_itself_wrong_leaves_no_error_at_the_deployment() -> None:
    upstream = Scripted()
    upstream.script("a", InvalidRequest("no such role"))

    async def main() -> None:
        async with router(upstream, config("a")) as r:
            with pytest.raises(InvalidRequest):
                await r.chat("m", "hi")
            assert of(r)["a/x"]["last_error"] is None
            assert of(r)["a/x"]["outcomes"] == {"client_fault": 1}

    run(main())


def with_key(key: str) -> dict[str, Any]:
    return {**config("a"), "providers": {"a": {"type": "scripted", "headers": {"x-key": key}}}}


def test_a_router_hides_the_secrets_of_its_configuration_in_a_text_those_of_before_a_reload_too() -> None:
    async def main() -> list[str]:
        async with router(Scripted(), with_key("the-first-key")) as r:
            first = r.scrub("it is the-first-key, not the-second-key")
            await r.reload(with_key("the-second-key"))
            return [first, r.scrub("it was the-first-key, and is the-second-key")]

    assert run(main()) == ["it is ***, not the-second-key", "it was ***, and is ***"]


def test_so_does_a_blocking_one() -> None:
    with SyncRouter.from_config(with_key("the-first-key"), plugins=[Scripted()]) as r:
        assert r.scrub("it is the-first-key") == "it is ***"
