"""What becomes of shared limits while Redis is away, and that it comes back by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest
from redis_server import RedisServer

from pointsman import NoDeploymentAvailable, Router, StateChanged
from pointsman.testing import Scripted

AT_ONCE = 20


def configuration(redis: RedisServer, **limits: object) -> dict[str, object]:
    limits = {"requests": "1/h", "burst_requests": AT_ONCE, **limits}
    return {
        "providers": {"a": {"type": "scripted"}},
        "models": {"m": {"deployments": [{"provider": "a", "model": "x", "limits": limits}]}},
        "queue": None,
        "state": {"type": "redis", "url": redis.url, "lease": "2s"},
    }


class Watched:
    """A router, and what became of its store."""

    def __init__(self, config: dict[str, object]) -> None:
        self.router = Router.from_config(config, plugins=[Scripted()])
        self.told: asyncio.Queue[StateChanged] = asyncio.Queue()
        self.router.listen(self.told.put_nowait, kinds=[StateChanged])

    async def passes(self, most: int = 2 * AT_ONCE) -> int:
        """How many calls are let through until one is not."""
        for passed in range(most):
            try:
                await self.router.chat("m", "hello")
            except NoDeploymentAvailable:
                return passed
        return most

    async def until(self, available: bool) -> StateChanged:
        async with asyncio.timeout(10):
            while (change := await self.told.get()).available is not available:
                pass
        return change


def with_two(redis: RedisServer, work: Callable[[Watched], Awaitable[None]], **limits: object) -> None:
    """Do `work` with one of two routers that know of each other."""

    async def beside() -> None:
        other, one = Watched(configuration(redis, **limits)), Watched(configuration(redis, **limits))
        async with other.router:
            await other.passes(1)
            async with one.router:
                await one.passes(1)
                async with asyncio.timeout(5):
                    while "2" not in redis.asks("ZCARD", "{pointsman}:routers"):  # noqa: ASYNC110 - of another program
                        await asyncio.sleep(0.02)
                await work(one)

    asyncio.run(beside())


def test_limits_that_fail_locally_go_by_the_share_of_each_router(redis: RedisServer) -> None:
    async def work(one: Watched) -> None:
        redis.stop()
        gone = await one.until(available=False)
        assert gone.replicas == 2
        assert gone.store == "redis"
        # Half of what there is at once, of which it has had one.
        assert await one.passes() == AT_ONCE // 2 - 1
        redis.start()
        await one.until(available=True)
        assert await one.passes() == AT_ONCE - AT_ONCE // 2, "what it has not had yet"

    with_two(redis, work)


def test_limits_that_fail_closed_let_nothing_through_until_it_is_back(redis: RedisServer) -> None:
    async def work(one: Watched) -> None:
        redis.stop()
        await one.until(available=False)
        with pytest.raises(NoDeploymentAvailable, match="fail closed") as refused:
            await one.router.chat("m", "hello")
        assert refused.value.retry_after is not None
        assert 0 < refused.value.retry_after <= 6
        redis.start()
        await one.until(available=True)
        assert (await one.router.chat("m", "hello")).text == "ok"

    with_two(redis, work, fail="closed")


def test_one_that_does_not_answer_costs_a_few_calls_a_moment_and_the_others_nothing(
    redis: RedisServer,
) -> None:
    async def work(one: Watched) -> None:
        redis.freeze()
        began = time.monotonic()
        while one.told.empty():
            await one.router.chat("m", "hello")
        # Three times 50 ms without an answer, and what a busy machine adds to that.
        assert time.monotonic() - began >= 0.14
        calls = AT_ONCE // 2 - 4
        began = time.monotonic()
        for _ in range(calls):
            await one.router.chat("m", "hello")
        assert time.monotonic() - began < calls * 0.05, "it is still asked"
        redis.thaw()
        await one.until(available=True)

    with_two(redis, work)


def test_a_request_costs_two_round_trips_at_most(redis: RedisServer) -> None:
    async def beside() -> None:
        config = configuration(redis, tokens="10000/s")
        config["state"] = {"type": "redis", "url": redis.url, "lease": "1h", "timeout": "5s"}
        async with Router.from_config(config, plugins=[Scripted()]) as router:
            await router.chat("m", "hello")
            await asyncio.sleep(0.2)  # until what began with it is over: the first renewal, the first script
            redis.asks("CONFIG", "RESETSTAT")
            for _ in range(10):
                await router.chat("m", "hello")
            one_by_one = redis.scripts_run()
            await asyncio.gather(*(router.chat("m", "hello") for _ in range(9)))
        assert one_by_one <= 20
        assert redis.scripts_run() <= 2 * 19, "also with what is settled when it closes"

    asyncio.run(beside())
