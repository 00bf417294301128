"""How far the requests have come that run, as operators are told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import pytest
from gateways import MODEL, PLAIN, gateway_for

from pointsman_gateway.calls.accounts import Account
from pointsman_simulator import Fault, Reply, Simulator

OURS = {"x-pointsman-csrf": "1"}
SAY = {"model": MODEL, "text": "Why?", "stream": True}
WITHIN = 30


@pytest.mark.parametrize(
    ("account", "phase"),
    [
        (Account(0.0), "waiting"),
        (Account(0.0, waits=1.0), "queued"),
        (Account(0.0, since=1.0), "streaming"),
        (Account(0.0, idle=1.0), "pausing"),
        (Account(0.0, idle=1.0, waits=2.0), "queued"),
    ],
)
def test_what_is_known_of_a_request_says_its_phase(account: Account, phase: str) -> None:
    assert account.phase == phase


async def told(
    client: httpx.AsyncClient, wanted: Callable[[Mapping[str, Any]], bool]
) -> list[Mapping[str, Any]]:
    """What runs, once `wanted` holds for each of it."""
    async with asyncio.timeout(WITHIN):
        while True:
            running = (await client.get("/admin/v1/status")).json()["running"]
            if running and all(map(wanted, running)):
                found: list[Mapping[str, Any]] = running
                return found


@pytest.mark.parametrize(("events", "phase"), [(0, "waiting"), (1, "streaming")])
async def test_a_request_waits_for_its_answer_and_then_streams(
    simulator: Simulator, events: int, phase: str
) -> None:
    upstream = await simulator.add("openai", default=Reply(text="a b c", fault=Fault.stall_after(events)))
    async with (
        gateway_for(upstream, surfaces=[PLAIN]) as served,
        httpx.AsyncClient(base_url=served.url, headers=OURS) as client,
    ):
        asked = asyncio.create_task(client.post("/v1/say", json=SAY, headers={"x-request-id": "slow"}))
        (one,) = await told(client, lambda each: each["phase"] == phase)
        await client.post("/admin/v1/requests/slow/cancel")
        await asked

    deployment = served.router.status().to_dict()["models"][MODEL]["deployments"][0]["id"]
    assert (one["id"], one["phase"]) == ("slow", phase)
    assert (one["deployment"], one["attempts"]) == ((deployment, 1) if events else ("", 0))


async def test_one_that_finds_no_room_is_in_line(simulator: Simulator) -> None:
    upstream = await simulator.add("openai", default=Reply(text="a b c", fault=Fault.stall_after(1)))
    pool = {"provider": upstream.name, "model": next(iter(upstream.site.models)), "max_in_flight": 1}
    models = {MODEL: {"deployments": [pool]}}
    async with (
        gateway_for(upstream, surfaces=[PLAIN], models=models) as served,
        httpx.AsyncClient(base_url=served.url, headers=OURS) as client,
    ):
        first = asyncio.create_task(client.post("/v1/say", json=SAY, headers={"x-request-id": "a"}))
        await told(client, lambda each: each["phase"] == "streaming")
        second = asyncio.create_task(client.post("/v1/say", json=SAY, headers={"x-request-id": "b"}))
        running = await told(client, lambda each: each["id"] == "a" or each["phase"] == "queued")
        while len(running) < 2:
            running = await told(client, lambda each: each["id"] == "a" or each["phase"] == "queued")
        for id in ("b", "a"):
            await client.post(f"/admin/v1/requests/{id}/cancel")
        await asyncio.gather(first, second)

    assert [(each["id"], each["phase"]) for each in running] == [("a", "streaming"), ("b", "queued")]
