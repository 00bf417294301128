"""The bodies that we send, feature by feature, and what is refused before anything is sent."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman import replace
from pointsman._internal import jsonio
from pointsman.errors import InvalidRequest, Unsupported
from pointsman.types import (
    Audio,
    ChatRequest,
    File,
    Image,
    Message,
    Part,
    ResponseFormat,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
)
from pointsman_claude.wire import API_VERSIONS, ApiVersion, Wire, count_body, messages_body

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = Tool("get_weather", "The weather.", SCHEMA)
WEATHER_BODY = {"name": "get_weather", "description": "The weather.", "input_schema": SCHEMA}
CALL = ToolCall("toolu_1", "get_weather", '{"city": "Paris"}')
CALL_BODY = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Paris"}}
THINKING = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
REDACTED = {"type": "redacted_thinking", "data": "eHl6"}
HELLO = Message.user("Hello")


def request(*messages: Message, **options: Any) -> ChatRequest:
    return ChatRequest("public", messages or (HELLO,), **options)


def body(
    given: ChatRequest, version: ApiVersion = "2023-06-01", *, stream: bool = False, **wire: Any
) -> dict[str, Any]:
    made = messages_body(given, model="claude-x", wire=Wire(version, **wire), stream=stream)
    return json.loads(jsonio.dumps(made))


def text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def turn(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


# ── the conversation ─────────────────────────────────────────────────────────────────────────────────

CONVERSATIONS: dict[str, tuple[list[Message], dict[str, Any]]] = {
    "one user turn": ([HELLO], {"messages": [turn("user", "Hello")]}),
    "several turns": (
        [HELLO, Message.assistant("Hi"), Message.user("Bye")],
        {"messages": [turn("user", "Hello"), turn("assistant", "Hi"), turn("user", "Bye")]},
    ),
    "leading system messages are joined": (
        [Message.system("Be kind."), Message.system(" "), Message.system("Be brief."), HELLO],
        {"system": "Be kind.\n\nBe brief.", "messages": [turn("user", "Hello")]},
    ),
    "a late system message moves up": (
        [Message.system("Be kind."), HELLO, Message.system("Be brief."), Message.user("Go on")],
        {
            "system": "Be kind.\n\nBe brief.",
            "messages": [turn("user", [text("Hello"), text("Go on")])],
        },
    ),
    "neighbours of one role are one turn": (
        [HELLO, Message.user([Text("a"), Text("b")]), Message.assistant("c"), Message.assistant("d"), HELLO],
        {
            "messages": [
                turn("user", [text("Hello"), text("a"), text("b")]),
                turn("assistant", [text("c"), text("d")]),
                turn("user", "Hello"),
            ]
        },
    ),
    "the first turn is not the user's": (
        [Message.assistant("Welcome"), HELLO],
        {"messages": [turn("assistant", "Welcome"), turn("user", "Hello")]},
    ),
    "only a system message": (
        [Message.system("Tell a joke.")],
        {"system": "Tell a joke.", "messages": [turn("user", ".")]},
    ),
    "empty content is left out and its neighbours meet": (
        [HELLO, Message.assistant(""), Message.user([Text(""), Text(" \n"), Text("there")])],
        {"messages": [turn("user", [text("Hello"), text("there")])]},
    ),
    "a begun answer does not end in white space": (
        [HELLO, Message.assistant("It is \n")],
        {"messages": [turn("user", "Hello"), turn("assistant", "It is")]},
    ),
    "tool calls and results": (
        [
            HELLO,
            Message.assistant("Let me see.", [CALL, ToolCall("toolu_2", "now", "", 1)]),
            Message.tool("toolu_1", "sunny"),
            Message.tool("toolu_2", "boom", is_error=True),
            Message.user("And?"),
        ],
        {
            "messages": [
                turn("user", "Hello"),
                turn(
                    "assistant",
                    [
                        text("Let me see."),
                        CALL_BODY,
                        {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}},
                    ],
                ),
                turn(
                    "user",
                    [
                        {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"},
                        {
                            "type": "tool_result",
                            "tool_use_id": "toolu_2",
                            "content": "boom",
                            "is_error": True,
                        },
                        text("And?"),
                    ],
                ),
            ]
        },
    ),
    "results go before text that was said earlier": (
        [
            HELLO,
            Message.assistant("", [CALL]),
            Message.user("Hurry"),
            Message("tool", [Text("a"), Text("b")], tool_call_id="toolu_1"),
        ],
        {
            "messages": [
                turn("user", "Hello"),
                turn("assistant", [CALL_BODY]),
                turn(
                    "user",
                    [
                        {
                            "type": "tool_result",
                            "tool_use_id": "toolu_1",
                            "content": [text("a"), text("b")],
                        },
                        text("Hurry"),
                    ],
                ),
            ]
        },
    ),
    "an empty result, and one with a picture": (
        [
            HELLO,
            Message.assistant("", [CALL, ToolCall("t2", "shot", "{}", 1)]),
            Message.tool("toolu_1", ""),
            Message("tool", [Image(b"PNG")], tool_call_id="t2"),
        ],
        {
            "messages": [
                turn("user", "Hello"),
                turn("assistant", [CALL_BODY, {"type": "tool_use", "id": "t2", "name": "shot", "input": {}}]),
                turn(
                    "user",
                    [
                        {"type": "tool_result", "tool_use_id": "toolu_1"},
                        {
                            "type": "tool_result",
                            "tool_use_id": "t2",
                            "content": [
                                {
                                    "type": "image",
                                    "source": {"type": "base64", "media_type": "image/png", "data": "UE5H"},
                                }
                            ],
                        },
                    ],
                ),
            ]
        },
    ),
    "signed reasoning goes back unchanged and first, other reasoning does not": (
        [
            HELLO,
            Message(
                "assistant",
                "Let me see.",
                tool_calls=[CALL],
                reasoning="Hm.",
                reasoning_blocks=[
                    THINKING,
                    REDACTED,
                    {"type": "reasoning", "encrypted_content": "abc"},
                    {"type": "thinking", "thinking": "unsigned"},
                ],
            ),
            Message.tool("toolu_1", "sunny"),
        ],
        {
            "messages": [
                turn("user", "Hello"),
                turn("assistant", [THINKING, REDACTED, text("Let me see."), CALL_BODY]),
                turn("user", [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"}]),
            ]
        },
    ),
    "foreign reasoning is dropped": (
        [HELLO, Message("assistant", "Hi", reasoning="Hm."), Message.user("Bye")],
        {"messages": [turn("user", "Hello"), turn("assistant", "Hi"), turn("user", "Bye")]},
    ),
}


@pytest.mark.parametrize("version", API_VERSIONS)
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_conversation_becomes(name: str, version: ApiVersion) -> None:
    messages, wanted = CONVERSATIONS[name]

    assert body(request(*messages), version) == {"model": "claude-x", "max_tokens": 4096, **wanted}


PARTS: dict[str, tuple[Part, dict[str, Any]]] = {
    "image bytes": (
        Image(b"JPG", "image/jpeg", detail="low"),
        {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "SlBH"}},
    ),
    "image url": (
        Image(url="https://example.org/a.png"),
        {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
    ),
    "image data url": (
        Image(url="data:image/webp;base64,V0VCUA=="),
        {"type": "image", "source": {"type": "base64", "media_type": "image/webp", "data": "V0VCUA=="}},
    ),
    "image as a file": (
        File(b"GIF", "image/gif", "a.gif"),
        {"type": "image", "source": {"type": "base64", "media_type": "image/gif", "data": "R0lG"}},
    ),
    "pdf bytes": (
        File(b"%PDF", filename="a.pdf"),
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="},
            "title": "a.pdf",
        },
    ),
    "pdf url": (
        File(url="https://example.org/a.pdf"),
        {"type": "document", "source": {"type": "url", "url": "https://example.org/a.pdf"}},
    ),
    "text file": (
        File("grün".encode(), "text/plain; charset=utf-8"),
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "grün"}},
    ),
    "uploaded image": (
        File(id="file_1", media_type="image/png"),
        {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
    ),
    "uploaded file": (
        File(id="file_1"),
        {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
    ),
}


@pytest.mark.parametrize("version", API_VERSIONS)
@pytest.mark.parametrize("name", PARTS)
def test_a_part_becomes(name: str, version: ApiVersion) -> None:
    part, wanted = PARTS[name]

    sent = body(request(Message.user([part, Text("What is it?")])), version)

    assert sent["messages"] == [turn("user", [wanted, text("What is it?")])]


def test_a_late_system_message_stays_where_it_is_when_asked_to() -> None:
    given = request(HELLO, Message.system("Be brief."), Message.system("Be kind."), Message.assistant("Hi"))

    assert body(given, late_system="native")["messages"] == [
        turn("user", "Hello"),
        turn("system", [text("Be brief."), text("Be kind.")]),
        turn("assistant", "Hi"),
    ]


# ── options ──────────────────────────────────────────────────────────────────────────────────────────

OPTIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "max_tokens": ({"max_tokens": 7}, {"max_tokens": 7}),
    "max_tokens 0 warms the cache": ({"max_tokens": 0}, {"max_tokens": 0}),
    "stop": ({"stop": ["END", "\n\nHuman:"]}, {"stop_sequences": ["END", "\n\nHuman:"]}),
    "user": ({"user": "u1", "metadata": {"user_id": "u2", "team": "t"}}, {"metadata": {"user_id": "u1"}}),
    "metadata": ({"metadata": {"user_id": "u2", "team": "t"}}, {"metadata": {"user_id": "u2"}}),
    "options that ask for nothing": (
        {
            "presence_penalty": 0.0,
            "frequency_penalty": 0,
            "repeat_penalty": 1.0,
            "min_p": 0.0,
            "logit_bias": {},
            "logprobs": False,
            "top_logprobs": 0,
        },
        {},
    ),
    "tools": ({"tools": [WEATHER]}, {"tools": [WEATHER_BODY]}),
    "a strict tool, and one that says little": (
        {"tools": [replace(WEATHER, strict=True), Tool("now", parameters={}), Tool("x", strict=False)]},
        {
            "tools": [
                {**WEATHER_BODY, "strict": True},
                {"name": "now", "input_schema": {"type": "object", "properties": {}}},
                {"name": "x", "input_schema": {"type": "object", "properties": {}}},
            ]
        },
    ),
    "a schema": (
        {"response_format": ResponseFormat("schema", SCHEMA, "place", strict=True)},
        {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
    ),
    "text": ({"response_format": ResponseFormat("text")}, {}),
    "no reasoning": ({"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}),
    "minimal reasoning": ({"reasoning_effort": "minimal"}, {"output_config": {"effort": "low"}}),
    "maximal reasoning": ({"reasoning_effort": "max"}, {"output_config": {"effort": "max"}}),
    "extra is merged last": (
        {
            "max_tokens": 5000,
            "reasoning_effort": "none",
            "extra": {
                "thinking": {"type": "enabled", "budget_tokens": 2048},
                "max_tokens": 6000,
                "speed": "fast",
            },
        },
        {"thinking": {"type": "enabled", "budget_tokens": 2048}, "max_tokens": 6000, "speed": "fast"},
    ),
    "extra adds to output_config": (
        {
            "response_format": ResponseFormat("schema", SCHEMA),
            "reasoning_effort": "low",
            "extra": {"output_config": {"effort": "high"}},
        },
        {"output_config": {"effort": "high", "format": {"type": "json_schema", "schema": SCHEMA}}},
    ),
}
for mode, wanted in (("auto", "auto"), ("none", "none"), ("required", "any")):
    OPTIONS[f"tool_choice {mode}"] = (
        {"tools": [WEATHER], "tool_choice": ToolChoice(mode)},  # type: ignore[arg-type]  # one of its modes
        {"tools": [WEATHER_BODY], "tool_choice": {"type": wanted}},
    )
OPTIONS |= {
    "tool_choice of one": (
        {"tools": [WEATHER], "tool_choice": ToolChoice("tool", "get_weather"), "parallel_tool_calls": True},
        {"tools": [WEATHER_BODY], "tool_choice": {"type": "tool", "name": "get_weather"}},
    ),
    "tool_choice without tools": ({"tool_choice": ToolChoice("auto"), "parallel_tool_calls": False}, {}),
    "one call at a time": (
        {"tools": [WEATHER], "parallel_tool_calls": False},
        {"tools": [WEATHER_BODY], "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
    ),
    "one call, and it must come": (
        {"tools": [WEATHER], "parallel_tool_calls": False, "tool_choice": ToolChoice("required")},
        {"tools": [WEATHER_BODY], "tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
    ),
    "no calls at all": (
        {"tools": [WEATHER], "parallel_tool_calls": False, "tool_choice": ToolChoice("none")},
        {"tools": [WEATHER_BODY], "tool_choice": {"type": "none"}},
    ),
    "tools of the upstream": (
        {
            "tool_choice": ToolChoice("required"),
            "extra": {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        },
        {
            "tools": [{"type": "web_search_20250305", "name": "web_search"}],
            "tool_choice": {"type": "any"},
        },
    ),
    "a forced tool with adaptive thinking": (
        {
            "tools": [WEATHER],
            "tool_choice": ToolChoice("required"),
            "extra": {"thinking": {"type": "adaptive"}},
        },
        {"tools": [WEATHER_BODY], "tool_choice": {"type": "any"}, "thinking": {"type": "adaptive"}},
    ),
}


@pytest.mark.parametrize("version", API_VERSIONS)
@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_becomes(name: str, version: ApiVersion) -> None:
    options, wanted = OPTIONS[name]

    assert body(request(**options), version) == {
        "model": "claude-x",
        "max_tokens": 4096,
        "messages": [turn("user", "Hello")],
        **wanted,
    }


def test_sampling_options_go_along_under_the_older_version() -> None:
    sent = body(request(temperature=0.0, top_p=0.5, top_k=40))

    assert {name: sent[name] for name in ("temperature", "top_p", "top_k")} == {
        "temperature": 0.0,
        "top_p": 0.5,
        "top_k": 40,
    }


def test_max_tokens_falls_back_to_the_setting() -> None:
    assert body(request(), default_max_tokens=99)["max_tokens"] == 99
    assert body(request(max_tokens=5), default_max_tokens=99)["max_tokens"] == 5


def test_only_a_stream_says_so() -> None:
    assert "stream" not in body(request())
    assert body(request(), stream=True)["stream"] is True


def test_tokens_are_counted_of_the_prompt_alone() -> None:
    given = request(
        Message.system("Be kind."),
        HELLO,
        tools=[WEATHER],
        tool_choice=ToolChoice("required"),
        temperature=1.5,
        seed=1,
        max_tokens=5,
        stop=["x"],
        user="u",
        reasoning_effort="high",
        extra={"service_tier": "auto", "thinking": {"type": "adaptive"}},
    )

    assert count_body(given, model="m", wire=Wire("2026-10-21")) == {
        "model": "m",
        "system": "Be kind.",
        "messages": [turn("user", "Hello")],
        "tools": [WEATHER_BODY],
        "tool_choice": {"type": "any"},
        "output_config": {"effort": "high"},
        "thinking": {"type": "adaptive"},
    }


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────

UNSUPPORTED: dict[str, tuple[ChatRequest, str]] = {
    "seed": (request(seed=0), "seed"),
    "presence_penalty": (request(presence_penalty=0.1), "presence_penalty"),
    "frequency_penalty": (request(frequency_penalty=-1), "frequency_penalty"),
    "repeat_penalty": (request(repeat_penalty=1.1), "repeat_penalty"),
    "min_p": (request(min_p=0.1), "min_p"),
    "logit_bias": (request(logit_bias={"1": 1.0}), "logit_bias"),
    "logprobs": (request(logprobs=True, top_logprobs=2), "logprobs, top_logprobs"),
    "hot": (request(temperature=1.01), "temperature 1.01"),
    "not a temperature": (request(temperature=float("nan")), "temperature nan"),
    "json": (request(response_format=ResponseFormat("json")), "JSON without a schema"),
    "audio": (request(Message.user([Audio(b"RIFF")])), r"messages\[0\].content\[0\] is audio"),
    "bmp": (request(Message.user([Image(b"BM", "image/bmp")])), "image/bmp"),
    "bmp url": (request(Message.user([Image(url="data:image/bmp;base64,Qk0=")])), "image/bmp"),
    "docx": (request(Message.user([File(b"PK", "application/msword")])), "application/msword"),
    "picture in a system message": (
        request(Message("system", [Image(b"PNG")]), HELLO),
        r"messages\[0\] is a system",
    ),
    "blank stop": (request(stop=["\n"]), "white space"),
    "forced tool with a thinking budget": (
        request(
            tools=[WEATHER],
            tool_choice=ToolChoice("required"),
            extra={"thinking": {"type": "enabled", "budget_tokens": 1024}},
        ),
        "budget",
    ),
}
INVALID: dict[str, tuple[ChatRequest, str]] = {
    "nothing": (request(Message.user("")), "nothing to send"),
    "call without id": (request(HELLO, Message.assistant("", [replace(CALL, id="")])), "no tool call id"),
    "result without id": (request(HELLO, Message("tool", "x")), "no tool call id"),
    "image without anything": (request(Message.user([Image()])), "neither"),
    "image of no bytes": (request(Message.user([Image(b"")])), "neither"),
    "image with a data url that is not in base64": (
        request(Message.user([Image(url="data:image/png,abc")])),
        "base64",
    ),
    "file without anything": (request(Message.user([File()])), "neither"),
    "text that is not text": (request(Message.user([File(b"\xff", "text/plain")])), "UTF-8"),
    "tool_choice without name": (request(tools=[WEATHER], tool_choice=ToolChoice("tool")), "names no tool"),
    "tool_choice without tools": (request(tool_choice=ToolChoice("required")), "has none"),
    "schema without schema": (request(response_format=ResponseFormat("schema")), "no schema"),
    "model in extra": (request(extra={"model": "other"}), "'model'"),
    "stream in extra": (request(extra={"stream": True}), "'stream'"),
}


@pytest.mark.parametrize("version", API_VERSIONS)
@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_claude_cannot_do_is_refused_before_the_call(name: str, version: ApiVersion) -> None:
    given, why = UNSUPPORTED[name]

    with pytest.raises(Unsupported, match=why):
        body(given, version)


@pytest.mark.parametrize("version", API_VERSIONS)
@pytest.mark.parametrize("name", INVALID)
def test_what_nobody_can_do_is_invalid(name: str, version: ApiVersion) -> None:
    given, why = INVALID[name]

    with pytest.raises(InvalidRequest, match=why):
        body(given, version)


def test_arguments_that_are_no_object_go_back_in_one() -> None:
    call = replace(CALL, arguments='{"city": ')

    sent = body(request(HELLO, Message.assistant("", [call])))

    assert sent["messages"][1]["content"][0]["input"] == {"INVALID_JSON": '{"city": '}


@pytest.mark.parametrize(
    "options",
    [{"temperature": 1.0}, {"top_p": 1.0}, {"top_k": 5}, {"extra": {"temperature": 1}}],
    ids=["temperature", "top_p", "top_k", "extra"],
)
def test_sampling_is_refused_under_the_newer_version(options: dict[str, Any]) -> None:
    with pytest.raises(Unsupported, match="2026-10-21"):
        body(request(**options), "2026-10-21")


def test_a_document_in_an_answer_is_refused_under_the_newer_version_only() -> None:
    given = request(HELLO, Message("assistant", [File(b"%PDF")]), HELLO)

    assert body(given)["messages"][1]["content"][0]["type"] == "document"
    with pytest.raises(Unsupported, match="document"):
        body(given, "2026-10-21")


def test_a_late_system_message_is_refused_when_asked_to() -> None:
    with pytest.raises(Unsupported, match=r"messages\[1\]"):
        body(request(HELLO, Message.system("x")), late_system="refuse")


# ── tool call ids ────────────────────────────────────────────────────────────────────────────────────


def paired_ids(*ids: str) -> list[tuple[str, str]]:
    """What the ids of calls, and of their results, are sent as."""
    sent = body(
        request(
            HELLO,
            Message.assistant("", [ToolCall(id, "f", "{}", n) for n, id in enumerate(ids)]),
            *(Message.tool(id, "x") for id in ids),
        )
    )
    calls, results = sent["messages"][1]["content"], sent["messages"][2]["content"]
    return [(call["id"], result["tool_use_id"]) for call, result in zip(calls, results, strict=True)]


def test_a_plain_id_is_kept() -> None:
    assert paired_ids("toolu_01-Ab") == [("toolu_01-Ab", "toolu_01-Ab")]


@given(st.lists(st.text(min_size=1), min_size=1, max_size=4, unique=True))
def test_any_ids_stay_paired_distinct_and_acceptable(ids: list[str]) -> None:
    pairs = paired_ids(*ids)

    assert all(call == result and re.fullmatch(r"[a-zA-Z0-9_-]+", call) for call, result in pairs)
    assert len({call for call, _ in pairs}) == len(ids)


# ── laws ─────────────────────────────────────────────────────────────────────────────────────────────

contents = st.text(alphabet="ab \n", max_size=4)
calls = st.lists(st.sampled_from(["t1", "t2"]), max_size=2, unique=True)
messages = st.lists(
    st.one_of(
        st.builds(Message.system, contents),
        st.builds(Message.user, contents),
        st.builds(
            lambda content, ids: Message.assistant(content, [ToolCall(id, "f", "{}") for id in ids]),
            contents,
            calls,
        ),
        st.builds(Message.tool, st.sampled_from(["t1", "t2"]), contents),
    ),
    max_size=8,
)


@given(messages, st.sampled_from(["hoist", "native"]))
def test_any_conversation_alternates_and_has_no_blank_text(given: list[Message], late_system: str) -> None:
    try:
        sent = body(ChatRequest("m", given), late_system=late_system)
    except InvalidRequest:
        assert not any(each.text.strip() or each.tool_calls or each.role == "tool" for each in given)
        return

    turns = sent["messages"]
    roles = [each["role"] for each in turns]
    assert roles[0] != "system"
    assert all(a != b for a, b in pairwise(roles))
    for each in turns:
        blocks = [text(each["content"])] if isinstance(each["content"], str) else each["content"]
        assert blocks
        assert all(block["text"].strip() for block in blocks if block["type"] == "text")
        kinds = [block["type"] == "tool_result" for block in blocks]
        assert kinds == sorted(kinds, reverse=True)
    said = "".join(each.text for each in given if each.role in ("user", "assistant"))
    arrived = "".join(part for each in turns if each["role"] != "system" for part in _texts(each))
    assert re.findall("[ab]", arrived) == re.findall("[ab]", said)


def _texts(turn: dict[str, Any]) -> list[str]:
    if isinstance(turn["content"], str):
        return [turn["content"]]
    return [block["text"] for block in turn["content"] if block["type"] == "text"]
