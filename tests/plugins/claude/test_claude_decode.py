"""Answers and streams, event by event."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from replay import assemble, decoded

from pointsman.errors import BadResponse, Overloaded, Truncated, Unavailable
from pointsman.http.framing import SseEvent, SseFramer
from pointsman.types import (
    Finished,
    RawDelta,
    ReasoningBlock,
    ReasoningDelta,
    RefusalDelta,
    Started,
    StreamEvent,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageUpdate,
)
from pointsman_claude.decode import chat_response, finish_reason, model_page
from pointsman_claude.decode import usage_of as usage
from pointsman_claude.stream import MessagesDecoder

START = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": [],
        "stop_reason": None,
        "usage": {"input_tokens": 9, "cache_read_input_tokens": 4, "output_tokens": 1},
    },
}
PING = {"type": "ping"}
STOP = {"type": "message_stop"}
STARTED = [Started("msg_1", "claude-x"), UsageUpdate(Usage(13, 1, cached=4))]


def opened(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, type: str, **values: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": type, **values}}


def closed(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def ended(reason: str | None = "end_turn", *, usage: Any = None, **values: Any) -> dict[str, Any]:
    return {
        "type": "message_delta",
        "delta": {"stop_reason": reason, "stop_sequence": None, **values},
        "usage": usage or {"output_tokens": 5},
    }


def stream(*events: Mapping[str, Any]) -> bytes:
    return b"".join(
        f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n".encode()
        for event in events
    )


def events(*given: Mapping[str, Any]) -> list[StreamEvent]:
    """What a stream says, but for the raw message at its end."""
    told = decoded(SseFramer(), MessagesDecoder(), [stream(*given)])
    return [event for event in told if not isinstance(event, RawDelta)]


FINISHED = [UsageUpdate(Usage(13, 5, cached=4)), Finished("stop", "end_turn")]

STREAMS: dict[str, tuple[list[dict[str, Any]], list[StreamEvent]]] = {
    "text in two blocks": (
        [
            opened(0, type="text", text="A"),
            PING,
            delta(0, "text_delta", text=""),
            delta(0, "text_delta", text="b"),
            delta(0, "citations_delta", citation={"type": "char_location"}),
            closed(0),
            opened(1, type="text", text="", citations=[]),
            delta(1, "text_delta", text="c"),
            closed(1),
        ],
        [TextDelta("A"), TextDelta("b"), TextDelta("c")],
    ),
    "nothing at all": ([], []),
    "a signed thought": (
        [
            opened(0, type="thinking", thinking="", signature="", future=1),
            delta(0, "thinking_delta", thinking="H"),
            delta(0, "thinking_delta", thinking="m"),
            delta(0, "signature_delta", signature="old"),
            delta(0, "signature_delta", signature="s"),
            closed(0),
        ],
        [
            ReasoningDelta("H"),
            ReasoningDelta("m"),
            ReasoningBlock({"type": "thinking", "thinking": "Hm", "signature": "s", "future": 1}),
        ],
    ),
    "an omitted thought is only its signature": (
        [opened(0, type="thinking", thinking=""), delta(0, "signature_delta", signature="s"), closed(0)],
        [ReasoningBlock({"type": "thinking", "thinking": "", "signature": "s"})],
    ),
    "an unsigned thought cannot go back": (
        [opened(0, type="thinking", thinking="H"), delta(0, "thinking_delta", thinking="m"), closed(0)],
        [ReasoningDelta("H"), ReasoningDelta("m")],
    ),
    "a hidden thought": (
        [opened(0, type="redacted_thinking", data="x"), closed(0)],
        [ReasoningBlock({"type": "redacted_thinking", "data": "x"})],
    ),
    "servers' tools are not ours": (
        [
            opened(0, type="server_tool_use", id="srvtoolu_1", name="web_search", input={}),
            delta(0, "input_json_delta", partial_json='{"q": 1}'),
            closed(0),
            opened(1, type="web_search_tool_result", tool_use_id="srvtoolu_1", content=[]),
            closed(1),
        ],
        [],
    ),
    "what is unknown": (
        [
            {"type": "future_event"},
            opened(0, type="future_block"),
            delta(0, "future_delta"),
            closed(0),
            opened(1, type="text", text=""),
            delta(1, "future_delta"),
            delta(1, "text_delta", text="x"),
            closed(1),
        ],
        [TextDelta("x")],
    ),
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_of(name: str) -> None:
    sent, wanted = STREAMS[name]

    assert events(START, *sent, ended(), STOP) == [*STARTED, *wanted, *FINISHED]


def test_tool_calls_are_counted_apart_from_blocks_and_have_arguments() -> None:
    given = [
        opened(0, type="text", text="x"),
        closed(0),
        opened(1, type="tool_use", id="t1", name="f", input={}),
        delta(1, "input_json_delta", partial_json=""),
        delta(1, "input_json_delta", partial_json='{"x":'),
        delta(1, "input_json_delta", partial_json=" 1}"),
        closed(1),
        opened(2, type="tool_use", id="t2", name="g", input={}),
        closed(2),
        opened(3, type="tool_use", id="t3", name="h", input={"y": 2}),
        delta(3, "input_json_delta", partial_json=""),
        closed(3),
    ]

    assert events(START, *given, ended("tool_use"), STOP)[2:] == [
        TextDelta("x"),
        ToolCallDelta(0, "t1", "f"),
        ToolCallDelta(0, arguments='{"x":'),
        ToolCallDelta(0, arguments=" 1}"),
        ToolCallDelta(1, "t2", "g"),
        ToolCallDelta(1, arguments="{}"),
        ToolCallDelta(2, "t3", "h"),
        ToolCallDelta(2, arguments='{"y":2}'),
        UsageUpdate(Usage(13, 5, cached=4)),
        Finished("tool_calls", "tool_use"),
    ]


def test_counters_overwrite_and_nulls_say_nothing() -> None:
    counted = {
        "input_tokens": 20,
        "cache_read_input_tokens": None,
        "cache_creation_input_tokens": 3,
        "output_tokens": 7,
        "output_tokens_details": {"thinking_tokens": 2},
    }

    assert events(START, ended(usage=counted), STOP)[2] == UsageUpdate(
        Usage(prompt=27, completion=7, cached=4, cache_write=3, reasoning=2)
    )


def test_a_refusal_carries_its_explanation() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "No."}

    assert events(START, ended("refusal", stop_details=details), STOP)[3:] == [
        RefusalDelta("No."),
        Finished("content_filter", "refusal"),
    ]


def test_blocks_left_open_end_with_the_message() -> None:
    given = [opened(0, type="tool_use", id="t", name="f", input={}), ended("tool_use"), STOP]

    assert assemble(events(START, *given)).tool_calls[0].arguments == "{}"


def test_what_comes_after_the_end_is_ignored() -> None:
    assert events(START, ended(), STOP, {"type": "error", "error": {"type": "api_error"}})[-1] == FINISHED[-1]


def test_an_error_before_content_is_raised() -> None:
    with pytest.raises(Overloaded):
        events(START, PING, {"type": "error", "error": {"type": "overloaded_error", "message": "x"}})


@pytest.mark.parametrize("given", [[], [START], [START, ended()]])
def test_only_message_stop_makes_an_answer_complete(given: list[dict[str, Any]]) -> None:
    with pytest.raises(Truncated):
        events(*given)


@pytest.mark.parametrize(
    "data",
    [b"{", b"[]", b"7", b"{}", b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta"}}'],
)
def test_a_malformed_event_is_a_bad_response(data: bytes) -> None:
    with pytest.raises(BadResponse, match="malformed"):
        MessagesDecoder().decode(SseEvent("content_block_delta", data))


@pytest.mark.parametrize(
    "data",
    [b"[DONE]", b"{}", b'{"type":"future","message":"hello"}', b'{"type":"future","detail":"x","code":1}'],
)
def test_events_of_a_type_that_is_unknown_are_passed_over_whatever_they_hold(data: bytes) -> None:
    assert list(MessagesDecoder().decode(SseEvent("future", data))) == []


def test_a_broken_character_is_replaced() -> None:
    decoder = MessagesDecoder()
    broken = json.dumps(delta(0, "text_delta", text="X")).encode().replace(b"X", b"\xff")
    decoder.decode(SseEvent("content_block_start", json.dumps(opened(0, type="text", text="")).encode()))

    assert decoder.decode(SseEvent("content_block_delta", broken)) == [TextDelta("�")]


@given(
    st.lists(st.text(min_size=1, max_size=6), max_size=5),
    st.lists(st.integers(0, 2000), max_size=12),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_any_cut_gives_the_same_events(texts: list[str], offsets: list[int], line_end: str) -> None:
    body = stream(
        START,
        opened(0, type="thinking", thinking="", signature=""),
        *(delta(0, "thinking_delta", thinking=text) for text in texts),
        delta(0, "signature_delta", signature="s"),
        closed(0),
        opened(1, type="text", text=""),
        *(delta(1, "text_delta", text=text) for text in texts),
        PING,
        closed(1),
        opened(2, type="tool_use", id="t", name="f", input={}),
        *(delta(2, "input_json_delta", partial_json=json.dumps(text)) for text in texts),
        closed(2),
        ended("tool_use"),
        STOP,
    ).replace(b"\n", line_end.encode())
    marks = sorted({0, len(body), *(offset % (len(body) + 1) for offset in offsets)})

    pieces = [body[a:b] for a, b in pairwise(marks)]

    whole = decoded(SseFramer(), MessagesDecoder(), [body])
    assert decoded(SseFramer(), MessagesDecoder(), pieces) == whole
    assert assemble(whole).text == assemble(whole).reasoning == "".join(texts)


# ── whole answers ────────────────────────────────────────────────────────────────────────────────────

MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": [{"type": "text", "text": "Hi"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 1, "output_tokens": 2},
}


def test_a_whole_refusal_carries_its_explanation() -> None:
    reply = chat_response(
        {
            **MESSAGE,
            "content": [],
            "stop_reason": "refusal",
            "stop_details": {"type": "refusal", "explanation": "No."},
        }
    )

    assert (reply.text, reply.refusal, reply.finish_reason) == ("", "No.", "content_filter")


def test_a_reply_can_be_said_back() -> None:
    thought = {"type": "thinking", "thinking": "Hm", "signature": "s"}
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {"n": 2**70, "s": "ü"}}

    reply = chat_response({**MESSAGE, "content": [thought, *MESSAGE["content"], call]})  # type: ignore[misc]

    assert reply.message.reasoning_blocks == (thought,)
    assert reply.message.tool_calls[0].parsed() == call["input"]
    assert reply.message.text == "Hi"


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        "text",
        {},
        {"content": None},
        {"content": [{}]},
        {"content": [{"type": "text"}]},
        {**MESSAGE, "content": [{"type": "tool_use", "id": "t"}]},
    ],
)
def test_what_is_no_message_is_a_bad_response(body: Any) -> None:
    with pytest.raises(BadResponse):
        chat_response(body)


def test_an_error_with_status_200_is_an_error() -> None:
    with pytest.raises(Overloaded):
        chat_response({"type": "error", "error": {"type": "overloaded_error", "message": "x"}})


@pytest.mark.parametrize(
    ("native", "ours"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "stop"),
        ("refusal", "content_filter"),
        ("compaction", "stop"),
        ("a_reason_of_the_future", "other"),
        ("MAX_TOKENS", "length"),
        ("null", "stop"),
        ("", "stop"),
        (None, "stop"),
    ],
)
def test_a_stop_reason_means(native: str | None, ours: str) -> None:
    assert finish_reason(native, called=False) == ours
    assert events(START, ended(native), STOP)[-1] == Finished(ours, native)  # type: ignore[arg-type]
    assert chat_response({**MESSAGE, "stop_reason": native}).native_finish_reason == native


@pytest.mark.parametrize(
    "native", [None, "", "end_turn", "tool_use", "stop_sequence", "pause_turn", "future"]
)
def test_tool_calls_count_for_more_than_the_word(native: str | None) -> None:
    assert finish_reason(native, called=True) == "tool_calls"


@pytest.mark.parametrize(("native", "ours"), [("max_tokens", "length"), ("refusal", "content_filter")])
def test_calls_that_were_cut_or_refused_are_no_calls_to_be_made(native: str, ours: str) -> None:
    assert finish_reason(native, called=True) == ours


def test_an_answer_that_ends_with_an_error_is_one() -> None:
    said = [opened(0, type="text", text="Hi"), closed(0)]
    for blocks in ([], said):
        with pytest.raises(Unavailable, match="ended its answer with stop_reason 'error'"):
            events(START, *blocks, ended("error"), STOP)
    with pytest.raises(Unavailable, match="ended its answer with stop_reason 'error'"):
        chat_response({**MESSAGE, "stop_reason": "error"})


def test_what_was_not_counted_is_not_known() -> None:
    assert usage({}) == Usage()
    assert usage({"output_tokens": 3, "cache_read_input_tokens": 1}) == Usage(completion=3, cached=1)


def test_a_model_tells_what_it_can() -> None:
    raw = {
        "type": "model",
        "id": "claude-x",
        "created_at": "1970-01-01T00:01:00Z",
        "max_input_tokens": 200000,
        "capabilities": {
            "image_input": {"supported": True},
            "batch": {"supported": False},
            "citations": True,
        },
    }

    (model,), after = model_page({"data": [raw], "has_more": True, "last_id": "claude-x"}, "claude")

    assert (model.created, model.context_window) == (60, 200000)
    assert model.capabilities == ("image_input", "citations")
    assert after == "claude-x"


@pytest.mark.parametrize("body", [None, {}, {"data": [{}]}, {"data": [], "has_more": True}])
def test_a_malformed_list_of_models_is_a_bad_response(body: Any) -> None:
    with pytest.raises(BadResponse):
        model_page(body, "claude")


def test_what_is_kept_for_an_hour_and_how_it_was_served_is_told() -> None:
    kept = {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 7}
    counted = {
        "input_tokens": 5,
        "output_tokens": 2,
        "cache_creation_input_tokens": 10,
        "cache_creation": kept,
    }

    assert usage(counted) == Usage(15, 2, cache_write=10, cache_write_hour=7)
    assert usage({**counted, "service_tier": "batch"}) == Usage(
        15, 2, cache_write=10, cache_write_hour=7, service_tier="batch"
    )
    assert usage({"input_tokens": 5, "output_tokens": 2, "service_tier": "standard"}) == Usage(5, 2)
    assert usage(
        {"input_tokens": 5, "output_tokens": 2, "service_tier": ["x"], "cache_creation": 3}
    ) == Usage(5, 2)
