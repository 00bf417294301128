"""The plain API: one envelope, server-sent events, and many calls over one WebSocket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from gateways import Served, gateway_for
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from pointsman import Status
from pointsman.plugin import RateLimited, SurfaceFactory, ToolCall, Usage, WholeReply
from pointsman.testing import SurfaceHost
from pointsman.testing.contract import CannedAsk, SurfaceContract
from pointsman.types import ChatResponse
from pointsman_gateway.surfaces.ai import FACTORY
from pointsman_gateway.surfaces.ai.socket import AT_A_TIME, Conversation
from pointsman_gateway.surfaces.ai.surface import health_of
from pointsman_simulator import Reply, Simulator

BASE = "/api/v1/ai"
WITHIN = 10.0


def body(**said: Any) -> bytes:
    return json.dumps(said).encode()


class TestAi(SurfaceContract):
    asks = (
        CannedAsk(
            path="/generate", body=body(prompt="Rain?", model="small-7f"), model="small-7f", text="Rain?"
        ),
        CannedAsk(
            path="/generate",
            body=body(prompt="Rain?", model="small-7f", system="Be brief.", stream=True),
            model="small-7f",
            text="Be brief.",
            stream=True,
        ),
        CannedAsk(
            path="/chat",
            body=body(messages=[{"role": "user", "content": "Rain?"}], model="small-7f", sessionId="s"),
            model="small-7f",
            text="Rain?",
        ),
        CannedAsk(
            path="/chat",
            body=body(
                messages=[{"role": "user", "content": "Rain?"}],
                model="small-7f",
                tools=[{"name": "look"}],
                options={"topP": 0.5},
                metadata={"a": "b"},
                stop=["x"],
                maxTokens=3,
            ),
            model="small-7f",
            text="Rain?",
        ),
        CannedAsk(
            path="/chat",
            body=body(messages=[{"role": "user", "content": "Rain?"}], model="small-7f", stream=True),
            model="small-7f",
            text="Rain?",
            stream=True,
        ),
    )

    def make(self, host: SurfaceHost) -> Any:
        return host.make(FACTORY, None, router=NoRouter())


class NoRouter:
    """What the surface looks at of a router."""

    class config:
        model_by_default = "large-9c"

    def status(self) -> Status:
        return Status(models={}, selectors={}, aliases={}, patterns={}, state=None, in_flight=0)


async def asked(path: str, answer: Any = None, **said: Any) -> tuple[SurfaceHost, Any]:
    host = SurfaceHost(answer)
    host.make(FACTORY, None, router=NoRouter())
    return host, await host.ask("POST", path, body(**said))


async def test_an_answer_stands_in_the_envelope() -> None:
    answer = ChatResponse("Yes.", usage=Usage(3, 2), deployment="gpu1/x", finish_reason="length")

    _, served = await asked("/generate", answer, prompt="Rain?", model="small")

    assert json.loads(served.body) == {
        "code": 0,
        "message": "ok",
        "data": {
            "text": "Yes.",
            "model": "small",
            "usage": {"promptTokens": 3, "completionTokens": 2, "totalTokens": 5},
            "finishReason": "length",
            "deployment": "gpu1/x",
        },
        "requestId": "req-1",
    }


async def test_a_conversation_has_its_message_its_calls_and_its_session() -> None:
    answer = ChatResponse("", [ToolCall("c1", "look", '{"at": 1}')], "tool_calls")
    tools = [{"name": "look", "parameters": {"type": "object"}}]
    messages = [{"role": "user", "content": "Look."}]

    host, served = await asked(
        "/chat", answer, messages=messages, model="small", sessionId="s-1", tools=tools
    )

    data = json.loads(served.body)["data"]
    calls = [{"id": "c1", "name": "look", "arguments": '{"at": 1}'}]
    assert data["message"] == {"role": "assistant", "content": "", "toolCalls": calls}
    assert (data["toolCalls"], data["sessionId"]) == (calls, "s-1")
    (call,) = host.calls
    assert call.asked.headers["x-pointsman-affinity"] == "s-1"
    assert [each.name for each in call.understood.request.tools] == ["look"]  # type: ignore[union-attr]


async def test_an_answer_goes_back_into_the_next_question_as_it_came() -> None:
    calls = [{"id": "c1", "name": "look", "arguments": '{"at": 1}'}]
    messages = [
        {"role": "user", "content": "Look."},
        {"role": "assistant", "content": "", "toolCalls": calls},
        {"role": "tool", "content": "a cat", "toolCallId": "c1"},
    ]

    host, served = await asked("/chat", messages=messages, model="small")

    assert served.status == 200
    said = host.calls[0].understood.request.messages  # type: ignore[union-attr]
    assert said[1].tool_calls == (ToolCall("c1", "look", '{"at": 1}'),)
    assert said[2].tool_call_id == "c1"


async def test_what_names_no_model_goes_to_the_default() -> None:
    host, _ = await asked("/generate", prompt="Rain?")

    assert host.calls[0].understood.request.model == "large-9c"


async def test_options_reach_the_request_and_what_nobody_knows_goes_to_the_upstream() -> None:
    host, _ = await asked(
        "/generate",
        prompt="Rain?",
        temperature=0.5,
        maxTokens=7,
        stop="x",
        options={"topP": 0.9, "seed": 3, "mirostat": 1},
        metadata={"a": "b"},
    )

    request: Any = host.calls[0].understood.request
    assert (request.temperature, request.max_tokens, list(request.stop)) == (0.5, 7, ["x"])
    assert (request.top_p, request.seed, request.extra) == (0.9, 3, {"mirostat": 1})
    assert request.metadata == {"a": "b"}


@pytest.mark.parametrize(
    ("path", "said", "fields"),
    [
        ("/generate", {}, ["prompt"]),
        (
            "/generate",
            {"prompt": 1, "maxTokens": 0, "tempurature": 1},
            ["prompt", "maxTokens", "tempurature"],
        ),
        ("/chat", {"messages": []}, ["messages"]),
        ("/chat", {"messages": [{"role": "robot", "content": "x"}]}, ["messages[0].role"]),
        ("/chat", {"messages": [{"role": "user"}]}, ["messages[0].content"]),
        ("/generate", {"prompt": "x", "options": {"topP": "high"}}, ["top_p"]),
        (
            "/chat",
            {"messages": [{"role": "user", "content": [{"type": "smell"}]}]},
            ["messages[0].content[0].type"],
        ),
        ("/chat", {"messages": [{"role": "user", "content": "x"}], "tools": [{"a": 1}]}, ["tools[0].name"]),
    ],
)
async def test_every_field_that_is_wrong_is_named(path: str, said: dict[str, Any], fields: list[str]) -> None:
    host, served = await asked(path, **said)

    told = json.loads(served.body)
    assert (served.status, told["code"]) == (400, "invalid_request")
    assert {each["field"] for each in told["details"]} == set(fields)
    assert host.calls == []


async def test_a_failure_has_its_code_and_says_when_to_come_back() -> None:
    error = RateLimited("busy", retry_after=1.2)

    _, served = await asked("/generate", error, prompt="Rain?")

    assert json.loads(served.body)["code"] == "rate_limited"


def test_health_is_what_the_deployments_come_to() -> None:
    def of(*ready: bool) -> str:
        return str(health_of({"m": ready})["status"])

    assert [of(True, True), of(True, False), of(False)] == ["healthy", "degraded", "down"]
    assert health_of({"m": [True, False]})["models"] == {"m": "1/2"}


# ── behind a gateway ─────────────────────────────────────────────────────────────────────────────────


def events_of(text: str) -> list[tuple[str, Any]]:
    frames = [frame.split("\n") for frame in text.split("\n\n") if frame and not frame.startswith(":")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in frames]


async def test_a_stream_has_its_pieces_and_ends_with_the_last_one(simulator: Simulator) -> None:
    upstream = await simulator.add("ollama")
    upstream.script(Reply("It is raining."))

    async with gateway_for(upstream) as served, httpx.AsyncClient() as client:
        answer = await client.post(f"{served.url}{BASE}/generate", json={"prompt": "Rain?", "stream": True})

    assert answer.headers["content-type"].startswith("text/event-stream")
    events = events_of(answer.text)
    assert {name for name, _ in events} == {"message"}
    pieces = [data for _, data in events]
    assert "".join(each["delta"] for each in pieces) == "It is raining."
    assert [each["isFinal"] for each in pieces] == [False] * (len(pieces) - 1) + [True]
    assert pieces[-1]["usage"]["completionTokens"] > 0
    assert pieces[-1]["finishReason"] == "stop"


async def test_models_and_health_are_told_and_health_to_everybody(simulator: Simulator) -> None:
    upstream = await simulator.add("ollama")
    settings = {"access": {"keys": [{"name": "ci", "key": "k" * 32}], "loopback": False}}

    async with gateway_for(upstream, settings=settings) as served, httpx.AsyncClient() as client:
        listed = await client.get(
            f"{served.url}{BASE}/models", headers={"authorization": f"Bearer {'k' * 32}"}
        )
        nobody = await client.get(f"{served.url}{BASE}/models")
        health = await client.get(f"{served.url}{BASE}/health")

    (model,) = listed.json()["data"]["models"]
    assert model["name"] == "assistant"
    assert "completion" in model["capabilities"]
    assert nobody.status_code == 401
    assert health.json()["data"] == {"status": "healthy", "models": {"assistant": "1/1"}}


@pytest.mark.parametrize(
    ("method", "path", "package"),
    [
        ("POST", "/rag/search", "pointsman-knowledge"),
        ("GET", "/rag/search?q=x", "pointsman-knowledge"),
        ("POST", "/agent/execute", "pointsman-assistants"),
        ("POST", "/assist/dockerfile", "pointsman-assistants"),
    ],
)
async def test_what_is_not_installed_is_named(
    simulator: Simulator, method: str, path: str, package: str
) -> None:
    upstream = await simulator.add("ollama")

    async with gateway_for(upstream) as served, httpx.AsyncClient() as client:
        answer = await client.request(method, f"{served.url}{BASE}{path}", json={})

    assert answer.status_code == 501
    assert package in answer.json()["message"]


# ── WebSocket ────────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def opened(served: Served, path: str = "/ws", **more: Any) -> AsyncIterator[ClientConnection]:
    address = f"{served.url.replace('http', 'ws', 1)}{BASE}{path}"
    async with connect(address, proxy=None, **more) as socket:
        yield socket


async def told(socket: ClientConnection, until: int = 1) -> list[dict[str, Any]]:
    """What comes until that many calls have ended."""
    said: list[dict[str, Any]] = []
    async with asyncio.timeout(WITHIN):
        while sum(each["type"] in ("done", "error") for each in said) < until:
            said.append(json.loads(await socket.recv()))
    return said


async def test_many_calls_run_on_one_connection_each_under_its_id(simulator: Simulator) -> None:
    upstream = await simulator.add("ollama")
    upstream.script(*[Reply("It is raining.")] * 5)

    async with gateway_for(upstream) as served, opened(served) as socket:
        for n in range(5):
            await socket.send(json.dumps({"id": str(n), "type": "generate", "prompt": f"Rain {n}?"}))
        said = await told(socket, 5)

    for n in range(5):
        own = [each for each in said if each["id"] == str(n)]
        assert "".join(each.get("delta", "") for each in own) == "It is raining."
        assert [each["type"] for each in own][-1] == "done"
        assert own[-1]["finishReason"] == "stop"


async def test_a_call_that_is_not_streamed_comes_at_once(simulator: Simulator) -> None:
    upstream = await simulator.add("ollama")
    upstream.script(Reply("It is raining."))
    messages = [{"role": "user", "content": "Rain?"}]

    async with gateway_for(upstream) as served, opened(served) as socket:
        await socket.send(json.dumps({"id": "a", "type": "chat", "messages": messages, "stream": False}))
        (said,) = await told(socket)

    assert (said["type"], said["text"], said["message"]["content"]) == (
        "done", "It is raining.", "It is raining.",
    )  # fmt: skip


@pytest.mark.parametrize("how", ["cancel", "close"])
async def test_a_cancel_or_a_lost_connection_ends_the_calls_upstream(simulator: Simulator, how: str) -> None:
    upstream = await simulator.add("ollama")
    upstream.script(Reply("word " * 500, tokens_per_second=20))

    async with gateway_for(upstream) as served:
        async with opened(served) as socket:
            await socket.send(json.dumps({"id": "a", "type": "generate", "prompt": "Rain?"}))
            await asyncio.wait_for(socket.recv(), WITHIN)
            if how == "cancel":
                await socket.send(json.dumps({"id": "a", "type": "cancel"}))
                ended = (await told(socket))[-1]
                assert (ended["type"], ended["finishReason"]) == ("done", "cancelled")
        await upstream.idle(timeout=WITHIN)
        assert upstream.requests[-1].outcome == "aborted by client"
        assert served.router.status().in_flight == 0


async def test_a_line_break_that_is_none_splits_no_message(simulator: Simulator) -> None:
    upstream = await simulator.add("ollama")
    odd = "one\u2028two\u0085three\x0cfour\nfive"
    upstream.script(Reply(odd, chunks=(odd,)))

    async with gateway_for(upstream) as served, opened(served) as socket:
        await socket.send(json.dumps({"id": "a", "type": "generate", "prompt": "Rain?"}))
        said = await told(socket)

    assert [each["delta"] for each in said if each["type"] == "delta"] == [odd]


async def test_an_id_is_for_one_call_at_a_time_and_a_connection_for_so_many(simulator: Simulator) -> None:
    upstream = await simulator.add("ollama")
    upstream.script(*[Reply("word " * 500, tokens_per_second=20)] * AT_A_TIME)

    async with gateway_for(upstream) as served, opened(served) as socket:
        for n in range(AT_A_TIME):
            await socket.send(json.dumps({"id": str(n), "type": "generate", "prompt": "x"}))
        await socket.send(json.dumps({"id": "0", "type": "generate", "prompt": "x"}))
        await socket.send(json.dumps({"id": "more", "type": "generate", "prompt": "x"}))
        wrong = [each for each in await told(socket, 2) if each["type"] == "error"]

    assert [(each["id"], each["code"]) for each in wrong] == [("0", "id_in_use"), ("more", "too_many_calls")]


async def test_a_caller_that_does_not_read_loses_its_connection() -> None:
    class Stuck:
        async def receive(self) -> str | None:
            if not self.asked:
                self.asked = True
                return '{"id": "a", "type": "generate", "prompt": "x"}'
            return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

        asked = False

        async def send(self, text: str) -> None:
            raise TimeoutError

        def call(self) -> Any:
            return nullcontext(SimpleNamespace(problem=None, request_id="r"))

    async def ask(*_call: Any) -> WholeReply:
        return WholeReply(200, b"{}")

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(Conversation(Stuck(), ask).run(), WITHIN)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("{", "invalid_request"),
        ("[]", "invalid_request"),
        ('{"type": "generate", "prompt": "x"}', "invalid_request"),
        ('{"id": "a", "type": "shout"}', "invalid_request"),
        ('{"id": "a", "type": "generate"}', "invalid_request"),
        ('{"id": "a", "type": "generate", "prompt": "x", "model": "huge"}', "unknown_model"),
    ],
)
async def test_a_message_that_is_wrong_is_told_and_the_connection_goes_on(
    simulator: Simulator, message: str, code: str
) -> None:
    upstream = await simulator.add("ollama")

    async with gateway_for(upstream) as served, opened(served) as socket:
        await socket.send(message)
        (wrong,) = await told(socket)
        await socket.send('{"id": "b", "type": "generate", "prompt": "x"}')
        right = await told(socket)

    assert (wrong["type"], wrong["code"]) == ("error", code)
    assert right[-1]["type"] == "done"


async def test_a_browser_opens_one_with_a_ticket_and_only_once(simulator: Simulator) -> None:
    upstream = await simulator.add("ollama")
    key = "k" * 32
    settings = {"access": {"keys": [{"name": "ci", "key": key}], "loopback": False}}

    async with gateway_for(upstream, settings=settings) as served, httpx.AsyncClient() as client:
        with pytest.raises(InvalidStatus) as nobody:
            async with opened(served):
                pass
        answer = await client.post(
            f"{served.url}{BASE}/ws-ticket", headers={"authorization": f"Bearer {key}"}
        )
        ticket = answer.json()["data"]["ticket"]
        async with opened(served, f"/ws?ticket={ticket}", origin=served.url) as socket:
            await socket.send('{"id": "b", "type": "generate", "prompt": "x"}')
            assert (await told(socket))[-1]["type"] == "done"
        with pytest.raises(InvalidStatus) as again:
            async with opened(served, f"/ws?ticket={ticket}"):
                pass

    assert nobody.value.response.status_code == 401
    assert again.value.response.status_code == 401


async def test_a_page_of_another_origin_opens_none(simulator: Simulator) -> None:
    upstream = await simulator.add("ollama")

    async with gateway_for(upstream) as served, httpx.AsyncClient() as client:
        ticket = (await client.post(f"{served.url}{BASE}/ws-ticket", json={})).json()["data"]["ticket"]
        for path in ("/ws", f"/ws?ticket={ticket}"):
            with pytest.raises(InvalidStatus) as refused:
                async with opened(served, path, origin="https://elsewhere.test"):
                    pass
            assert refused.value.response.status_code == 403


async def test_limits_of_a_caller_count_what_it_asks_over_a_connection(simulator: Simulator) -> None:
    upstream = await simulator.add("ollama")
    key = "k" * 32
    limits = {"requests": "2/min", "burst_requests": 2}
    settings = {"access": {"keys": [{"name": "ci", "key": key, "limits": limits}]}}

    async with (
        gateway_for(upstream, settings=settings) as served,
        opened(served, additional_headers={"authorization": f"Bearer {key}"}) as socket,
    ):
        ended = []
        for n in range(3):
            await socket.send(json.dumps({"id": str(n), "type": "generate", "prompt": "x"}))
            ended.append((await told(socket))[-1])

    assert [each["type"] for each in ended] == ["done", "done", "error"]
    assert ended[-1]["code"] == "caller_rate_limited"
    assert ended[-1]["retryAfter"] > 0


async def test_a_gateway_that_ends_closes_connections(simulator: Simulator) -> None:
    upstream = await simulator.add("ollama")

    async with gateway_for(upstream) as served, opened(served) as socket:
        await served.gateway.stop()
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(socket.recv(), WITHIN)

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code in (1001, 1012)


def test_it_is_offered_at_its_usual_place() -> None:
    assert isinstance(FACTORY, SurfaceFactory)
    assert FACTORY.prefix == BASE
