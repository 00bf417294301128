"""Copies of requests over real sockets: what the candidate gets, and that nothing of it is left behind."""

from __future__ import annotations

import asyncio
from typing import Any

from pointsman import Mirrored, Router
from pointsman_simulator import Simulator


async def test_copies_of_plain_and_streamed_requests_reach_another_kind_of_upstream() -> None:
    async with Simulator(seed=1) as simulator:
        asked = await simulator.add("ollama", models=["m"])
        candidate = await simulator.add("openai", models=["n"])
        given: dict[str, Any] = {
            "providers": {
                "gpu": {"type": "ollama", "base_url": asked.base_url},
                "cloud": {"type": "openai", "base_url": candidate.base_url, "api_key": "x"},
            },
            "models": {
                "assistant": {"deployments": ["gpu/m"], "mirror": {"to": "candidate", "share": 1}},
                "candidate": {"deployments": ["cloud/n"]},
            },
        }
        told: asyncio.Queue[Mirrored] = asyncio.Queue()
        async with Router.from_config(given) as router:
            router.listen(told.put_nowait, kinds=[Mirrored])
            await router.chat("assistant", "hello")
            async with router.stream("assistant", "hello") as stream:
                async for _ in stream:
                    pass
            copies = [await told.get(), await told.get()]
            assert [(each.operation, each.result) for each in copies] == [("chat", "ok"), ("stream", "ok")]
            assert [each.deployment for each in copies] == ["cloud/n"] * 2
            status = router.status()
            assert status.in_flight == 0
            mirror = status.models["assistant"].mirror
            assert mirror is not None
            assert mirror.compared == 2
