"""Who waits for a cool-down, how long, and what happens when it grows meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from routers import Heard, config, in_flight, router

from pointsman import Router
from pointsman.errors import (
    CallError,
    NoDeploymentAvailable,
    PermissionDenied,
    RateLimited,
    Unavailable,
    Unsupported,
)
from pointsman.testing import Scripted, ScriptedAnswer, run


class Metered:
    """An upstream that refuses calls until an instant, after it has looked at each for a moment."""

    def __init__(self, until: float, *, hint: float | None, takes: float = 0.05) -> None:
        self.until = until
        self.hint = hint
        self.takes = takes

    def __call__(self, _request: Any, _call: Any) -> ScriptedAnswer:
        if asyncio.get_running_loop().time() < self.until:
            return ScriptedAnswer(after=self.takes, error=RateLimited("slowly", retry_after=self.hint))
        return ScriptedAnswer("ok", after=self.takes)


async def at(seconds: float, r: Router, **options: Any) -> Any:
    """What a call that begins then ends with."""
    await asyncio.sleep(seconds)
    try:
        return await r.chat("m", "hi", **options)
    except CallError as error:
        return error


async def cooled_down(r: Router, upstream: Scripted) -> None:
    """Have the upstream `b` ask to be left alone for a second."""
    upstream.script("b", RateLimited("slowly", retry_after=1.0))
    with pytest.raises(RateLimited):
        await r.chat("b/x", "hi", timeout=0.5)


@pytest.mark.parametrize("queue", [{}, None])
@pytest.mark.parametrize("callers", [2, 10, 100])
@pytest.mark.parametrize("apart", [0.0, 1e-4, 2e-3])
def test_all_who_were_refused_together_succeed_however_the_cool_down_grows(
    callers: int, apart: float, queue: Any
) -> None:
    upstream = Scripted()

    async def main() -> None:
        async with router(upstream, config("a", queue=queue)) as r:
            heard = Heard(r)
            # The first refusals come while the last calls begin, and each extends the cool-down a little.
            upstream.default("a", Metered(0.5, hint=1.0, takes=0.3))
            ends = await asyncio.gather(*(at(n * apart, r) for n in range(callers)))

            assert [each.attempts for each in ends] == [2] * callers
            assert len(heard.requests) == callers
            assert in_flight(r) == 0

    run(main())


def test_two_different_hints_are_both_waited_for() -> None:
    upstream = Scripted()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for queue in ({}, None):
            upstream.script(
                "a",
                *(ScriptedAnswer(after=0.1 * h, error=RateLimited("x", retry_after=h)) for h in (2.0, 5.0)),
            )
            async with router(upstream, config("a", queue=queue)) as r:
                began = loop.time()
                ends = await asyncio.gather(at(0, r), at(0, r))
                assert [each.attempts for each in ends] == [2, 2]
                assert 5.5 <= loop.time() - began <= 6.1

    run(main())


def test_a_cool_down_that_grows_beyond_what_is_waited_for_ends_the_wait_at_once() -> None:
    upstream = Scripted()
    upstream.script(
        "a",
        ScriptedAnswer(after=0.1, error=RateLimited("x", retry_after=2.0)),
        ScriptedAnswer(after=1.0, error=RateLimited("x", retry_after=500.0)),
    )

    async def main() -> None:
        async with router(upstream, config("a")) as r:
            first, second, third = await asyncio.gather(at(0, r), at(0, r), at(0.5, r))
            assert isinstance(second, RateLimited)
            for each in (first, third):
                assert isinstance(each, NoDeploymentAvailable)
                assert each.retry_after == pytest.approx(500, rel=0.11)
            assert asyncio.get_running_loop().time() < 2.3

    run(main())


@pytest.mark.parametrize("opens", [{"reset_timeout": 2.0}, {"reset_timeout": 6.0}], ids=["soon", "late"])
def test_callers_who_come_while_a_breaker_is_open_wait_where_it_admits_in_time(opens: Any) -> None:
    upstream = Scripted()
    upstream.script("a", Unavailable("down"))
    upstream.default("a", ScriptedAnswer("ok", after=0.1))

    async def main() -> None:
        breaker = {"failure_threshold": 1, **opens}
        async with router(upstream, config("a", retry="none", circuit_breaker=breaker)) as r:
            assert isinstance(await at(0, r), Unavailable)
            ends = await asyncio.gather(*(at(0.1, r) for _ in range(5)))

            if opens["reset_timeout"] > 5:
                assert [type(each) for each in ends] == [NoDeploymentAvailable] * 5
                assert asyncio.get_running_loop().time() == pytest.approx(0.1, rel=0.01)
            else:
                assert [each.text for each in ends] == ["ok"] * 5
                assert 2.1 <= asyncio.get_running_loop().time() <= 2.8
            assert in_flight(r) == 0

    run(main())


def test_a_probe_that_fails_ends_the_wait_of_all_who_cannot_be_served_in_time() -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(after=0.1, error=Unavailable("down")))

    async def main() -> None:
        breaker = {
            "failure_threshold": 1,
            "reset_timeout": 2.0,
            "half_open_max_calls": 1,
            "success_threshold": 1,
        }
        async with router(upstream, config("a", retry="none", circuit_breaker=breaker)) as r:
            await at(0, r)
            ends = await asyncio.gather(*(at(2, r) for _ in range(5)), *(at(0.1, r) for _ in range(5)))

            kinds = sorted(type(each).__name__ for each in ends)
            assert kinds == ["NoDeploymentAvailable"] * 8 + ["Unavailable"] * 2
            assert len(upstream.calls) == 3

    run(main())


def test_callers_who_come_while_all_cools_down_wait_in_line() -> None:
    upstream = Scripted()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with router(upstream, config("a")) as r:
            upstream.default("a", Metered(1.9, hint=2.0))
            ends = await asyncio.gather(*(at(each, r) for each in (0, 0.2, 0.4, 1.0, 1.5)))
            assert [each.attempts for each in ends] == [2, 1, 1, 1, 1]
            assert 2.0 <= loop.time() <= 2.4

    run(main())


def test_without_a_queue_they_are_refused_at_once_and_told_when_to_come_back() -> None:
    upstream = Scripted()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with router(upstream, config("a", queue=None)) as r:
            upstream.default("a", Metered(1.9, hint=2.0))
            first = asyncio.ensure_future(at(0, r))
            await asyncio.sleep(0.5)
            began = loop.time()
            later = await at(0, r)
            assert isinstance(later, NoDeploymentAvailable)
            assert loop.time() == pytest.approx(began, abs=1e-3)
            assert 1.5 <= later.retry_after <= 1.8
            assert (await first).attempts == 2

    run(main())


@pytest.mark.parametrize(
    ("hint", "more", "options"),
    [(30.0, {}, {}), (3.0, {"queue": {"wait": "2s"}}, {}), (3.0, {}, {"timeout": 1.0})],
)
def test_who_would_wait_too_long_is_refused_at_once(
    hint: float, more: dict[str, Any], options: dict[str, Any]
) -> None:
    upstream = Scripted()
    upstream.default("a", Metered(hint - 0.1, hint=hint))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with router(upstream, config("a", **more)) as r:
            first = asyncio.ensure_future(at(0, r))
            await asyncio.sleep(0.5)
            began = loop.time()
            later = await at(0, r, **options)
            assert isinstance(later, NoDeploymentAvailable)
            assert loop.time() == pytest.approx(began, abs=1e-3)
            assert hint - 0.5 <= later.retry_after <= hint * 1.1
            # The one who was told to wait still does.
            assert (await first).attempts == 2

    run(main())


def test_those_in_line_for_a_place_stay_there_while_the_one_ahead_is_refused() -> None:
    upstream = Scripted()
    given = config("a")
    given["models"]["m"]["deployments"] = [{"provider": "a", "model": "x", "max_in_flight": 1}]

    async def main() -> None:
        async with router(upstream, given) as r:
            upstream.default("a", Metered(0.1, hint=1.0))
            ends = await asyncio.gather(*(at(0, r) for _ in range(11)))
            assert [each.attempts for each in ends] == [2] + [1] * 10
            assert upstream.most_in_flight["a"] == 1

    run(main())


def test_a_long_cool_down_does_not_make_the_line_look_slow() -> None:
    upstream = Scripted()

    async def main() -> None:
        async with router(upstream, config("a")) as r:
            for n in range(1, 5):  # again and again, so that the pace of the line would tell of it
                now = asyncio.get_running_loop().time()
                upstream.default("a", Metered(now + 3.9, hint=4.0))
                ends = await asyncio.gather(*(at(0.1 * each, r) for each in range(35)))
                assert sum(isinstance(each, BaseException) for each in ends) == 0, n

    run(main())


def test_who_met_one_that_cannot_waits_for_another_that_cools_down_and_pays_nothing() -> None:
    upstream = Scripted()

    async def main() -> None:
        async with router(upstream, config("ab")) as r:
            await cooled_down(r, upstream)
            upstream.default("a", Unsupported("no tools here"))
            reply = await at(0, r)
            assert (reply.deployment, reply.attempts) == ("b/x", 1)

    run(main())


def test_what_failed_goes_on_to_another_that_cools_down_for_a_moment_only() -> None:
    upstream = Scripted()

    async def main() -> None:
        async with router(upstream, config("ab", retry={"type": "exponential", "base_delay": "1s"})) as r:
            await cooled_down(r, upstream)
            upstream.default("a", PermissionDenied("403"))
            assert (await at(0, r)).deployment == "b/x"

    run(main())


@settings(deadline=None, max_examples=50)
@given(
    calls=st.lists(st.floats(0, 3), min_size=1, max_size=12),
    until=st.floats(0, 4),
    hint=st.sampled_from([None, 0.0, 0.5, 1.0, 2.0]),
    takes=st.sampled_from([0.0, 0.1, 1.0]),
    queue=st.sampled_from([None, {}, {"length": 2}]),
    total=st.sampled_from(["1s", "5s", "60s"]),
)
def test_everybody_ends_within_the_deadline_and_nothing_is_left(
    calls: list[float], until: float, hint: float | None, takes: float, queue: Any, total: str
) -> None:
    upstream = Scripted()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        upstream.default("a", Metered(until, hint=hint, takes=takes))
        given = config("a", queue=queue, timeouts={"total": total})
        async with router(upstream, given) as r:

            async def call(begins: float) -> None:
                end = await at(begins, r)
                assert loop.time() - begins <= float(total[:-1]) + 0.01, end

            await asyncio.gather(*(call(each) for each in calls))
            assert in_flight(r) == 0
            m = r.status().to_dict()["models"]["m"]
            assert m["queue"] is None or m["queue"]["waiting"] == 0
            budget = m["retries"]
            assert budget["retries"] - budget["refunds"] == len(upstream.calls) - sum(
                call.attempt == 1 for _, _, call in upstream.calls
            )

    run(main())
