"""The text of a stream is what its reader has been given, however much one read brought."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from pointsman import Router, SyncRouter
from pointsman_simulator import Reply, Simulator


@pytest.mark.parametrize("wire", ["ollama", "openai", "claude", "localai"])
async def test_the_text_so_far_is_that_of_the_events_that_were_handed_out(
    wire: str, simulator: Simulator
) -> None:
    up = await simulator.add(wire, name="up", models=["m"], default=Reply(text="one two three"))
    config = {
        "providers": {"up": {"type": wire, "base_url": up.base_url, "api_key": "k"}},
        "models": {"a": {"deployments": ["up/m"], "defaults": {"max_tokens": 9}}},
    }

    async with Router.from_config(config) as router, router.stream("a", "Count.") as stream:
        given = ""
        async for event in stream:
            given += event.text
            assert stream.text == given

    assert stream.text == "one two three"


WORDS = " ".join(str(n) for n in range(22))


@pytest.fixture
async def setting(simulator: Simulator) -> Mapping[str, Any]:
    """One upstream whose whole answer comes with one read."""
    up = await simulator.add("openai", name="up", models=["m"], default=Reply(text=WORDS))
    return {
        "providers": {"up": {"type": "openai", "base_url": up.base_url, "api_key": "k"}},
        "models": {"a": {"deployments": ["up/m"]}},
    }


@pytest.mark.parametrize("steps", [0, 1, 2, 5])
async def test_it_stays_that_once_the_stream_is_closed(setting: Mapping[str, Any], steps: int) -> None:
    given = ""

    async with Router.from_config(setting) as router:
        async with router.stream("a", "Count.") as stream:
            for _ in range(steps):
                given += (await anext(stream)).text
            assert stream.text == given
        assert stream.text == given
        assert [event async for event in stream] == []

    assert stream.text == given
    assert len(given) < len(WORDS)


async def test_what_is_read_as_a_batch_is_handed_out(setting: Mapping[str, Any]) -> None:
    async with Router.from_config(setting) as router, router.stream("a", "Count.") as stream:
        given = "".join(event.text for event in await stream.batch())
        await stream.aclose()

    assert stream.text == given != ""


async def test_so_it_does_of_a_blocking_stream(setting: Mapping[str, Any]) -> None:
    def closed_early() -> tuple[str, str]:
        with SyncRouter.from_config(setting) as router:
            with router.stream("a", "Count.") as stream:
                given = "".join(next(stream).text for _ in range(3))
            return given, stream.text

    given, after = await asyncio.to_thread(closed_early)
    assert after == given
    assert len(given) < len(WORDS)
