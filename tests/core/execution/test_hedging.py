"""A stream that is late with its first token is sent elsewhere as well, and the first content wins."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from routers import Heard, config, in_flight, router

from pointsman import ConfigError, Router
from pointsman.errors import (
    DeadlineExceeded,
    InvalidRequest,
    NoDeploymentAvailable,
    Outcome,
    RateLimited,
    Unavailable,
)
from pointsman.testing import Scripted, ScriptedAnswer, run

QUICK = ScriptedAnswer("all is well", after=0.1)
LATE = ScriptedAnswer("better late", after=30.0)
HEDGING = {"hedging": {"minimum_samples": 5, "budget": "100%"}, "timeouts": {"total": "60s"}}


def settings(providers: str = "ab", **changes: Any) -> dict[str, Any]:
    """`a` is asked first, as long as it is as good as the others."""
    given = config(providers, **{**HEDGING, "retry": {"type": "exponential", "attempts": 3}, **changes})
    given["models"]["m"]["deployments"] = [
        {"provider": name, "model": "x", "priority": place} for place, name in enumerate(providers)
    ]
    return given


def two(**changes: Any) -> dict[str, Any]:
    """`a` is asked first, then `b`, in turn."""
    return {**settings("ab", **changes), "models": {"m": {"deployments": ["a/x", "b/x"]}}}


def three() -> dict[str, Any]:
    """`a`, `b` and `c` in turn, with an attempt to spare."""
    given = two(retry={"type": "exponential", "attempts": 4})
    given["providers"]["c"] = {"type": "scripted"}
    given["models"]["m"]["deployments"].append("c/x")
    return given


async def learn(r: Router, upstream: Scripted, rounds: int = 5, names: str = "ab") -> None:
    """All deployments have answered `rounds` streams within 0.1 s, and it is the first one's turn."""
    for name in names:
        upstream.script(name, *[QUICK] * rounds)
    for _ in range(len(names) * rounds):
        async with r.stream("m", "hi") as stream:
            assert [each async for each in stream]
    assert {upstream.count(name) for name in names} == {rounds}


async def asked(r: Router) -> tuple[str, str, float]:
    """Text, deployment, and seconds of one stream."""
    began = asyncio.get_running_loop().time()
    async with r.stream("m", "hi") as stream:
        async for _ in stream:
            pass
    return stream.response.text, stream.response.deployment, asyncio.get_running_loop().time() - began


def test_the_second_attempt_answers_when_the_first_is_late() -> None:
    upstream = Scripted()

    async def main() -> None:
        async with router(upstream, two()) as r:
            await learn(r, upstream)
            heard = Heard(r)
            upstream.script("a", LATE)
            upstream.script("b", QUICK)

            text, deployment, seconds = await asked(r)

            assert (text, deployment) == ("all is well", "b/x")
            assert seconds == pytest.approx(1.1, abs=0.01)
            assert in_flight(r) == 0
            lost, won = heard.attempts
            assert (lost.deployment, lost.number, lost.outcome, lost.hedge) == (
                "a/x",
                1,
                Outcome.NEUTRAL,
                False,
            )
            assert (won.deployment, won.number, won.outcome, won.hedge) == ("b/x", 2, Outcome.OK, True)
            assert lost.seconds == pytest.approx(1.1, abs=0.01)
            (request,) = heard.requests
            assert (request.result, request.deployment, request.attempts) == ("ok", "b/x", 2)
        assert upstream.in_flight.total() == 0

    run(main())


def test_the_first_attempt_may_still_win() -> None:
    upstream = Scripted()

    async def main() -> None:
        async with router(upstream, two()) as r:
            await learn(r, upstream)
            heard = Heard(r)
            upstream.script("a", ScriptedAnswer("just so", after=1.5))
            upstream.script("b", LATE)

            text, deployment, seconds = await asked(r)

            assert (text, deployment) == ("just so", "a/x")
            assert seconds == pytest.approx(1.5, abs=0.01)
            assert [(each.deployment, each.hedge) for each in heard.attempts] == [
                ("b/x", True),
                ("a/x", False),
            ]
            assert heard.requests[0].attempts == 2
            assert in_flight(r) == 0

    run(main())


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (ScriptedAnswer(after=1.5, error=Unavailable("down")), ScriptedAnswer("slowly", after=3.0)),
        (ScriptedAnswer("slowly", after=4.0), ScriptedAnswer(error=Unavailable("down"))),
        (ScriptedAnswer("slowly", after=4.0), ScriptedAnswer(error=InvalidRequest("b does not like it"))),
        (ScriptedAnswer("slowly", after=4.0), ScriptedAnswer(error=ZeroDivisionError("a bug of a plugin"))),
    ],
)
def test_an_attempt_that_fails_beside_another_does_not_end_the_request(
    first: ScriptedAnswer, second: ScriptedAnswer
) -> None:
    upstream = Scripted()

    async def main() -> None:
        async with router(upstream, two()) as r:
            await learn(r, upstream)
            heard = Heard(r)
            upstream.script("a", first)
            upstream.script("b", second)

            text, _, seconds = await asked(r)

            assert text == "slowly"
            assert seconds == pytest.approx(4.0, abs=0.01)
            assert len(heard.attempts) == 2
            assert {each.outcome for each in heard.attempts} >= {Outcome.OK}
            assert in_flight(r) == 0

    run(main())


def test_when_both_fail_the_request_goes_on_with_what_attempts_are_left() -> None:
    upstream = Scripted()
    given = two()
    given["providers"]["c"] = {"type": "scripted"}
    given["models"]["m"]["fallback"] = ["other"]
    given["models"]["other"] = {"deployments": ["c/x"]}

    async def main() -> None:
        async with router(upstream, given) as r:
            await learn(r, upstream)
            heard = Heard(r)
            upstream.script("a", ScriptedAnswer(after=2.0, error=Unavailable("a is down")))
            upstream.script("b", ScriptedAnswer(after=2.0, error=Unavailable("b is down")))
            upstream.default("c", "from c")

            text, deployment, _ = await asked(r)

            assert (text, deployment) == ("from c", "c/x")
            assert [each.number for each in heard.attempts] == [1, 2, 3]
            assert in_flight(r) == 0

    run(main())


def test_when_both_fail_and_nothing_is_left_the_first_error_is_told() -> None:
    upstream = Scripted()

    async def main() -> None:
        async with router(upstream, two(retry={"type": "exponential", "attempts": 2})) as r:
            await learn(r, upstream)
            upstream.script("a", ScriptedAnswer(after=2.0, error=Unavailable("a is down")))
            upstream.script("b", ScriptedAnswer(after=2.0, error=Unavailable("b is down")))

            with pytest.raises(Unavailable, match="a is down") as caught:
                await asked(r)

            assert caught.value.attempts == 2
            assert in_flight(r) == 0

    run(main())


def test_without_enough_first_tokens_nobody_knows_what_late_is() -> None:
    upstream = Scripted()

    async def main() -> None:
        async with router(upstream, two()) as r:
            await learn(r, upstream, rounds=4)
            upstream.script("a", LATE)

            assert (await asked(r))[2] == pytest.approx(30.0, abs=0.01)

            assert upstream.count("b") == 4

    run(main())


def test_late_is_what_the_quantile_of_that_deployment_says() -> None:
    upstream = Scripted()

    async def main() -> None:
        async with router(upstream, two()) as r:
            slow = ScriptedAnswer("so it is", after=5.0)
            upstream.script("a", *[slow] * 5)
            upstream.default("b", QUICK)
            for _ in range(10):
                await asked(r)
            upstream.script("a", LATE)

            seconds = (await asked(r))[2]

            assert seconds == pytest.approx(5.1, rel=0.06)  # as exact as the window is

    run(main())


@pytest.mark.parametrize(("floor", "late"), [("1s", 1.0), ("250ms", 0.25)])
def test_nothing_is_late_before_the_floor_however_quick_all_others_were(floor: str, late: float) -> None:
    upstream = Scripted()

    async def main() -> None:
        hedging = {**HEDGING["hedging"], "floor": floor}
        async with router(upstream, two(hedging=hedging)) as r:
            await learn(r, upstream)
            upstream.script("a", LATE)
            upstream.script("b", QUICK)

            assert (await asked(r))[2] == pytest.approx(late + 0.1, abs=0.01)

    run(main())


def test_an_overload_forbids_a_second_attempt() -> None:
    upstream = Scripted()

    async def main() -> None:
        async with router(upstream, three()) as r:
            await learn(r, upstream, names="abc")
            upstream.script("a", RateLimited("slow down"))
            upstream.script("b", LATE)

            text, _, _ = await asked(r)

            assert text == "better late"
            assert upstream.count("c") == 5

    run(main())


def test_there_is_one_second_attempt_at_most() -> None:
    upstream = Scripted()

    async def main() -> None:
        async with router(upstream, three()) as r:
            await learn(r, upstream, names="abc")
            for name in "abc":
                upstream.script(name, LATE)

            assert (await asked(r))[2] == pytest.approx(30.0, abs=0.01)

            assert [upstream.count(name) for name in "abc"] == [6, 6, 5]

    run(main())


def test_second_attempts_stay_within_their_budget() -> None:
    upstream = Scripted()

    async def main() -> None:
        async with router(upstream, two(hedging={"minimum_samples": 5, "budget": "5%"})) as r:
            await learn(r, upstream)
            heard = Heard(r)
            upstream.default("a", ScriptedAnswer("so late", after=1.4))
            upstream.default("b", ScriptedAnswer("so late", after=1.4))

            await asyncio.gather(*(asked(r) for _ in range(200)))

            told = r.status().to_dict()["models"]["m"]
            assert told["hedges"]["retries"] == sum(each.hedge for each in heard.attempts)
            assert told["retries"]["retries"] == told["hedges"]["retries"]
            # One to begin with, and one for every 20 streams.
            assert sum(each.hedge for each in heard.attempts) <= 1 + 210 // 20
            assert sum(each.hedge for each in heard.attempts) >= 5
            assert in_flight(r) == 0

    run(main())


def test_a_second_attempt_is_paid_from_the_budget_of_retries_too() -> None:
    upstream = Scripted()

    async def main() -> None:
        async with router(upstream, two()) as r:
            await learn(r, upstream)
            assert r.status().to_dict()["models"]["m"]["retries"]["retries"] == 0
            upstream.script("a", LATE)
            assert (await asked(r))[1] == "b/x"
            assert r.status().to_dict()["models"]["m"]["retries"]["retries"] == 1

    run(main())


def test_an_empty_budget_of_retries_forbids_a_second_attempt() -> None:
    upstream = Scripted()
    given = two(retry={"type": "exponential", "attempts": 3, "budget": "0%"})
    given["hedging"] = {**given["hedging"], "floor": "200ms"}  # sooner than the second that a retry costs

    async def main() -> None:
        async with router(upstream, given) as r:
            await learn(r, upstream)
            # Calls that would use it up make the deployments look ill, too.
            budget = r._snapshot.pools["m"].budget
            assert budget is not None
            while budget.retry(asyncio.get_running_loop().time()):
                pass
            upstream.script("a", LATE)
            upstream.script("b", QUICK)

            await asked(r)

            assert upstream.count("b") == 5

    run(main())


def test_a_request_without_a_retry_gets_no_second_attempt_either() -> None:
    upstream = Scripted()

    async def main() -> None:
        async with router(upstream, two(retry="none")) as r:
            await learn(r, upstream)
            upstream.script("a", LATE)
            assert (await asked(r))[2] == pytest.approx(30.0, abs=0.01)

    run(main())


@pytest.mark.parametrize("how", ["cancel", "close", "deadline"])
def test_whoever_leaves_while_two_run_ends_both(how: str) -> None:
    upstream = Scripted()

    async def main() -> None:
        async with router(upstream, two()) as r:
            await learn(r, upstream)
            heard = Heard(r)
            upstream.script("a", LATE)
            upstream.script("b", LATE)
            stream = r.stream("m", "hi", timeout=5.0 if how == "deadline" else 60.0)
            entering = asyncio.ensure_future(stream.__aenter__())
            await asyncio.sleep(2.0)
            assert in_flight(r) == 2
            if how == "cancel":
                entering.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await entering
            elif how == "close":
                await stream.aclose()
                assert in_flight(r) == 0
                with pytest.raises(Exception, match="closed while it was being opened"):
                    await entering
            else:
                with pytest.raises(DeadlineExceeded):
                    await entering

            assert in_flight(r) == 0
            assert [each.outcome for each in heard.attempts] == [Outcome.NEUTRAL] * 2
            (request,) = heard.requests
            assert request.result == ("error" if how == "deadline" else "cancelled")
        assert upstream.in_flight.total() == 0

    run(main())


def test_a_second_attempt_overtakes_nobody_who_waits_for_room() -> None:
    upstream = Scripted()
    given = two(queue={"wait": "50s"})
    given["models"]["m"]["deployments"] = [
        {"provider": "a", "model": "x", "max_in_flight": 1},
        {"provider": "b", "model": "x", "max_in_flight": 1},
    ]

    async def main() -> None:
        async with router(upstream, given) as r:
            await learn(r, upstream)
            heard = Heard(r)
            upstream.script("a", LATE)
            upstream.script("b", ScriptedAnswer("first", after=3.0), QUICK, QUICK)
            first = asyncio.ensure_future(asked(r))
            await asyncio.sleep(0.01)
            others = [asyncio.ensure_future(asked(r)) for _ in range(3)]
            await asyncio.gather(*others)

            assert not any(each.hedge for each in heard.attempts)
            assert (await first)[2] == pytest.approx(30.0, abs=0.01)

    run(main())


def test_a_reload_turns_it_on_and_keeps_its_budget() -> None:
    upstream = Scripted()

    async def main() -> None:
        plain = two()
        hedged = {**plain}
        plain = {key: value for key, value in plain.items() if key != "hedging"}
        async with router(upstream, plain) as r:
            await learn(r, upstream)
            await r.reload(hedged)
            await learn_again(r, upstream)
            upstream.script("a", LATE)
            assert (await asked(r))[1] == "b/x"
            spent = r.status().to_dict()["models"]["m"]["hedges"]
            assert spent["retries"] == 1
            await r.reload({**hedged, "timeouts": {"total": "50s"}})
            assert r.status().to_dict()["models"]["m"]["hedges"] == spent

    async def learn_again(r: Router, upstream: Scripted) -> None:
        for _ in range(10):
            await asked(r)

    run(main())


def test_a_setting_that_cannot_be_right_is_refused_with_its_place() -> None:
    with pytest.raises(ConfigError, match=r"hedging\.quantile"):
        router(Scripted(), two(hedging={"quantile": "100%"}))


def test_nothing_is_hedged_to_where_there_is_nobody() -> None:
    upstream = Scripted()
    given = config("a", **HEDGING)

    async def main() -> None:
        async with router(upstream, given) as r:
            upstream.script("a", *[QUICK] * 5)
            for _ in range(5):
                await asked(r)
            upstream.script("a", LATE)
            assert (await asked(r))[2] == pytest.approx(30.0, abs=0.01)
            upstream.script("a", ScriptedAnswer(after=2, error=Unavailable("down")))
            upstream.default("a", Unavailable("down"))
            with pytest.raises((Unavailable, NoDeploymentAvailable)):
                await asked(r)

    run(main())
