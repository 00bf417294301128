"""How many calls a deployment bears, and when a second attempt stands beside the first."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from proofs_of_resilience import OFF, alone
from proving import Setting, ask, during, listen, proves
from routers import Heard, config

from pointsman import Router
from pointsman.errors import Overloaded
from pointsman.testing import Scripted, ScriptedAnswer

# ── how much it bears ────────────────────────────────────────────────────────────────────────────────


def bears(given: dict[str, Any], *, steps: int = 0, pause: float = 2) -> int:
    """How many calls `a` gets at a time, after one overload and then `steps` rounds that went well."""
    given["models"]["m"]["deployments"] = [{"provider": "a", "model": "x", "max_in_flight": 10}]
    upstream = Scripted()
    upstream.script("a", Overloaded("busy", retry_after=0.01))

    async def story(r: Router) -> int:
        await ask(r)
        upstream.default("a", ScriptedAnswer(after=0.5))
        await asyncio.sleep(5)
        for _ in range(steps):
            await asyncio.gather(*(ask(r) for _ in range(20)))
            await asyncio.sleep(pause)
        upstream.most_in_flight.clear()
        await asyncio.gather(*(ask(r) for _ in range(20)))
        return upstream.most_in_flight["a"]

    return during(given, upstream, story)


@proves("adaptive_concurrency")
def with_it_an_overload_lowers_what_a_deployment_gets(setting: Setting) -> None:
    assert [bears(setting.to(each, alone())) for each in (None, {})] == [10, 9]


@proves("adaptive_concurrency.decrease")
def that_share_is_left_after_an_overload(setting: Setting) -> None:
    assert [bears(setting.to(each, alone())) for each in ("90%", "50%")] == [9, 5]


@proves("adaptive_concurrency.increase")
def that_much_is_added_for_each_window_without_one(setting: Setting) -> None:
    base = alone(adaptive_concurrency={"decrease": "50%"})
    assert [bears(setting.to(each, base), steps=2) for each in (1, 2)] == [7, 9]


@proves("adaptive_concurrency.initial")
def it_begins_with_that_limit(setting: Setting) -> None:
    def at_once(value: int) -> int:
        given = setting.to(value, alone(adaptive_concurrency={}))
        given["models"]["m"]["deployments"] = [{"provider": "a", "model": "x", "max_in_flight": 10}]
        upstream = Scripted()
        upstream.default("a", ScriptedAnswer(after=0.5))

        async def story(r: Router) -> int:
            await asyncio.gather(*(ask(r) for _ in range(20)))
            return upstream.most_in_flight["a"]

        return during(given, upstream, story)

    assert [at_once(each) for each in (3, 7)] == [3, 7]


@proves("adaptive_concurrency.pace")
def a_window_is_that_long(setting: Setting) -> None:
    base = alone(adaptive_concurrency={"decrease": "50%"})
    assert [bears(setting.to(each, base), steps=4, pause=0.5) for each in ("1s", "4s")] == [9, 6]


# ── hedging ──────────────────────────────────────────────────────────────────────────────────────────

HEDGING = {"minimum_samples": 5, "budget": "100%"}


async def hedged(r: Router, upstream: Scripted, *, samples: int = 10, every: int = 0) -> float | None:
    """Seconds after which a late stream is sent to `b` as well; None when it never is.

    Before it, both have answered `samples` streams in 0.1 s, or in 5 s each `every`-th of them.
    """
    for name in "ab":
        upstream.script(
            name, *(ScriptedAnswer(after=5 if every and n % every == 0 else 0.1) for n in range(samples))
        )
    for _ in range(2 * samples):
        await listen(r)
    upstream.calls.clear()
    began = asyncio.get_running_loop().time()
    heard = Heard(r)
    upstream.default("a", ScriptedAnswer(after=30))
    upstream.default("b", ScriptedAnswer(after=30))
    upstream.script("b", ScriptedAnswer(after=0.25))
    await listen(r)
    won = [each for each in heard.attempts if each.hedge]
    return asyncio.get_running_loop().time() - began - 0.25 if won else None


def late(
    setting: Setting, value: object, *, every: int = 0, samples: int = 10, **changes: Any
) -> float | None:
    upstream = Scripted()
    given = config("ab", hedging={**HEDGING, **changes}, circuit_breaker=OFF)
    return during(
        setting.to(value, given), upstream, lambda r: hedged(r, upstream, every=every, samples=samples)
    )


@proves("hedging")
def without_it_a_late_stream_waits(setting: Setting) -> None:
    assert late(setting, None) is None
    assert late(setting, HEDGING) == pytest.approx(1, abs=0.1)


@proves("hedging.floor")
def nothing_is_late_sooner_than_the_floor(setting: Setting) -> None:
    assert late(setting, "1s") == pytest.approx(1, abs=0.1)
    assert late(setting, "3s") == pytest.approx(3, abs=0.1)


@proves("hedging.quantile")
def late_is_when_so_many_were_sooner(setting: Setting) -> None:
    assert late(setting, "50%", every=4) == pytest.approx(1, abs=0.1)
    assert late(setting, "95%", every=4) == pytest.approx(5, rel=0.1)


@proves("hedging.minimum_samples")
def with_fewer_first_tokens_nothing_is_late(setting: Setting) -> None:
    assert late(setting, 8, samples=8) is not None
    assert late(setting, 9, samples=8) is None


@proves("hedging.budget")
def second_attempts_are_that_share_of_the_streams(setting: Setting) -> None:
    def second(value: str) -> int:
        upstream = Scripted()
        given = setting.to(value, config("ab", hedging={"minimum_samples": 5}, circuit_breaker=OFF))

        async def story(r: Router) -> int:
            for _ in range(20):
                await listen(r)
            heard = Heard(r)
            upstream.default("a", ScriptedAnswer(after=30))
            upstream.default("b", ScriptedAnswer(after=30))
            await asyncio.gather(*(listen(r) for _ in range(40)))
            return sum(each.hedge for each in heard.attempts)

        return during(given, upstream, story)

    few, many = second("10%"), second("100%")
    assert few <= 6
    assert many == 40
