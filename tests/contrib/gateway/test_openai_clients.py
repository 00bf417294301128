"""OpenAI's official SDK, of today and of the generation before, at a gateway in front of each kind of upstream."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from gateways import gateway_for
from older_sdks import older_sdks

from pointsman_simulator import Reply, Simulator

SCRIPT = Path(__file__).parent / "clients" / "openai_client.py"
WIRES = ("openai", "claude", "ollama", "localai")
BEYOND = {("claude", "embeddings"): "embedding", ("claude", "completions"): "plain completion"}
"""What an upstream cannot do at all, and what the answer says of it."""


@pytest.fixture
async def url(simulator: Simulator) -> AsyncIterator[str]:
    """A gateway with a model for each kind of upstream, of its name."""
    upstreams = [await simulator.add(wire, name=wire, default=Reply(call_first_tool=True)) for wire in WIRES]
    models = {
        each.wire: {"deployments": [f"{each.name}/{next(iter(each.site.models))}"]} for each in upstreams
    }
    async with gateway_for(*upstreams, models=models) as served:
        yield served.url


@pytest.mark.parametrize("generation", ["today", "before"])
async def test_all_that_the_sdk_does_works_in_front_of_each_upstream(
    url: str, generation: str, pytestconfig: pytest.Config
) -> None:
    interpreter = Path(sys.executable) if generation == "today" else older_sdks(pytestconfig)
    process = await asyncio.create_subprocess_exec(
        interpreter, "-I", SCRIPT, f"{url}/v1", *WIRES, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    result = json.loads(said)

    show(result)
    found = {(wire, each): how for wire, all_ in result["found"].items() for each, how in all_.items()}
    beyond = {place: found.pop(place) for place in BEYOND}
    assert {place: how for place, how in found.items() if how != "ok"} == {}
    for place, how in beyond.items():
        assert f"cannot do this: {BEYOND[place]}" in how


def show(result: dict[str, dict[str, dict[str, str]]]) -> None:
    """The table of features and upstreams."""
    print(f"\nopenai {result['version']:<12}", *(f"{wire:8}" for wire in WIRES))
    for feature in result["found"][WIRES[0]]:
        marks = ["ok" if result["found"][wire][feature] == "ok" else "-" for wire in WIRES]
        print(f"{feature:19}", *(f"{mark:8}" for mark in marks))
