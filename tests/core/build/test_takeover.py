"""A reload changes settings under the calls that run; what is counted, open or cooling down stays."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from routers import built, config, in_flight, router

from pointsman import (
    CallError,
    Config,
    ConfigError,
    ModelNotFound,
    NoDeploymentAvailable,
    Overloaded,
    RateLimited,
    Reloaded,
    Router,
    Unavailable,
    Usage,
)
from pointsman.resilience.circuit_breaker import Breaker, BreakerSettings, BreakerState
from pointsman.routing.snapshot import Snapshot
from pointsman.testing import Scripted, ScriptedAnswer, ShuffleLoop, run


def one(**deployment: Any) -> dict[str, Any]:
    """Model `m` with the one deployment `a/x`, described by `deployment`."""
    return {"m": {"deployments": [{"provider": "a", "model": "x", **deployment}]}}


def of(r: Router, model: str = "m") -> dict[str, Any]:
    """The state of the only deployment."""
    (state,) = r.status().to_dict()["models"][model]["deployments"]
    return dict(state)


async def reload(r: Router, given: dict[str, Any]) -> None:
    """Reload in one instant: reading would take a thread, and virtual time does not wait for those."""
    await r.reload(Config.from_mapping(given))


PLAIN: dict[str, Any] = {"models": one(), "queue": None, "retry": "none", "warm_up": None}


def test_a_higher_max_in_flight_lets_just_the_difference_through() -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(after=10))

    async def main() -> None:
        async with router(upstream, config("a", models=one(max_in_flight=2))) as r:
            calls = [asyncio.ensure_future(r.chat("m", "hi")) for _ in range(6)]
            await asyncio.sleep(1)
            assert upstream.in_flight["a"] == 2

            await reload(r, config("a", models=one(max_in_flight=3)))
            await asyncio.sleep(1)

            assert upstream.in_flight["a"] == in_flight(r) == 3
            assert of(r)["max_in_flight"] == 3
            await asyncio.wait(calls)

    run(main())
    assert upstream.most_in_flight["a"] == 3


def test_a_lower_max_in_flight_holds_for_those_who_wait_already() -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(after=2))

    async def main() -> None:
        async with router(upstream, config("a", models=one(max_in_flight=3))) as r:
            calls = [asyncio.ensure_future(r.chat("m", "hi", timeout=60)) for _ in range(6)]
            await asyncio.sleep(1)
            await reload(r, config("a", models=one(max_in_flight=1)))
            assert in_flight(r) == 3
            await asyncio.sleep(2)
            assert upstream.in_flight["a"] == in_flight(r) == 1
            await asyncio.wait(calls)

    run(main())


CHANGES: list[dict[str, Any]] = [
    {"circuit_breaker": {"failure_threshold": 9}},
    {"circuit_breaker": {"enabled": False}},
    {"warm_up": {"window": "1m"}},
    {"outliers": {"failure_threshold": 9}},
    {"health": {"interval": "1m"}},
    {"timeouts": {"connect": "9s", "total": "9m"}},
    {"hedging": {}},
    {"queue": None},
    {"providers": {"a": {"type": "scripted", "api_key": "another-key"}}},
    {"providers": {"a": {"type": "scripted", "headers": {"x-more": "1"}}}},
    {"providers": {"a": {"type": "scripted", "limits": {"requests": "900/min"}}}},
    {"providers": {"a": {"type": "scripted", "keepalive": "9s", "labels": {"local": True}}}},
    {"providers": {"a": {"type": "scripted", "base_url": "http://127.0.0.1:9"}}},
    {"models": one(weight=7, priority=2, timeouts={"idle": "9s"}, limits={"requests": "900/min"})},
    {"models": one(max_in_flight=9), "adaptive_concurrency": {}},
    {"models": {"n": one()["m"]}},
    {"plugins": {}, "strategy": "least_connections"},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: " ".join(map(str, change.values()))[:60])
def test_whatever_changes_the_running_calls_stay_counted_and_a_drain_waits_for_them(
    change: dict[str, Any],
) -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(after=10))

    async def main() -> None:
        async with router(upstream, config("a")) as r:
            calls = [asyncio.ensure_future(r.chat("m", "hi")) for _ in range(2)]
            await asyncio.sleep(1)

            await reload(r, {**config("a"), **change})

            assert in_flight(r) == 2
            assert await r.drain("a/x", timeout=1) is False
            assert await r.drain("a/x", timeout=60) is True
            assert asyncio.get_running_loop().time() == pytest.approx(10, abs=0.1)
            assert [(await each).text for each in calls] == ["ok", "ok"]

    run(main())


def test_a_deployment_that_comes_back_while_its_calls_still_run_is_the_same() -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(after=10))

    async def main() -> None:
        both = {**one(max_in_flight=1), "n": {"deployments": ["b/x"]}}
        async with router(upstream, config("ab", models=both, queue=None)) as r:
            call = asyncio.ensure_future(r.chat("m", "hi"))
            await asyncio.sleep(1)
            await reload(r, config("ab", models={"n": {"deployments": ["b/x"]}}, queue=None))
            await reload(r, config("ab", models=both, queue=None))
            assert in_flight(r) == 1
            with pytest.raises(NoDeploymentAvailable, match="full: 1 of 1"):
                await r.chat("m", "hi")
            await call
            upstream.default("a", "ok")
            await r.chat("m", "hi")

    run(main())


@pytest.mark.parametrize("seed", range(6))
def test_under_twenty_callers_and_many_reloads_the_count_is_exact_and_no_limit_is_exceeded(seed: int) -> None:
    upstream, chance = Scripted(), random.Random(seed)
    limit = chance.randint(1, 5)

    def answer(_request: Any, _call: Any) -> ScriptedAnswer:
        # It counts itself when it has its answer, so those before it are all there are besides.
        assert upstream.in_flight["a"] + 1 <= limit, "above the limit of the configuration that holds"
        error = chance.choice([None, None, None, Unavailable("down"), Overloaded("busy", retry_after=0.2)])
        return ScriptedAnswer(after=chance.choice([0.0, 0.01, 0.3, 2.0]), error=error)

    upstream.default("a", answer)

    def given() -> dict[str, Any]:
        nonlocal limit
        limit = chance.randint(1, 5)
        return {
            "providers": {"a": {"type": "scripted", "api_key": chance.choice(["key-one", "key-two"])}},
            "models": one(max_in_flight=limit, weight=chance.randint(1, 3)),
            "circuit_breaker": {"failure_threshold": chance.randint(2, 9), "enabled": chance.random() < 0.8},
            "warm_up": chance.choice([None, {"window": "2s"}]),
            "adaptive_concurrency": chance.choice([None, {"pace": "100ms"}]),
            "queue": {"wait": "2s"},
        }

    async def settled(r: Router) -> None:
        """Who was given a place in the queue takes it in one of the next turns; then the counts are equal."""
        now = asyncio.get_running_loop().time()
        while in_flight(r) != upstream.in_flight["a"]:
            await asyncio.sleep(0)
            assert asyncio.get_running_loop().time() < now + 0.001

    async def caller(r: Router) -> None:
        for _ in range(15):
            with suppress(CallError):
                await r.chat("m", "hi", timeout=5)
            await asyncio.sleep(chance.random() / 10)

    async def main() -> None:
        nonlocal limit
        async with router(upstream, given(), seed=seed) as r:
            callers = [asyncio.ensure_future(caller(r)) for _ in range(20)]
            while not all(each.done() for each in callers):
                await asyncio.sleep(chance.random() / 2)
                await settled(r)
                old, new = limit, given()
                wanted, limit = limit, max(old, limit)  # until the reload is done, either may hold
                await reload(r, new)
                limit = wanted
                await settled(r)
            await asyncio.gather(*callers)
            assert in_flight(r) == upstream.in_flight["a"] == 0

    run(main(), partial(ShuffleLoop, seed))
    assert upstream.most_in_flight["a"] > 1


# ── health of a deployment ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: " ".join(map(str, change.values()))[:60])
def test_an_open_breaker_stays_open_unless_the_change_is_about_just_that(change: dict[str, Any]) -> None:
    upstream = Scripted()
    upstream.default("a", Unavailable("down"))

    async def main() -> None:
        async with router(
            upstream, config("a", **{**PLAIN, "circuit_breaker": {"failure_threshold": 2}})
        ) as r:
            for _ in range(2):
                with pytest.raises(Unavailable):
                    await r.chat("m", "hi")
            before = of(r)["breaker"]
            assert before["state"] == "open"

            await reload(r, {**config("a", **PLAIN), **change})

            after = of(r, "n" if "n" in change.get("models", ()) else "m")["breaker"]
            switched_off = change.get("circuit_breaker", {}).get("enabled") is False
            moved = "base_url" in str(change)
            assert after["state"] == ("disabled" if switched_off else "closed" if moved else "open")
            if after["state"] == "open":
                assert after["seconds_left"] == pytest.approx(before["seconds_left"], abs=0.01)

    run(main())


def test_a_cool_down_stays_and_so_does_what_an_operator_said() -> None:
    upstream = Scripted()
    upstream.script("a", Overloaded("busy", retry_after=30))

    async def main() -> None:
        async with router(upstream, config("a", **PLAIN)) as r:
            with pytest.raises(Overloaded):
                await r.chat("m", "hi")
            r.disable("a/x")
            await reload(r, config("a", **{**PLAIN, "models": one(max_in_flight=3)}))
            assert of(r)["state"] == "down"
            r.enable("a/x")
            with pytest.raises(NoDeploymentAvailable, match="cooling down"):
                await r.chat("m", "hi")

    run(main())


@pytest.mark.parametrize(
    ("key", "error"), [("overload", RateLimited("busy")), ("refusal", ModelNotFound("no"))]
)
def test_how_long_the_next_cool_down_is_goes_by_what_a_reload_said(key: str, error: CallError) -> None:
    upstream = Scripted()
    upstream.script("a", error, "back")

    async def main() -> None:
        async with router(upstream, config("a", **PLAIN, **{key: {"base": "1h", "max": "1h"}})) as r:
            await reload(r, config("a", **PLAIN, **{key: {"base": "1s", "max": "1s"}}))
            with pytest.raises(type(error)):
                await r.chat("m", "hi")
            await asyncio.sleep(2)
            assert (await r.chat("m", "hi")).text == "back"

    run(main())


def test_a_failing_check_and_an_ejection_outlive_a_change_of_their_settings() -> None:
    upstream = Scripted()
    upstream.default("a", Unavailable("down"))
    upstream.ill.add("b")

    def given(**more: Any) -> dict[str, Any]:
        off = {"circuit_breaker": {"enabled": False}, "retry": "none", "panic_threshold": 0}
        return config("abc", **off, **more)

    async def main() -> None:
        first = given(outliers={"failure_threshold": 1}, health={"interval": "1s"})
        async with router(upstream, first) as r:
            while upstream.count("a") == 0:
                with suppress(Unavailable):
                    await r.chat("m", "hi")
            await asyncio.sleep(10)
            probes = upstream.probes["b"]
            second = given(outliers={"failure_threshold": 3}, health={"interval": "2s", "rise": 1})
            second["providers"]["b"]["api_key"] = "another-key"
            await reload(r, second)

            blocked = {
                each["id"]: each["blocked"] for each in r.status().to_dict()["models"]["m"]["deployments"]
            }
            assert blocked == {"a/x": "unhealthy: ejected", "b/x": "unhealthy: its checks fail", "c/x": None}
            upstream.ill.clear()
            await asyncio.sleep(3)
            assert r.status().to_dict()["models"]["m"]["deployments"][1]["blocked"] is None, "`rise` is 1 now"
            assert 1 <= upstream.probes["b"] - probes <= 2, "the old check has ended"

    run(main())


# ── rate limits ──────────────────────────────────────────────────────────────────────────────────────


def limited(**limits: Any) -> dict[str, Any]:
    return config("a", **{**PLAIN, "models": one(limits=limits)})


def test_a_rate_limit_that_says_the_same_stays_as_it_stands_and_one_that_changed_begins_anew() -> None:
    async def main() -> None:
        async with router(Scripted(), limited(requests="2/h", tokens="100000/h")) as r:
            for _ in range(2):
                await r.chat("m", "hi")
            await reload(r, limited(requests="2/h", tokens="50000/h"))
            with pytest.raises(NoDeploymentAvailable, match="rate limit"):
                await r.chat("m", "hi")
            await reload(r, limited(requests="3/h", tokens="50000/h"))
            for _ in range(3):
                await r.chat("m", "hi")
            with pytest.raises(NoDeploymentAvailable, match="rate limit"):
                await r.chat("m", "hi")

    run(main())


def test_a_limit_that_an_absurd_usage_locked_is_free_again_when_it_is_changed() -> None:
    async def main() -> None:
        first = built(limited(tokens="100000/min"), Scripted())
        tokens = first.scopes["deployment a/x"].tokens
        assert tokens is not None
        tokens.take(10**15, 0.0)
        assert ready(first) == []
        assert ready(built(limited(tokens="100000/min"), Scripted(), previous=first)) == []
        assert ready(built(limited(tokens="100001/min"), Scripted(), previous=first)) == ["a/x"]

    def ready(snapshot: Snapshot) -> list[str]:
        pool = snapshot.pools["m"]
        return [each.id for each in pool.deployments if not each.reasons(1.0, 1)]

    run(main())


# ── the parts that change in place ───────────────────────────────────────────────────────────────────


def half_open(**settings: Any) -> Breaker:
    breaker = Breaker(BreakerSettings(failure_threshold=1, **settings), random.Random(1))
    permit = breaker.acquire(0.0)
    assert permit is not None
    breaker.failed(permit, 0.0)
    assert breaker.state is BreakerState.OPEN
    return breaker


def test_a_breaker_with_probes_under_way_has_a_way_out_whatever_it_is_told() -> None:
    breaker = half_open(half_open_max_calls=3, success_threshold=3)
    permits = [breaker.acquire(100.0) for _ in range(2)]
    assert permits[0] is not None
    breaker.ok(permits[0], 100.0)

    breaker.configure(BreakerSettings(half_open_max_calls=1, success_threshold=1), 100.0)

    assert breaker.state is BreakerState.CLOSED
    assert breaker.admits(100.0)


@pytest.mark.parametrize("window", [0.5, 3.0, 29.0, 31.0, 3000.0])
def test_counts_are_sorted_into_the_new_window_as_far_as_it_reaches(window: float) -> None:
    breaker = Breaker(
        BreakerSettings(window=30.0, failure_threshold=10**6, minimum_calls=10**6), random.Random(1)
    )
    for second in range(1000, 1030):
        permit = breaker.acquire(float(second))
        assert permit is not None
        breaker.failed(permit, float(second))

    breaker.configure(BreakerSettings(window=window, failure_threshold=10**6, minimum_calls=10**6), 1029.5)

    counted = breaker.snapshot(1029.5)["calls"]
    assert isinstance(counted, int)
    assert min(window, 30) - 4 <= counted <= min(window, 30) + 4
    assert breaker.snapshot(1029.5)["consecutive_failures"] == 30
    assert breaker.snapshot(1029.5 + 2 * window + 6)["calls"] == 0


def test_a_breaker_that_is_off_by_configuration_returns_to_that_after_an_operator() -> None:
    breaker = Breaker(BreakerSettings(enabled=False), random.Random(1))
    breaker.force_open(0.0)
    assert not breaker.admits(0.0)
    breaker.reset(1.0)
    assert breaker.state is BreakerState.DISABLED


# ── connections ──────────────────────────────────────────────────────────────────────────────────────


class Upstream:
    """An OpenAI-compatible server that answers a key when it may, and knows when its connections are closed."""

    def __init__(self, *keys: str) -> None:
        self.arrived = {key: asyncio.Event() for key in keys}
        self.may_answer = {key: asyncio.Event() for key in keys}
        self.closed = {key: asyncio.Event() for key in keys}

    async def __aenter__(self) -> Upstream:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        key = ""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(head.partition("content-length: ")[2].partition("\r\n")[0] or 0)
                await reader.readexactly(length)
                key = head.partition("authorization: bearer ")[2].partition("\r\n")[0]
                self.arrived[key].set()
                await self.may_answer[key].wait()
                body = (
                    b'{"id":"1","model":"x","choices":[{"index":0,"finish_reason":"stop",'
                    b'"message":{"role":"assistant","content":"ok"}}]}'
                )
                head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
                writer.write(head.encode() + body)
        writer.close()
        self.closed[key].set()


def test_a_new_key_is_for_new_calls_and_the_old_connection_ends_with_its_last_call() -> None:
    async def main() -> None:
        async with Upstream("first-key", "second-key") as upstream, asyncio.timeout(20):

            def given(key: str) -> dict[str, Any]:
                provider = {"type": "openai", "base_url": upstream.url, "api_key": key}
                return {"providers": {"a": provider}, "models": one()}

            async with Router.from_config(given("first-key")) as r:
                old = asyncio.ensure_future(r.chat("m", "hi"))
                await upstream.arrived["first-key"].wait()
                await reload(r, given("second-key"))
                new = asyncio.ensure_future(r.chat("m", "hi"))
                await upstream.arrived["second-key"].wait()
                assert in_flight(r) == 2

                upstream.may_answer["first-key"].set()
                assert (await old).text == "ok"
                await upstream.closed["first-key"].wait()

                assert in_flight(r) == 1, "the deployment itself goes on, and was never idle"
                upstream.may_answer["second-key"].set()
                assert (await new).text == "ok"
                assert not upstream.closed["second-key"].is_set()

    asyncio.run(main())


def test_what_was_learnt_of_the_length_of_answers_is_not_forgotten() -> None:
    """Else the first call after each reload reserves 1,024 tokens for an answer, and is one that the limit has
    no room for.
    """
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(text="ok", usage=Usage(3, 1)))
    limited = one(limits={"tokens": "3000/min"})

    async def main() -> None:
        async with router(upstream, config("a", **PLAIN | {"models": limited})) as r:
            for _ in range(24):
                await r.chat("m", "hi")
            given = config("a", **PLAIN | {"models": {"m": {**limited["m"], "unsupported": "drop"}}})
            await reload(r, given)
            left = of(r)["limits"][0]["tokens"]["remaining"]
            upstream.default("a", ScriptedAnswer(text="ok", after=10))
            call = asyncio.ensure_future(r.chat("m", "hi"))
            await asyncio.sleep(1)
            assert left - of(r)["limits"][0]["tokens"]["remaining"] < 100
            await call

    run(main())


def test_a_deployment_that_was_taken_away_is_counted_while_it_answers() -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(after=10))

    async def main() -> None:
        async with router(upstream, config("ab")) as r:
            call = asyncio.ensure_future(r.chat("m", "hi"))
            await asyncio.sleep(1)
            taken = config("ab", models={"m": {"deployments": ["b/x"]}})
            if upstream.in_flight["b"]:
                taken = config("ab", models={"m": {"deployments": ["a/x"]}})
            await reload(r, taken)
            assert in_flight(r) == 1
            await call
            assert in_flight(r) == 0

    run(main())


# ── what is said of it ───────────────────────────────────────────────────────────────────────────────


def test_a_reload_says_what_it_changed_to_listeners_in_the_log_and_in_the_status(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "pointsman")
    said = ("m: weight of a/x 1 → 3", "m: max_in_flight of a/x 2 → 4")

    async def main() -> None:
        async with router(Scripted(), config("a", models=one(max_in_flight=2))) as r:
            heard: list[Reloaded] = []
            r.listen(heard.append, kinds=[Reloaded])
            before = r.status().configuration

            await reload(r, config("a", models=one(max_in_flight=4, weight=3)))

            assert (before.changes, before.refused) == ((), None)
            assert [each.changes for each in heard] == [said] == [r.status().configuration.changes]
            assert r.status().configuration.loaded_at >= before.loaded_at > 1.7e9

    run(main())
    assert f"1 deployments kept, 0 added, 0 removed; {'; '.join(said)}" in caplog.text


def test_what_was_refused_stays_in_the_status_until_something_is_taken(
    caplog: pytest.LogCaptureFixture,
) -> None:
    wrong = config("a", models=one(), strategy="rund_robin")

    async def main() -> None:
        async with router(Scripted(), config("a", models=one())) as r:
            with pytest.raises(ConfigError):
                await reload(r, wrong)
            refused = r.status().configuration.refused
            assert refused is not None
            (problem,) = refused.problems
            assert (problem.path, "rund_robin" in problem.message) == ("strategy.type", True)
            assert json.dumps(r.status().to_dict())

            await reload(r, config("a", models=one()))

            assert r.status().configuration.refused is None

    run(main())
    assert [each.levelname for each in caplog.records] == ["WARNING"]
