"""Where the next attempt goes, when, and when a request gives up."""

from __future__ import annotations

import asyncio
import copy
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from routers import Heard, config, in_flight, router

from pointsman import Router
from pointsman.errors import (
    AuthenticationFailed,
    CallError,
    ConnectionFailed,
    ContextWindowExceeded,
    DeadlineExceeded,
    InvalidRequest,
    ModelNotFound,
    NoDeploymentAvailable,
    Overloaded,
    PluginError,
    QuotaExhausted,
    RateLimited,
    Unavailable,
    UnknownModel,
    Unsupported,
)
from pointsman.plugin import PointsmanSpec, hookimpl
from pointsman.provider import Call, Provider, ProviderFactory
from pointsman.retry import Failure, RetryFactory
from pointsman.strategy import Member, Strategy, StrategyFactory
from pointsman.testing import Scripted, ScriptedAnswer, run
from pointsman.types import ChatRequest, ChatResponse

NO_BREAKER = {"circuit_breaker": {"enabled": False}}
THREE = {"type": "exponential", "attempts": 3}
NO_BUDGET = {"type": "exponential", "attempts": 3, "budget": None}


def test_a_failed_call_is_answered_by_another_deployment() -> None:
    upstream = Scripted()
    upstream.default("a", Unavailable("down"))

    async def main() -> None:
        async with router(upstream, config("ab")) as r:
            replies = [await r.chat("m", "hi") for _ in range(10)]
        assert {reply.text for reply in replies} == {"ok"}
        assert {reply.deployment for reply in replies} == {"b/x"}

    run(main())


def test_one_of_two_dead_without_a_breaker_fails_none_of_a_thousand_calls() -> None:
    upstream = Scripted()
    upstream.default("a", ConnectionFailed("refused", sent=False))

    async def main() -> None:
        async with router(upstream, config("ab", retry=THREE, **NO_BREAKER)) as r:
            replies = await asyncio.gather(*(r.chat("m", "hi") for _ in range(1_000)))
            assert len(replies) == 1_000
            assert in_flight(r) == 0

    run(main())
    assert upstream.count("a") > 300, "the dead one was hardly asked, so the test shows nothing"


def test_a_retry_prefers_deployments_that_this_request_has_not_tried() -> None:
    upstream = Scripted()
    for name in "abc":
        upstream.default(name, Unavailable("down"))

    async def main() -> None:
        async with router(upstream, config("abc", retry=NO_BUDGET, **NO_BREAKER)) as r:
            for _ in range(50):
                upstream.calls.clear()
                with pytest.raises(Unavailable):
                    await r.chat("m", "hi")
                assert {name for name, _, _ in upstream.calls} == {"a", "b", "c"}

    run(main())


def test_the_first_other_deployment_is_asked_before_anybody_else_has_a_turn() -> None:
    upstream = Scripted()
    upstream.default("a", Unavailable("down"))

    async def main() -> None:
        turns: list[int] = []
        async with router(upstream, config("ab", retry=THREE, **NO_BREAKER)) as r:
            for _ in range(10):
                asyncio.get_running_loop().call_soon(turns.append, upstream.count("b"))
                before = len(turns)
                reply = await r.chat("m", "hi")
                assert (reply.deployment, len(turns)) == ("b/x", before)
                await asyncio.sleep(0)
        assert len(turns) == 10

    run(main())
    assert upstream.count("a") > 0


def test_moving_on_waits_at_most_50_ms_and_coming_back_waits_full_jitter() -> None:
    upstream = Scripted()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with router(upstream, config("a", retry=NO_BUDGET, **NO_BREAKER)) as r:
            waits = []
            for _ in range(200):
                upstream.script("a", Unavailable("x"), Unavailable("x"))
                before = loop.time()
                await r.chat("m", "hi")
                waits.append(loop.time() - before)
        # Failures 1 and 2: uniform over [0, 1] and [0, 2] with the base of 0.5 s.
        assert max(waits) <= 3.0
        assert max(waits) > 2.0
        assert min(waits) < 0.5

        upstream.default("a", Unavailable("x"))
        async with router(upstream, config("ab", retry=NO_BUDGET, **NO_BREAKER)) as r:
            before = loop.time()
            for _ in range(100):
                await r.chat("m", "hi")
            assert loop.time() - before <= 100 * 0.051

    run(main())


def test_no_more_attempts_are_made_than_the_policy_allows_and_nothing_sleeps_after_the_last() -> None:
    upstream = Scripted()
    upstream.default("a", Unavailable("down"))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        given = config("a", retry={"type": "exponential", "attempts": 4, "base_delay": "1s"}, **NO_BREAKER)
        async with router(upstream, given) as r:
            heard = Heard(r)
            with pytest.raises(Unavailable) as caught:
                await r.chat("m", "hi")
            ended = heard.attempts[-1]
            assert loop.time() == pytest.approx(ended.wall - heard.requests[0].wall + ended.seconds, abs=1e-3)
        assert upstream.count("a") == 4
        assert caught.value.attempts == 4
        assert caught.value.deployment == "a/x"
        assert [each.number for each in heard.attempts] == [1, 2, 3, 4]

    run(main())


class Said(PointsmanSpec):
    """A retry policy that waits as it was told and notes what it was asked; it gives up when nothing is left."""

    attempts = 100
    budget = None

    def __init__(self, delays: Sequence[float]) -> None:
        self.delays = list(delays)
        self.asked: list[int] = []

    @hookimpl
    def pointsman_retry_policies(self) -> Sequence[RetryFactory]:
        return [RetryFactory("said", BaseModel, lambda _context: self)]

    def delay(self, failure: Failure) -> float | None:
        self.asked.append(failure.number)
        return self.delays[failure.number - 1] if failure.number <= len(self.delays) else None


@settings(deadline=None)
@given(
    delays=st.lists(st.sampled_from([0.0, 0.0, 0.25, 1.0, 3.0]), max_size=6),
    answered=st.integers(1, 7),
    providers=st.sampled_from(["a", "ab", "abc"]),
)
def test_a_policy_is_asked_once_for_each_failure_and_its_waits_are_kept(
    delays: list[float], answered: int, providers: str
) -> None:
    """Whether the next attempt follows at once or after a wait, and in whatever order they come."""
    upstream, policy = Scripted(), Said(delays)
    left = iter(range(1, answered))
    for name in providers:
        upstream.default(name, lambda *_: Unavailable("down") if next(left, 0) else ScriptedAnswer("ok"))

    async def main() -> tuple[int, float]:
        given = config(providers, retry="said", **NO_BREAKER)
        async with Router.from_config(given, plugins=[upstream, policy], rng=random.Random(1)) as r:
            began = asyncio.get_running_loop().time()
            try:
                attempts = (await r.chat("m", "hi")).attempts
            except Unavailable as error:
                attempts = error.attempts
            assert in_flight(r) == 0
            return attempts, asyncio.get_running_loop().time() - began

    attempts, seconds = run(main())
    made = min(answered, len(delays) + 1)
    assert attempts == made
    assert policy.asked == list(range(1, made if made == answered else made + 1))
    assert seconds == pytest.approx(sum(delays[: made - 1]), abs=0.01)


def test_retry_none_makes_one_attempt() -> None:
    upstream = Scripted()
    upstream.default("a", Unavailable("down"))

    async def main() -> None:
        async with router(upstream, config("a", retry="none")) as r:
            with pytest.raises(Unavailable):
                await r.chat("m", "hi")

    run(main())
    assert upstream.count("a") == 1


@pytest.mark.parametrize("error", [InvalidRequest("bad"), InvalidRequest("worse", status=422)])
def test_what_no_deployment_can_answer_is_not_tried_again(error: CallError) -> None:
    upstream = Scripted()
    for name in "abc":
        upstream.default(name, error)

    async def main() -> None:
        async with router(upstream) as r:
            with pytest.raises(InvalidRequest):
                await r.chat("m", "hi")
            states = r.status().to_dict()["models"]["m"]["deployments"]
            assert all(each["breaker"]["state"] == "closed" for each in states)

    run(main())
    assert len(upstream.calls) == 1


# ── hints ────────────────────────────────────────────────────────────────────────────────────────────


@given(hint=st.floats(0.1, 60), kind=st.sampled_from([RateLimited, Overloaded, Unavailable]))
@settings(max_examples=30, deadline=None)
def test_nobody_returns_before_the_upstream_said_and_not_much_later(
    hint: float, kind: type[CallError]
) -> None:
    upstream = Scripted()
    upstream.script("a", kind("slow down", retry_after=hint))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with router(upstream, config("a", retry={"type": "exponential", "max_delay": "1ms"})) as r:
            before = loop.time()
            await r.chat("m", "hi")
            waited = loop.time() - before
            assert hint <= waited <= hint * 1.1 + 0.01

    run(main())


@given(hint=st.floats(60.001, 66), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_a_hint_above_a_minute_is_never_waited_for(hint: float, seed: int) -> None:
    upstream = Scripted()
    upstream.script("a", RateLimited("slow down", retry_after=hint))

    async def main() -> None:
        async with router(upstream, config("a"), seed=seed) as r:
            with pytest.raises(RateLimited):
                await r.chat("m", "hi")
            assert asyncio.get_running_loop().time() < 0.1

    run(main())


@pytest.mark.parametrize("seed", range(20))
def test_jitter_does_not_carry_a_hint_past_the_deadline_that_it_was_within(seed: int) -> None:
    upstream = Scripted()
    upstream.script("a", RateLimited("slow down", retry_after=57))

    async def main() -> None:
        async with router(upstream, config("a", timeouts={"total": "58s"}), seed=seed) as r:
            assert (await r.chat("m", "hi")).attempts == 2

    run(main())


def test_a_long_hint_is_reported_and_not_waited_for() -> None:
    upstream = Scripted()
    upstream.default("a", RateLimited("slow down", retry_after=3000))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with router(upstream, config("a")) as r:
            with pytest.raises(RateLimited) as caught:
                await r.chat("m", "hi")
            assert caught.value.retry_after == 3000
            assert loop.time() < 0.1
            with pytest.raises(NoDeploymentAvailable) as refused:
                await r.chat("m", "hi")
            assert refused.value.retry_after == pytest.approx(3000, rel=0.11)
            assert "cooling down" in refused.value.reasons["a/x"]

    run(main())
    assert upstream.count("a") == 1


def test_an_absurd_hint_keeps_a_deployment_away_for_an_hour_and_not_for_decades() -> None:
    upstream = Scripted()
    upstream.script("a", RateLimited("come back in 55 years", retry_after=1_763_683_200))

    async def main() -> None:
        async with router(upstream, config("a")) as r:
            with pytest.raises(RateLimited):
                await r.chat("m", "hi")
            await asyncio.sleep(3_961)
            assert (await r.chat("m", "hi")).text == "ok"

    run(main())


def test_an_overload_cools_the_deployment_down_without_counting_as_a_failure() -> None:
    upstream = Scripted()
    upstream.script("a", Overloaded("busy", retry_after=30))

    async def main() -> None:
        async with router(upstream, config("ab", strategy="least_connections")) as r:
            for _ in range(20):
                await r.chat("m", "hi")
            state = {each["id"]: each for each in r.status().to_dict()["models"]["m"]["deployments"]}
            assert state["a/x"]["breaker"]["state"] == "closed"
            assert "cooling" in state["a/x"]["blocked"]
            await asyncio.sleep(34)
            assert r.explain("m").to_dict()["chain"][0]["refused"] == {}

    run(main())
    assert upstream.count("a") == 1


def test_an_overload_that_names_no_time_is_tried_again_soon_and_closes_the_deployment_for_nobody_else() -> (
    None
):
    upstream = Scripted()
    upstream.script("a", Overloaded("busy", status=529))

    async def main() -> float:
        async with router(upstream, config("a")) as r:
            began = asyncio.get_running_loop().time()
            first, second = await asyncio.gather(r.chat("m", "hi"), r.chat("m", "hi"))
            assert (first.attempts, second.attempts) == (2, 1)
            return asyncio.get_running_loop().time() - began

    assert run(main()) < 2  # seconds of virtual time


def test_out_of_quota_leaves_every_deployment_of_that_credential_alone() -> None:
    upstream = Scripted()
    upstream.default("a", QuotaExhausted("no money"))
    given = config("ab")
    given["models"]["m"]["deployments"] = ["a/x", "a/y", "a/z", "b/x"]

    async def main() -> None:
        async with router(upstream, given) as r:
            for _ in range(12):
                assert (await r.chat("m", "hi")).deployment == "b/x"

    run(main())
    assert Counter(name for name, _, _ in upstream.calls)["a"] <= 3


def test_a_rejected_credential_sends_the_call_to_another_provider_at_once() -> None:
    upstream = Scripted()
    upstream.default("a", AuthenticationFailed("401"))
    given = config("ab")
    given["models"]["m"]["deployments"] = ["a/x", "a/y", "b/x"]

    async def main() -> None:
        async with router(upstream, given, seed=3) as r:
            heard = Heard(r)
            for _ in range(9):
                await r.chat("m", "hi")
            assert max(each.attempts for each in heard.requests) <= 2

    run(main())


# ── fallbacks ────────────────────────────────────────────────────────────────────────────────────────


def chain(*, primary: str = "abc", attempts: int = 3) -> dict[str, object]:
    return {
        "providers": {name: {"type": "scripted"} for name in (*primary, "z")},
        "models": {
            "m": {"deployments": [f"{name}/x" for name in primary], "fallback": ["cloud"]},
            "cloud": {"deployments": ["z/x"]},
        },
        "retry": {"type": "exponential", "attempts": attempts},
        **NO_BREAKER,
    }


def test_the_last_attempt_is_kept_for_the_fallback_when_more_are_dead_than_attempts_allow() -> None:
    upstream = Scripted()
    for name in "abc":
        upstream.default(name, Unavailable("down"))

    async def main() -> None:
        async with router(upstream, chain()) as r:
            reply = await r.chat("m", "hi")
            assert reply.deployment == "z/x"
            assert reply.attempts == 3

    run(main())


@pytest.mark.parametrize("error", [ContextWindowExceeded("too long")])
def test_what_all_deployments_of_a_model_would_say_goes_straight_to_the_fallback(error: CallError) -> None:
    upstream = Scripted()
    for name in "abc":
        upstream.default(name, error)

    async def main() -> None:
        async with router(upstream, chain()) as r:
            reply = await r.chat("m", "hi")
            assert (reply.deployment, reply.attempts) == ("z/x", 2)

    run(main())
    assert len(upstream.calls) == 2


def test_when_each_lacks_the_model_the_fallback_answers() -> None:
    upstream = Scripted()
    for name in "abc":
        upstream.default(name, ModelNotFound("404"))

    async def main() -> None:
        async with router(upstream, chain(attempts=4)) as r:
            assert [(await r.chat("m", "hi")).attempts for _ in range(3)] == [4, 1, 1]

    run(main())
    assert [upstream.count(name) for name in "abcz"] == [1, 1, 1, 3]


def test_a_fallback_answers_when_the_pool_has_nobody_ready() -> None:
    upstream = Scripted()

    async def main() -> None:
        async with router(upstream, chain(primary="a")) as r:
            r.disable("a/x")
            reply = await r.chat("m", "hi")
            assert (reply.deployment, reply.attempts) == ("z/x", 1)
            r.enable("a/x")
            assert (await r.chat("m", "hi")).deployment == "a/x"

    run(main())


def test_unsupported_costs_no_attempt_and_no_time() -> None:
    upstream = Scripted()
    for name in "abc":
        upstream.default(name, Unsupported("no tools here"))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with router(upstream, chain()) as r:
            reply = await r.chat("m", "hi")
            assert (reply.deployment, reply.attempts) == ("z/x", 1)
            assert loop.time() < 1e-3
            r.disable("z/x")
            with pytest.raises(Unsupported, match="no tools here"):
                await r.chat("m", "hi")

    run(main())


# ── deadlines ────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_starts_after_the_deadline_and_no_wait_outlives_it() -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(after=1.0, error=Unavailable("slow death")))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        given = config(
            "a", timeouts={"total": "5s"}, retry={"type": "exponential", "attempts": 20}, **NO_BREAKER
        )
        async with router(upstream, given) as r:
            for _ in range(20):
                began = loop.time()
                with pytest.raises((Unavailable, DeadlineExceeded)):
                    await r.chat("m", "hi")
                assert loop.time() - began <= 6.0 + 1e-3

    run(main())


def test_who_accepts_calls_and_never_answers_does_not_stay_in_service() -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(after=100_000.0))

    async def main() -> None:
        async with router(upstream, config("a", timeouts={"total": "2m"})) as r:
            calls = [asyncio.ensure_future(r.chat("m", "hi")) for _ in range(5)]
            ends = await asyncio.gather(*calls, return_exceptions=True)
            assert [type(end) for end in ends] == [DeadlineExceeded] * 5
            assert "breaker open" in r.status().to_dict()["models"]["m"]["deployments"][0]["blocked"]

        async with router(upstream, config("a", timeouts={"total": "10s"})) as r:
            for _ in range(6):
                with pytest.raises(DeadlineExceeded):
                    await r.chat("m", "hi")
            # Ten seconds were the caller's impatience, not a fault.
            assert r.status().to_dict()["models"]["m"]["deployments"][0]["outcomes"] == {"neutral": 6}

    run(main())


# ── ends ─────────────────────────────────────────────────────────────────────────────────────────────


def test_an_exception_of_a_plugin_is_its_fault_and_fails_over() -> None:
    upstream = Scripted()
    upstream.default("a", KeyError("choices"))

    async def main() -> None:
        async with router(upstream, config("ab", retry={"type": "exponential", "attempts": 2})) as r:
            for _ in range(4):
                assert (await r.chat("m", "hi")).deployment == "b/x"
            r.disable("b/x")
            with pytest.raises(PluginError, match=r"provider plugin 'scripted' failed in chat\(\): KeyError"):
                await r.chat("m", "hi")

    run(main())


def test_cancelling_is_neutral_and_gives_everything_back() -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(after=100.0))

    async def main() -> None:
        async with router(upstream, config("a")) as r:
            heard = Heard(r)
            for _ in range(20):
                task = asyncio.ensure_future(r.chat("m", "hi"))
                await asyncio.sleep(1)
                assert in_flight(r) == 1
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert in_flight(r) == 0
            state = r.status().to_dict()["models"]["m"]["deployments"][0]
            assert state["breaker"]["state"] == "closed"
            assert state["outcomes"] == {"neutral": 20}
            assert [each.result for each in heard.requests] == ["cancelled"] * 20

    run(main())
    assert upstream.aborted["a"] == 20


def test_every_request_ends_in_exactly_one_event_whatever_happens() -> None:
    upstream = Scripted()
    seed = time.time_ns() % 1_000_000
    print(f"seed {seed}")

    async def main() -> None:
        async with router(upstream, config("ab", timeouts={"total": "20s"}), seed=seed) as r:
            heard = Heard(r)
            steps = [
                "ok",
                Unavailable("x"),
                RateLimited("x"),
                InvalidRequest("x"),
                ScriptedAnswer(after=50.0),
                OSError("x"),
            ]
            for name in "ab":
                upstream.script(name, *(steps * 20))
            tasks = [asyncio.ensure_future(r.chat("m", "hi")) for _ in range(60)]
            with pytest.raises(UnknownModel):
                await r.chat("nobody", "hi")
            await asyncio.sleep(0.5)
            for task in tasks[::7]:
                task.cancel()
            await asyncio.wait(tasks)
            assert len(heard.requests) == 61
            assert len({each.request_id for each in heard.requests}) == 61
            by_request = Counter(each.request_id for each in heard.attempts)
            for each in heard.requests:
                assert by_request[each.request_id] == each.attempts
            assert in_flight(r) == 0

    run(main())


def test_an_unknown_model_is_refused_with_the_nearest_name() -> None:
    async def main() -> None:
        given = config("a")
        given["models"]["assistant"] = {"deployments": ["a/y"]}
        async with router(Scripted(), given) as r:
            with pytest.raises(UnknownModel, match="did you mean 'assistant'"):
                await r.chat("asistant", "hi")

    run(main())


def test_any_model_of_a_provider_is_callable_by_its_full_name() -> None:
    upstream = Scripted()

    async def main() -> None:
        async with router(upstream, config("a")) as r:
            reply = await r.chat("a/some/other:7b", "hi")
            assert reply.model == "some/other:7b"
            assert reply.deployment == "a/some/other:7b"

    run(main())


Pick = Callable[[Sequence[Member]], Any]


class Odd(PointsmanSpec, Strategy):
    """A plugin and its strategy, which does what it should not."""

    def __init__(self, picked: Pick) -> None:
        self._picked = picked

    @hookimpl
    def pointsman_strategies(self) -> list[StrategyFactory]:
        return [StrategyFactory("odd", None, lambda _context: self)]

    def pick(self, ready: Sequence[Member], _request: object, /) -> Any:
        return self._picked(ready)


def _raises(_ready: Sequence[Member]) -> Member:
    raise ZeroDivisionError("no weights")


@pytest.mark.parametrize(
    ("pick", "said"),
    [
        (_raises, "ZeroDivisionError"),
        (lambda ready: None, "NoneType"),
        (lambda ready: ready[0].id, "a str"),
        (lambda ready: copy.copy(ready[0]), "a/x"),
    ],
)
def test_a_broken_strategy_is_an_error_that_names_it_and_holds_nothing(pick: Pick, said: str) -> None:
    upstream = Scripted()
    given = config("ab", strategy="odd")

    async def main() -> None:
        async with Router.from_config(given, plugins=[upstream, Odd(pick)]) as r:
            heard = Heard(r)
            with pytest.raises(PluginError, match="strategy plugin 'odd'") as raised:
                await r.chat("m", "hi")
            with pytest.raises(PluginError, match="strategy plugin 'odd'"):
                async with r.stream("m", "hi") as stream:
                    await anext(stream)
            with pytest.raises(PluginError, match="strategy plugin 'odd'"):
                r.explain("m")
            assert said in raised.value.message
            assert in_flight(r) == 0
            assert [each.error for each in heard.requests] == ["plugin", "plugin"]
        assert upstream.calls == []

    run(main())


def test_an_answer_that_its_provider_keeps_is_signed_for_each_caller() -> None:
    kept = ChatResponse(text="always the same")

    class Keeps(Provider):
        async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
            return kept

    class Settings(BaseModel):
        pass

    class Plugin(PointsmanSpec):
        @hookimpl
        def pointsman_providers(self) -> list[ProviderFactory]:
            return [ProviderFactory("keeps", Settings, Keeps)]

    async def main() -> None:
        given = {
            "providers": {name: {"type": "keeps"} for name in "ab"},
            "models": {"m": {"deployments": ["a/x", "b/x"]}},
        }
        async with Router.from_config(given, plugins=[Plugin()]) as r:
            replies = [await r.chat("m", "hi") for _ in range(4)]

        assert sorted(each.deployment for each in replies) == ["a/x", "a/x", "b/x", "b/x"]
        assert len({each.request_id for each in replies}) == 4
        assert all(each.id == each.request_id for each in replies)

    run(main())
