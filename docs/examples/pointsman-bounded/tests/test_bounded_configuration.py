"""A router that a configuration file makes, over two simulated upstreams of which the cheap one is slow."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from pointsman import Router
from pointsman_simulator import Simulator

CONFIGURATION = Path(__file__).parents[1] / "pointsman.yaml"


def test_the_cheap_one_is_left_once_it_is_known_to_be_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play() -> Counter[str]:
        async with Simulator(seed=1) as simulator:
            far = await simulator.add("openai", name="far", models=["m"], latency=2.2)
            near = await simulator.add("openai", name="near", models=["m"])
            monkeypatch.setenv("FAR_URL", far.base_url)
            monkeypatch.setenv("NEAR_URL", near.base_url)
            async with Router.from_config(CONFIGURATION) as router:
                return Counter([(await router.chat("chat", "hello")).deployment for _ in range(8)])

    assert asyncio.run(play()) == {"far/m": 1, "near/m": 7}
