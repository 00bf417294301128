"""Answers of the Responses API, read for the books: every recorded one, those that we write, and broken ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from replay import Exchange, cut, decoded, exchange, exchanges

from pointsman.errors import BadResponse, CallError, InvalidRequest, Truncated, Unavailable, Unsupported
from pointsman.http.framing import SseFramer
from pointsman.plugin import Assembly
from pointsman.types import (
    ChatRequest,
    ChatResponse,
    Done,
    Finished,
    Image,
    Message,
    ResponseFormat,
    Started,
    StreamEvent,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
    Usage,
)
from pointsman_openai.responses import ResponsesDecoder, response
from pointsman_openai.responses_body import responses_body
from pointsman_openai.wire import Quirks
from pointsman_wires import openai_responses


def asked_for(each: Exchange, *, streamed: bool) -> bool:
    return (
        each.path == "/v1/responses"
        and each.method == "POST"
        and each.status == 200
        and (each.kind == "sse") == streamed
        and "error" not in each.tags
    )


def read(pieces: Sequence[bytes]) -> ChatResponse:
    assembly = Assembly()
    assembly.extend(decoded(SseFramer(), ResponsesDecoder(), pieces))
    return assembly.response("")


def terminal(body: bytes) -> Mapping[str, Any]:
    """The response object that ends a recorded stream."""
    lines = [line for line in body.decode().splitlines() if line.startswith("data:")]
    found: Mapping[str, Any] = json.loads(lines[-1].removeprefix("data:"))["response"]
    return found


def text_of(body: Mapping[str, Any]) -> str:
    parts = [part for item in body["output"] if item["type"] == "message" for part in item["content"]]
    return "".join(part["text"] for part in parts if part["type"] == "output_text")


def calls_of(body: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    return [
        (item["call_id"], item["name"], item.get("arguments", item.get("input")))
        for item in body["output"]
        if item["type"] in ("function_call", "custom_tool_call")
    ]


def check(answer: ChatResponse, body: Mapping[str, Any]) -> None:
    assert answer.text == text_of(body)
    assert [(each.id, each.name, each.arguments) for each in answer.tool_calls] == calls_of(body)
    assert (answer.id, answer.model) == (body["id"], body["model"])
    if body.get("usage"):
        assert answer.usage.prompt == body["usage"]["input_tokens"]
        assert answer.usage.completion == body["usage"]["output_tokens"]


# ── recorded ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("exchange", exchanges("openai", where=lambda e: asked_for(e, streamed=True)))
def test_a_recorded_stream_says_what_its_last_event_says(exchange: Exchange) -> None:
    for seed in (None, 2):
        check(read(cut(exchange.body, seed=seed)), terminal(exchange.body))


@pytest.mark.parametrize("exchange", exchanges("openai", where=lambda e: asked_for(e, streamed=False)))
def test_a_recorded_answer_is_read(exchange: Exchange) -> None:
    if exchange.json["status"] in ("queued", "in_progress"):
        pytest.skip("an answer that is made in the background is not there yet")
    check(response(exchange.json), exchange.json)


@pytest.mark.parametrize(
    "exchange",
    exchanges("openai", where=lambda e: asked_for(e, streamed=True) or asked_for(e, streamed=False)),
)
def test_a_recorded_request_can_be_understood(exchange: Exchange) -> None:
    body = json.dumps(exchange.request).encode()

    understood = openai_responses.read(body, request_id="r", wall=1.0)

    assert understood.stream is bool(exchange.request.get("stream"))


@pytest.mark.parametrize(
    "n",
    ["018-responses-stream-error-flat", "019-responses-stream-error-nested", "020-responses-stream-failed"],
)
def test_an_error_in_a_stream_is_raised(n: str) -> None:
    with pytest.raises(CallError) as raised:
        read([exchange(f"constructed/openai/{n}").body])

    assert not isinstance(raised.value, BadResponse | Truncated)


# ── what we write ourselves ──────────────────────────────────────────────────────────────────────────

_DELTAS = st.lists(
    st.one_of(
        st.builds(TextDelta, st.text(st.characters(codec="utf-8"), min_size=1)),
        st.builds(lambda text: ToolCallDelta(0, "c", "f", text), st.just('{"a":1}')),
    ),
    max_size=6,
)


@given(_DELTAS)
def test_what_the_gateway_writes_is_read_back_the_same(deltas: list[StreamEvent]) -> None:
    events = [
        each for n, each in enumerate(deltas) if not isinstance(each, ToolCallDelta) or each not in deltas[:n]
    ]
    direct = Assembly()
    direct.extend([Started("r", "m"), *events, Finished("stop")])
    expected = direct.response("")
    writer = openai_responses.read(
        b'{"model":"m","input":"Hi","stream":true}', request_id="r", wall=1.0
    ).writer

    written = writer.events([*events, Done(expected)])

    answer = read([written])
    assert answer.text == expected.text
    assert list(answer.tool_calls) == list(expected.tool_calls)


# ── broken ones ──────────────────────────────────────────────────────────────────────────────────────


def frame(**members: Any) -> bytes:
    return f"data: {json.dumps(members)}\n\n".encode()


def test_a_stream_without_its_last_event_is_no_answer() -> None:
    with pytest.raises(Truncated):
        read([frame(type="response.output_text.delta", delta="Hi")])


@pytest.mark.parametrize("data", [b"data: {\n\n", b"data: [1]\n\n"])
def test_a_frame_that_is_not_the_wire_is_no_answer(data: bytes) -> None:
    with pytest.raises(BadResponse):
        read([data])


def test_what_is_not_known_is_passed_over() -> None:
    answer = read(
        [
            frame(type="response.something_new", x=1),
            frame(type="response.output_text.delta", delta="Hi"),
            frame(type="response.completed", response={"id": "r", "model": "m", "status": "completed"}),
            frame(type="response.output_text.delta", delta="after the end"),
        ]
    )

    assert (answer.text, answer.finish_reason, answer.usage) == ("Hi", "stop", Usage())


def test_a_call_whose_arguments_come_at_once_has_them() -> None:
    item = {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a":1}'}
    answer = read(
        [
            frame(type="response.output_item.done", output_index=0, item=item),
            frame(type="response.completed", response={"status": "completed"}),
        ]
    )

    assert [(each.id, each.name, each.arguments) for each in answer.tool_calls] == [("c", "f", '{"a":1}')]
    assert answer.finish_reason == "tool_calls"


@pytest.mark.parametrize(
    ("body", "raised"),
    [
        ({"status": "failed", "error": {"code": "server_error", "message": "no"}, "output": []}, Unavailable),
        ({"error": {"code": "server_error", "message": "no"}}, Unavailable),
        ({"status": "completed"}, BadResponse),
        ([], BadResponse),
    ],
)
def test_a_whole_answer_that_is_none_is_raised(body: Any, raised: type[Exception]) -> None:
    with pytest.raises(raised):
        response(body)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "content_filter"),
        ({"status": "incomplete"}, "other"),
        ({"status": "queued"}, "other"),
        ({"object": "response.compaction"}, "stop"),
    ],
)
def test_how_an_answer_ended_is_read(body: dict[str, Any], reason: str) -> None:
    assert response({**body, "output": []}).finish_reason == reason


# ── requests, to see what was changed ────────────────────────────────────────────────────────────────


def body(request: ChatRequest, *, instructions: bool = False, plain: bool = False) -> dict[str, Any]:
    return responses_body(request, Quirks(), instructions=instructions, plain=plain)


def test_a_request_is_written_as_this_api_has_it() -> None:
    schema = {"type": "object"}
    written = body(
        ChatRequest(
            "m",
            [
                Message.system("Be brief."),
                Message.user([Text("Hi"), Image(url="https://a.example/b.png", detail="low")]),
                Message.assistant("I ask.", [ToolCall("c", "f", "{}")]),
                Message.tool("c", "Rain"),
            ],
            tools=[Tool("f", "d", schema, True)],
            tool_choice=ToolChoice("tool", "f"),
            response_format=ResponseFormat("schema", schema, "leg", True),
            max_tokens=9,
            temperature=0.5,
            reasoning_effort="low",
        ),
        instructions=True,
    )

    assert written == {
        "instructions": "Be brief.",
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "Hi"},
                    {"type": "input_image", "image_url": "https://a.example/b.png", "detail": "low"},
                ],
            },
            {"role": "assistant", "content": "I ask."},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "Rain"},
        ],
        "tools": [
            {"type": "function", "name": "f", "description": "d", "parameters": schema, "strict": True}
        ],
        "tool_choice": {"type": "function", "name": "f"},
        "text": {"format": {"type": "json_schema", "name": "leg", "schema": schema, "strict": True}},
        "reasoning": {"effort": "low"},
        "max_output_tokens": 9,
        "temperature": 0.5,
    }


def test_a_single_text_stays_one() -> None:
    assert body(ChatRequest("m", [Message.user("Hi")]), plain=True)["input"] == "Hi"


def test_what_this_api_does_not_have_is_refused() -> None:
    with pytest.raises(Unsupported, match="stop"):
        body(ChatRequest("m", [Message.user("Hi")], stop=["x"]))
    with pytest.raises(InvalidRequest):
        body(ChatRequest("m", [Message("tool", "x")]))
