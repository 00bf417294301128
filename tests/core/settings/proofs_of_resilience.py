"""What leaves a deployment alone that is not well, and how it comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from proving import Setting, ask, ask_often, during, listen, proves, until_called
from pydantic import BaseModel
from routers import config

from pointsman import Router
from pointsman.errors import AuthenticationFailed, Overloaded, PermissionDenied, RateLimited, Unavailable
from pointsman.plugin import PointsmanSpec, hookimpl
from pointsman.provider import Provider, ProviderFactory
from pointsman.testing import Scripted, ScriptedAnswer, run

DOWN = Unavailable("down")
OFF = {"enabled": False}


def alone(**changes: Any) -> dict[str, Any]:
    """One deployment, where a call is one attempt or none, at once."""
    return config("a", **{"retry": "none", "queue": None, "warm_up": None, **changes})


def failing() -> Scripted:
    upstream = Scripted()
    upstream.default("a", DOWN)
    return upstream


def attempts(given: dict[str, Any], *, calls: int = 10, pause: float = 0) -> int:
    """How many of those calls reach an upstream that is down."""
    upstream = failing()
    during(given, upstream, lambda r: ask_often(r, calls, pause=pause))
    return upstream.count("a")


# ── circuit breaker ──────────────────────────────────────────────────────────────────────────────────


@proves("circuit_breaker", "circuit_breaker.enabled")
def a_breaker_that_is_off_lets_failing_calls_through(setting: Setting) -> None:
    values = (True, False) if setting.key.endswith("enabled") else ({"enabled": True}, OFF)
    assert [attempts(setting.to(each, alone())) for each in values] == [5, 10]


@proves("circuit_breaker.failure_threshold")
def so_many_failures_in_a_row_open_it(setting: Setting) -> None:
    assert [attempts(setting.to(each, alone())) for each in (2, 4)] == [2, 4]


RATES = {"failure_threshold": 1000, "minimum_calls": 4}


@proves("circuit_breaker.minimum_calls")
def fewer_calls_make_no_rate(setting: Setting) -> None:
    base = alone(circuit_breaker=RATES)
    assert [attempts(setting.to(each, base)) for each in (3, 7)] == [3, 7]


@proves("circuit_breaker.window")
def the_rates_are_of_the_calls_in_the_window(setting: Setting) -> None:
    base = alone(circuit_breaker={**RATES, "reset_timeout": 100})
    assert [attempts(setting.to(each, base), pause=5) for each in ("10s", "60s")] == [10, 4]


@proves("circuit_breaker.failure_rate")
def the_share_of_failed_calls_opens_it(setting: Setting) -> None:
    def reached(value: str) -> int:
        upstream = Scripted()
        upstream.script("a", *["ok", DOWN] * 10)
        during(setting.to(value, alone(circuit_breaker=RATES)), upstream, lambda r: ask_often(r, 10))
        return upstream.count("a")

    assert [reached(each) for each in ("50%", "80%")] == [4, 10]


async def streams(r: Router, times: int) -> None:
    for _ in range(times):
        await listen(r)


@proves("circuit_breaker.slow_rate")
def the_share_of_slow_calls_opens_it(setting: Setting) -> None:
    def reached(value: str) -> int:
        upstream = Scripted()
        upstream.script("a", *["ok", ScriptedAnswer(after=2)] * 10)
        base = alone(circuit_breaker={**RATES, "slow_after": "1s"})
        during(setting.to(value, base), upstream, lambda r: streams(r, 10))
        return upstream.count("a")

    assert [reached(each) for each in ("50%", "80%")] == [4, 10]


@proves("circuit_breaker.slow_after")
def slow_is_a_first_content_that_takes_longer(setting: Setting) -> None:
    def reached(value: str) -> int:
        upstream = Scripted()
        upstream.default("a", ScriptedAnswer("two words", after=2, gap=2))
        during(setting.to(value, alone(circuit_breaker=RATES)), upstream, lambda r: streams(r, 10))
        return upstream.count("a")

    assert [reached(each) for each in ("1s", "3s")] == [4, 10]


@proves("circuit_breaker.slow_call_duration")
def slow_is_a_call_that_takes_longer_as_a_whole(setting: Setting) -> None:
    def reached(value: str | None) -> int:
        upstream = Scripted()
        upstream.default("a", ScriptedAnswer(after=2))
        during(setting.to(value, alone(circuit_breaker=RATES)), upstream, lambda r: ask_often(r, 10))
        return upstream.count("a")

    assert [reached(each) for each in (None, "1s", "3s")] == [10, 4, 10]


async def openings(r: Router, upstream: Scripted, times: int) -> list[float]:
    """The seconds until an upstream that is down is tried again, time after time."""
    while await ask(r) == "Unavailable":
        pass
    return [await until_called(r, upstream, "a") for _ in range(times)]


def within(found: float, least: float, most: float) -> bool:
    return least - 0.01 <= found <= most + 0.26  # `until_called` looks every quarter of a second


@proves("circuit_breaker.reset_timeout")
def it_stays_open_that_long_and_longer_each_time(setting: Setting) -> None:
    for value in (4, 40):
        upstream = failing()
        given = setting.to(value, alone())
        first, second = during(given, upstream, lambda r, u=upstream: openings(r, u, 2))
        assert within(first, value, value * 1.2)
        assert within(second, value * 2, value * 2.4)


@proves("circuit_breaker.max_reset_timeout")
def it_never_stays_open_longer(setting: Setting) -> None:
    for most, longest in ((15, 15), (300, 40)):
        upstream = failing()
        given = setting.to(most, alone(circuit_breaker={"reset_timeout": 10}))
        *_, third = during(given, upstream, lambda r, u=upstream: openings(r, u, 3))
        assert within(third, longest, longest * 1.2)


def half_open(given: dict[str, Any], passed: int) -> int:
    """How many of 20 calls at a time a half-open deployment gets, after `passed` trial calls succeeded."""
    upstream = failing()

    async def story(r: Router) -> int:
        await ask_often(r, 5)
        await asyncio.sleep(20)
        upstream.default("a", ScriptedAnswer(after=1))
        await ask_often(r, passed)
        before = upstream.count("a")
        await asyncio.gather(*(ask(r) for _ in range(20)))
        return upstream.count("a") - before

    return during(given, upstream, story)


@proves("circuit_breaker.half_open_max_calls")
def so_many_trial_calls_at_a_time(setting: Setting) -> None:
    assert [half_open(setting.to(each, alone()), 0) for each in (2, 5)] == [2, 5]


@proves("circuit_breaker.success_threshold")
def so_many_trial_calls_close_it(setting: Setting) -> None:
    base = alone(circuit_breaker={"half_open_max_calls": 3})
    assert [half_open(setting.to(each, base), 1) for each in (1, 3)] == [20, 2]


@proves("circuit_breaker.count_overload")
def an_overload_counts_too(setting: Setting) -> None:
    def reached(value: bool) -> int:
        upstream = Scripted()
        upstream.default("a", Overloaded("busy", retry_after=0.01))
        given = setting.to(value, alone(circuit_breaker={"failure_threshold": 3}))
        during(given, upstream, lambda r: ask_often(r, 6, pause=2))
        return upstream.count("a")

    assert [reached(each) for each in (False, True)] == [6, 3]


@proves("models.<name>.circuit_breaker", "models.<name>.deployments[].circuit_breaker")
def the_most_specific_breaker_holds_key_by_key(setting: Setting) -> None:
    base = alone(circuit_breaker={"failure_threshold": 6, "reset_timeout": 40})
    if "deployments" in setting.key:
        base["models"]["m"]["circuit_breaker"] = {"failure_threshold": 4}
    assert attempts(base) == (4 if "deployments" in setting.key else 6)
    for value in (2, 3):
        upstream = failing()
        given = setting.to({"failure_threshold": value}, base)
        (first,) = during(given, upstream, lambda r, u=upstream: openings(r, u, 1))
        assert upstream.count("a") == value + 1
        assert within(first, 40, 48), "`reset_timeout` is still that of the general section"


# ── cool-downs ───────────────────────────────────────────────────────────────────────────────────────

ENDS = {"overload": RateLimited("busy"), "refusal": PermissionDenied("not for you")}
KEY = AuthenticationFailed("no such key")


async def cool_downs(r: Router, upstream: Scripted, times: int) -> list[float]:
    await ask(r)
    return [await until_called(r, upstream, "a") for _ in range(times)]


def cooled(given: dict[str, Any], end: Exception, times: int) -> list[float]:
    """The seconds for which `a` is left alone, time after time, when all its calls end like that."""
    upstream = Scripted()
    upstream.default("a", end)
    return during(given, upstream, lambda r: cool_downs(r, upstream, times))


@proves("overload", "refusal", "overload.base", "refusal.base")
def it_is_left_alone_that_long_and_twice_as_long_the_next_time(setting: Setting) -> None:
    section, _, key = setting.key.partition(".")
    for end in (ENDS[section], *((KEY,) if section == "refusal" else ())):
        for value in (3, 30):
            given = setting.to(value if key else {"base": value}, alone())
            first, second = cooled(given, end, 2)
            assert within(first, value, value * 1.1)
            assert within(second, value * 2, value * 2.2)


@proves("overload.max", "refusal.max")
def it_is_never_left_alone_longer(setting: Setting) -> None:
    section = setting.key.partition(".")[0]
    for value, longest in ((15, 15), (1000, 40)):
        *_, third = cooled(setting.to(value, alone(**{section: {"base": 10}})), ENDS[section], 3)
        assert within(third, longest, longest * 1.1)


@proves(
    "models.<name>.overload", "models.<name>.refusal",
    "models.<name>.deployments[].overload", "models.<name>.deployments[].refusal",
)  # fmt: skip
def the_most_specific_cool_down_holds_key_by_key(setting: Setting) -> None:
    section = setting.key.rpartition(".")[2]
    base = alone(**{section: {"base": 4, "max": 20}})
    if "deployments" in setting.key:
        base["models"]["m"][section] = {"base": 5}
    (usual,) = cooled(base, ENDS[section], 1)
    assert usual < 6
    for value in (15, 18):
        given = setting.to({"base": value}, base)
        first, second = cooled(given, ENDS[section], 2)
        assert within(first, value, value * 1.1)
        assert within(second, 20, 22), "`max` is still that of the general section"
        if section == "refusal":
            (of_the_key,) = cooled(given, KEY, 1)
            assert within(of_the_key, 4, 4.4), "a key that others may use goes by the general section"


# ── outliers ─────────────────────────────────────────────────────────────────────────────────────────


def pair(names: str = "ab", **outliers: Any) -> dict[str, Any]:
    """Deployments without a breaker; those that fail are ejected."""
    return config(
        names, retry="none", circuit_breaker=OFF, warm_up=None, panic_threshold=0,
        outliers={"failure_threshold": 2, "base_ejection": "10s", **outliers},
    )  # fmt: skip


@proves("outliers")
def without_it_nothing_is_ejected(setting: Setting) -> None:
    def reached(value: object) -> int:
        upstream = failing()
        during(setting.to(value, pair()), upstream, lambda r: ask_often(r, 20))
        return upstream.count("a")

    assert [reached(each) for each in (None, {"failure_threshold": 3})] == [10, 3]


@proves("outliers.failure_threshold")
def so_many_failures_in_a_row_eject(setting: Setting) -> None:
    def reached(value: int) -> int:
        upstream = failing()
        during(setting.to(value, pair()), upstream, lambda r: ask_often(r, 40))
        return upstream.count("a")

    assert [reached(each) for each in (2, 7)] == [2, 7]


async def ejections(r: Router, upstream: Scripted, times: int) -> list[float]:
    """The seconds of ejections one after the other, of an `a` that keeps failing."""
    found = []
    for _ in range(times):
        ejected = r.status().to_dict()["models"]["m"]["deployments"][0]["ejection"]["ejections"]
        while r.status().to_dict()["models"]["m"]["deployments"][0]["ejection"]["ejections"] == ejected:
            await ask(r)
        found.append(await until_called(r, upstream, "a"))
    return found


@proves("outliers.base_ejection")
def it_is_out_that_long_and_longer_each_time(setting: Setting) -> None:
    for value in (10, 50):
        upstream = failing()
        given = setting.to(value, pair())
        first, second = during(given, upstream, lambda r, u=upstream: ejections(r, u, 2))
        assert value * 0.9 <= first <= value * 1.1 + 1
        assert value * 1.8 <= second <= value * 2.2 + 1


@proves("outliers.max_ejection")
def it_is_never_out_longer(setting: Setting) -> None:
    for value, longest in ((15, 15), (300, 30)):
        upstream = failing()
        *_, third = during(setting.to(value, pair()), upstream, lambda r, u=upstream: ejections(r, u, 3))
        assert longest * 0.9 <= third <= longest * 1.1 + 1


@proves("outliers.interval")
def in_health_the_next_ejection_is_shorter(setting: Setting) -> None:
    async def story(r: Router, upstream: Scripted) -> float:
        await ejections(r, upstream, 2)
        upstream.default("a", "ok")
        await ask_often(r, 25, pause=1)
        upstream.default("a", DOWN)
        return (await ejections(r, upstream, 1))[0]

    for value, longest in ((10, 10), (1000, 30)):
        upstream = failing()
        found = during(setting.to(value, pair()), upstream, lambda r, u=upstream: story(r, u))
        assert longest * 0.9 <= found <= longest * 1.1 + 1


@proves("outliers.max_ejected")
def only_that_share_of_a_level_is_ejected_and_never_the_last(setting: Setting) -> None:
    def left(value: str) -> int:
        upstream = Scripted()
        for name in "abcd":
            upstream.default(name, DOWN)

        async def story(r: Router) -> int:
            await ask_often(r, 40)
            upstream.calls.clear()
            await ask_often(r, 12)
            return len({name for name, _, _ in upstream.calls})

        return during(setting.to(value, pair("abcd")), upstream, story)

    assert [left(each) for each in ("50%", "100%")] == [2, 1]


# ── checks ───────────────────────────────────────────────────────────────────────────────────────────


def called_within(given: dict[str, Any], upstream: Scripted, until: float) -> set[str]:
    """Who gets calls after so many seconds."""

    async def story(r: Router) -> set[str]:
        await asyncio.sleep(until)
        upstream.calls.clear()
        await ask_often(r, 6)
        return {name for name, _, _ in upstream.calls}

    return during(given, upstream, story)


@proves("health", "health.interval")
def providers_are_asked_every_so_often(setting: Setting) -> None:
    def probes(value: object) -> int:
        upstream = Scripted()
        during(setting.to(value, config("a")), upstream, lambda _r: asyncio.sleep(1000))
        return upstream.probes["a"]

    if setting.key == "health":
        assert probes(None) == 0
        assert 55 <= probes({}) <= 80
    else:
        assert 80 <= probes("10s") <= 125
        assert 16 <= probes("50s") <= 25


@proves("providers.<name>.health")
def a_provider_may_be_checked_otherwise_or_not_at_all(setting: Setting) -> None:
    def probes(value: object) -> tuple[int, int]:
        upstream = Scripted()
        given = setting.to(value, config("ab", health={"interval": "50s"}))
        during(given, upstream, lambda _r: asyncio.sleep(1000))
        return upstream.probes["a"], upstream.probes["b"]

    own, other = probes({"interval": "10s"})
    assert own > 3 * other > 30
    assert probes(False)[0] == 0
    assert probes({"timeout": "1s"})[0] <= 25, "`interval` is still the general one"


class Sluggish(Provider):
    async def chat(self, request: Any, call: Any) -> Any:
        raise DOWN

    async def probe(self) -> None:
        await asyncio.sleep(3)


class SluggishPlugin(PointsmanSpec):
    @hookimpl
    def pointsman_providers(self) -> Sequence[ProviderFactory]:
        return [ProviderFactory("sluggish", BaseModel, Sluggish)]


@proves("health.timeout")
def a_check_that_takes_longer_has_failed(setting: Setting) -> None:
    async def healthy(value: str) -> bool:
        base = {
            "providers": {"a": {"type": "sluggish"}},
            "models": {"m": {"deployments": ["a/x"]}},
            "health": {"interval": "10s", "fall": 1},
        }
        async with Router.from_config(setting.to(value, base), plugins=[SluggishPlugin()]) as r:
            await asyncio.sleep(40)
            return bool(r.status().to_dict()["models"]["m"]["deployments"][0]["checks"]["healthy"])

    assert [run(healthy(each)) for each in ("2s", "5s")] == [False, True]


@proves("health.fall")
def so_many_failed_checks_begin_an_illness(setting: Setting) -> None:
    def when(value: int) -> int:
        upstream = Scripted()
        upstream.ill.add("a")

        async def story(r: Router) -> int:
            while r.status().to_dict()["models"]["m"]["deployments"][0]["checks"]["healthy"]:
                await ask_often(r, 1, pause=1)
            upstream.calls.clear()
            await ask_often(r, 4)
            assert upstream.count("a") == 0
            return upstream.probes["a"]

        return during(setting.to(value, config("ab", health={})), upstream, story)

    assert [when(each) for each in (1, 4)] == [1, 4]


@proves("health.rise")
def so_many_passed_checks_end_it(setting: Setting) -> None:
    def when(value: int) -> int:
        upstream = Scripted()
        upstream.ill.add("a")

        async def story(r: Router) -> int:
            await asyncio.sleep(100)
            upstream.ill.clear()
            before, calls = upstream.probes["a"], upstream.count("a")
            while upstream.count("a") == calls:
                await ask_often(r, 2)
                await asyncio.sleep(1)
            return upstream.probes["a"] - before

        return during(setting.to(value, config("ab", health={})), upstream, story)

    assert [when(each) for each in (1, 4)] == [1, 4]


@proves("panic_threshold")
def with_too_few_healthy_ones_health_is_not_believed(setting: Setting) -> None:
    def called(value: object) -> set[str]:
        upstream = Scripted()
        upstream.ill |= {"a", "b"}
        return called_within(setting.to(value, config("abc", health={})), upstream, 100)

    assert [called(each) for each in ("50%", "30%", 0)] == [set("abc"), {"c"}, {"c"}]


# ── coming back ──────────────────────────────────────────────────────────────────────────────────────


def share(given: dict[str, Any], after: float) -> tuple[int, int]:
    """What `b` and `a` have in flight when 60 calls came `after` seconds after `b` was back, 40 being at `a`."""
    upstream = Scripted()
    upstream.script("b", DOWN)

    async def story(r: Router) -> tuple[int, int]:
        while r.status().to_dict()["models"]["m"]["deployments"][1]["breaker"]["state"] == "closed":
            await ask(r)
        upstream.default("a", ScriptedAnswer(after=500))
        calls = [asyncio.ensure_future(ask(r)) for _ in range(40)]
        await asyncio.sleep(20)
        await ask(r)  # the trial call that closes it
        assert r.status().to_dict()["models"]["m"]["deployments"][1]["breaker"]["state"] == "closed"
        upstream.default("b", ScriptedAnswer(after=500))
        await asyncio.sleep(after)
        calls += [asyncio.ensure_future(ask(r)) for _ in range(60)]
        await asyncio.sleep(1)
        found = upstream.in_flight["b"], upstream.in_flight["a"]
        for each in calls:
            each.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        return found

    return during(given, upstream, story)


def returning(**changes: Any) -> dict[str, Any]:
    breaker = {"failure_threshold": 1, "half_open_max_calls": 1}
    return config(
        "ab", **{"strategy": "least_connections", "retry": "none", "circuit_breaker": breaker, **changes}
    )


@proves("warm_up")
def without_it_load_is_taken_on_at_once(setting: Setting) -> None:
    assert share(setting.to(None, returning()), 0) == (50, 50)
    b, a = share(setting.to({}, returning()), 0)
    assert b < a / 5


@proves("warm_up.minimum")
def it_begins_with_that_share(setting: Setting) -> None:
    for value in (0.1, 0.5):
        b, a = share(setting.to(value, returning()), 0)
        assert b / a == pytest.approx(value, abs=0.06)


@proves("warm_up.window")
def after_that_long_it_takes_as_much_as_the_others(setting: Setting) -> None:
    assert share(setting.to("10s", returning()), 10) == (50, 50)
    b, a = share(setting.to("20s", returning()), 10)
    assert b / a == pytest.approx(0.5, abs=0.06)


@proves("warm_up.aggression")
def more_is_faster_at_the_beginning(setting: Setting) -> None:
    for value, part in ((1, 0.25), (2, 0.5)):
        b, a = share(setting.to(value, returning(warm_up={"window": "40s"})), 10)
        assert b / a == pytest.approx(part, abs=0.06)
