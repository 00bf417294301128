"""Three agents in processes of their own, balanced by a router that a configuration file makes."""

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from pointsman import ChatResponse, Router
from pointsman.plugin import PointsmanSpec, ProviderFactory, hookimpl
from pointsman_aiagent.provider import AgentProvider, AgentSettings
from pointsman_aiagent.server import Agent

CONFIGURATION = Path(__file__).parents[1] / "pointsman.yaml"
NAMES = ("one", "two", "three")


@pytest.fixture
def agents(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, "subprocess.Popen[str]"]]:
    """The processes, by the names of their providers."""
    server = (sys.executable, "-m", "pointsman_aiagent.server", "--port", "0", "--name")
    running = {name: subprocess.Popen((*server, name), stdout=subprocess.PIPE, text=True) for name in NAMES}
    try:
        for name, process in running.items():
            assert process.stdout is not None
            port = int(process.stdout.readline())
            monkeypatch.setenv(f"AGENT_{name.upper()}", f"http://127.0.0.1:{port}")
        yield running
    finally:
        for process in running.values():
            process.kill()
            process.communicate()


def test_no_request_is_lost_when_one_of_three_dies_and_the_shares_are_right(
    agents: dict[str, "subprocess.Popen[str]"],
) -> None:
    async def ask(router: Router, count: int, kill_at: int = -1) -> list[ChatResponse]:
        room = asyncio.Semaphore(8)

        async def one(n: int) -> ChatResponse:
            async with room:
                if n == kill_at:
                    agents["two"].kill()
                return await router.chat("agents", f"number {n}")

        return await asyncio.gather(*(one(n) for n in range(count)))

    async def play() -> tuple[list[ChatResponse], list[ChatResponse], list[ChatResponse]]:
        async with Router.from_config(CONFIGURATION) as router:
            return await ask(router, 60), await ask(router, 120, kill_at=60), await ask(router, 60)

    before, during, after = asyncio.run(play())

    assert Counter(each.model for each in before) == dict.fromkeys(NAMES, 20)
    for answers in (before, during, after):
        assert [each.text for each in answers] == [f"number {n}" for n in range(len(answers))]
    shares = Counter(each.model for each in after)
    assert set(shares) == {"one", "three"}
    assert abs(shares["one"] - shares["three"]) <= 8


class Watched(AgentProvider):
    """Tells when it was closed."""

    closed: ClassVar[list[str]] = []

    async def aclose(self) -> None:
        await super().aclose()
        self.closed.append(self.name)


class WatchedPlugin(PointsmanSpec):
    @hookimpl
    def pointsman_providers(self) -> list[ProviderFactory]:
        return [ProviderFactory("watched", AgentSettings, Watched)]


def test_a_reload_closes_the_channel_of_an_agent_that_is_gone_after_its_last_call() -> None:
    async def play() -> None:
        agent = Agent("one")
        await agent.start()
        provider = {"type": "watched", "base_url": f"http://127.0.0.1:{agent.port}"}
        before = {
            "providers": {"stays": provider, "goes": provider},
            "models": {"quick": {"deployments": ["stays/echo"]}, "slow": {"deployments": ["goes/slow"]}},
        }
        after = {
            "providers": {"stays": provider},
            "models": {"quick": {"deployments": ["stays/echo"]}},
        }
        async with Router.from_config(before, plugins=[WatchedPlugin()]) as router:
            await router.chat("quick", "hello")
            running = asyncio.create_task(router.chat("slow", "hello"))
            while len(agent.asked) < 2:
                await asyncio.sleep(0)
            await router.reload(after)
            assert Watched.closed == [], "a call still runs there"
            running.cancel()
            while not Watched.closed:
                await asyncio.sleep(0)
            assert (await router.chat("quick", "hello again")).text == "hello again"
            assert Watched.closed == ["goes"]
        await agent.stop()

    async def bounded() -> None:
        async with asyncio.timeout(10):
            await play()

    asyncio.run(bounded())

    assert Watched.closed == ["goes", "stays"]
