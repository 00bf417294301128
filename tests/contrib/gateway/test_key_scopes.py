"""What the key of a caller says of each of its calls: an id for records, labels to meet, APIs to speak."""

from __future__ import annotations

from typing import Any

import httpx
from gateways import MODEL, Served, gateway_for
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from pointsman.plugin import RequestEnded
from pointsman_simulator import Simulator, Upstream

KEY, OPEN = "ci-" + "k" * 32, "open-" + "k" * 32
KEYS = [
    {"name": "ci", "key": KEY, "require": {"region": ["eu", "uk"]}, "surfaces": ["openai"]},
    {"name": "open", "key": OPEN},
]
SETTINGS = {"access": {"loopback": False, "keys": KEYS}}
CHAT: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "Why?"}]}


def labelled(*upstreams: Upstream) -> dict[str, Any]:
    """One model, whose deployments have the name of their upstream for a label."""
    return {
        MODEL: {
            "deployments": [
                {
                    "provider": each.name,
                    "model": next(iter(each.site.models)),
                    "labels": {"region": each.name},
                }
                for each in upstreams
            ]
        }
    }


async def ask(served: Served, key: str, path: str = "/v1/chat/completions", **fields: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=served.url) as client:
        return await client.post(path, json=CHAT, headers={"x-api-key": key, **fields})


async def test_a_rule_of_the_key_holds_whatever_the_call_says(simulator: Simulator) -> None:
    eu, us = await simulator.add("openai", name="eu"), await simulator.add("openai", name="us")
    async with gateway_for(eu, us, settings=SETTINGS, models=labelled(eu, us)) as served:
        plain = [await ask(served, KEY) for _ in range(4)]
        narrower = await ask(served, KEY, **{"x-pointsman-require": "region=eu"})
        elsewhere = await ask(served, KEY, **{"x-pointsman-require": "region=us"})
        others = [await ask(served, OPEN) for _ in range(4)]

    assert [each.status_code for each in (*plain, narrower)] == [200] * 5
    assert (
        len(eu.requests) - sum(each.headers["x-pointsman-deployment"].startswith("eu/") for each in others)
        == 5
    )
    assert elsewhere.status_code == 400
    assert elsewhere.json()["error"]["code"] == "rule_not_met"


async def test_a_key_for_one_api_is_refused_by_the_others_in_every_spelling(simulator: Simulator) -> None:
    upstream = await simulator.add("openai")
    async with gateway_for(upstream, settings=SETTINGS) as served:
        refused = [
            (await ask(served, KEY, path)).status_code
            for path in ("/v1/messages", "/anthropic/v1/messages", "/v1/v1/messages/", "/api/chat")
        ]
        other = (await ask(served, OPEN, "/api/chat")).status_code

    assert refused == [403] * 4
    assert other == 200


async def test_records_have_the_id_of_the_key(simulator: Simulator) -> None:
    upstream = await simulator.add("openai")
    ended: list[RequestEnded] = []
    async with gateway_for(upstream, settings=SETTINGS) as served:
        served.router.listen(ended.append, kinds=[RequestEnded])
        await ask(served, OPEN, **{"x-pointsman-tags": "key_id,feature"})

    assert dict(ended[0].tags) == {"key_id": "open", "feature": "", "surface": "openai"}


async def test_what_a_key_has_open_ends_with_it(simulator: Simulator) -> None:
    upstream = await simulator.add("openai")
    async with gateway_for(upstream, settings=SETTINGS) as served:
        at = served.url.replace("http", "ws") + "/api/v1/ai/ws"
        async with connect(at, additional_headers={"x-api-key": OPEN}) as socket:
            served.router.offered.ended("another")
            await socket.send(
                '{"id": "1", "type": "chat", "messages": [{"role": "user", "content": "Why?"}]}'
            )
            assert "delta" in str(await socket.recv())

            served.router.offered.ended("open")

            try:
                while True:
                    await socket.recv()
            except ConnectionClosed as closed:
                assert closed.rcvd is not None
                assert closed.rcvd.code == 1001
