"""Room where it is scarce: places, rate limits, and the line in front of them."""

from __future__ import annotations

import asyncio
import random
from itertools import pairwise
from typing import Any

import pytest
from routers import Heard, config, in_flight, router

from pointsman import ConfigError, NoDeploymentAvailable, QueueFull, Router
from pointsman.errors import ConnectionFailed, Unavailable
from pointsman.testing import Scripted, ScriptedAnswer, run
from pointsman.types import Usage


def one(**deployment: Any) -> dict[str, Any]:
    """One model with one deployment, which is told `deployment`."""
    given = config("a")
    given["models"]["m"]["deployments"] = [{"provider": "a", "model": "x", **deployment}]
    return given


def test_callers_wait_in_turn_for_a_place_and_none_is_taken_twice() -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(after=0.5))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with router(upstream, one(max_in_flight=3)) as r:
            replies = await asyncio.gather(*(r.chat("m", f"{n}") for n in range(24)))
            assert len(replies) == 24
            assert loop.time() == pytest.approx(4.0, abs=0.01)
            assert in_flight(r) == 0

    run(main())
    assert upstream.most_in_flight["a"] == 3
    order = [int(request.messages[0].text) for _, request, _ in upstream.calls]
    assert order == list(range(24))


def test_who_would_wait_too_long_is_refused_and_told_when_to_come_back() -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(after=2.0))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with router(upstream, one(max_in_flight=1)) as r:
            heard = Heard(r)
            ends = await asyncio.gather(*(r.chat("m", "hi") for _ in range(10)), return_exceptions=True)
            refused = [end for end in ends if isinstance(end, QueueFull)]
            assert len(refused) == 10 - sum(not isinstance(end, BaseException) for end in ends)
            assert 2 <= 10 - len(refused) <= 4
            assert loop.time() <= 9
            assert all(each.attempts == 0 for each in refused)
            assert len(heard.requests) == 10
            assert in_flight(r) == 0

    run(main())


def test_without_a_queue_a_full_pool_refuses_at_once() -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(after=1.0))

    async def main() -> None:
        async with router(upstream, {**one(max_in_flight=1), "queue": None}) as r:
            ends = await asyncio.gather(*(r.chat("m", "hi") for _ in range(5)), return_exceptions=True)
            assert sum(isinstance(end, NoDeploymentAvailable) for end in ends) == 4

    run(main())


def test_the_high_go_first_and_the_low_still_get_their_share() -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(after=0.05))

    async def main() -> None:
        async with router(upstream, one(max_in_flight=1)) as r:
            ended: list[str] = []

            async def call(priority: str) -> None:
                await r.chat("m", "hi", priority=priority)
                ended.append(priority)

            calls = [call("low") for _ in range(10)] + [call("high") for _ in range(40)]
            await asyncio.gather(*calls)
            # The first "low" had the place before anybody waited.
            assert ended[1:].index("high") == 0
            assert ended[1:21].count("high") >= 16
            assert ended[1:31].count("low") >= 2

    run(main())


def test_no_caller_can_push_the_others_aside() -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(after=0.05))

    async def main() -> None:
        async with router(upstream, one(max_in_flight=1)) as r:
            ended: list[str] = []

            async def call(key: str) -> None:
                await r.chat("m", "hi", caller=key)
                ended.append(key)

            await asyncio.gather(*(call("greedy") for _ in range(60)), *(call("modest") for _ in range(5)))
            assert ended[:12].count("modest") >= 5

    run(main())


def test_cancelled_waiters_leave_nothing_and_no_turn_is_lost() -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(after=0.1))
    chance = random.Random(5)

    async def main() -> None:
        async with router(upstream, one(max_in_flight=2)) as r:
            heard = Heard(r)
            calls = [asyncio.ensure_future(r.chat("m", "hi")) for _ in range(80)]
            for call in chance.sample(calls, 40):
                asyncio.get_running_loop().call_later(chance.random() * 2, call.cancel)
            ends = await asyncio.gather(*calls, return_exceptions=True)
            assert all(
                isinstance(end, asyncio.CancelledError) or not isinstance(end, BaseException) for end in ends
            )
            assert in_flight(r) == 0
            assert len(heard.requests) == 80
            assert (await r.chat("m", "hi")).text == "ok"

    run(main())


@pytest.mark.parametrize("limits", [{"limits": {"requests": "60/min", "burst_requests": 2}}])
def test_a_rate_limit_holds_in_every_window(limits: dict[str, Any]) -> None:
    upstream = Scripted()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        times: list[float] = []
        upstream.default("a", lambda _request, _call: times.append(loop.time()) or ScriptedAnswer())
        async with router(upstream, {**one(**limits), "queue": {"wait": "1h"}}) as r:
            await asyncio.gather(*(r.chat("m", "hi") for _ in range(30)))
            assert times[1] == pytest.approx(times[0], abs=0.01)
            assert all(later - earlier >= 1 - 1e-3 for earlier, later in pairwise(times[2:]))
            assert loop.time() == pytest.approx(28, abs=0.1)

    run(main())


def test_deployments_of_one_account_share_its_limit() -> None:
    upstream = Scripted()
    given: dict[str, Any] = {
        "providers": {"a": {"type": "scripted", "limits": {"requests": "10/min", "burst_requests": 10}}},
        "models": {"m": {"deployments": ["a/x"]}, "n": {"deployments": ["a/y"]}},
        "queue": None,
    }

    async def main() -> None:
        async with router(upstream, given) as r:
            for n in range(10):
                await r.chat("mn"[n % 2], "hi")
            with pytest.raises(NoDeploymentAvailable) as caught:
                await r.chat("m", "hi")
            assert caught.value.retry_after == pytest.approx(6, abs=0.1)
            assert "rate limit" in caught.value.reasons["a/x"]
            with pytest.raises(NoDeploymentAvailable):
                await r.chat("n", "hi")
            # A reload does not fill it up again.
            await r.reload(given)
            with pytest.raises(NoDeploymentAvailable):
                await r.chat("m", "hi")

    run(main())


def test_tokens_are_settled_as_reported_and_refunded_when_nothing_was_sent() -> None:
    upstream = Scripted()
    given = one(limits={"tokens": "6000/min", "burst_tokens": 6000})

    def left(r: Router) -> int:
        (scope,) = r.status().to_dict()["models"]["m"]["deployments"][0]["limits"]
        return int(scope["tokens"]["remaining"])

    async def main() -> None:
        async with router(upstream, {**given, "retry": "none"}) as r:
            before = left(r)
            upstream.script("a", ScriptedAnswer(usage=Usage(prompt=100, completion=400)))
            await r.chat("m", "hi")
            assert before - left(r) == pytest.approx(500, abs=5)

            upstream.script("a", ConnectionFailed("refused", sent=False))
            with pytest.raises(ConnectionFailed):
                await r.chat("m", "hi")
            assert before - left(r) == pytest.approx(500, abs=5)

            upstream.script("a", Unavailable("who knows what it did"))
            with pytest.raises(Unavailable):
                await r.chat("m", "hi", max_tokens=1000)
            assert before - left(r) > 900

    run(main())


def test_a_request_larger_than_the_burst_is_refused_for_good_and_says_why() -> None:
    async def main() -> None:
        given = one(limits={"tokens": "1000/min"})
        async with router(Scripted(), given) as r:
            with pytest.raises(NoDeploymentAvailable) as caught:
                await r.chat("m", "word " * 10_000)
            assert caught.value.retry_after is None
            assert "1000" in caught.value.reasons["a/x"]

    run(main())


def test_a_shared_limit_that_nobody_described_is_refused_at_start() -> None:
    given = {**one(shared_limits=["acount"]), "limits": {"account": {"requests": "5/s"}}}
    with pytest.raises(ConfigError, match=r"no limit is called 'acount'; did you mean 'account'\?"):
        router(Scripted(), given)
