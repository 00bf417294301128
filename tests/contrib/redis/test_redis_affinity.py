"""Conversations that go from router to router, which share one Redis, stay at the same host."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from redis_server import RedisServer

from pointsman import Router, Unavailable
from pointsman.plugin import ChatRequest, Message
from pointsman.testing import Scripted, ScriptedAnswer

HOSTS = tuple(f"h{n}" for n in range(8))
CONVERSATIONS = tuple(f"conversation {n}" for n in range(200))
AT_ONCE = 40
SHARED = "s" * 4_000


class Fleet:
    """Two routers in front of hosts that have cached what they were asked before.

    Attributes:
        cold: by conversation, how many turns came to a host that had none of it before.
        down: the host that is out.
    """

    def __init__(self, redis: RedisServer) -> None:
        self.cold: dict[str, int] = {}
        self.down = ""
        self._cached: dict[str, set[str]] = {host: set() for host in HOSTS}
        self._asked: dict[str, list[Message]] = {}
        upstream = Scripted()
        for host in HOSTS:
            upstream.default(host, lambda request, _call, host=host: self._answer(host, request))
        config = {
            "providers": {host: {"type": "scripted"} for host in HOSTS},
            "strategy": "affinity",
            "models": {"m": {"deployments": [{"provider": host, "model": "x"} for host in HOSTS]}},
            # Patient, for a busy machine: none of what is shown here is a matter of milliseconds.
            "state": {"type": "redis", "url": redis.url, "timeout": "5s", "lease": "1s"},
        }
        self.routers = [Router.from_config(config, plugins=[upstream]) for _ in range(2)]

    def _answer(self, host: str, request: ChatRequest) -> ScriptedAnswer:
        if host == self.down:
            return ScriptedAnswer(error=Unavailable("it is out"))
        name = request.messages[1].text
        if len(request.messages) > 2 and name not in self._cached[host]:
            self.cold[name] = self.cold.get(name, 0) + 1
        self._cached[host].add(name)
        # First turns overlap, so that they are spread by load; those after them are a matter of memory alone.
        return ScriptedAnswer("an answer", after=0.01 if len(request.messages) == 2 else 0.0)

    async def round(self, number: int, names: Sequence[str] = CONVERSATIONS) -> None:
        """One turn of each through the router of that number."""
        some = asyncio.Semaphore(AT_ONCE)

        async def turn(name: str) -> None:
            asked = self._asked.setdefault(name, [Message.system(SHARED), Message.user(name)])
            async with some:
                answer = await self.routers[number % 2].chat("m", asked, affinity=name)
            asked += [Message.assistant(answer.text), Message.user("go on")]

        await asyncio.gather(*map(turn, names))

    def where(self, number: int, names: Sequence[str] = CONVERSATIONS) -> list[str]:
        """Where they would go through the router of that number."""
        router = self.routers[number % 2]
        return [router.explain("m", "hi", affinity=name).pick for name in names]

    async def agreed(self, names: Sequence[str] = CONVERSATIONS) -> None:
        """Return when each router knows what the other one has learned."""
        async with asyncio.timeout(10):
            while self.where(0, names) != self.where(1, names):  # noqa: ASYNC110 - of another task
                await asyncio.sleep(0.02)

    async def store_is(self, available: bool) -> None:
        """Return when both have found out."""
        async with asyncio.timeout(15):
            for router in self.routers:
                while router.status().to_dict()["state"]["available"] is not available:  # noqa: ASYNC110 - of another task
                    await asyncio.sleep(0.02)


def test_200_conversations_that_change_the_router_at_each_turn_have_one_cold_turn_by_an_outage(
    redis: RedisServer,
) -> None:
    async def work() -> None:
        fleet = Fleet(redis)
        async with fleet.routers[0], fleet.routers[1]:
            await fleet.round(0)
            await fleet.agreed()
            homes = fleet.where(0)
            assert len(set(homes)) == len(HOSTS)
            for number in range(1, 5):
                await fleet.round(number)
            assert fleet.cold == {}, "one of the routers did not know where they are"

            fleet.down = "h3"
            struck = {name for name, home in zip(CONVERSATIONS, homes, strict=True) if home == "h3/x"}
            await fleet.round(0)
            await fleet.agreed()
            for number in range(1, 4):
                await fleet.round(number)
            assert fleet.cold == dict.fromkeys(struck, 1)

    asyncio.run(work())


def test_without_redis_each_router_goes_on_with_what_it_knows_and_tells_it_afterwards(
    redis: RedisServer,
) -> None:
    async def work() -> None:
        fleet = Fleet(redis)
        async with fleet.routers[0], fleet.routers[1]:
            await fleet.round(0)
            await fleet.agreed()
            redis.stop()
            await fleet.store_is(available=False)
            for number in range(1, 5):
                await fleet.round(number)
            assert fleet.cold == {}

            new = [f"new {n}" for n in range(40)]
            await fleet.round(0, new)
            await fleet.round(0, new)
            assert fleet.cold == {}
            redis.start()
            await fleet.store_is(available=True)
            await fleet.agreed(new)
            await fleet.round(1, new)
            assert fleet.cold == {}

    asyncio.run(work())


def test_it_costs_no_call_a_round_trip_and_the_store_a_few_a_second(redis: RedisServer) -> None:
    async def work() -> None:
        fleet = Fleet(redis)
        async with fleet.routers[0], fleet.routers[1]:
            for _ in range(4):
                await fleet.round(0)
            await fleet.agreed()
            assert 0 < redis.scripts_run() <= 80, "of 800 calls, with the renewals of ten seconds"

    asyncio.run(work())
