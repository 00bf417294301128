"""What callers and Claude say beside the fields we have: it goes along, or is refused by its name."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman import replace
from pointsman.errors import InvalidRequest, Unsupported
from pointsman.requests.messages import as_messages
from pointsman.requests.parsing import chat_request
from pointsman.types import ChatRequest, File, Image, Message, Text
from pointsman_claude.decode import chat_response
from pointsman_claude.wire import Wire, messages_body

CACHE = {"cache_control": {"type": "ephemeral"}}
PIXEL = base64.b64encode(b"\x89PNG").decode()
USER = {"role": "user", "content": "q"}
CALL = {"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
RESULT = {"role": "tool", "tool_call_id": "t1", "content": "r"}


def sent(*messages: Any, **options: Any) -> dict[str, Any]:
    request = chat_request("m", list(messages), options)
    return messages_body(request, model="m", wire=Wire(), stream=False)


def text(said: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": said, **more}


CARRIED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a part of the system prompt": (
        {"messages": [{"role": "system", "content": [text("a"), text("b", **CACHE)]}, USER]},
        {"system": [text("a"), text("b", **CACHE)], "messages": [USER]},
    ),
    "a system message": (
        {"messages": [{"role": "system", "content": "a"}, {"role": "system", "content": "b", **CACHE}, USER]},
        {"system": [text("a"), text("b", **CACHE)], "messages": [USER]},
    ),
    "a part of a user message": (
        {"messages": [{"role": "user", "content": [text("a", **CACHE), text("b")]}]},
        {"messages": [{"role": "user", "content": [text("a", **CACHE), text("b")]}]},
    ),
    "the only part": (
        {"messages": [{"role": "user", "content": [text("a", **CACHE)]}]},
        {"messages": [{"role": "user", "content": [text("a", **CACHE)]}]},
    ),
    "a user message": (
        {"messages": [{"role": "user", "content": "a", **CACHE}]},
        {"messages": [{"role": "user", "content": [text("a", **CACHE)]}]},
    ),
    "a picture": (
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}, **CACHE}
                    ],
                }
            ]
        },
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "image",
                            "source": {"type": "base64", "media_type": "image/png", "data": PIXEL},
                            **CACHE,
                        }
                    ],
                }
            ]
        },
    ),
    "a document": (
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "file", "file": {"file_id": "f"}, **CACHE, "citations": {"enabled": True}}
                    ],
                }
            ]
        },
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "document",
                            "source": {"type": "file", "file_id": "f"},
                            **CACHE,
                            "citations": {"enabled": True},
                        }
                    ],
                }
            ]
        },
    ),
    "a call and its result": (
        {
            "messages": [
                USER,
                {"role": "assistant", "content": None, "tool_calls": [{**CALL, **CACHE}]},
                {**RESULT, **CACHE},
            ]
        },
        {
            "messages": [
                USER,
                {
                    "role": "assistant",
                    "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {}, **CACHE}],
                },
                {
                    "role": "user",
                    "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "r", **CACHE}],
                },
            ]
        },
    ),
    "a tool": (
        {
            "messages": [USER],
            "tools": [{"type": "function", "function": {"name": "f"}, **CACHE, "defer_loading": True}],
        },
        {
            "messages": [USER],
            "tools": [
                {
                    "name": "f",
                    "input_schema": {"type": "object", "properties": {}},
                    **CACHE,
                    "defer_loading": True,
                }
            ],
        },
    ),
}


@pytest.mark.parametrize("of", CARRIED)
def test_cache_marks_and_their_like_go_along_with(of: str) -> None:
    asked, wanted = CARRIED[of]
    messages = asked["messages"]

    body = sent(*messages, **{name: value for name, value in asked.items() if name != "messages"})

    assert {name: body[name] for name in wanted} == wanted
    assert ("system" in body) is ("system" in wanted)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a part": ({"role": "user", "content": [text("a", fps=2)]}, r"fps of messages\[0\].content\[0\]"),
    "a system part": (
        {"role": "system", "content": [text("a", fps=2)]},
        r"fps of messages\[0\].content\[0\]",
    ),
    "inside a part": (
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x/y", "fps": 2}}]},
        r"image_url of messages\[0\].content\[0\]",
    ),
    "a message": ({"role": "assistant", "content": "a", "prefix": True}, r"prefix of messages\[0\]"),
    "a user message": ({"role": "user", "content": "a", "b": 1, "c": 2}, r"b, c of messages\[0\]"),
    "a call": (
        {"role": "assistant", "content": None, "tool_calls": [{**CALL, "mood": 1}]},
        r"mood of messages\[0\].tool_calls\[0\]",
    ),
    "a result": ({**RESULT, "mood": 1}, r"mood of messages\[0\]"),
}


@pytest.mark.parametrize("of", REFUSED)
def test_a_member_that_messages_do_not_have_is_refused_by_its_name(of: str) -> None:
    message, words = REFUSED[of]

    with pytest.raises(Unsupported, match=words):
        sent(message, USER)


def test_a_member_that_tools_do_not_have_is_refused_by_its_name() -> None:
    with pytest.raises(Unsupported, match=r"eager of tool 'f'"):
        sent(USER, tools=[{"type": "function", "function": {"name": "f"}, "eager": True}])


def test_what_another_provider_wants_back_with_a_call_stays_here() -> None:
    signed = {**CALL, "extra_content": {"google": {"thought_signature": "QUJD"}}}

    body = sent(USER, {"role": "assistant", "content": None, "tool_calls": [signed]}, RESULT)

    assert "thought_signature" not in json.dumps(body)


@pytest.mark.parametrize("count", [None, 1, 2, 0])
def test_several_answers_to_one_request_are_refused_by_name(count: int | None) -> None:
    if count in (None, 1):
        assert "n" not in sent(USER, extra={"n": count})
    else:
        with pytest.raises(Unsupported, match=f"n={count}"):
            sent(USER, extra={"n": count})


def test_parts_of_an_assistant_message_stay_apart() -> None:
    body = sent(USER, {"role": "assistant", "content": [text("a"), text("b")]}, USER)

    assert body["messages"][1]["content"] == [text("a"), text("b")]


@pytest.mark.parametrize(
    ("schema", "told"), [({"type": "object"}, "about it"), ({"type": "object", "description": "own"}, "own")]
)
def test_what_a_response_format_is_for_stands_in_its_schema(schema: dict[str, Any], told: str) -> None:
    wanted = {
        "type": "json_schema",
        "json_schema": {"name": "n", "description": "about it", "schema": schema},
    }

    body = sent(USER, response_format=wanted)

    assert body["output_config"]["format"]["schema"] == {"type": "object", "description": told}


# ── blocks that we have no type for ──────────────────────────────────────────────────────────────────

PAUSED = {
    "content": [
        text("Let me see. "),
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [{"encrypted": "e"}]},
        {"type": "thinking", "thinking": "Hm", "signature": "s"},
        {"type": "tool_use", "id": "t1", "name": "f", "input": {"x": 1}},
        text("Found. ", citations=[{"type": "web_search_result_location", "encrypted_index": "i"}]),
    ],
    "stop_reason": "pause_turn",
}


def test_an_answer_that_was_paused_goes_back_as_it_came() -> None:
    answer = chat_response(PAUSED).message

    body = sent(USER, answer)
    again = sent(USER, answer, RESULT)

    *before, last = PAUSED["content"]
    assert body["messages"][1]["content"] == [*before, {**last, "text": "Found."}]  # type: ignore[dict-item]
    assert again["messages"][1]["content"] == PAUSED["content"]


@pytest.mark.parametrize("change", [{"content": "Found it."}, {"tool_calls": ()}])
def test_an_answer_that_was_changed_cannot_bring_its_blocks(change: dict[str, Any]) -> None:
    answer = replace(chat_response(PAUSED).message, **change)

    with pytest.raises(InvalidRequest, match=r"messages\[1\].extra.content says something else"):
        sent(USER, answer)


@pytest.mark.parametrize("content", ["text", [1], [{}], [{"type": "text"}], 7])
def test_blocks_that_are_none_are_refused(content: Any) -> None:
    with pytest.raises(InvalidRequest, match="extra.content"):
        sent(USER, Message("assistant", "a", extra={"content": content}))


# ── pictures and documents in data: URLs ─────────────────────────────────────────────────────────────


@given(
    st.binary(min_size=1, max_size=90),
    st.sampled_from(["data:", "DATA:", "Data:"]),
    st.sampled_from([";base64", ";BASE64", ";charset=utf-8;base64", "; base64"]),
    st.sampled_from(["", "\n", "\r\n", " "]),
)
def test_a_data_url_means_the_same_however_it_is_written(
    data: bytes, scheme: str, coding: str, line_end: str
) -> None:
    plain = base64.b64encode(data).decode()
    broken = line_end.join(plain[n : n + 76] for n in range(0, len(plain), 76)) + line_end
    for part, kind, media_type in (
        (Image(url=f"{scheme}IMAGE/png{coding},{broken}"), "image", "image/png"),
        (File(url=f"{scheme}application/pdf{coding},{broken}"), "document", "application/pdf"),
    ):
        request = ChatRequest("m", (Message.user((part, Text("?"))),))
        body = messages_body(request, model="m", wire=Wire(), stream=False)

        block = body["messages"][0]["content"][0]
        assert block["type"] == kind
        assert block["source"] == {"type": "base64", "media_type": media_type, "data": plain}


def test_a_message_read_from_a_mapping_keeps_what_it_says_beside() -> None:
    (message,) = as_messages([{"role": "user", "content": "a", **CACHE}])

    assert message.extra == CACHE
