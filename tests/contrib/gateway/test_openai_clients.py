"""OpenAI's official SDK, of today and of the generation before, at a gateway in front of each kind of upstream."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from client_runs import check, ran
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

    result = await ran(interpreter, "-I", CLIENTS / "openai_client.py", f"{url}/v1", *WIRES)
    check(result, WIRES, sdk="openai", beyond=BEYOND)


async def test_all_that_the_sdk_for_node_does_works_in_front_of_each_upstream(
    url: str, pytestconfig: pytest.Config
) -> None:
    modules = node_sdks(pytestconfig) / "node_modules"

    result = await ran("node", CLIENTS / "openai_client.cjs", f"{url}/v1", *WIRES, NODE_PATH=str(modules))
    check(result, WIRES, sdk="openai", beyond=BEYOND)
