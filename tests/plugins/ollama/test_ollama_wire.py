"""The bodies that are sent, and the requests that are refused before anything is sent."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman import replace
from pointsman.errors import InvalidRequest, Unsupported
from pointsman.types import (
    Audio,
    ChatRequest,
    EmbedRequest,
    File,
    GenerateRequest,
    Image,
    Message,
    ResponseFormat,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
)
from pointsman_ollama import wire

NOTHING = wire.Defaults({}, {})
HELLO = (Message.user("hello"),)
SCHEMA = {"type": "object", "properties": {"x": {"type": "integer", "minimum": 1}}, "required": ["x"]}
WEATHER = Tool("weather", "Tells the weather.", SCHEMA, strict=True)
WEATHER_WIRE = {
    "type": "function",
    "function": {"name": "weather", "description": "Tells the weather.", "parameters": SCHEMA},
}


def request(**changes: Any) -> ChatRequest:
    return ChatRequest(**{"model": "public", "messages": HELLO, **changes})


def chat(given: ChatRequest, defaults: wire.Defaults = NOTHING, *, stream: bool = False) -> dict[str, Any]:
    return wire.chat_body(given, "qwen3:4b", defaults, stream=stream)


def test_the_plainest_chat_says_stream_false_because_absent_means_true() -> None:
    assert chat(request()) == {
        "model": "qwen3:4b",
        "messages": [{"role": "user", "content": "hello"}],
        "stream": False,
    }


def test_a_stream_says_stream_true() -> None:
    assert chat(request(), stream=True)["stream"] is True


FIELDS = [
    ({"temperature": 0.0}, {"options": {"temperature": 0.0}}),
    ({"top_p": 0.5}, {"options": {"top_p": 0.5}}),
    ({"top_k": 7}, {"options": {"top_k": 7}}),
    ({"min_p": 0.1}, {"options": {"min_p": 0.1}}),
    ({"max_tokens": 9}, {"options": {"num_predict": 9}}),
    ({"seed": 0}, {"options": {"seed": 0}}),
    ({"presence_penalty": 0.3}, {"options": {"presence_penalty": 0.3}}),
    ({"frequency_penalty": -0.3}, {"options": {"frequency_penalty": -0.3}}),
    ({"repeat_penalty": 1.1}, {"options": {"repeat_penalty": 1.1}}),
    ({"stop": ("a", "b")}, {"options": {"stop": ["a", "b"]}}),
    ({"stop": "ab"}, {"options": {"stop": ["ab"]}}),
    ({"stop": ()}, {}),
    ({"reasoning_effort": "none"}, {"think": False}),
    ({"reasoning_effort": "minimal"}, {"think": "low"}),
    ({"reasoning_effort": "low"}, {"think": "low"}),
    ({"reasoning_effort": "medium"}, {"think": "medium"}),
    ({"reasoning_effort": "high"}, {"think": "high"}),
    ({"reasoning_effort": "xhigh"}, {"think": "max"}),
    ({"reasoning_effort": "max"}, {"think": "max"}),
    ({"response_format": ResponseFormat("text")}, {}),
    ({"response_format": ResponseFormat("json")}, {"format": "json"}),
    ({"response_format": ResponseFormat("schema", SCHEMA, "n", True)}, {"format": SCHEMA}),
    ({"response_format": ResponseFormat("schema", MappingProxyType(SCHEMA))}, {"format": SCHEMA}),
    ({"logprobs": True, "top_logprobs": 3}, {"logprobs": True, "top_logprobs": 3}),
    ({"tools": (WEATHER,)}, {"tools": [WEATHER_WIRE]}),
    ({"tools": (WEATHER,), "tool_choice": ToolChoice("auto")}, {"tools": [WEATHER_WIRE]}),
    ({"tools": (WEATHER,), "parallel_tool_calls": True}, {"tools": [WEATHER_WIRE]}),
    ({"tools": (WEATHER,), "tool_choice": ToolChoice("none")}, {}),
    ({"tools": (WEATHER,), "tool_choice": ToolChoice("none"), "parallel_tool_calls": False}, {}),
    ({"parallel_tool_calls": False}, {}),
    (
        {"tools": (Tool("now"),)},
        {
            "tools": [
                {
                    "type": "function",
                    "function": {"name": "now", "parameters": {"type": "object", "properties": {}}},
                }
            ]
        },
    ),
    ({"logit_bias": {}}, {}),
    ({"user": "u1", "metadata": {"team": "blue"}}, {}),
    ({"extra": {"truncate": False}}, {"truncate": False}),
    ({"extra": {"options": {"num_ctx": 512}}}, {"options": {"num_ctx": 512}}),
    ({"extra": {"options": {"top_k": 1}}, "top_k": 2, "seed": 3}, {"options": {"top_k": 1, "seed": 3}}),
    ({"extra": {"options": None}}, {}),
    ({"extra": {"think": True}, "reasoning_effort": "none"}, {"think": True}),
    ({"extra": {"stream": True}}, {}),
]


@pytest.mark.parametrize(("given", "expected"), FIELDS, ids=[str(given)[:60] for given, _ in FIELDS])
def test_each_field_of_a_chat_has_its_place(given: dict[str, Any], expected: dict[str, Any]) -> None:
    assert chat(request(**given)) == {**chat(request()), **expected}


def test_no_field_of_a_chat_request_is_forgotten() -> None:
    tested = {name for given, _ in FIELDS for name in given} | {name for given in REFUSED for name in given}

    assert tested | {"model", "messages"} == set(ChatRequest.__struct_fields__)


def test_a_chat_of_one_turn_is_a_prompt() -> None:
    turn = ChatRequest("m", (Message.system("s"), Message.user([Text("Hi"), Image(b"x")])), seed=1)

    body = wire.prompt_body(turn, "up", NOTHING, stream=True)

    assert body == {
        "model": "up",
        "system": "s",
        "prompt": "Hi",
        "images": ["eA=="],
        "options": {"seed": 1},
        "stream": True,
    }
    for more in ({"messages": (*turn.messages, Message.user("?"))}, {"tools": (WEATHER,)}):
        with pytest.raises(Unsupported, match="more than one turn"):
            wire.prompt_body(replace(turn, **more), "up", NOTHING, stream=True)


REFUSED: list[dict[str, Any]] = [
    {"logit_bias": {"50256": -100.0}},
    {"tools": (WEATHER,), "tool_choice": ToolChoice("required")},
    {"tools": (WEATHER,), "tool_choice": ToolChoice("tool", "weather")},
    {"tools": (WEATHER,), "parallel_tool_calls": False},
    {"messages": (Message.user([Text("see"), Image(url="https://example.org/a.png")]),)},
    {"messages": (Message.user([File(b"%PDF")]),)},
    {"messages": (Message.user([File(id="file-1")]),)},
    {"messages": (Message.user([Audio(b"RIFF")]),)},
]


@pytest.mark.parametrize("given", REFUSED, ids=[str(given)[:60] for given in REFUSED])
@pytest.mark.parametrize("stream", [False, True])
def test_what_ollama_cannot_do_is_unsupported(given: dict[str, Any], stream: bool) -> None:
    with pytest.raises(Unsupported, match="Ollama cannot do"):
        chat(request(**given), stream=stream)


@pytest.mark.parametrize("wanted", [True, False])
def test_logprobs_are_asked_for_in_streams_too(wanted: bool) -> None:
    assert chat(request(logprobs=wanted), stream=True)["logprobs"] is wanted


def call_with(arguments: str) -> tuple[Message, ...]:
    return (*HELLO, Message.assistant(tool_calls=[ToolCall("call_1", "weather", arguments)]))


MALFORMED: list[dict[str, Any]] = [
    {"messages": (Message.user([Image()]),)},
    {"messages": (Message.user([Image(b"")]),)},
    {"response_format": ResponseFormat("schema")},
    {"reasoning_effort": "enormous"},
    {"extra": {"options": [1]}},
]


@pytest.mark.parametrize("given", MALFORMED, ids=[str(given)[:60] for given in MALFORMED])
def test_what_cannot_be_right_is_an_invalid_request(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        chat(request(**given))


def test_arguments_that_are_no_object_go_back_in_one() -> None:
    given = chat(request(messages=call_with("[1]")))

    function = given["messages"][-1]["tool_calls"][0]["function"]
    assert function["arguments"] == {"INVALID_JSON": "[1]"}


def test_a_conversation_with_tools_keeps_ids_and_gains_names() -> None:
    messages = (
        Message.system("Be brief."),
        Message.user("Weather in Rome and Oslo?"),
        Message(
            "assistant",
            "Looking.",
            tool_calls=[
                ToolCall("a", "weather", '{"x": 1, "é": [1.5, null]}'),
                ToolCall("b", "news", "  ", index=1),
            ],
            reasoning="Two calls.",
            reasoning_blocks=[{"signature": "of somebody else"}],
        ),
        Message.tool("b", "quiet", is_error=True),
        Message.tool("a", "sunny"),
        Message("assistant", "", tool_calls=[ToolCall("a", "clock", "{}")]),
        Message.tool("a", "noon"),
        Message.tool("?", "nobody asked"),
        Message.tool("a", "named", name="mine"),
    )

    assert chat(request(messages=messages))["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather in Rome and Oslo?"},
        {
            "role": "assistant",
            "content": "Looking.",
            "thinking": "Two calls.",
            "tool_calls": [
                {
                    "id": "a",
                    "function": {"index": 0, "name": "weather", "arguments": {"x": 1, "é": [1.5, None]}},
                },
                {"id": "b", "function": {"index": 1, "name": "news", "arguments": {}}},
            ],
        },
        {"role": "tool", "content": "quiet", "tool_name": "news", "tool_call_id": "b"},
        {"role": "tool", "content": "sunny", "tool_name": "weather", "tool_call_id": "a"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "a", "function": {"index": 0, "name": "clock", "arguments": {}}}],
        },
        {"role": "tool", "content": "noon", "tool_name": "clock", "tool_call_id": "a"},
        {"role": "tool", "content": "nobody asked", "tool_call_id": "?"},
        {"role": "tool", "content": "named", "tool_name": "mine", "tool_call_id": "a"},
    ]


def test_pictures_go_as_bare_base64_beside_the_joined_text() -> None:
    parts = [
        Text("What "),
        Image(b"\x00\x01\xff", "image/jpeg", detail="high"),
        Text("is this?"),
        Image(url="data:image/png;base64,QUJD"),
    ]

    assert chat(request(messages=[Message.user(parts)]))["messages"] == [
        {"role": "user", "content": "What is this?", "images": ["AAH/", "QUJD"]}
    ]


def test_a_chat_without_messages_loads_the_model() -> None:
    assert chat(request(messages=()))["messages"] == []


def test_the_request_comes_before_the_deployment_and_that_before_the_provider() -> None:
    provider = wire.Defaults({"keep_alive": "5m", "think": True}, {"num_ctx": 1, "top_k": 1, "seed": 1})
    deployment = provider.overridden({"keep_alive": -1, "truncate": False, "top_k": 2, "seed": 2})

    body = chat(request(seed=3), deployment)

    assert body["keep_alive"] == -1
    assert body["truncate"] is False
    assert body["think"] is True
    assert body["options"] == {"num_ctx": 1, "top_k": 2, "seed": 3}
    assert chat(request(reasoning_effort="none"), deployment)["think"] is False


def test_options_under_options_mean_the_same() -> None:
    assert NOTHING.overridden({"options": {"num_ctx": 1}, "seed": 2}) == wire.Defaults(
        {}, {"num_ctx": 1, "seed": 2}
    )


def test_a_body_leaves_the_defaults_as_they_were() -> None:
    defaults = wire.Defaults({"keep_alive": "5m"}, {"num_ctx": 1})

    chat(request(seed=3, extra={"options": {"num_ctx": 2}, "keep_alive": 0}), defaults)

    assert defaults == wire.Defaults({"keep_alive": "5m"}, {"num_ctx": 1})


def test_a_completion_has_its_own_fields() -> None:
    given = GenerateRequest(
        "public",
        "def f(",
        suffix="return x",
        system="Code only.",
        images=[Image(b"abc")],
        temperature=0.1,
        top_p=0.2,
        top_k=3,
        max_tokens=4,
        stop=["\n\n"],
        seed=5,
        presence_penalty=0.6,
        frequency_penalty=0.7,
        reasoning_effort="low",
        response_format=ResponseFormat("json"),
        extra={"raw": True, "options": {"min_p": 0.8}},
    )

    assert wire.generate_body(
        given, "coder", wire.Defaults({"keep_alive": 0}, {"num_ctx": 9}), stream=False
    ) == {
        "model": "coder",
        "prompt": "def f(",
        "suffix": "return x",
        "system": "Code only.",
        "images": ["YWJj"],
        "format": "json",
        "think": "low",
        "raw": True,
        "keep_alive": 0,
        "options": {
            "num_ctx": 9,
            "temperature": 0.1,
            "top_p": 0.2,
            "top_k": 3,
            "num_predict": 4,
            "seed": 5,
            "presence_penalty": 0.6,
            "frequency_penalty": 0.7,
            "stop": ["\n\n"],
            "min_p": 0.8,
        },
        "stream": False,
    }


def test_the_plainest_completion_says_no_more_than_it_must() -> None:
    assert wire.generate_body(GenerateRequest("public", "one two"), "m", NOTHING, stream=False) == {
        "model": "m",
        "prompt": "one two",
        "stream": False,
    }


def test_an_embedding_has_no_thoughts_and_no_stream() -> None:
    defaults = wire.Defaults({"keep_alive": "1h", "think": True, "shift": True}, {"num_ctx": 9})
    given = EmbedRequest("public", ("a", "b"), dimensions=3, extra={"truncate": False})

    assert wire.embed_body(given, "e", defaults) == {
        "model": "e",
        "input": ["a", "b"],
        "dimensions": 3,
        "truncate": False,
        "keep_alive": "1h",
        "options": {"num_ctx": 9},
    }
    assert wire.embed_body(EmbedRequest("public", ["a"]), "e", NOTHING) == {"model": "e", "input": ["a"]}


@given(st.dictionaries(st.text(max_size=4), st.none() | st.integers() | st.text() | st.lists(st.booleans())))
def test_arguments_of_earlier_calls_are_the_same_json_value(arguments: dict[str, Any]) -> None:
    message = Message.assistant(tool_calls=[ToolCall("a", "f", json.dumps(arguments))])

    [sent] = chat(request(messages=[message]))["messages"]

    assert sent["tool_calls"][0]["function"]["arguments"] == arguments


@given(
    temperature=st.none() | st.floats(0, 2),
    max_tokens=st.none() | st.integers(1, 9),
    stop=st.lists(st.text(min_size=1), max_size=3),
)
def test_what_is_not_said_is_not_sent(
    temperature: float | None, max_tokens: int | None, stop: list[str]
) -> None:
    given = replace(request(), temperature=temperature, max_tokens=max_tokens, stop=stop)

    options = chat(given).get("options", {})

    assert options.get("temperature") == temperature
    assert options.get("num_predict") == max_tokens
    assert options.get("stop", []) == stop
    assert None not in options.values()
