"""Pools that are open or cooling: who cannot be served in time hears when to come back, the others wait."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from gateways import MODEL, Served, gateway_for
from raw_callers import WITHIN

from pointsman.plugin import Queued
from pointsman_simulator import Fault, Reply, Simulator, Upstream

ASKED: dict[str, Any] = {
    "model": MODEL,
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "Why?"}],
    "stream": False,
}
PATHS = {
    "openai": "/v1/chat/completions",
    "responses": "/v1/responses",
    "anthropic": "/v1/messages",
    "ollama": "/api/chat",
}
SURFACES = [
    ("openai", 503, "service_unavailable_error"),
    ("responses", 503, "service_unavailable_error"),
    ("anthropic", 529, "overloaded_error"),
    ("ollama", 503, None),
]
"""How each says that there is no capacity now."""
OPENS = {"failure_threshold": 1, "reset_timeout": "40s"}
DOWN = {
    "cooling": (Fault.status(429, retry_after=40), {}),
    "open": (Fault.status(500), {"circuit_breaker": OPENS}),
}
"""An upstream that is left alone for 40 s, and a little more, and what the configuration says of that."""


async def post(client: httpx.AsyncClient, surface: str, **headers: str) -> httpx.Response:
    body = {"model": MODEL, "input": "Why?"} if surface == "responses" else ASKED
    return await client.post(PATHS[surface], json=body, headers=headers)


def type_of(answer: httpx.Response) -> str | None:
    """The type of an error, where it has one; one of Ollama's is a text."""
    error = answer.json()["error"]
    return None if isinstance(error, str) else error["type"]


async def down(simulator: Simulator, kind: str) -> tuple[Upstream, dict[str, Any]]:
    """An upstream that answers once as it should not, and then well, and the configuration for it."""
    fault, changes = DOWN[kind]
    upstream = await simulator.add("openai")
    upstream.script(Reply(fault=fault))
    return upstream, {"retry": "none", **changes}


def next_in_line(served: Served) -> asyncio.Future[Queued]:
    heard: asyncio.Future[Queued] = asyncio.get_running_loop().create_future()
    served.router.listen(lambda event: heard.done() or heard.set_result(event), kinds=[Queued])
    return heard


@pytest.mark.parametrize("kind", DOWN)
@pytest.mark.parametrize(("surface", "status", "type"), SURFACES, ids=PATHS)
async def test_who_cannot_be_served_in_time_hears_at_once_when_to_come_back(
    simulator: Simulator, surface: str, status: int, type: str | None, kind: str
) -> None:
    upstream, changes = await down(simulator, kind)

    async with gateway_for(upstream, queue={"wait": "5s"}, **changes) as served:
        async with httpx.AsyncClient(base_url=served.url) as client:
            await post(client, surface)
            refused = await post(client, surface)

    assert (refused.status_code, type_of(refused)) == (status, type)
    assert 1 <= int(refused.headers["retry-after"]) <= 50
    assert "x-should-retry" not in refused.headers
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("kind", DOWN)
@pytest.mark.parametrize(("surface", "status", "type"), SURFACES, ids=PATHS)
async def test_whose_deadline_is_earlier_than_the_return_is_not_kept_waiting(
    simulator: Simulator, surface: str, status: int, type: str | None, kind: str
) -> None:
    upstream, changes = await down(simulator, kind)

    async with gateway_for(upstream, queue={"wait": "90s"}, **changes) as served:
        async with httpx.AsyncClient(base_url=served.url) as client:
            await post(client, surface)
            refused = await post(client, surface, **{"x-pointsman-timeout": "20s"})

    assert (refused.status_code, type_of(refused)) == (status, type)
    assert 20 <= int(refused.headers["retry-after"]) <= 50


@pytest.mark.parametrize("kind", DOWN)
@pytest.mark.parametrize("surface", PATHS)
async def test_who_can_be_served_in_time_waits_in_line(simulator: Simulator, surface: str, kind: str) -> None:
    upstream, changes = await down(simulator, kind)

    async with gateway_for(upstream, queue={"wait": "90s"}, **changes) as served:
        async with httpx.AsyncClient(base_url=served.url) as client, asyncio.TaskGroup() as tasks:
            await post(client, surface)
            queued = next_in_line(served)
            waiting = tasks.create_task(post(client, surface))
            async with asyncio.timeout(WITHIN):
                await asyncio.wait([queued, waiting], return_when=asyncio.FIRST_COMPLETED)
            assert queued.done()
            assert not waiting.done()
            served.router.reset(f"{upstream.name}/{next(iter(upstream.site.models))}")

    assert waiting.result().status_code == 200
    assert "x-pointsman-queue-ms" in waiting.result().headers


@pytest.mark.parametrize(("surface", "status", "type"), SURFACES, ids=PATHS)
async def test_a_return_in_hours_is_not_told(
    simulator: Simulator, surface: str, status: int, type: str | None
) -> None:
    upstream = await simulator.add("openai", default=Reply(fault=Fault.status(429, retry_after=7200)))

    async with gateway_for(upstream, retry="none") as served:
        async with httpx.AsyncClient(base_url=served.url) as client:
            await post(client, surface)
            refused = await post(client, surface)

    assert (refused.status_code, type_of(refused)) == (status, type)
    assert "retry-after" not in refused.headers
    assert refused.headers["x-should-retry"] == "false"
