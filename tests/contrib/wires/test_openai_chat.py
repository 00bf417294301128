"""OpenAI's chat completions from the side of the server: what is read, and what is written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pointsman.plugin import (
    ChatRequest,
    ChatResponse,
    Done,
    InvalidRequest,
    ReasoningBlock,
    ReasoningDelta,
    RefusalDelta,
    StreamEvent,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Understood,
    Usage,
)
from pointsman_wires import openai_chat

ASKED = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


def read(**members: Any) -> Understood:
    return openai_chat.read(json.dumps(ASKED | members).encode(), request_id="r", wall=1.5)


def request(**members: Any) -> ChatRequest:
    asked = read(**members).request
    assert isinstance(asked, ChatRequest)
    return asked


def chunks(understood: Understood, *events: StreamEvent) -> list[Any]:
    """The chunks of a stream of `events`, handed over one by one; the end marker as a text."""
    data = b"".join(understood.writer.events([event]) for event in events).decode()
    assert data.endswith("\n\n")
    frames = data.removesuffix("\n\n").split("\n\n")
    return [
        frame if frame.endswith("[DONE]") else json.loads(frame.removeprefix("data: ")) for frame in frames
    ]


def deltas(understood: Understood, *events: StreamEvent) -> list[Any]:
    return [chunk["choices"][0]["delta"] for chunk in chunks(understood, *events) if isinstance(chunk, dict)]


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────


def test_what_a_request_of_ours_can_say_is_read() -> None:
    asked = request(
        max_completion_tokens=5,
        temperature=0.5,
        stop="end",
        tools=[{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        tool_choice="auto",
        response_format={"type": "json_object"},
        reasoning_effort="low",
    )

    assert (asked.max_tokens, asked.temperature, asked.stop) == (5, 0.5, ("end",))
    assert [tool.name for tool in asked.tools] == ["f"]
    assert asked.tool_choice is not None
    assert asked.response_format is not None
    assert asked.reasoning_effort == "low"


@pytest.mark.parametrize(
    ("members", "named"),
    [
        ({"n": 2}, ["n"]),
        ({"modalities": ["text", "audio"], "audio": {}}, ["modalities", "audio"]),
        ({"web_search_options": {}}, ["web_search_options"]),
        ({"functions": [{"name": "f"}]}, ["functions"]),
        ({"reasoning_effort": "utmost"}, ["reasoning_effort"]),
        ({"response_format": {"type": "grammar"}}, ["response_format"]),
        ({"tool_choice": {"type": "custom", "custom": {"name": "f"}}}, ["tool_choice"]),
        (
            {"messages": [{"role": "user", "content": [{"type": "video_url", "video_url": {}}]}]},
            ["messages[0].content[0]"],
        ),
        (
            {"messages": [{"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}]},
            ["messages[0].function_call"],
        ),
        ({"messages": [{"role": "function", "name": "f", "content": "1"}]}, ["messages[0].role"]),
    ],
)
def test_what_only_this_wire_can_say_is_named(members: dict[str, Any], named: list[str]) -> None:
    understood = read(**members)

    assert (understood.wire, list(understood.needs_wire)) == ("openai.chat", named)
    assert understood.ignored == []


@pytest.mark.parametrize(
    ("members", "named"),
    [
        (
            {"service_tier": "flex", "store": True, "prompt_cache_key": "k"},
            "service_tier store prompt_cache_key",
        ),
        ({"unheard_of": 1}, "unheard_of"),
        ({"service_tier": "auto", "store": False, "n": 1, "modalities": ["text"], "audio": None}, ""),
    ],
)
def test_what_does_not_change_the_answer_is_named_as_ignored(members: dict[str, Any], named: str) -> None:
    understood = read(**members)

    assert list(understood.ignored) == named.split()
    assert understood.needs_wire == []


def test_tools_that_are_no_functions_are_left_out_and_named() -> None:
    function = {"type": "function", "function": {"name": "f"}}

    understood = read(tools=[{"type": "custom", "custom": {"name": "g"}}, function])

    assert isinstance(understood.request, ChatRequest)
    assert [tool.name for tool in understood.request.tools] == ["f"]
    assert understood.ignored == ["tools[0] of type custom"]


def test_allowed_tools_are_those_that_are_asked_for() -> None:
    tools = [{"type": "function", "function": {"name": name}} for name in "abc"]
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "b"}}]}

    asked = request(tools=tools, tool_choice={"type": "allowed_tools", "allowed_tools": allowed})

    assert [tool.name for tool in asked.tools] == ["b"]
    assert asked.tool_choice is not None
    assert asked.tool_choice.mode == "required"


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"model": None}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "robot", "content": ""}]}, "messages[0].role"),
        ({"temperature": "hot"}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": True}, "max_completion_tokens"),
        ({"stream": "yes"}, "stream"),
        ({"tool_choice": "always"}, "tool_choice"),
        ({"response_format": "json"}, "response_format"),
        ({"stream": True, "stream_options": 1}, "stream_options"),
    ],
)
def test_a_body_that_cannot_be_right_is_refused_by_the_name_of_its_member(
    members: dict[str, Any], param: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read(**members)

    assert getattr(refused.value, "param", None) == param


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff"])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match="the body is"):
        openai_chat.read(body, request_id="r", wall=0)


# ── whole answers ────────────────────────────────────────────────────────────────────────────────────


def test_a_whole_answer_has_all_that_clients_look_for() -> None:
    answer = ChatResponse("Hello", usage=Usage(3, 2), deployment="a/b", attempts=2)

    body = json.loads(read().writer.whole(answer))

    assert body.pop("id").startswith("chatcmpl-")
    message = {"role": "assistant", "content": "Hello", "refusal": None, "annotations": []}
    assert body == {
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
        "pointsman": {"deployment": "a/b", "attempts": 2},
    }


def test_calls_are_written_as_texts_and_without_content() -> None:
    answer = ChatResponse(tool_calls=(ToolCall("", "f", "{}"),), finish_reason="tool_calls")

    (choice,) = json.loads(read().writer.whole(answer))["choices"]

    (call,) = choice["message"]["tool_calls"]
    assert len(call.pop("id")) == len("call_") + 24
    assert call == {"type": "function", "function": {"name": "f", "arguments": "{}"}}
    assert choice["message"]["content"] is None
    assert choice["finish_reason"] == "tool_calls"


# ── streams ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_stream_opens_with_a_role_and_ends_with_a_reason_and_the_marker() -> None:
    response = ChatResponse("Hello", finish_reason="length", deployment="a/b")

    opening, one, two, finish, end = chunks(
        read(stream=True), TextDelta("Hel"), TextDelta("lo"), Done(response)
    )

    assert opening["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert [chunk["choices"][0]["delta"] for chunk in (one, two)] == [{"content": "Hel"}, {"content": "lo"}]
    assert finish["choices"][0] == {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "length"}
    assert finish["pointsman"] == {"deployment": "a/b", "attempts": 1}
    assert end == "data: [DONE]"
    assert {each["id"] for each in (opening, one, two, finish)} == {opening["id"]}
    assert "usage" not in opening


def test_the_token_counts_come_only_to_whoever_asks() -> None:
    counted = read(stream=True, stream_options={"include_usage": True})

    *_, finish, usage, _ = chunks(counted, TextDelta("a"), Done(ChatResponse("a", usage=Usage(1, 1))))

    assert finish["usage"] is None
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] == 2


def test_calls_have_an_id_and_a_name_once_and_an_index_always() -> None:
    events = (
        ToolCallDelta(0, "call_a", "f", '{"x"'),
        ToolCallDelta(0, arguments=":1}"),
        ToolCallDelta(1, "call_b", "g"),
        ToolCallDelta(1, arguments="{}"),
    )

    opening, *rest = deltas(read(stream=True), *events)

    assert opening["content"] is None
    assert [each["tool_calls"] for each in rest] == [
        [{"index": 0, "id": "call_a", "type": "function", "function": {"name": "f", "arguments": ""}}],
        [{"index": 0, "function": {"arguments": '{"x"'}}],
        [{"index": 0, "function": {"arguments": ":1}"}}],
        [{"index": 1, "id": "call_b", "type": "function", "function": {"name": "g", "arguments": ""}}],
        [{"index": 1, "function": {"arguments": "{}"}}],
    ]


def test_thoughts_and_refusals_have_deltas_of_their_own() -> None:
    _, thought, refusal = deltas(read(stream=True), ReasoningDelta("hm"), RefusalDelta("no"))

    assert (thought, refusal) == ({"reasoning_content": "hm"}, {"refusal": "no"})


def test_half_a_character_is_written_as_its_escape() -> None:
    _, delta = deltas(read(stream=True), TextDelta("\ud83d"))

    assert delta == {"content": "\ud83d"}


# ── reasoning that only its maker can read ───────────────────────────────────────────────────────────

THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "pm.aaaaaaaaaaaa.sig"}


def test_blocks_are_told_whole_and_numbered_in_streams() -> None:
    whole = json.loads(read().writer.whole(ChatResponse("a", reasoning_blocks=(THOUGHT,))))
    _, first, second = deltas(read(stream=True), ReasoningBlock(THOUGHT), ReasoningBlock(THOUGHT))

    assert whole["choices"][0]["message"]["reasoning_details"] == [THOUGHT]
    assert first["reasoning_details"] == [{**THOUGHT, "index": 0}]
    assert second["reasoning_details"] == [{**THOUGHT, "index": 1}]


def test_blocks_are_read_as_they_were_before_they_were_numbered() -> None:
    said = {"role": "assistant", "content": "a", "reasoning_details": [{**THOUGHT, "index": 0}]}

    asked = request(messages=[said])

    assert list(asked.messages[0].reasoning_blocks) == [THOUGHT]


@pytest.mark.parametrize(
    ("block", "sent"),
    [
        (THOUGHT, None),
        (
            {"type": "reasoning.encrypted", "data": "pm.aaaaaaaaaaaa.x"},
            {"type": "reasoning.encrypted", "data": "x"},
        ),
        ({"type": "reasoning.encrypted", "data": "pm.bbbbbbbbbbbb.x"}, None),
        ({"type": "reasoning.text", "text": "hm"}, {"type": "reasoning.text", "text": "hm"}),
    ],
)
def test_an_upstream_gets_of_blocks_what_it_can_read(block: dict[str, Any], sent: Any) -> None:
    body = {**ASKED, "unheard": 2**70, "messages": [{"role": "assistant", "reasoning_details": [block]}]}
    understood = openai_chat.read(json.dumps(body).encode(), request_id="r", wall=0)

    assert understood.opaque is not None
    given = json.loads(understood.opaque(json.dumps(body).encode(), "a" * 12))

    assert given["messages"][0].get("reasoning_details") == (None if sent is None else [sent])
    assert given["unheard"] == 2**70


def test_a_body_without_blocks_is_not_looked_at_again() -> None:
    assert read().opaque is None
