"""The text of a stream is what its reader has been given, however much one read brought."""

from __future__ import annotations

import pytest

from pointsman import Router
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
