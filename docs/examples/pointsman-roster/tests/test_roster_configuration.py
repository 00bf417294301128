"""A router that a configuration file makes, over simulated servers that a roster names."""

import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest

from pointsman import Router
from pointsman.plugin import Reloaded
from pointsman_simulator import Simulator

CONFIGURATION = Path(__file__).parents[1] / "pointsman.yaml"


def test_calls_follow_the_roster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def play() -> None:
        file = tmp_path / "roster.json"
        monkeypatch.setenv("ROSTER", str(file))
        async with Simulator(seed=1) as simulator:
            one = await simulator.add("ollama", name="one", models=["llama3.2"])
            two = await simulator.add("ollama", name="two", models=["llama3.2"])
            write(file, {one.base_url: 1, two.base_url: 3})
            async with Router.from_config(CONFIGURATION) as router:
                for _ in range(8):
                    await router.chat("chat", "hello")
                assert [chats(one.requests), chats(two.requests)] == [2, 6]

                changed = asyncio.Event()
                router.listen(lambda _event: changed.set(), kinds=[Reloaded])
                write(file, {one.base_url: 1})
                await changed.wait()
                for _ in range(8):
                    await router.chat("chat", "hello")
                assert [chats(one.requests), chats(two.requests)] == [10, 6]

    asyncio.run(play())


def write(file: Path, weights: dict[str, int]) -> None:
    servers = [{"url": url, "weight": weight} for url, weight in weights.items()]
    beside = file.with_suffix(".new")
    beside.write_text(json.dumps({"servers": servers}), "utf-8")
    beside.replace(file)  # at once, so that nobody reads half of it


def chats(requests: list) -> int:  # type: ignore[type-arg]
    return Counter(each.path for each in requests)["/api/chat"]
