"""What we send, feature by feature, and what is refused before anything is sent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman import replace
from pointsman.errors import InvalidRequest, Unsupported
from pointsman.requests.parsing import chat_request
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
from pointsman_openai.wire import Quirks, chat_body, completion_body, embed_body, is_newer, text_content

OPENAI = Quirks(name="openai", official=True)
COMPATIBLE = Quirks(name="compatible")
HELLO = (Message.user("hello"),)
WEATHER = Tool("weather", "Look it up.", {"type": "object", "properties": {"city": {"type": "string"}}})
WEATHER_BODY = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Look it up.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}}


def body_of(*messages: Message, quirks: Quirks = OPENAI, stream: bool = False, **options: Any) -> Any:
    request = ChatRequest("public", messages or HELLO, **options)
    return chat_body(request, "gpt-4.1", quirks, stream=stream)


def test_a_bare_request_is_a_model_and_messages() -> None:
    assert body_of() == {"model": "gpt-4.1", "messages": [{"role": "user", "content": "hello"}]}


class Own(str):
    """Text that takes the general path."""


turns = st.builds(
    Message,
    st.sampled_from(["system", "user", "assistant", "tool"]),
    st.text(max_size=5),
    tool_calls=st.sampled_from([(), (ToolCall("1", "f", ""),)]),
    tool_call_id=st.sampled_from([None, "1"]),
    name=st.sampled_from([None, "", "n"]),
    is_error=st.booleans(),
    reasoning=st.sampled_from([None, "", "hm"]),
)


@settings(deadline=None)
@given(
    st.lists(turns, min_size=1, max_size=3), st.sampled_from([OPENAI, Quirks(reasoning_field="reasoning")])
)
def test_a_plain_message_is_written_like_any_other(given: list[Message], quirks: Quirks) -> None:
    def written(messages: list[Message]) -> Any:
        try:
            return body_of(*messages, quirks=quirks)
        except InvalidRequest as error:
            return error.message

    assert written(given) == written([replace(each, content=Own(each.content)) for each in given])


@settings(deadline=None)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "temperature": st.floats(allow_nan=False, allow_infinity=False) | st.integers(),
            "seed": st.integers(),
            "stop": st.lists(st.text(max_size=3), max_size=2),
            "top_logprobs": st.integers(0, 20),
            "reasoning_effort": st.sampled_from(["low", "high"]),
            "user": st.text(max_size=3),
            "tools": st.just([WEATHER]),
            "metadata": st.just({"a": "b"}),
            "response_format": st.just(SCHEMA),
            "logit_bias": st.just({"50256": float("nan")}),
            "extra": st.just({"temperature": float("nan")}),
        },
    ),
    st.booleans(),
)
def test_plain_text_is_sent_as_the_body_says_or_is_looked_at_more_closely(
    options: dict[str, Any], stream: bool
) -> None:
    request = chat_request("m", [{"role": "system", "content": "be brief"}], options)

    content = text_content(request, "gpt-4.1", OPENAI, stream=stream)

    if options.keys() & {"tools", "metadata", "response_format", "logit_bias", "extra"}:
        assert content is None
    else:
        assert content is not None
        assert json.loads(content) == chat_body(request, "gpt-4.1", OPENAI, stream=stream)


def test_a_stream_asks_for_its_usage() -> None:
    body = body_of(stream=True)
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})
    assert "stream_options" not in body_of(stream=True, quirks=Quirks(include_usage=False))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"temperature": 0.0}, {"temperature": 0.0}),
        ({"top_p": 0.5}, {"top_p": 0.5}),
        ({"seed": 7}, {"seed": 7}),
        (
            {"presence_penalty": 1.0, "frequency_penalty": -1.0},
            {"presence_penalty": 1.0, "frequency_penalty": -1.0},
        ),
        ({"stop": ("a", "b")}, {"stop": ["a", "b"]}),
        ({"max_tokens": 5}, {"max_completion_tokens": 5}),
        ({"logit_bias": {"50256": -100.0}}, {"logit_bias": {"50256": -100.0}}),
        ({"logprobs": True}, {"logprobs": True}),
        ({"top_logprobs": 3}, {"logprobs": True, "top_logprobs": 3}),
        ({"logprobs": False}, {}),
        ({"reasoning_effort": "minimal"}, {"reasoning_effort": "minimal"}),
        ({"user": "u1", "metadata": {"a": "b"}}, {"user": "u1", "metadata": {"a": "b"}}),
        ({"response_format": ResponseFormat("text")}, {}),
        ({"response_format": ResponseFormat("json")}, {"response_format": {"type": "json_object"}}),
        (
            {"response_format": ResponseFormat("schema", SCHEMA, "point", strict=True)},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "point", "schema": SCHEMA, "strict": True},
                }
            },
        ),
        ({"tools": (WEATHER,)}, {"tools": [WEATHER_BODY]}),
        (
            {"tools": (Tool("f", strict=True),)},
            {
                "tools": [
                    {
                        "type": "function",
                        "function": {
                            "name": "f",
                            "parameters": {"type": "object", "properties": {}},
                            "strict": True,
                        },
                    }
                ]
            },
        ),
        (
            {"tools": (WEATHER,), "tool_choice": ToolChoice("required")},
            {"tools": [WEATHER_BODY], "tool_choice": "required"},
        ),
        (
            {"tools": (WEATHER,), "tool_choice": ToolChoice("tool", "weather"), "parallel_tool_calls": False},
            {
                "tools": [WEATHER_BODY],
                "tool_choice": {"type": "function", "function": {"name": "weather"}},
                "parallel_tool_calls": False,
            },
        ),
        # OpenAI refuses these without tools, and they mean nothing there
        ({"tool_choice": ToolChoice("auto"), "parallel_tool_calls": True}, {}),
        ({"extra": {"verbosity": "low"}}, {"verbosity": "low"}),
        ({"temperature": 1.0, "extra": {"temperature": 0.1}}, {"temperature": 0.1}),
        ({"extra": {"stream": True}}, {}),
    ],
)
def test_an_option_becomes_its_field(options: dict[str, Any], expected: dict[str, Any]) -> None:
    body = body_of(**options)
    assert {key: value for key, value in body.items() if key not in ("model", "messages")} == expected


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (Message.system("be brief"), {"role": "system", "content": "be brief"}),
        (Message("user", "hi", name="ann"), {"role": "user", "content": "hi", "name": "ann"}),
        (Message("user", (Text("only"),)), {"role": "user", "content": "only"}),
        (Message.assistant("yes"), {"role": "assistant", "content": "yes"}),
        (
            Message.assistant("", [ToolCall("c1", "f", '{"x":1}'), ToolCall("c2", "g", "", 1)]),
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
                    {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
                ],
            },
        ),
        (Message.tool("c1", "42"), {"role": "tool", "tool_call_id": "c1", "content": "42"}),
        (
            Message.tool("c1", "no such city", is_error=True),
            {"role": "tool", "tool_call_id": "c1", "content": "Error: no such city"},
        ),
        # thoughts of another upstream stay here
        (
            Message("assistant", "a", reasoning="hm", reasoning_blocks=({"type": "thinking"},)),
            {"role": "assistant", "content": "a"},
        ),
        (
            Message(
                "user",
                (
                    Text("look"),
                    Image(url="https://example.org/a.png", detail="low"),
                    Image(data=b"\x89PNG", media_type="image/png"),
                    File(b"%PDF", filename="a.pdf"),
                    File(b"%PDF"),
                    File(id="file-1"),
                    Audio(b"RIFF", "wav"),
                ),
            ),
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "look"},
                    {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "low"}},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
                    {
                        "type": "file",
                        "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="},
                    },
                    {
                        "type": "file",
                        "file": {
                            "filename": "document.pdf",
                            "file_data": "data:application/pdf;base64,JVBERg==",
                        },
                    },
                    {"type": "file", "file": {"file_id": "file-1"}},
                    {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
                ],
            },
        ),
    ],
)
def test_a_message_becomes_its_mapping(message: Message, expected: dict[str, Any]) -> None:
    assert body_of(message)["messages"] == [expected]


@pytest.mark.parametrize(
    ("model", "newer"),
    [
        ("o1", True),
        ("o3-mini", True),
        ("o4-mini-2025-04-16", True),
        ("gpt-5", True),
        ("gpt-5.2-pro", True),
        ("gpt-12", True),
        ("openai/gpt-5-mini", True),
        ("ft:o4-mini:org::id", True),
        ("GPT-5", True),
        ("gpt-4o", False),
        ("gpt-4.1", False),
        ("gpt-3.5-turbo", False),
        ("gpt-oss-120b", False),
        ("llama-3.3-70b", False),
        ("omni", False),
        ("chatgpt-4o-latest", False),
        ("qwen3-4b", False),
    ],
)
def test_newer_models_are_known_by_name(model: str, newer: bool) -> None:
    assert is_newer(model) is newer


@pytest.mark.parametrize(
    ("quirks", "model", "tokens_field", "role"),
    [
        (OPENAI, "gpt-5-mini", "max_completion_tokens", "developer"),
        (OPENAI, "gpt-4o", "max_completion_tokens", "system"),
        (COMPATIBLE, "openai/gpt-5-mini", "max_completion_tokens", "system"),
        (COMPATIBLE, "llama3.2", "max_tokens", "system"),
        (Quirks(max_tokens_field="max_tokens"), "gpt-5", "max_tokens", "system"),
        (Quirks(max_tokens_field="max_completion_tokens"), "llama3.2", "max_completion_tokens", "system"),
        (Quirks(system_role="developer"), "llama3.2", "max_tokens", "developer"),
        (Quirks(official=True, system_role="system"), "o3", "max_completion_tokens", "system"),
    ],
)
def test_token_field_and_system_role_follow_host_and_model(
    quirks: Quirks, model: str, tokens_field: str, role: str
) -> None:
    request = ChatRequest("public", (Message.system("s"), *HELLO), max_tokens=9)

    body = chat_body(request, model, quirks, stream=False)

    assert {key: body[key] for key in body if key.startswith("max_")} == {tokens_field: 9}
    assert body["messages"][0] == {"role": role, "content": "s"}


def test_extra_sampling_is_sent_where_the_server_takes_it() -> None:
    options: dict[str, Any] = {"top_k": 40, "min_p": 0.05, "repeat_penalty": 1.1}

    sent = body_of(quirks=Quirks(extra_sampling=True), **options)

    assert (sent["top_k"], sent["min_p"], sent["repetition_penalty"]) == (40, 0.05, 1.1)
    other = body_of(quirks=Quirks(extra_sampling=True, repeat_penalty_field="repeat_penalty"), **options)
    assert other["repeat_penalty"] == 1.1


def test_what_a_tool_shows_stands_in_a_message_of_the_user_behind_all_results() -> None:
    picture, page = Image(url="https://example.org/a.png"), File(id="file-1")
    said = body_of(
        Message("assistant", tool_calls=(ToolCall("1", "f", "{}"), ToolCall("2", "f", "{}"))),
        Message("tool", (Text("a cat"), picture), tool_call_id="1"),
        Message("tool", (page,), tool_call_id="2", is_error=True),
        Message.user("And?"),
        Message("tool", (picture,), tool_call_id="3"),
    )["messages"]

    shown = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    assert said[1:] == [
        {"role": "tool", "tool_call_id": "1", "content": "a cat"},
        {"role": "tool", "tool_call_id": "2", "content": "Error: (shown below)"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "From the result of 1:"},
                shown,
                {"type": "text", "text": "From the result of 2:"},
                {"type": "file", "file": {"file_id": "file-1"}},
            ],
        },
        {"role": "user", "content": "And?"},
        {"role": "tool", "tool_call_id": "3", "content": "(shown below)"},
        {"role": "user", "content": [{"type": "text", "text": "From the result of 3:"}, shown]},
    ]


def test_thoughts_go_back_where_the_server_reads_them() -> None:
    message = Message("assistant", "a", reasoning="hm")
    assert body_of(message, quirks=Quirks(reasoning_field="reasoning_content"))["messages"] == [
        {"role": "assistant", "content": "a", "reasoning_content": "hm"}
    ]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"top_k": 1}, "top_k"),
        ({"min_p": 0.1}, "min_p"),
        ({"repeat_penalty": 1.1}, "repeat_penalty"),
        ({"stop": tuple("abcde")}, "5 stop sequences"),
        ({"extra": {"n": 2}, "stream": True}, "2 choices"),
        ({"messages": (Message("tool", (Audio(b"x"),), tool_call_id="c"),)}, "Audio"),
        ({"messages": (Message("system", (Image(url="u"),)),)}, "Image"),
        ({"messages": (Message("assistant", (Audio(b"x"),)),)}, "Audio"),
        ({"messages": (Message("user", (File(url="https://example.org/a.pdf"),)),)}, "URL"),
        ({"messages": (Message("user", (Audio(b"x", "flac"),)),)}, "flac"),
    ],
)
def test_what_openai_cannot_do_is_refused_before_the_call(options: dict[str, Any], named: str) -> None:
    messages = options.pop("messages", ())
    with pytest.raises(Unsupported, match=named):
        body_of(*messages, **options)


def test_a_refused_sampling_option_names_the_setting_that_would_help() -> None:
    with pytest.raises(Unsupported, match="extra_sampling: true"):
        body_of(quirks=COMPATIBLE, top_k=1)


@pytest.mark.parametrize(
    ("feature", "options"),
    [
        ("temperature", {"temperature": 0.0}),
        ("stop", {"stop": ("a",)}),
        ("tools", {"tools": (WEATHER,)}),
        ("response_format", {"response_format": ResponseFormat("json")}),
        ("images", {"messages": (Message("user", (Text("a"), Image(url="u"))),)}),
        ("audio", {"messages": (Message("user", (Audio(b"x"),)),)}),
    ],
)
def test_what_the_configuration_calls_unsupported_is_refused(feature: Any, options: dict[str, Any]) -> None:
    quirks = Quirks(unsupported=(feature,))
    body_of(quirks=quirks)
    messages = options.pop("messages", ())
    with pytest.raises(Unsupported, match=feature):
        body_of(*messages, quirks=quirks, **options)


def test_a_compatible_server_may_take_more() -> None:
    assert body_of(quirks=COMPATIBLE, stop=tuple("abcde"))["stop"] == list("abcde")
    audio = body_of(Message("user", (Audio(b"x", "flac"),)), quirks=COMPATIBLE)
    assert audio["messages"][0]["content"][0]["input_audio"]["format"] == "flac"


@pytest.mark.parametrize(
    "options",
    [
        {"tool_choice": ToolChoice("required")},
        {"tool_choice": ToolChoice("tool", "f")},
        {"tools": (WEATHER,), "tool_choice": ToolChoice("tool")},
        {"response_format": ResponseFormat("schema")},
        {"messages": (Message("tool", "42"),)},
        {"messages": (Message("user", (Image(),)),)},
        {"messages": (Message("user", (File(),)),)},
    ],
)
def test_what_cannot_be_right_is_an_invalid_request(options: dict[str, Any]) -> None:
    messages = options.pop("messages", ())
    with pytest.raises(InvalidRequest):
        body_of(*messages, **options)


@pytest.mark.parametrize(
    ("choice", "named"), [(ToolChoice("required"), "required"), (ToolChoice("tool", "weather"), "weather")]
)
def test_a_choice_without_tools_is_refused_in_the_words_of_who_made_it(
    choice: ToolChoice, named: str
) -> None:
    with pytest.raises(InvalidRequest, match=f"tool_choice is '{named}', but there are no tools"):
        body_of(tool_choice=choice)


def test_a_plain_completion_has_its_own_fields() -> None:
    request = GenerateRequest(
        "public", "def f(", suffix=")", temperature=0.1, max_tokens=5, stop=("\n",), extra={"echo": True}
    )
    assert completion_body(request, "gpt-3.5-turbo-instruct", OPENAI) == {
        "model": "gpt-3.5-turbo-instruct",
        "prompt": "def f(",
        "suffix": ")",
        "temperature": 0.1,
        "max_tokens": 5,
        "stop": ["\n"],
        "echo": True,
    }


@pytest.mark.parametrize(
    "options",
    [
        {"system": "be brief"},
        {"images": (Image(url="u"),)},
        {"response_format": ResponseFormat("json")},
        {"reasoning_effort": "low"},
        {"top_k": 3},
    ],
)
def test_what_a_plain_completion_cannot_do_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(Unsupported):
        completion_body(GenerateRequest("public", "once", **options), "m", OPENAI)


def test_an_embedding_asks_for_floats() -> None:
    request = EmbedRequest("public", ["one", "two"], dimensions=256, extra={"user": "u"})
    assert embed_body(request, "text-embedding-3-small", OPENAI) == {
        "model": "text-embedding-3-small",
        "input": ["one", "two"],
        "encoding_format": "float",
        "dimensions": 256,
        "user": "u",
    }
    with pytest.raises(InvalidRequest):
        embed_body(EmbedRequest("public", []), "m", OPENAI)


EXTRA = st.dictionaries(
    st.sampled_from(["cache_control", "extra_content", "x"]), st.integers() | st.text(max_size=3), max_size=2
)


@settings(deadline=None)
@given(EXTRA, EXTRA, EXTRA, EXTRA)
def test_members_that_are_not_known_go_out_as_they_came_in(
    message: dict[str, Any], part: dict[str, Any], call: dict[str, Any], tool: dict[str, Any]
) -> None:
    function = {"name": "look", "arguments": "{}", **{f"in_{name}": value for name, value in call.items()}}
    given = [
        {"role": "system", "content": [{"type": "text", "text": "long", **part}], **message},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x/y", **part}, **part}, {"type": "text", "text": "q"}]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "f1", "type": "function", "function": function, **call}], **message},
        {"role": "tool", "tool_call_id": "f1", "content": "r", **message},
    ]  # fmt: skip
    tools = [{"type": "function", "function": {"name": "look", "parameters": SCHEMA, **tool}, **tool}]
    request = chat_request("m", given, {"tools": tools})

    body = chat_body(request, "gpt-4.1", COMPATIBLE, stream=False)

    if not part:
        given[0]["content"] = "long"
    assert body["messages"] == given
    assert body["tools"] == tools


def test_what_we_write_ourselves_is_not_replaced_by_extra() -> None:
    call = ToolCall("f1", "look", "{}", 0, {"id": "other", "function": {"name": "other", "x": 1}})
    (message,) = body_of(Message.assistant(tool_calls=[call]))["messages"]
    assert message["tool_calls"] == [
        {"id": "f1", "type": "function", "function": {"name": "look", "arguments": "{}", "x": 1}}
    ]


def test_signed_pieces_of_reasoning_go_back_to_the_wire_they_are_of() -> None:
    ours = {"type": "reasoning.encrypted", "data": "x", "index": 0}
    message = Message("assistant", "a", reasoning_blocks=(ours, {"type": "thinking", "signature": "s"}))
    assert body_of(message)["messages"] == [
        {"role": "assistant", "content": "a", "reasoning_details": [ours]}
    ]


def test_parts_of_text_stay_parts() -> None:
    body = body_of(Message("assistant", (Text("a"), Text("b"))))
    assert body["messages"][0]["content"] == [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert body_of(Message("assistant", (Text("a"),)))["messages"][0]["content"] == "a"


def test_a_schema_keeps_its_description() -> None:
    given = {"type": "json_schema", "json_schema": {"name": "n", "description": "d", "schema": SCHEMA}}
    request = chat_request("m", "hi", {"response_format": given})
    assert chat_body(request, "gpt-4.1", OPENAI, stream=False)["response_format"] == given
