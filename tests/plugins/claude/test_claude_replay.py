"""Every exchange with an endpoint that we implement, served again: whole, and cut at random bytes.

What is expected is worked out here from the recording, by plain reading, without the code under test.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from replay import (
    RECORDED,
    Assembled,
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
    recorded,
    sse_frames,
)

from pointsman.errors import (
    AuthenticationFailed,
    CallError,
    InvalidRequest,
    ModelNotFound,
    Overloaded,
    PermissionDenied,
    QuotaExhausted,
    RateLimited,
    Truncated,
    Unavailable,
)
from pointsman.http.framing import SseFramer
from pointsman.types import ChatRequest, ChatResponse, Message, StreamEvent, Usage
from pointsman_claude.decode import chat_response
from pointsman_claude.provider import ClaudeProvider, ClaudeSettings
from pointsman_claude.stream import MessagesDecoder

IMPLEMENTED = {
    "/v1/messages": "messages",
    "/v1/messages/count_tokens": "count_tokens",
    "/v1/models": "models",
}
NOT_OURS = ("/v1/messages/batches", "/v1/files", "/v1/complete")
REQUEST = ChatRequest("public", [Message.user("hello")])

FAILURES: dict[str, tuple[type[CallError], float | None]] = {
    "001-429-rate-limit": (RateLimited, 42.0),
    "002-429-acceleration": (RateLimited, 3.0),
    "003-429-enforced-spend-limit": (QuotaExhausted, None),
    "004-529-overloaded": (Overloaded, None),
    "005-500-api-error": (Unavailable, None),
    "006-504-timeout": (Unavailable, None),
    "007-413-request-too-large": (InvalidRequest, None),
    "008-402-billing": (QuotaExhausted, None),
    "009-403-permission": (PermissionDenied, None),
    "010-400-version-2026-10-21-temperature": (InvalidRequest, None),
    "011-529-html-edge": (Overloaded, None),
    "012-stream-error-overloaded-error": (Overloaded, None),
    "013-stream-error-api-error": (Unavailable, None),
    "014-stream-error-before-content": (Overloaded, None),
    "015-stream-truncated": (Truncated, None),
    "016-stream-truncated-tool-json": (Truncated, None),
}
BY_STATUS = {400: InvalidRequest, 401: AuthenticationFailed, 404: ModelNotFound}


# ── which exchanges there are ────────────────────────────────────────────────────────────────────────


def is_messages(exchange: Exchange) -> bool:
    return exchange.path == "/v1/messages"


def fails(exchange: Exchange) -> bool:
    return exchange.status >= 400


def breaks(exchange: Exchange) -> bool:
    """A stream that began well and ends badly."""
    return exchange.streamed and (exchange.truncated or "midstream-error" in exchange.tags)


def completes(exchange: Exchange) -> bool:
    return is_messages(exchange) and not fails(exchange) and not breaks(exchange)


WHOLE = exchanges("anthropic", where=lambda e: completes(e) and not e.streamed)
STREAMS = exchanges("anthropic", where=lambda e: completes(e) and e.streamed)
BROKEN = exchanges("anthropic", where=lambda e: is_messages(e) and breaks(e))
FAILED = exchanges("anthropic", where=lambda e: is_messages(e) and fails(e))
COUNTS = exchanges("anthropic", where=lambda e: e.path == "/v1/messages/count_tokens")
MODELS = exchanges("anthropic", where=lambda e: e.path == "/v1/models")


def test_no_exchange_with_an_implemented_endpoint_is_left_out() -> None:
    if not RECORDED.is_dir():
        pytest.skip("the recorded exchanges are not beside the project")
    seen = Counter[str]()
    for exchange in (*recorded("anthropic"), *constructed("anthropic")):
        if exchange.path in IMPLEMENTED:
            seen[IMPLEMENTED[exchange.path]] += 1
        else:
            assert exchange.path.startswith(NOT_OURS), exchange

    tested = [*WHOLE, *STREAMS, *BROKEN, *FAILED, *COUNTS, *MODELS]

    assert len({each.values[0].id for each in tested}) == len(tested) == seen.total()
    assert (seen["messages"], seen["count_tokens"], seen["models"]) >= (136, 7, 1)


# ── what a recording says, read plainly ──────────────────────────────────────────────────────────────


def streamed_message(body: bytes) -> dict[str, Any]:
    """The message that the frames of a stream add up to, with the raw argument texts in `_json`."""
    message: dict[str, Any] = {}
    for _, data in sse_frames(body):
        event = json.loads(data)
        match event["type"]:
            case "message_start":
                message = event["message"]
            case "content_block_start":
                assert event["index"] == len(message["content"])
                message["content"].append({**event["content_block"], "_json": ""})
            case "content_block_delta":
                block, delta = message["content"][event["index"]], event["delta"]
                match delta["type"]:
                    case "text_delta":
                        block["text"] += delta["text"]
                    case "thinking_delta":
                        block["thinking"] += delta["thinking"]
                    case "signature_delta":
                        block["signature"] = delta["signature"]
                    case "input_json_delta":
                        block["_json"] += delta["partial_json"]
            case "message_delta":
                message |= event["delta"]
                message["usage"] |= event["usage"]
    return message


def expected(message: dict[str, Any]) -> dict[str, Any]:
    of = {
        kind: [block for block in message["content"] if block["type"] == kind]
        for kind in ("text", "thinking", "redacted_thinking", "tool_use")
    }
    signed = [
        {name: value for name, value in block.items() if name != "_json"}
        for block in message["content"]
        if block["type"] == "redacted_thinking" or (block["type"] == "thinking" and block.get("signature"))
    ]
    counters = message["usage"]
    finish = {
        "end_turn": "stop",
        "stop_sequence": "stop",
        "max_tokens": "length",
        "tool_use": "tool_calls",
    }
    return {
        "text": "".join(block["text"] for block in of["text"]),
        "reasoning": "".join(block["thinking"] for block in of["thinking"]),
        "blocks": signed,
        "calls": [
            (index, block["id"], block["name"], json.loads(block.get("_json") or json.dumps(block["input"])))
            for index, block in enumerate(of["tool_use"])
        ],
        "finish": finish[message["stop_reason"]],
        "native": message["stop_reason"],
        "usage": Usage(
            prompt=sum(
                counters.get(name) or 0
                for name in ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
            ),
            completion=counters["output_tokens"],
            cached=counters.get("cache_read_input_tokens"),
            cache_write=counters.get("cache_creation_input_tokens"),
            reasoning=(counters.get("output_tokens_details") or {}).get("thinking_tokens"),
        ),
        "id": message["id"],
        "model": message["model"],
    }


def told(answer: ChatResponse | Assembled) -> dict[str, Any]:
    return {
        "text": answer.text,
        "reasoning": answer.reasoning or "",
        "blocks": list(answer.reasoning_blocks),
        "calls": [(call.index, call.id, call.name, json.loads(call.arguments)) for call in answer.tool_calls],
        "finish": answer.finish_reason,
        "native": answer.native_finish_reason,
        "usage": answer.usage,
        "id": answer.id,
        "model": answer.model,
    }


# ── replaying ────────────────────────────────────────────────────────────────────────────────────────


def claude(transport: ReplayTransport) -> ClaudeProvider:
    return ClaudeProvider(context_for(transport, settings=ClaudeSettings(), key="key"))


async def streamed(transport: ReplayTransport) -> list[StreamEvent]:
    provider = claude(transport)
    assert provider.endpoint is not None
    source = await provider.stream(REQUEST, call_for(client_for(transport, provider.endpoint)))
    events: list[StreamEvent] = []
    while (more := await source.next(float("inf"))) is not None:
        events += more
    await source.aclose()
    return events


@pytest.mark.parametrize("seed", [None, 2])
@pytest.mark.parametrize("exchange", WHOLE)
async def test_a_whole_answer_says_what_the_recording_says(exchange: Exchange, seed: int | None) -> None:
    transport = ReplayTransport(exchange, seed=seed)
    provider = claude(transport)
    assert provider.endpoint is not None

    reply = await provider.chat(REQUEST, call_for(client_for(transport, provider.endpoint)))

    assert told(reply) == expected(exchange.json)
    assert reply.raw == exchange.json
    assert reply.upstream_request_id == exchange.headers.get("request-id", "")


@pytest.mark.parametrize("seed", [None, 2, 5])
@pytest.mark.parametrize("exchange", STREAMS)
async def test_a_stream_says_what_the_recording_says(exchange: Exchange, seed: int | None) -> None:
    events = await streamed(ReplayTransport(exchange, seed=seed))

    assert told(assemble(events)) == expected(streamed_message(exchange.body))


@pytest.mark.parametrize("exchange", STREAMS)
def test_a_stream_cut_anywhere_gives_the_same_events(exchange: Exchange) -> None:
    whole = decoded(SseFramer(), MessagesDecoder(), [exchange.body])

    for seed in (1, 3, 4, 6):
        assert decoded(SseFramer(), MessagesDecoder(), cut(exchange.body, seed=seed)) == whole


@pytest.mark.parametrize("exchange", STREAMS)
def test_a_stream_and_the_same_answer_in_one_piece_agree(exchange: Exchange) -> None:
    message = streamed_message(exchange.body)
    for block in message["content"]:
        text = block.pop("_json", "")
        if block["type"] == "tool_use" and text:
            block["input"] = json.loads(text)

    events = decoded(SseFramer(), MessagesDecoder(), [exchange.body])

    assert told(assemble(events)) == told(chat_response(message))


@pytest.mark.parametrize("seed", [None, 2, 3])
@pytest.mark.parametrize("abrupt", [False, True], ids=["clean", "abrupt"])
@pytest.mark.parametrize("exchange", BROKEN)
async def test_a_stream_that_ends_badly_is_an_error(
    exchange: Exchange, abrupt: bool, seed: int | None
) -> None:
    kind, _ = FAILURES[exchange.id.rpartition("/")[2]]
    transport = ReplayTransport(exchange, seed=seed, broken=abrupt and exchange.truncated)

    with pytest.raises(CallError) as caught:
        await streamed(transport)

    assert type(caught.value) is kind


@pytest.mark.parametrize("how", ["chat", "stream"])
@pytest.mark.parametrize("exchange", FAILED)
async def test_a_failure_is_classified(exchange: Exchange, how: str) -> None:
    name = exchange.id.rpartition("/")[2]
    kind, retry_after = FAILURES.get(name) or (BY_STATUS[exchange.status], None)
    transport = ReplayTransport(exchange, seed=3)
    provider = claude(transport)
    assert provider.endpoint is not None
    call = call_for(client_for(transport, provider.endpoint))

    with pytest.raises(CallError) as caught:
        await (provider.chat(REQUEST, call) if how == "chat" else provider.stream(REQUEST, call))

    error = caught.value
    assert type(error) is kind
    assert error.status == exchange.status
    assert error.retry_after == retry_after
    body = exchange.json or {}
    assert error.upstream_request_id == exchange.headers.get("request-id", body.get("request_id", ""))
    if body:
        details = body["error"].get("details", {})
        assert error.upstream_code == details.get("error_code", body["error"]["type"])
        assert body["error"]["message"] in error.message
    if exchange.headers.get("x-should-retry") == "false":
        assert not error.retry_same


@pytest.mark.parametrize("exchange", COUNTS)
async def test_counted_tokens_are_those_of_the_recording(exchange: Exchange) -> None:
    provider = claude(ReplayTransport(exchange, seed=2))

    if exchange.status == 404:
        with pytest.raises(ModelNotFound):
            await provider.count_tokens(REQUEST)
    else:
        assert await provider.count_tokens(REQUEST) == json.loads(exchange.body)["input_tokens"]
    await provider.aclose()


@pytest.mark.parametrize("exchange", MODELS)
async def test_listed_models_are_those_of_the_recording(exchange: Exchange) -> None:
    provider = claude(ReplayTransport(exchange, seed=2))

    models = await provider.models()

    assert [model.id for model in models] == [each["id"] for each in exchange.json["data"]]
    assert all(model.provider == "upstream" and model.created for model in models)
    assert models[0].created == 1763942400  # 2025-11-24T00:00:00Z
    await provider.aclose()
