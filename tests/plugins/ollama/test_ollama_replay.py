"""Every recorded and made-up exchange with Ollama's native API, replayed through the provider.

What is expected is read from the recording by the plainest means, without our own decoder.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from replay import (
    RECORDED,
    Exchange,
    ReplayTransport,
    assemble,
    call_for,
    client_for,
    constructed,
    context_for,
    cut,
    decoded,
    exchanges,
    json_lines,
    recorded,
)

from pointsman.errors import (
    AuthenticationFailed,
    BadResponse,
    CallError,
    ModelNotFound,
    PermissionDenied,
    Truncated,
    Unavailable,
    Unsupported,
)
from pointsman.http.event_stream import EventStream
from pointsman.types import (
    ChatRequest,
    EmbedRequest,
    GenerateRequest,
    Message,
    ResponseFormat,
    StreamEvent,
    Tool,
    ToolCall,
)
from pointsman_ollama import wire
from pointsman_ollama.decode import Lines, StreamDecoder
from pointsman_ollama.provider import OllamaProvider
from pointsman_ollama.settings import OllamaSettings

SEEDS = [None, 1, 2, 3, 4]

IMPLEMENTED = {
    "/api/chat",
    "/api/generate",
    "/api/embed",
    "/api/tags",
    "/api/show",
    "/api/ps",
    "/api/version",
    "/api/pull",
    "/api/copy",
    "/api/delete",
}
NOT_OURS = {"/api/embeddings", "/api/create", "/"}
"""The old way to embed, making models, and the liveness page: no call of ours."""

FAILURES: dict[str, type[CallError]] = {
    "recorded/ollama/034-api-chat-error-404": ModelNotFound,
    "constructed/ollama/001-503-busy": Unavailable,
    "constructed/ollama/002-404-chat": ModelNotFound,
    "constructed/ollama/003-400-no-tools": Unsupported,
    "constructed/ollama/004-400-no-thinking": Unsupported,
    "constructed/ollama/005-500-runner-terminated": Unavailable,
    "constructed/ollama/006-404-copy": ModelNotFound,
    "constructed/ollama/007-401-cloud": AuthenticationFailed,
    "constructed/ollama/008-403-host": PermissionDenied,
    "constructed/ollama/009-405-method": BadResponse,
    "constructed/ollama/010-stream-error-line": Unavailable,
    "constructed/ollama/011-stream-truncated": Truncated,
    "constructed/ollama/020-pull-error": ModelNotFound,
}


def native(exchange: Exchange) -> bool:
    return exchange.path in IMPLEMENTED


def of(*paths: str, failing: bool = False, streamed: bool | None = None) -> list[Any]:
    """Parameters: the exchanges of these endpoints, one kind of outcome, whole or streamed."""
    return exchanges(
        "ollama",
        where=lambda each: (
            each.path in paths
            and (each.id in FAILURES) == failing
            and (streamed is None or each.streamed == streamed)
        ),
    )


def provider_for(transport: ReplayTransport) -> OllamaProvider:
    return OllamaProvider(context_for(transport, settings=OllamaSettings(), name="gpu1"))


async def taken(source: EventStream, events: list[StreamEvent]) -> None:
    """Add all events of `source` to `events`."""
    while (more := await source.next(until=1e12)) is not None:
        events += more


def without_none(value: Any) -> Any:
    return {key: each for key, each in value.items() if each not in (None, "", [], {})}


# ── the recorded request as ours ─────────────────────────────────────────────────────────────────────

OPTIONS = {
    "temperature": "temperature",
    "seed": "seed",
    "num_predict": "max_tokens",
    "stop": "stop",
}


def common(body: dict[str, Any]) -> dict[str, Any]:
    """What chat and generate requests share, as our fields."""
    fields: dict[str, Any] = {}
    left = {}
    for name, value in body.get("options", {}).items():
        if name in OPTIONS:
            fields[OPTIONS[name]] = value
        else:
            left[name] = value
    wanted = body.get("format")
    if wanted == "json":
        fields["response_format"] = ResponseFormat("json")
    elif wanted:
        fields["response_format"] = ResponseFormat("schema", wanted)
    extra: dict[str, Any] = {"options": left} if left else {}
    if "think" in body:
        if body["think"] is False:
            fields["reasoning_effort"] = "none"
        else:
            extra["think"] = body["think"]
    if body.get("keep_alive") is not None:
        extra["keep_alive"] = body["keep_alive"]
    fields["extra"] = extra
    return fields


def chat_request(body: dict[str, Any]) -> ChatRequest:
    messages = []
    for each in body["messages"]:
        calls = [
            ToolCall(
                call.get("id") or "",
                call["function"]["name"],
                json.dumps(call["function"]["arguments"]),
                n,
            )
            for n, call in enumerate(each.get("tool_calls") or ())
        ]
        messages.append(
            Message(
                each["role"],
                each["content"],
                tool_calls=calls,
                tool_call_id=each.get("tool_call_id"),
                name=each.get("tool_name"),
                reasoning=each.get("thinking"),
            )
        )
    tools = [
        Tool(
            each["function"]["name"],
            each["function"].get("description", ""),
            each["function"].get("parameters", {}),
        )
        for each in body.get("tools") or ()
    ]
    return ChatRequest("public", messages, tools=tools, **common(body))


def generate_request(body: dict[str, Any]) -> GenerateRequest:
    return GenerateRequest("public", body["prompt"], system=body.get("system") or None, **common(body))


def normalised(body: dict[str, Any]) -> dict[str, Any]:
    """A recorded or a sent body without what makes no difference to Ollama."""
    plain: dict[str, Any] = without_none(body)
    plain.pop("raw", None)
    plain["stream"] = body.get("stream", True)
    if options := without_none(plain.pop("options", {})):
        plain["options"] = options
    if "messages" in plain:
        plain["messages"] = [_message(each) for each in plain["messages"]]
    return plain


def _message(message: dict[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = {"content": message["content"], **without_none(message)}
    if "tool_calls" in plain:
        plain["tool_calls"] = [
            (call.get("id"), call["function"]["name"], call["function"]["arguments"])
            for call in plain["tool_calls"]
        ]
    return plain


@pytest.mark.parametrize("exchange", exchanges("ollama", where=lambda e: e.path == "/api/chat" and e.request))
def test_the_recorded_chat_request_is_what_we_would_send(exchange: Exchange) -> None:
    request = chat_request(exchange.request)

    stream = exchange.request.get("stream", True)
    sent = wire.chat_body(request, exchange.request["model"], wire.Defaults({}, {}), stream=stream)

    assert normalised(sent) == normalised(exchange.request)


@pytest.mark.parametrize("exchange", of("/api/generate"))
def test_the_recorded_completion_request_is_what_we_would_send(exchange: Exchange) -> None:
    request = generate_request(exchange.request)

    sent = wire.generate_body(request, exchange.request["model"], wire.Defaults({}, {}), stream=False)

    assert sent["stream"] is False
    recorded = normalised(exchange.request)
    recorded.pop("template", None)
    assert normalised(sent) == {**recorded, "stream": False}


# ── answers ──────────────────────────────────────────────────────────────────────────────────────────


class Expected:
    """What a recording says, by the plainest reading."""

    def __init__(self, exchange: Exchange) -> None:
        lines = json_lines(exchange.body)
        parts = [each.get("message") or {"content": each.get("response", "")} for each in lines]
        last = lines[-1]
        self.text = "".join(part["content"] for part in parts)
        self.reasoning = "".join(part.get("thinking", "") for part in parts)
        self.calls = [
            (n, call["id"], call["function"]["name"], call["function"]["arguments"])
            for n, call in enumerate(call for part in parts for call in part.get("tool_calls", ()))
        ]
        self.native = last["done_reason"]
        self.finish = "length" if self.native == "length" else "tool_calls" if self.calls else "stop"
        self.usage = (last.get("prompt_eval_count"), last.get("eval_count"))
        self.model = last["model"]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("exchange", of("/api/chat", "/api/generate", streamed=False))
async def test_an_answer_in_one_piece(exchange: Exchange, seed: int | None) -> None:
    expected = Expected(exchange)
    transport = ReplayTransport(exchange, seed=seed)
    provider = provider_for(transport)
    call = call_for(client_for(transport, "http://upstream"), exchange.request["model"])

    if exchange.path == "/api/chat":
        response = await provider.chat(chat_request(exchange.request), call)
    else:
        response = await provider.generate(generate_request(exchange.request), call)

    assert response.text == expected.text
    assert (response.reasoning or "") == expected.reasoning
    calls = [(each.index, each.id, each.name, each.parsed()) for each in response.tool_calls]
    assert calls == expected.calls
    assert response.finish_reason == expected.finish
    assert response.native_finish_reason == expected.native
    assert (response.usage.prompt, response.usage.completion) == expected.usage
    assert response.model == expected.model
    assert response.raw == exchange.json
    assert all(body.closed for body in transport.bodies)


def check_stream(exchange: Exchange, events: list[StreamEvent]) -> None:
    expected = Expected(exchange)
    whole = assemble(events)
    assert whole.text == expected.text
    assert whole.reasoning == expected.reasoning
    calls = [(each.index, each.id, each.name, each.parsed()) for each in whole.tool_calls]
    assert calls == expected.calls
    assert (whole.finish_reason, whole.native_finish_reason) == (expected.finish, expected.native)
    assert whole.usage is not None
    assert (whole.usage.prompt, whole.usage.completion) == expected.usage
    assert whole.model == expected.model


@pytest.mark.parametrize("exchange", of("/api/chat", "/api/generate", streamed=True))
def test_a_stream_cut_anywhere(exchange: Exchange) -> None:
    whole = decoded(Lines(), StreamDecoder("s"), [exchange.body])

    check_stream(exchange, whole)
    for seed in SEEDS[1:]:
        assert decoded(Lines(), StreamDecoder("s"), cut(exchange.body, seed=seed)) == whole


@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize("exchange", of("/api/chat", streamed=True))
async def test_a_stream_over_http(exchange: Exchange, seed: int | None) -> None:
    transport = ReplayTransport(exchange, seed=seed)
    call = call_for(client_for(transport, "http://upstream"), exchange.request["model"])
    source = await provider_for(transport).stream(chat_request(exchange.request), call)

    events: list[StreamEvent] = []
    await taken(source, events)
    await source.aclose()

    check_stream(exchange, events)
    assert all(body.closed for body in transport.bodies)


# ── failures ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("exchange", of("/api/chat", failing=True))
async def test_a_failed_chat_is_the_error_it_should_be(exchange: Exchange, seed: int | None) -> None:
    transport = ReplayTransport(exchange, seed=seed)
    call = call_for(client_for(transport, "http://upstream"), "qwen3:4b")
    request = chat_request(exchange.request or {"messages": []})

    async def fails() -> None:
        await taken(await provider_for(transport).stream(request, call), [])

    with pytest.raises(FAILURES[exchange.id]) as raised:
        await fails()

    assert raised.value.status == (exchange.status if exchange.status >= 400 else None)
    if exchange.json is not None and exchange.status >= 400:
        assert exchange.json["error"] in raised.value.message


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_stream_that_is_cut_or_broken_delivers_what_came_and_then_fails(seed: int | None) -> None:
    for broken in (False, True):
        [exchange] = [each for each in constructed("ollama") if each.truncated and native(each)]
        transport = ReplayTransport(exchange, seed=seed, broken=broken)
        call = call_for(client_for(transport, "http://upstream"), "qwen3:4b")
        source = await provider_for(transport).stream(chat_request(exchange.request), call)

        events: list[StreamEvent] = []
        with pytest.raises(Truncated):
            await taken(source, events)

        text = "".join(event.text for event in events)
        complete = exchange.body[: exchange.body.rfind(b"\n")]
        said = "".join(each["message"]["content"] for each in json_lines(complete))
        assert text == said


# ── the rest ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("exchange", of("/api/embed"))
async def test_embeddings(exchange: Exchange, seed: int | None) -> None:
    transport = ReplayTransport(exchange, seed=seed)
    call = call_for(client_for(transport, "http://upstream"), exchange.request["model"])
    request = EmbedRequest(
        "public", [exchange.request["input"]], extra={"options": exchange.request["options"]}
    )

    response = await provider_for(transport).embed(request, call)

    assert response.vectors == exchange.json["embeddings"]
    assert response.usage.prompt == exchange.json["prompt_eval_count"]
    sent = wire.embed_body(request, exchange.request["model"], wire.Defaults({}, {}))
    assert sent == {**exchange.request, "input": [exchange.request["input"]]}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("exchange", of("/api/pull"))
async def test_pull(exchange: Exchange, seed: int | None) -> None:
    pull = provider_for(ReplayTransport(exchange, seed=seed)).pull(exchange.request["model"])

    steps = [(each.status, each.digest, each.total_bytes, each.completed_bytes) async for each in pull]

    assert steps == [
        (each["status"], each.get("digest"), each.get("total"), each.get("completed"))
        for each in json_lines(exchange.body)
    ]


@pytest.mark.parametrize(
    "exchange", of("/api/tags", "/api/show", "/api/ps", "/api/version", "/api/copy", "/api/delete")
)
async def test_management(exchange: Exchange) -> None:
    transport = ReplayTransport(exchange, seed=3)
    provider = provider_for(transport)
    said = exchange.json

    match exchange.path:
        case "/api/tags":
            models = await provider.models()
            assert [(each.id, each.size_bytes) for each in models] == [
                (each["name"], each["size"]) for each in said["models"]
            ]
            assert all(each.created is not None and each.created > 1.6e9 for each in models)
        case "/api/show":
            details = await provider.show(exchange.request["name"])
            assert details.family == said["details"]["family"] == "llama"
            assert details.context_window == said["model_info"]["llama.context_length"]
            assert list(details.capabilities) == said.get("capabilities", [])
        case "/api/ps":
            running = await provider.ps()
            assert [(each.name, each.size_bytes, each.vram_bytes) for each in running] == [
                (each["name"], each["size"], each["size_vram"]) for each in said["models"]
            ]
            assert all(each.expires_at is not None for each in running)
        case "/api/version":
            assert await provider.version() == said["version"]
        case "/api/copy":
            await provider.copy(exchange.request["source"], exchange.request["destination"])
            assert transport.requests[0].content == b'{"source":"qwen3:4b","destination":"backup"}'
        case "/api/delete":
            await provider.delete(exchange.request["model"])

    [sent] = transport.requests
    assert (sent.method, sent.url.path) == (exchange.method, exchange.path)


@pytest.mark.parametrize("exchange", of("/api/copy", "/api/pull", failing=True))
async def test_failed_management(exchange: Exchange) -> None:
    provider = provider_for(ReplayTransport(exchange, seed=3))

    async def fails() -> None:
        if exchange.path == "/api/copy":
            await provider.copy(**exchange.request)
        else:
            async for _ in provider.pull(exchange.request["model"]):
                pass

    with pytest.raises(FAILURES[exchange.id]):
        await fails()


# ── nothing is skipped in silence ────────────────────────────────────────────────────────────────────


def test_every_exchange_is_replayed_or_known_not_to_be_ours() -> None:
    everything = [*recorded("ollama"), *constructed("ollama")]
    paths = {each.path for each in everything}

    assert {path for path in paths if not path.startswith("/v1/")} <= IMPLEMENTED | NOT_OURS
    # Successes of every endpoint are replayed above; failures of these three.
    failing = {each.path for each in everything if each.id in FAILURES}
    assert failing <= {"/api/chat", "/api/copy", "/api/pull"}
    assert set(FAILURES) >= {each.id for each in everything if native(each) and each.status >= 400}


def test_the_made_up_exchanges_are_all_here() -> None:
    counted = Counter(native(each) for each in constructed("ollama"))

    assert counted == {True: 23, False: 3}


@pytest.mark.skipif(not RECORDED.is_dir(), reason="the recorded exchanges are not beside the project")
def test_the_recorded_exchanges_are_all_here() -> None:
    counted = Counter(each.path for each in recorded("ollama") if native(each))

    assert counted == {
        "/api/chat": 34,
        "/api/generate": 9,
        "/api/embed": 1,
        "/api/pull": 1,
        "/api/show": 3,
        "/api/tags": 1,
    }
