"""Calls over a WebSocket have what calls over HTTP have: an id, a line, numbers, and headers that are checked."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from gateways import MODEL, configuration, gateway_for
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from pointsman import Router
from pointsman_gateway.gateway import Gateway
from pointsman_gateway.settings import GatewaySettings
from pointsman_simulator import Fault, Reply, Simulator
from pointsman_telemetry.request_log import RequestLog

AT = "/api/v1/ai/ws"
WITHIN = 10.0
KEY = "a-key-of-somebody-1234"
ASK = {"type": "generate", "prompt": "a canary word"}


@asynccontextmanager
async def logged(upstream: Any, **settings: Any) -> AsyncIterator[tuple[Gateway, io.StringIO]]:
    stream = io.StringIO()
    async with Router.from_config(configuration(upstream)) as router:
        asked = GatewaySettings.model_validate({"listen": "127.0.0.1:0", **settings})
        async with Gateway(router, asked, log=RequestLog(stream)) as gateway:
            yield gateway, stream


def opened(gateway: Any, path: str = AT, **said: str) -> connect:
    return connect(f"{gateway.url.replace('http', 'ws')}{path}", additional_headers=said, open_timeout=WITHIN)


async def ended(socket: ClientConnection, **said: Any) -> dict[str, Any]:
    """The last message of a call."""
    await socket.send(json.dumps({"id": "a", **ASK, **said}))
    async with asyncio.timeout(WITHIN):
        while (message := json.loads(await socket.recv()))["type"] == "delta":
            pass
    return message  # type: ignore[no-any-return]  # it is JSON


def lines(stream: io.StringIO) -> Sequence[dict[str, Any]]:
    return [json.loads(each) for each in stream.getvalue().splitlines()]


async def test_each_call_is_a_line_and_is_counted_as_one_over_http_is(simulator: Simulator) -> None:
    upstream = await simulator.add("openai")
    key = {"name": "ci", "key": KEY, "limits": {"requests": "3/min", "burst_requests": 3}}
    async with logged(upstream, access={"keys": [key]}) as (gateway, stream):
        said = {"x-api-key": KEY, "x-request-id": "mine"}
        async with opened(gateway, **said) as socket:
            answers = [
                await ended(socket),
                await ended(socket, stream=False),
                await ended(socket, prompt=3),
                await ended(socket),
            ]
            known = [gateway.observer.of(f"mine-{n}") for n in range(6)]
        async with httpx.AsyncClient() as client:
            metrics = (await client.get(f"{gateway.url}/metrics")).text

    told = [
        (each["request_id"], each["method"], each["status"], each.get("model"), each.get("error"))
        for each in lines(stream)
        if each["path"] == AT
    ]
    assert told == [
        ("mine", "GET", 101, None, None),
        ("mine-1", "POST", 200, MODEL, None),
        ("mine-2", "POST", 200, MODEL, None),
        ("mine-3", "POST", 400, None, "invalid_request"),
        ("mine-4", "POST", 429, None, "caller_rate_limited"),
    ]
    first = lines(stream)[1]
    assert (first["surface"], first["caller"], first["attempts"]) == ("ai", "ci", 1)
    assert first["deployment"].startswith(upstream.name)
    assert first["completion_tokens"] > 0
    assert first["ms"] >= first["ours_ms"] >= 0
    assert [each["requestId"] for each in answers] == ["mine-1", "mine-2", "mine-3", "mine-4"]
    assert set(known) == {None}
    assert 'ai_proxy_requests_total{method="POST",status="200"} 2.0' in metrics
    assert "ai_proxy_rate_limit_rejections_total 1.0" in metrics
    assert 'pointsman_overhead_seconds_count{surface="ai"} 2.0' in metrics
    assert "canary" not in stream.getvalue()


async def test_a_call_that_its_caller_gives_up_has_its_line_too(simulator: Simulator) -> None:
    upstream = await simulator.add("openai", default=Reply(text="one two", fault=Fault.stall_after(1)))
    async with logged(upstream) as (gateway, stream):
        async with opened(gateway) as socket:
            await socket.send(json.dumps({"id": "a", **ASK}))
            await asyncio.wait_for(socket.recv(), WITHIN)
            await socket.send('{"id": "a", "type": "cancel"}')
            await asyncio.wait_for(socket.recv(), WITHIN)
            await socket.send(json.dumps({"id": "b", **ASK}))
            await asyncio.wait_for(socket.recv(), WITHIN)
        await upstream.idle(timeout=WITHIN)

    assert [each["status"] for each in lines(stream)] == [101, 499, 499]


@pytest.mark.parametrize("begun", [False, True])
async def test_an_operator_sees_calls_and_ends_one(simulator: Simulator, begun: bool) -> None:
    stalled = Reply(text="one two", fault=Fault.stall_after(1 if begun else 0))
    upstream = await simulator.add("openai", default=Reply(text="one two"))
    upstream.script(stalled)
    async with (
        gateway_for(upstream) as served,
        opened(served, **{"x-request-id": "mine"}) as socket,
        httpx.AsyncClient(base_url=f"{served.url}/admin/v1", headers={"x-pointsman-csrf": "1"}) as operator,
    ):
        await socket.send(json.dumps({"id": "a", **ASK}))
        async with asyncio.timeout(WITHIN):
            while not (running := (await operator.get("/status")).json()["running"]):
                pass
            if begun:
                await socket.recv()
            await operator.post("/requests/mine-1/cancel")
            told = json.loads(await socket.recv())
        await ended(socket, id="b")
        kept = (await operator.get("/requests")).json()["requests"]

    assert [each["id"] for each in running] == ["mine-1"]
    assert (told["type"], told["code"], told["requestId"]) == ("error", "ended_by_operator", "mine-1")
    assert [(each["id"], each["result"]) for each in kept] == [("mine-2", "ok"), ("mine-1", "cancelled")]


async def test_two_connections_of_one_id_have_calls_of_their_own(simulator: Simulator) -> None:
    upstream = await simulator.add("openai", default=Reply(text="one two", fault=Fault.stall_after(1)))
    async with logged(upstream) as (gateway, stream):
        said = {"x-request-id": "mine"}
        async with opened(gateway, **said) as one, opened(gateway, **said) as other:
            for socket in (one, other):
                await socket.send(json.dumps({"id": "a", **ASK}))
                await asyncio.wait_for(socket.recv(), WITHIN)
        await upstream.idle(timeout=WITHIN)

    ids = [each["request_id"] for each in lines(stream)]
    assert ids[:2] == ["mine", "mine"]
    assert len(set(ids[2:])) == 2
    assert "mine-1" in ids


async def test_an_upgrade_that_is_refused_has_its_line_and_its_id(simulator: Simulator) -> None:
    upstream = await simulator.add("openai")
    access = {"loopback": False, "keys": [{"name": "ci", "key": KEY}]}
    async with logged(upstream, access=access) as (gateway, stream):
        with pytest.raises(InvalidStatus) as refused:
            async with opened(gateway, **{"x-request-id": "mine"}):
                pass

    (line,) = lines(stream)
    assert (line["request_id"], line["status"], line["error"]) == ("mine", 401, "missing_api_key")
    assert refused.value.response.body is not None
    assert refused.value.response.headers["x-request-id"] == "mine"
    assert json.loads(refused.value.response.body)["requestId"] == "mine"


# ── headers ──────────────────────────────────────────────────────────────────────────────────────────

UNKNOWN = {"x-pointsman-timout": "1s"}


async def test_a_header_of_ours_that_there_is_not_is_refused_when_a_websocket_is_opened(
    simulator: Simulator,
) -> None:
    upstream = await simulator.add("openai")
    async with gateway_for(upstream) as served, httpx.AsyncClient() as client:
        answer = await client.post(f"{served.url}/api/v1/ai/ws-ticket", headers=UNKNOWN)
        ticket = answer.json()["data"]["ticket"]
        for path, said in ((AT, UNKNOWN), (f"{AT}?ticket={ticket}", {})):
            with pytest.raises(InvalidStatus) as refused:
                async with opened(served, path, **said):
                    pass
            assert refused.value.response.status_code == 400
            assert "did you mean 'x-pointsman-timeout'?" in (refused.value.response.body or b"").decode()


async def test_headers_of_the_upgrade_hold_for_each_call(simulator: Simulator) -> None:
    upstream = await simulator.add("openai")
    async with (
        gateway_for(upstream) as served,
        opened(served, **{"x-pointsman-require": "local=true"}) as socket,
    ):
        answer = await ended(socket)

    assert (answer["type"], answer["code"]) == ("error", "rule_not_met")


CALLS = [
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}]}),
    ("/v1/completions", {"prompt": "x"}),
    ("/v1/embeddings", {"input": "x"}),
    ("/v1/responses", {"input": "x"}),
    ("/v1/responses/compact", {"input": "x"}),
    ("/v1/messages", {"messages": [{"role": "user", "content": "x"}], "max_tokens": 5}),
    ("/v1/messages/count_tokens", {"messages": [{"role": "user", "content": "x"}]}),
    ("/api/chat", {"messages": [{"role": "user", "content": "x"}]}),
    ("/api/generate", {"prompt": "x"}),
    ("/api/embed", {"input": "x"}),
    ("/api/embeddings", {"prompt": "x"}),
    ("/api/v1/ai/generate", {"prompt": "x"}),
    ("/api/v1/ai/chat", {"messages": [{"role": "user", "content": "x"}]}),
]


async def test_a_header_of_ours_that_there_is_not_is_refused_on_every_route_that_asks_a_model(
    simulator: Simulator,
) -> None:
    upstream = await simulator.add("openai")
    async with gateway_for(upstream) as served, httpx.AsyncClient(base_url=served.url) as client:
        await client.get("/v1/models", headers=UNKNOWN)
        answers = {
            path: await client.post(path, json={"model": MODEL, **body}, headers=UNKNOWN)
            for path, body in CALLS
        }

    wrong = {
        path: (each.status_code, each.text)
        for path, each in answers.items()
        if each.status_code != 400 or "x-pointsman-timeout" not in each.text
    }
    assert wrong == {}
    assert [each for each in upstream.requests if each.method == "POST"] == []


@pytest.mark.parametrize(("method", "fields"), [("GET", {}), ("POST", {}), ("GET", {"upgrade": "websocket"})])
async def test_who_asks_a_websocket_by_http_hears_that_it_is_one(
    simulator: Simulator, method: str, fields: dict[str, str]
) -> None:
    upstream = await simulator.add("openai")
    async with gateway_for(upstream) as served, httpx.AsyncClient(base_url=served.url) as client:
        answer = await client.request(method, AT, headers=fields)

    assert (answer.status_code, answer.headers["upgrade"]) == (426, "websocket")
    assert "a WebSocket is spoken here" in answer.text
