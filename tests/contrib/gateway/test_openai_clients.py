"""OpenAI's official SDK, of today and of the generation before, at a gateway in front of each kind of upstream."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from gateways import gateway_for
from node_sdks import node_sdks
from older_sdks import older_sdks

from pointsman_simulator import Reply, Simulator

CLIENTS = Path(__file__).parent / "clients"
WIRES = ("openai", "claude", "ollama", "localai")
BEYOND = {("claude", "embeddings"): "embedding", ("claude", "completions"): "plain completion"}
"""What an upstream cannot do at all, and what the answer says of it."""


@pytest.fixture
async def url(simulator: Simulator) -> AsyncIterator[str]:
    """A gateway with a model for each kind of upstream, of its name, and one with a slash in it."""
    upstreams = [await simulator.add(wire, name=wire, default=Reply(call_first_tool=True)) for wire in WIRES]
    models = {
        each.wire: {"deployments": [f"{each.name}/{next(iter(each.site.models))}"]} for each in upstreams
    }
    models["org/other"] = models["openai"]
    async with gateway_for(*upstreams, models=models) as served:
        yield served.url


@pytest.mark.parametrize("generation", ["today", "before"])
async def test_all_that_the_sdk_does_works_in_front_of_each_upstream(
    url: str, generation: str, pytestconfig: pytest.Config
) -> None:
    interpreter = Path(sys.executable) if generation == "today" else older_sdks(pytestconfig)

    check(await ran(interpreter, "-I", CLIENTS / "openai_client.py", f"{url}/v1", *WIRES))


async def test_all_that_the_sdk_for_node_does_works_in_front_of_each_upstream(
    url: str, pytestconfig: pytest.Config
) -> None:
    modules = node_sdks(pytestconfig) / "node_modules"

    check(await ran("node", CLIENTS / "openai_client.cjs", f"{url}/v1", *WIRES, NODE_PATH=str(modules)))


async def ran(*command: str | Path, **environment: str) -> Any:
    """What a client says that it found."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, env={**os.environ, **environment}
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return json.loads(said)


def check(result: Any) -> None:
    """All that was tried works, but for what an upstream cannot do at all, which is said."""
    show(result)
    found = {(wire, each): how for wire, all_ in result["found"].items() for each, how in all_.items()}
    beyond = {place: found.pop(place) for place in BEYOND if place in found}
    assert {place: how for place, how in found.items() if how != "ok"} == {}
    for place, how in beyond.items():
        assert f"cannot do this: {BEYOND[place]}" in how


def show(result: Any) -> None:
    """The table of features and upstreams."""
    print(f"\nopenai {result['version']:<12}", *(f"{wire:8}" for wire in WIRES))
    for feature in result["found"][WIRES[0]]:
        marks = ["ok" if result["found"][wire][feature] == "ok" else "-" for wire in WIRES]
        print(f"{feature:19}", *(f"{mark:8}" for mark in marks))
