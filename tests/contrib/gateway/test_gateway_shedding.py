"""Who leaves a full line, and who is refused at its door: nobody known, over quota, then the lowest priority."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest
from gateways import MODEL, Served, gateway_for
from raw_callers import WITHIN

from pointsman.plugin import Queued
from pointsman_simulator import Fault, Reply, Simulator

ASKED = {"model": MODEL, "messages": [{"role": "user", "content": "Why?"}]}
ACCESS: dict[str, Any] = {
    "loopback": False,
    "anonymous": {"models": [MODEL]},
    "keys": [
        {"name": name, "key": f"{name}-key-of-16-characters"} | ({"limits": limits} if limits else {})
        for name, limits in (("ada", None), ("bob", None), ("spent", {"requests": "1/h"}))
    ],
}
Answer = asyncio.Task[httpx.Response]


class Line:
    """A gateway with one place, which is taken, and a line with one place."""

    def __init__(self, served: Served, client: httpx.AsyncClient, tasks: asyncio.TaskGroup) -> None:
        self._client = client
        self._tasks = tasks
        self._hearing: asyncio.Future[str] | None = None
        self.asking: list[Answer] = []
        served.router.listen(self._hear, kinds=[Queued])

    def _hear(self, event: Queued) -> None:
        if self._hearing is not None and not self._hearing.done():
            self._hearing.set_result(event.caller)

    def asks(self, who: str, priority: str = "normal") -> Answer:
        """The answer that `who` will have; "" for nobody that is known."""
        headers = {"x-pointsman-priority": priority}
        if who:
            headers["authorization"] = f"Bearer {who}-key-of-16-characters"
        asking = self._client.post("/v1/chat/completions", json=ASKED, headers=headers)
        self.asking.append(self._tasks.create_task(asking))
        return self.asking[-1]

    async def waits(self, who: str, priority: str = "normal") -> Answer:
        """As `asks`, once it is in line."""
        self._hearing = asyncio.get_running_loop().create_future()
        answer = self.asks(who, priority)
        async with asyncio.timeout(WITHIN):
            assert await self._hearing == who
        return answer


@asynccontextmanager
async def full(simulator: Simulator, **access: Any) -> AsyncIterator[Line]:
    upstream = await simulator.add("openai", default=Reply(fault=Fault.stall()))
    one = {"provider": upstream.name, "model": next(iter(upstream.site.models)), "max_in_flight": 1}
    settings = {"access": {**ACCESS, **access}}
    async with AsyncExitStack() as stack:
        served = await stack.enter_async_context(
            gateway_for(
                upstream,
                settings=settings,
                models={MODEL: {"deployments": [one]}},
                queue={"length": 1, "wait": "60s"},
            )
        )
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=served.url, timeout=60))
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        line = Line(served, client, tasks)
        line.asks("ada")
        await upstream.arrived()
        yield line
        for each in line.asking:
            each.cancel()


async def refused(answer: Answer) -> tuple[int, str, bool]:
    async with asyncio.timeout(WITHIN):
        said = await answer
    return said.status_code, said.json()["error"]["code"], "retry-after" in said.headers


SHED = (503, "server_is_overloaded", True)


@pytest.mark.parametrize("priority", ["low", "normal", "high"])
async def test_nobody_known_gives_up_their_place_to_anybody_known(
    simulator: Simulator, priority: str
) -> None:
    async with full(simulator) as line:
        unknown = await line.waits("", priority)
        known = await line.waits("bob", "low")

        assert await refused(unknown) == SHED
        assert await refused(line.asks("", "high")) == SHED
        assert not known.done()


async def test_the_lowest_priority_gives_up_its_place_and_equals_do_not(simulator: Simulator) -> None:
    async with full(simulator) as line:
        low = await line.waits("ada", "low")
        normal = await line.waits("bob")

        assert await refused(low) == SHED
        assert await refused(line.asks("ada")) == SHED
        high = await line.waits("ada", "high")
        assert await refused(normal) == SHED
        assert not high.done()


async def test_who_is_over_quota_takes_nobodys_place(simulator: Simulator) -> None:
    async with full(simulator) as line:
        first = await line.waits("spent", "high")
        assert await refused(line.asks("spent", "high")) == (429, "rate_limit_exceeded", False)
        assert not first.done()


async def test_who_may_not_ask_takes_nobodys_place(simulator: Simulator) -> None:
    async with full(simulator, anonymous=None) as line:
        low = await line.waits("bob", "low")

        assert await refused(line.asks("", "high")) == (401, "invalid_api_key", False)
        assert await refused(line.asks("stranger", "high")) == (401, "invalid_api_key", False)
        assert not low.done()
