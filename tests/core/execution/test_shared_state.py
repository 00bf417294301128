"""Several routers and one store: what is shared, who is asked, and what is given back."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from routers import config
from stores import Shelf

from pointsman import NoDeploymentAvailable, PointsmanError, Router, StateChanged, Unavailable
from pointsman.testing import Scripted, ScriptedAnswer, run
from pointsman.types import Usage

SEEDS = itertools.count(1)


def shared(shelf: Shelf, upstream: Scripted, *, state: Any = "shelf", **deployment: Any) -> Router:
    """A router with one deployment, which shares with all that have the same shelf."""
    given = config("a", queue=deployment.pop("queue", None), retry="none", state=state)
    given["models"]["m"] = {"deployments": [{"provider": "a", "model": "x", **deployment}]}
    # By chance each router has a name of its own.
    return Router.from_config(given, plugins=[upstream, shelf], rng=random.Random(next(SEEDS)))


async def passed(router: Router, times: int) -> int:
    """How many of so many calls, one after the other, were let through."""
    count = 0
    for _ in range(times):
        try:
            await router.chat("m", "hello")
        except NoDeploymentAvailable:
            continue
        count += 1
    return count


def with_two(work: Callable[[Router, Router, Shelf, Scripted], Awaitable[None]], **deployment: Any) -> None:
    """Do `work` with two routers that share, on virtual time."""

    async def main() -> None:
        shelf, upstream = Shelf(), Scripted()
        one, other = shared(shelf, upstream, **deployment), shared(shelf, upstream, **deployment)
        async with one, other:
            await work(one, other, shelf, upstream)

    run(main())


def test_two_routers_let_through_together_what_one_may() -> None:
    async def work(one: Router, other: Router, _shelf: Shelf, _upstream: Scripted) -> None:
        assert await passed(one, 4) + await passed(other, 6) == 6
        await asyncio.sleep(21)
        assert await passed(one, 1) + await passed(other, 2) == 2

    with_two(work, limits={"requests": "6/min"})


def test_what_the_store_refused_it_is_not_asked_again_before_there_may_be_room() -> None:
    async def work(one: Router, other: Router, shelf: Shelf, _upstream: Scripted) -> None:
        await passed(other, 6)
        asked = len(shelf.asked)
        with pytest.raises(NoDeploymentAvailable) as refused:
            await one.chat("m", "hello")
        assert refused.value.retry_after == pytest.approx(10, abs=0.1)
        assert await passed(one, 20) == 0
        assert len(shelf.asked) == asked + 1

    with_two(work, limits={"requests": "6/min"})


def test_who_waits_in_line_keeps_the_place_while_the_store_is_asked() -> None:
    async def work(one: Router, other: Router, shelf: Shelf, _upstream: Scripted) -> None:
        shelf.latency = 0.002
        order: list[int] = []

        async def caller(n: int) -> None:
            await one.chat("m", "hello")
            order.append(n)

        calls = []
        for n in range(6):
            calls.append(asyncio.ensure_future(caller(n)))
            await asyncio.sleep(0.01)
        rivals = [asyncio.ensure_future(other.chat("m", "hello")) for _ in range(6)]
        await asyncio.gather(*calls, *rivals)
        assert order == sorted(order)

    with_two(work, limits={"requests": "1/s", "burst_requests": 1}, queue={"wait": "1m"})


def test_a_place_belongs_to_one_of_all_routers_until_the_attempt_is_over() -> None:
    async def work(one: Router, other: Router, shelf: Shelf, upstream: Scripted) -> None:
        upstream.default("a", ScriptedAnswer("a b c", gap=20))
        async with one.stream("m", "hello") as stream:
            await anext(aiter(stream))
            await asyncio.sleep(40)  # longer than a place lives that nobody renews
            assert await passed(other, 1) == 0
        upstream.default("a", "ok")
        await asyncio.sleep(1)
        assert await passed(other, 1) == 1

    with_two(work, max_in_flight=1)


@pytest.mark.parametrize("queue", [None, {"wait": "1m"}])
def test_a_caller_who_leaves_while_the_store_is_asked_leaves_nothing_taken(queue: Any) -> None:
    async def work(one: Router, other: Router, shelf: Shelf, upstream: Scripted) -> None:
        shelf.latency = 0.01
        for after in (0.001, 0.0101, 0.02):
            call = asyncio.ensure_future(one.chat("m", "hello"))
            await asyncio.sleep(after)
            call.cancel()
            await asyncio.wait([call])
        await asyncio.sleep(1)
        assert one.status().to_dict()["models"]["m"]["deployments"][0]["in_flight"] == 0
        shelf.latency = 0
        assert await passed(other, 1) == 1

    with_two(work, max_in_flight=1, queue=queue)


def test_tokens_that_were_not_used_are_there_for_the_other_router() -> None:
    async def work(one: Router, other: Router, _shelf: Shelf, upstream: Scripted) -> None:
        upstream.default("a", ScriptedAnswer(usage=Usage(prompt=1, completion=1)))
        await one.chat("m", "hello", max_tokens=900)
        await asyncio.sleep(0.1)
        await other.chat("m", "hello", max_tokens=900)
        await asyncio.sleep(0.1)
        upstream.default("a", ScriptedAnswer(usage=Usage(prompt=1, completion=900)))
        await other.chat("m", "hello", max_tokens=900)
        await asyncio.sleep(0.1)
        with pytest.raises(NoDeploymentAvailable):
            await one.chat("m", "hello", max_tokens=900)

    with_two(work, limits={"tokens": "1000/h"})


def test_what_was_never_sent_is_given_back() -> None:
    async def work(one: Router, other: Router, _shelf: Shelf, upstream: Scripted) -> None:
        from pointsman.plugin import ConnectionFailed

        upstream.script("a", *(ConnectionFailed("refused", sent=False) for _ in range(3)))
        for _ in range(3):
            with pytest.raises(PointsmanError):
                await one.chat("m", "hello")
        await asyncio.sleep(0.1)
        assert await passed(other, 4) == 3

    with_two(work, limits={"requests": "3/h"})


def test_an_opening_of_a_circuit_breaker_is_heard_by_all() -> None:
    async def work(one: Router, other: Router, _shelf: Shelf, upstream: Scripted) -> None:
        await passed(other, 1)
        upstream.default("a", Unavailable("down"))
        for _ in range(5):
            with pytest.raises(Unavailable):
                await one.chat("m", "hello")
        await asyncio.sleep(0.1)
        with pytest.raises(NoDeploymentAvailable, match="circuit breaker open"):
            await other.chat("m", "hello")
        upstream.default("a", "ok")
        await asyncio.sleep(20)
        assert await passed(other, 1) == 1

    with_two(work)


def test_while_the_store_is_away_each_router_has_its_share_and_one_call_finds_out() -> None:
    async def work(one: Router, other: Router, shelf: Shelf, _upstream: Scripted) -> None:
        told: list[StateChanged] = []
        one.listen(told.append, kinds=[StateChanged])
        await passed(other, 1)
        await asyncio.sleep(6)  # until each has heard of the other
        shelf.away = True
        assert await passed(one, 40) == 10
        asked = len(shelf.asked)
        assert asked <= 1 + 4, "twice for each of the calls that found out"
        assert [(each.available, each.replicas) for each in told] == [(False, 2)]
        shelf.away = False
        await asyncio.sleep(6)
        assert [each.available for each in told] == [False, True]
        await passed(one, 1)
        assert len(shelf.asked) > asked

    with_two(work, limits={"requests": "1/h", "burst_requests": 20})


def test_the_status_says_how_it_is_with_the_store_and_since_when() -> None:
    async def work(one: Router, _other: Router, shelf: Shelf, _upstream: Scripted) -> None:
        state = one.status().to_dict()["state"]
        assert (state["store"], state["available"], state["seconds_ago"]) == ("shelf", None, None)
        await passed(one, 1)
        await asyncio.sleep(6)
        state = one.status().to_dict()["state"]
        assert (state["available"], state["replicas"], state["fail"]) == (True, 2, "closed")
        assert state["seconds_ago"] == pytest.approx(6, abs=0.1)
        shelf.away = True
        await passed(one, 1)
        await asyncio.sleep(20)
        state = one.status().to_dict()["state"]
        assert (state["available"], state["replicas"], state["dropped"]) == (False, 2, 0)
        assert 5 < state["seconds_ago"] <= 20
        assert state["reason"] == "OSError: nobody is there"
        assert 0 <= state["seconds_left"] <= 6
        shelf.away = False
        await asyncio.sleep(8)
        state = one.status().to_dict()["state"]
        assert (state["available"], state["reason"], state["seconds_left"]) == (True, None, None)

    with_two(work, state={"type": "shelf", "fail": "closed"}, limits={"requests": "1/h"})


def test_without_a_store_the_status_says_so() -> None:
    router = Router.from_config(config("a"), plugins=[Scripted()])

    assert router.status().to_dict()["state"] is None


def test_a_store_that_answers_nothing_in_time_holds_up_a_call_for_two_time_limits() -> None:
    async def work(one: Router, _other: Router, shelf: Shelf, _upstream: Scripted) -> None:
        loop = asyncio.get_running_loop()
        await passed(one, 1)
        shelf.latency = 5.0
        took = []
        for _ in range(4):
            began = loop.time()
            await one.chat("m", "hello")
            took.append(round(loop.time() - began, 3))
        assert took == [0.1, 0.05, 0.0, 0.0]

    with_two(work, limits={"requests": "100/min"})


def test_a_reload_keeps_the_store_and_what_is_held() -> None:
    async def main() -> None:
        shelf, upstream = Shelf(), Scripted()
        upstream.default("a", ScriptedAnswer(after=30))
        async with shared(shelf, upstream, max_in_flight=1) as router:
            call = asyncio.ensure_future(router.chat("m", "hello"))
            await asyncio.sleep(1)
            given = config("a", queue=None, retry="none", state={"type": "shelf", "fail": "closed"})
            given["models"]["m"] = {"deployments": [{"provider": "a", "model": "x", "max_in_flight": 1}]}
            await router.reload(given)
            assert len(shelf.contexts) == 1
            await call
            await asyncio.sleep(1)
            assert await passed(router, 1) == 1
            assert len(shelf.asked) == 2

    run(main())


def test_a_hedge_asks_the_store_like_any_attempt() -> None:
    async def main() -> None:
        shelf, upstream = Shelf(), Scripted()
        given = config(
            "ab", queue=None, state="shelf", hedging={"minimum_samples": 1, "budget": 1, "floor": "1s"}
        )
        for each in given["providers"].values():
            each["limits"] = {"requests": "100/min"}
        async with Router.from_config(given, plugins=[upstream, shelf], rng=random.Random(1)) as router:
            for _ in range(4):
                async with router.stream("m", "hello") as stream:
                    _ = [event async for event in stream]
            asked = len(shelf.asked)
            slow = ScriptedAnswer(after=30)
            upstream.script("a", slow)
            upstream.script("b", "ok")
            for _ in range(2):
                async with router.stream("m", "hello") as stream:
                    _ = [event async for event in stream]
            assert len(shelf.asked) == asked + 3

    run(main())


def test_a_deployment_without_limits_asks_nobody() -> None:
    async def work(one: Router, _other: Router, shelf: Shelf, _upstream: Scripted) -> None:
        assert await passed(one, 10) == 10
        assert shelf.asked == []

    with_two(work)
