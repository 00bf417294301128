"""Members of messages, parts, calls and tools that have no field of their own."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from msgspec.structs import asdict

from pointsman.errors import InvalidRequest
from pointsman.requests.messages import as_messages
from pointsman.requests.options import as_tool_choice, as_tools
from pointsman.requests.parsing import chat_request
from pointsman.text_messages import TextMessages
from pointsman.types import (
    NOTHING,
    ChatResponse,
    Finished,
    Message,
    RawDelta,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
)
from pointsman.wire.assembly import Assembly, joined_extra

CACHED = {"cache_control": {"type": "ephemeral"}}


@pytest.mark.parametrize(
    ("part", "extra"),
    [
        ({"type": "text", "text": "a", **CACHED}, CACHED),
        ({"type": "text", "text": "a", "cache_control": None}, {}),
        ({"type": "image_url", "image_url": "http://x/y", **CACHED}, CACHED),
        (
            {"type": "image_url", "image_url": {"url": "http://x/y", "detail": "low", "fps": 2}},
            {"image_url": {"fps": 2}},
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "mp3", "x": 1}},
            {"input_audio": {"x": 1}},
        ),
        ({"type": "file", "file": {"file_id": "f", "x": 1}, **CACHED}, {**CACHED, "file": {"x": 1}}),
        ({"type": "text", "text": "a"}, {}),
    ],
)
def test_unknown_members_of_a_part_are_kept(part: dict[str, Any], extra: dict[str, Any]) -> None:
    (message,) = as_messages([{"role": "user", "content": [part]}])
    assert message.parts[0].extra == extra


def test_unknown_members_of_a_call_are_kept_at_their_level() -> None:
    call = {
        "id": "f1",
        "type": "function",
        "extra_content": {"google": {"thought_signature": "QUJD"}},
        "function": {"name": "look", "arguments": "{}", "thought": "x"},
    }
    (message,) = as_messages([{"role": "assistant", "content": None, "tool_calls": [call]}])
    extra = {"extra_content": call["extra_content"], "function": {"thought": "x"}}
    assert message.tool_calls == (ToolCall("f1", "look", "{}", 0, extra),)


def test_unknown_members_of_a_message_are_kept() -> None:
    details = [{"type": "reasoning.encrypted", "data": "x", "index": 0}]
    given = {
        "role": "assistant",
        "content": "a",
        "prefix": True,
        "reasoning_details": details,
        "annotations": [],
    }
    (message,) = as_messages([given])
    assert message == Message("assistant", "a", reasoning_blocks=tuple(details), extra={"prefix": True})


@pytest.mark.parametrize("role", ["user", "system", "tool"])
def test_a_misspelt_content_is_no_extra(role: str) -> None:
    with pytest.raises(InvalidRequest, match="unknown keys: contents"):
        as_messages([{"role": role, "contents": "x"}])


def test_unknown_members_of_a_tool_are_kept() -> None:
    (tool,) = as_tools([{"type": "function", "function": {"name": "f", "x": 1}, **CACHED}])
    assert tool.extra == {**CACHED, "function": {"x": 1}}
    (flat,) = as_tools([{"type": "function", "name": "f", **CACHED}])
    assert flat.extra == CACHED


def test_a_message_with_extra_is_no_plain_turn() -> None:
    plain = Message("user", "a")
    assert isinstance(as_messages([plain]), TextMessages)
    read = as_messages([Message("user", "a", extra={"x": 1})])
    assert not isinstance(read, TextMessages)
    assert read[0].extra == {"x": 1}


def test_nothing_is_one_value_that_behaves_like_an_empty_mapping() -> None:
    assert NOTHING == {}
    assert not NOTHING
    assert repr(NOTHING) == "{}"
    assert pickle.loads(pickle.dumps(NOTHING)) is NOTHING
    assert copy.deepcopy(NOTHING) is NOTHING
    assert Text("a") == Text("a", {})
    assert hash(Text("a")) == hash(Text("a", NOTHING))
    assert hash(Message("user", "a")) == hash(Message("user", "a"))
    assert asdict(Tool("f"))["extra"] == {}


def test_extra_that_is_no_mapping_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"the message\.extra"):
        as_messages(Message("user", "a", extra="x"))  # type: ignore[arg-type]


def test_the_answer_of_a_stream_has_what_has_no_place_elsewhere() -> None:
    assembly = Assembly()
    assembly.extend(
        [
            TextDelta("a"),
            RawDelta({"citations": ["u"], "audio": {"id": "x", "data": "QU"}}),
            RawDelta({"citations": ["u"], "audio": {"data": "JD"}, "n": 1}, {"signature": "s"}),
            RawDelta({"citations": ["v"], "n": 2}),
            ToolCallDelta(0, "i", "f", "{", {"a": {"b": 1}}),
            ToolCallDelta(0, arguments="}", extra={"a": {"c": 2}}),
            Finished("stop"),
        ]
    )
    response = assembly.response()
    assert response.raw == {"citations": ["u", "v"], "audio": {"id": "x", "data": "QUJD"}, "n": 2}
    assert response.extra == {"signature": "s"}
    assert response.tool_calls == (ToolCall("i", "f", "{}", 0, {"a": {"b": 1, "c": 2}}),)
    assert response.message.extra == {"signature": "s"}


def test_the_answer_of_a_stream_that_has_nothing_else_has_no_raw() -> None:
    assembly = Assembly()
    assembly.add(TextDelta("a"))
    assert assembly.response() == ChatResponse("a")


def test_joining_changes_neither_side() -> None:
    before, more = {"a": [1], "b": {"c": "x"}}, {"a": [2], "b": {"c": "y"}, "d": None}
    assert joined_extra(before, more) == {"a": [1, 2], "b": {"c": "xy"}, "d": None}
    assert (before, more) == ({"a": [1], "b": {"c": "x"}}, {"a": [2], "b": {"c": "y"}, "d": None})


def test_any_is_the_word_of_others_for_required() -> None:
    assert as_tool_choice("any") == ToolChoice("required")


def test_a_choice_of_a_tool_that_is_not_there_is_refused() -> None:
    tools = [{"type": "function", "function": {"name": "look"}}]
    with pytest.raises(InvalidRequest, match="'lok'; the tools are look"):
        chat_request("m", "hi", {"tools": tools, "tool_choice": "lok"})
    assert chat_request("m", "hi", {"tools": tools, "tool_choice": "look"}).tool_choice is not None
    chat_request("m", "hi", {"tools": tools, "tool_choice": "web", "extra": {"tools": []}})


@pytest.mark.parametrize(
    "url", ["data:image/png;base64,QUJD", "DATA:image/png;BASE64,QUJD", "data:image/png;base64,QU\r\n JD\n"]
)
def test_a_data_url_is_read_in_any_case_and_with_line_breaks(url: str) -> None:
    (message,) = as_messages(
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]
    )
    assert (message.parts[0].data, message.parts[0].media_type) == (b"ABC", "image/png")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "url", ["data:image/png;base64,QUJ", "data:image/png;base64,Q*JD", "data:image/png,QUJD"]
)
def test_a_data_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest):
        as_messages([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}])
