"""Who has which model, in memory or on disk; what operators fetch and delete."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from gateways import PLAIN, Served, gateway_for

from pointsman_simulator import Reply, Simulator, Upstream, Vram

OURS = {"x-pointsman-csrf": "1"}


@asynccontextmanager
async def operated(*upstreams: Upstream, **changes: Any) -> AsyncIterator[tuple[Served, httpx.AsyncClient]]:
    async with (
        gateway_for(*upstreams, surfaces=[PLAIN], **changes) as served,
        httpx.AsyncClient(base_url=f"{served.url}/admin/v1", headers=OURS) as client,
    ):
        yield served, client


def events(text: str) -> list[tuple[str, Any]]:
    found = []
    for frame in text.strip().split("\n\n"):
        name, data = frame.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


async def test_all_names_are_told_with_who_has_them_and_who_in_memory(simulator: Simulator) -> None:
    gpu = await simulator.add("ollama", name="gpu", models=["llama3.2", "phi4"], vram=Vram(load_time=0.0))
    cloud = await simulator.add("openai", name="cloud", models=["gpt-x"])
    models = {
        "assistant": {"deployments": ["gpu/llama3.2", "cloud/gpt-x"]},
        "lost": {"deployments": ["gpu/gone"]},
    }
    async with operated(gpu, cloud, models=models, aliases={"gpt-4o": "assistant"}) as (served, client):
        await served.router.chat("gpu/llama3.2", "Why?")
        said = (await client.get("/models")).json()

    named = {each["name"]: each for each in said["models"]}
    assert set(named) == {"assistant", "lost", "gpt-4o"}
    assert named["gpt-4o"]["alias_of"] == "assistant"
    assert named["assistant"]["deployments"] == [
        {"id": "gpu/llama3.2", "provider": "gpu", "model": "llama3.2", "there": True, "warm": True},
        {"id": "cloud/gpt-x", "provider": "cloud", "model": "gpt-x", "there": True, "warm": None},
    ]
    assert [each["there"] for each in named["lost"]["deployments"]] == [False]
    has = {each["name"]: each for each in said["providers"]}
    assert (has["gpu"]["pull"], has["gpu"]["delete"], has["gpu"]["trouble"]) == (True, True, None)
    assert (has["cloud"]["pull"], has["cloud"]["delete"]) == (False, False)
    assert {each["name"]: each["warm"] for each in has["gpu"]["models"]} == {"llama3.2": True, "phi4": False}


async def test_a_server_that_is_away_is_told_of_and_hides_no_other(simulator: Simulator) -> None:
    gpu = await simulator.add("ollama", name="gpu", models=["llama3.2"])
    other = await simulator.add("ollama", name="other", models=["llama3.2"])
    async with operated(gpu, other) as (_served, client):
        await gpu.stop()
        said = (await client.get("/models")).json()

    away, there = said["providers"]
    assert "Connection refused" in away["trouble"]
    assert away["models"] == []
    assert [each["name"] for each in there["models"]] == ["llama3.2"]
    assert [each["there"] for each in said["models"][0]["deployments"]] == [None, True]


async def test_a_model_is_fetched_with_its_steps_and_deleted(
    simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pointsman.gateway")
    gpu = await simulator.add("ollama", name="gpu", models=["llama3.2"])
    async with operated(gpu) as (_served, client):
        pulled = await client.post("/models/gpu/phi4:mini/pull")
        there = (await client.get("/models")).json()["providers"][0]["models"]
        deleted = await client.delete("/models/gpu/phi4:mini")
        gone = (await client.get("/models")).json()["providers"][0]["models"]
        again = await client.delete("/models/gpu/phi4:mini")

    kinds = [kind for kind, _ in events(pulled.text)]
    assert pulled.headers["content-type"].startswith("text/event-stream")
    assert kinds[-1] == "done"
    assert set(kinds[:-1]) == {"progress"}
    assert any(data.get("total") and data["unit"] == "bytes" for _, data in events(pulled.text))
    assert "phi4:mini" in [each["name"] for each in there]
    assert deleted.json() == {"id": "gpu/phi4:mini", "deleted": True}
    assert [each["name"] for each in gone] == ["llama3.2"]
    assert (again.status_code, again.json()["error"]["code"]) == (502, "model_not_found")
    assert "operator on this machine: pull gpu/phi4:mini" in caplog.text
    assert "operator on this machine: delete gpu/phi4:mini" in caplog.text


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("POST", "nobody/x/pull", 404, "unknown_provider"),
        ("POST", "gpu/pull", 404, "unknown_provider"),
        ("DELETE", "nobody/x", 404, "unknown_provider"),
        ("DELETE", "gpu", 404, "unknown_provider"),
        ("POST", "cloud/x/pull", 400, "unsupported"),
        ("DELETE", "cloud/x", 400, "unsupported"),
    ],
)
async def test_what_cannot_be_done_is_refused(
    simulator: Simulator, method: str, path: str, status: int, code: str
) -> None:
    gpu, cloud = await simulator.add("ollama", name="gpu"), await simulator.add("openai", name="cloud")
    async with operated(gpu, cloud) as (_served, client):
        answer = await client.request(method, f"/models/{path}")

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


async def test_a_pull_of_a_model_that_nobody_has_says_why(simulator: Simulator) -> None:
    gpu = await simulator.add("ollama", name="gpu")
    async with operated(gpu) as (_served, client):
        await gpu.stop()
        answer = await client.post("/models/gpu/phi4/pull")

    assert answer.status_code == 502
    assert "Connection refused" in answer.json()["error"]["message"]


async def test_who_leaves_ends_the_pull(simulator: Simulator) -> None:
    gpu = await simulator.add("ollama", name="gpu", default=Reply())
    gpu.site.pull_s = 60.0
    async with operated(gpu) as (_served, client):
        async with client.stream("POST", "/models/gpu/phi4/pull") as answer:
            await anext(answer.aiter_bytes())
        record = next(each for each in gpu.requests if each.path == "/api/pull")
        async with asyncio.timeout(30):
            await record.ended.wait()

    assert record.outcome == "aborted by client"


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_no_page_of_others_reaches_it(simulator: Simulator, method: str) -> None:
    gpu = await simulator.add("ollama", name="gpu")
    async with operated(gpu) as (served, _client), httpx.AsyncClient(base_url=served.url) as plain:
        path = "/admin/v1/models" if method == "GET" else "/admin/v1/models/gpu/llama3.2"
        answer = await plain.request(method, path, headers={"origin": "https://evil.example"})
        lacking = await plain.request(method, path)

    assert answer.status_code == 403
    assert (lacking.status_code, lacking.json()["error"]["code"]) == (403, "csrf")
