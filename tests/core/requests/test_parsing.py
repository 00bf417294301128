"""What callers may hand in, and how they are told what is wrong with it."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pointsman.errors import InvalidRequest
from pointsman.requests.messages import as_messages
from pointsman.requests.options import as_response_format, as_tool_choice, as_tools, default_options
from pointsman.requests.parsing import (
    chat_request,
    checked_request,
    embed_request,
    generate_request,
)
from pointsman.types import (
    Audio,
    ChatRequest,
    File,
    Image,
    Message,
    ResponseFormat,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
)

PNG = base64.b64encode(b"png").decode()


# ── messages ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_string_is_one_turn_of_the_user() -> None:
    assert as_messages("hello") == (Message("user", "hello"),)


def test_messages_are_taken_as_they_are_alone_or_mixed_with_mappings() -> None:
    mine = Message.system("be brief")

    assert as_messages(mine) == (mine,)
    assert as_messages(iter([mine, {"role": "user", "content": "hi"}])) == (mine, Message.user("hi"))


@pytest.mark.parametrize("role", ["system", "user", "assistant", "tool", "developer"])
def test_every_role_is_known(role: str) -> None:
    (message,) = as_messages([{"role": role, "content": "x"}])

    assert message.role == {"developer": "system"}.get(role, role)


def test_what_an_answer_dumps_to_can_be_sent_back() -> None:
    dumped = {
        "role": "assistant", "content": None, "refusal": None, "annotations": [], "audio": None,
        "function_call": None, "reasoning_content": "hm",
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }  # fmt: skip

    (message,) = as_messages([dumped])

    assert message == Message("assistant", "", tool_calls=(ToolCall("c1", "f", "{}"),), reasoning="hm")


class Odd(dict[str, Any]):
    """A mapping that takes the general path, whatever is in it."""


class Own(str):
    """Text that takes the general path."""


anything = st.none() | st.booleans() | st.integers() | st.just(()) | st.just([]) | st.text(max_size=3)
roles = st.sampled_from(["system", "user", "assistant", "tool", "developer", "nobody"])
mappings = st.fixed_dictionaries(
    {},
    optional={
        "role": roles | roles.map(Own) | anything,
        "content": st.text() | st.text().map(Own) | anything,
        "name": anything,
        "tool_calls": anything,
        "tool_call_id": anything,
        "reasoning": anything,
        "unheard": anything,
    },
)
own_messages = st.builds(
    Message,
    roles | roles.map(Own) | anything,
    st.text() | anything,
    tool_calls=anything,
    tool_call_id=anything,
    name=anything,
    reasoning=anything,
)


def read(given: Any) -> Any:
    """The messages, or what is said against them."""
    try:
        return as_messages(given)
    except InvalidRequest as error:
        return error.message


@settings(max_examples=500, deadline=None)
@example([{"role": "user", "content": "x"}, {"role": "developer", "content": ""}])
@example([{"role": "user", "content": None}])
@example([{"role": "user", "name": "x"}])
@given(st.lists(mappings, max_size=3))
def test_a_plain_mapping_is_read_like_any_other(conversation: list[dict[str, Any]]) -> None:
    usual = read(conversation)

    assert usual == read([Odd(each) for each in conversation]) == read(iter(conversation))


@settings(max_examples=500, deadline=None)
@example([Message.user("x"), Message.assistant("y")])
@given(st.lists(own_messages, max_size=3))
def test_a_plain_message_of_our_own_is_checked_like_any_other(conversation: list[Message]) -> None:
    class Kind(Message):
        """Takes the general path."""

    general = [
        Kind(*(getattr(each, name) for name in each.__struct_fields__))  # type: ignore[arg-type]
        for each in conversation
    ]

    usual, expected = read(conversation), read(general)

    if isinstance(expected, str):
        assert usual == expected
    else:
        assert all(one is other for one, other in zip(usual, conversation, strict=True))


def test_a_tools_answer_keeps_its_call() -> None:
    (message,) = as_messages([{"role": "tool", "tool_call_id": "c1", "name": "f", "content": "42"}])

    assert message == Message.tool("c1", "42", name="f")


@pytest.mark.parametrize(
    ("arguments", "text"), [("{bad", "{bad"), ({"a": 1}, '{"a": 1}'), (None, ""), ("", ""), ([], "[]")]
)
def test_arguments_of_tool_calls_are_kept_as_text(arguments: Any, text: str) -> None:
    call = {"id": "c", "function": {"name": "f", "arguments": arguments}}

    (message,) = as_messages([{"role": "assistant", "tool_calls": [call]}])

    assert message.tool_calls[0].arguments == text


def test_tool_calls_are_numbered_in_their_order() -> None:
    calls = [{"function": {"name": name}} for name in "ab"]

    (message,) = as_messages([{"role": "assistant", "tool_calls": calls}])

    assert message.tool_calls == (ToolCall("", "a", "", 0), ToolCall("", "b", "", 1))


PARTS = {
    "text": ({"type": "text", "text": "t"}, Text("t")),
    "refusal": ({"type": "refusal", "refusal": "no"}, Text("no")),
    "image by url": ({"type": "image_url", "image_url": {"url": "https://x/y"}}, Image(url="https://x/y")),
    "image in short": ({"type": "image_url", "image_url": "https://x/y"}, Image(url="https://x/y")),
    "image with detail": (
        {"type": "image_url", "image_url": {"url": "https://x", "detail": "low"}},
        Image(url="https://x", detail="low"),
    ),
    "image as data": (
        {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{PNG}"}},
        Image(b"png", "image/jpeg"),
    ),
    "image of no type": (
        {"type": "image_url", "image_url": {"url": f"data:;base64,{PNG}"}},
        Image(b"png", "image/png"),
    ),
    "image with a parameter": (
        {"type": "image_url", "image_url": {"url": f"data:image/gif;x=1;base64,{PNG}"}},
        Image(b"png", "image/gif"),
    ),
    "audio": ({"type": "input_audio", "input_audio": {"data": PNG, "format": "mp3"}}, Audio(b"png", "mp3")),
    "file by id": ({"type": "file", "file": {"file_id": "f1"}}, File(id="f1")),
    "file as data": (
        {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{PNG}", "filename": "a.pdf"}},
        File(b"png", filename="a.pdf"),
    ),
    "our own": (Text("t"), Text("t")),
}


@pytest.mark.parametrize(("given_part", "expected"), PARTS.values(), ids=PARTS)
def test_every_kind_of_part_is_read(given_part: Any, expected: Any) -> None:
    (message,) = as_messages([{"role": "user", "content": [given_part]}])

    assert message.content == (expected,)


WRONG_MESSAGES = {
    "nothing": ([], "messages is empty"),
    "a number": (5, "messages is 5; expected text or a list of messages"),
    "none": (None, "messages is None; expected text or a list of messages"),
    "one mapping": ({"role": "user"}, "messages is a dict"),
    "a list of strings": (["hi"], "messages[0] is a str; expected a Message or a mapping"),
    "no role": ([{"content": "x"}], "messages[0].role is None"),
    "a role unknown": ([Message.user("x"), {"role": "bot"}], "messages[1].role is 'bot'"),
    "a role that is a list": ([{"role": ["user"]}], "messages[0].role is a list"),
    "a key unknown": ([{"role": "user", "contents": "x"}], "messages[0] has unknown keys: contents"),
    "content of a number": ([{"role": "user", "content": 5}], "messages[0].content is 5; expected text or a list"),
    "content of bytes": ([{"role": "user", "content": b"x"}], "messages[0].content[0] is 120; expected a part"),
    "a part of no type": ([{"role": "user", "content": [{}]}], "messages[0].content[0].type is None"),
    "a part unknown": (
        [{"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "video"}]}],
        "messages[0].content[1].type is 'video'",
    ),
    "text that is none": (
        [{"role": "user", "content": [{"type": "text", "text": None}]}],
        "messages[0].content[0].text is None; expected text",
    ),
    "text that is missing": (
        [{"role": "user", "content": [{"type": "text"}]}],
        "messages[0].content[0].text is None; expected text",
    ),
    "an image of a number": (
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": 5}}]}],
        "messages[0].content[0].image_url.url is 5; expected text",
    ),
    "an image that is not base64": (
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png,x"}}]}],
        "messages[0].content[0] of type 'image_url' is malformed",
    ),
    "audio that is not base64": (
        [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "é"}}]}],
        "messages[0].content[0] of type 'input_audio' is malformed",
    ),
    "a file of nothing": (
        [{"role": "user", "content": [{"type": "file", "file": {}}]}],
        "messages[0].content[0].file.file_data is None; expected a data: URL",
    ),
    "a tool call of no function": (
        [{"role": "assistant", "tool_calls": [{"id": "c"}]}],
        "messages[0].tool_calls[0].function is None; expected a mapping with a name",
    ),
    "tool calls of a number": ([{"role": "assistant", "tool_calls": 5}], "messages[0].tool_calls is 5; expected a list"),
    "a tool call that is text": (
        [{"role": "assistant", "tool_calls": ["f"]}],
        "messages[0].tool_calls[0] is a str; expected a ToolCall or a mapping",
    ),
    "a function call of old": (
        [{"role": "assistant", "function_call": {"name": "f"}}],
        "messages[0].function_call is not understood",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("messages", "said"), WRONG_MESSAGES.values(), ids=WRONG_MESSAGES)
def test_what_is_wrong_is_named_with_its_place(messages: Any, said: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        as_messages(messages)

    assert raised.value.message.startswith(said)


PROMPT = "what nobody may read"


@pytest.mark.parametrize(
    "ask",
    [
        lambda: chat_request("m", [PROMPT], {}),
        lambda: chat_request("m", [{"role": "user", "content": [[PROMPT]]}], {}),
        lambda: chat_request("m", [{"role": "user", "content": [{"type": "image_url", "image_url": [PROMPT]}]}], {}),
        lambda: chat_request("m", [{"role": "user", "content": [{"type": "file", "file": PROMPT}]}], {}),
        lambda: chat_request("m", [{"role": "assistant", "tool_calls": [PROMPT]}], {}),
        lambda: chat_request("m", [{"role": "assistant", "tool_calls": [{"function": PROMPT}]}], {}),
        lambda: chat_request("m", [Message("user", [[PROMPT]])], {}),  # type: ignore[list-item]
        lambda: chat_request("m", [Message("user", [Image(PROMPT)])], {}),  # type: ignore[arg-type]
        lambda: chat_request("m", "hi", {"tools": [PROMPT]}),
        lambda: chat_request("m", "hi", {"extra": PROMPT}),
    ],
)  # fmt: skip
def test_no_error_repeats_what_was_asked(ask: Callable[[], object]) -> None:
    with pytest.raises(InvalidRequest) as raised:
        ask()

    assert PROMPT[:4] not in raised.value.message


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["role", "content", "type", "text", "image_url", "url", "file", "file_id", "function", "name",
                 "tool_calls", "arguments", "json_schema", "schema", "parameters", "input_audio", "data"]
            ),
            st.one_of(inner, st.sampled_from(["user", "tool", "text", "file", "image_url", "json_schema"])),
            max_size=4,
        ),
    ),
    max_leaves=8,
)  # fmt: skip


CHAT_OPTIONS = [name for name in ChatRequest.__struct_fields__ if name not in ("model", "messages")]


@settings(deadline=None)
@given(json_values, st.sampled_from(CHAT_OPTIONS))
@example(10**400, "temperature")
@example(10**400, "max_tokens")
@example(["auto"], "reasoning_effort")
def test_whatever_json_is_handed_in_the_only_error_is_an_invalid_request(value: Any, option: str) -> None:
    for ask in (
        lambda: chat_request("m", value, {}),
        lambda: chat_request("m", [{"role": "user", "content": value}], {}),
        lambda: chat_request("m", "hi", {option: value}),
        lambda: default_options({option: value}),
        lambda: embed_request("m", value, {}),
        lambda: generate_request("m", value, {}),
    ):
        with suppress(InvalidRequest):
            ask()


# ── options ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("option", "hint"),
    [("temprature", "did you mean 'temperature'?"), ("max_token", "did you mean 'max_tokens'?"),
     ("zzz", "extra={"), ("model", "unknown option 'model'")],
)  # fmt: skip
def test_an_unknown_option_is_refused_with_what_was_probably_meant(option: str, hint: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        chat_request("m", "hi", {option: 1})

    assert repr(option) in raised.value.message
    assert hint in raised.value.message


def test_options_of_embedding_and_completion_are_their_own() -> None:
    with pytest.raises(InvalidRequest, match="temperature"):
        embed_request("m", "x", {"temperature": 1})
    with pytest.raises(InvalidRequest, match="tools"):
        generate_request("m", "x", {"tools": []})
    assert embed_request("m", "x", {"dimensions": 3}).dimensions == 3
    assert generate_request("m", "x", {"suffix": "y", "stop": "."}).stop == (".",)


def test_none_is_the_same_as_not_said() -> None:
    nothing = dict.fromkeys(["tools", "tool_choice", "response_format", "stop", "extra", "temperature"])

    assert chat_request("m", "hi", nothing) == chat_request("m", "hi", {})
    complete = ChatRequest("m", "hi", **dict.fromkeys(CHAT_OPTIONS))  # type: ignore[arg-type]
    assert checked_request(complete) == chat_request("m", "hi", {})
    assert embed_request("m", "x", {"extra": None}) == embed_request("m", "x", {})
    assert generate_request("m", "x", dict.fromkeys(["stop", "extra", "images"])) == generate_request(
        "m", "x", {}
    )


@pytest.mark.parametrize("option", sorted(CHAT_OPTIONS))
@pytest.mark.parametrize("nothing", [(), {}], ids=repr)
def test_what_is_empty_means_in_a_complete_request_what_it_means_in_a_call(
    option: str, nothing: object
) -> None:
    def outcome(read: Callable[[], ChatRequest]) -> ChatRequest | str:
        try:
            return read()
        except InvalidRequest as error:
            return error.message

    complete = ChatRequest("m", "hi", **{option: nothing})  # type: ignore[arg-type]

    assert outcome(lambda: checked_request(complete)) == outcome(
        lambda: chat_request("m", "hi", {option: nothing})
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [({"stop": 5}, "stop"), ({"stop": [5]}, "stop"), ({"extra": [1]}, "extra"),
     ({"tools": 5}, "tools is 5; expected a list"), ({"tools": {"name": "f"}}, "tools is a dict"), ({"tools": [{"description": "x"}]}, "tools[0]"),
     ({"tools": [Tool("f"), "g"]}, "tools[1]"), ({"tool_choice": 5}, "tool_choice"),
     ({"tool_choice": {"type": "function", "function": "f"}}, "tool_choice"),
     ({"tool_choice": {}}, "tool_choice"),
     ({"response_format": "xml"}, "response_format"), ({"response_format": 5}, "response_format"),
     ({"response_format": {"type": "json_schema"}}, "response_format")],
)  # fmt: skip
def test_an_option_of_the_wrong_shape_is_refused_by_name(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        chat_request("m", "hi", options)

    assert said in raised.value.message


def test_a_complete_request_is_no_name_of_a_model() -> None:
    nested = ChatRequest(ChatRequest("m", "hi"), ())  # type: ignore[arg-type]

    with pytest.raises(InvalidRequest, match="model is a ChatRequest"):
        chat_request(nested, (), {})


@pytest.mark.parametrize("key", ["model", "stream", "messages", "prompt", "input", "Model", "meſſages"])
def test_what_the_router_decides_cannot_be_replaced_through_extra(key: str) -> None:
    """Some servers read the keys of a JSON object without regard to case."""
    extra = {"extra": {"seed": 1, key: "other"}}
    complete = ChatRequest("m", [Message("user", "hi")], **extra)
    for ask in (
        lambda: chat_request("m", "hi", extra),
        lambda: generate_request("m", "hi", extra),
        lambda: embed_request("m", "hi", extra),
        lambda: checked_request(complete),
        lambda: default_options(extra),
    ):
        with pytest.raises(InvalidRequest) as raised:
            ask()

        assert repr(key) in raised.value.message


@pytest.mark.parametrize("given_stop", ["x", ["x"], ("x",), iter(["x"])])
def test_stop_is_a_string_or_several(given_stop: Any) -> None:
    assert chat_request("m", "hi", {"stop": given_stop}).stop == ("x",)


def test_tools_are_read_with_and_without_their_wrapper() -> None:
    schema = {"type": "object", "properties": {"a": {}}}
    plain = {"name": "f", "description": "d", "parameters": schema, "strict": True}

    assert as_tools([plain, {"type": "function", "function": plain}, Tool("g")]) == (
        Tool("f", "d", schema, True),
        Tool("f", "d", schema, True),
        Tool("g", "", {"type": "object", "properties": {}}),
    )


@pytest.mark.parametrize(
    ("given_choice", "choice"),
    [("auto", ToolChoice("auto")), ("none", ToolChoice("none")), ("required", ToolChoice("required")),
     ("f", ToolChoice("tool", "f")),
     ({"type": "function", "function": {"name": "f"}}, ToolChoice("tool", "f")),
     ({"type": "tool", "name": "f"}, ToolChoice("tool", "f")), (ToolChoice("none"), ToolChoice("none"))],
)  # fmt: skip
def test_a_tool_choice_is_a_word_a_name_or_a_mapping(given_choice: Any, choice: ToolChoice) -> None:
    assert as_tool_choice(given_choice) == choice


SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("given_format", "expected"),
    [("text", ResponseFormat("text")), ("json", ResponseFormat("json")),
     ("json_object", ResponseFormat("json")),
     ({"type": "text"}, ResponseFormat("text")), ({"type": "json_object"}, ResponseFormat("json")),
     (SCHEMA, ResponseFormat("schema", SCHEMA)),
     ({"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}},
      ResponseFormat("schema", SCHEMA, "n", True)),
     ({"type": "json_schema", "json_schema": {"schema": SCHEMA}}, ResponseFormat("schema", SCHEMA)),
     (ResponseFormat("text"), ResponseFormat("text"))],
)  # fmt: skip
def test_a_response_format_is_a_word_a_schema_or_a_mapping(given_format: Any, expected: Any) -> None:
    assert as_response_format(given_format) == expected


# ── embedding, completion ────────────────────────────────────────────────────────────────────────────


def test_one_text_is_a_list_of_one() -> None:
    assert embed_request("m", "x", {}).texts == ("x",)
    assert embed_request("m", iter(["x", "y"]), {}).texts == ("x", "y")  # type: ignore[arg-type]


@pytest.mark.parametrize("texts", [[], [1], None, 5, b"x", ["x", None]])
def test_texts_are_strings_and_at_least_one(texts: Any) -> None:
    with pytest.raises(InvalidRequest, match="texts"):
        embed_request("m", texts, {})


def test_a_prompt_is_text() -> None:
    with pytest.raises(InvalidRequest, match="prompt is a list"):
        generate_request("m", ["x"], {})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("word", "mode"), [("any", "required"), ("auto", "auto"), ("none", "none"), ("required", "required")]
)
def test_a_mapping_of_a_kind_alone_is_that_kind(word: str, mode: Any) -> None:
    assert as_tool_choice({"type": word}) == ToolChoice(mode)
    assert as_tool_choice(word) == ToolChoice(mode)


@pytest.mark.parametrize(
    ("given_choice", "words"),
    [
        ({"type": "tool"}, "names no tool"),
        ({"type": "function", "function": {}}, "names no tool"),
        ({"type": "all"}, "type is 'all'; expected one of auto, none, required, any, tool"),
        ({}, "names no tool"),
        ({"type": ["any"]}, "type is a list; expected one of auto"),
        ({"type": "any", "disable_parallel_tool_use": True}, "write parallel_tool_calls=False"),
    ],
)
def test_a_mapping_that_means_no_choice_is_told_what_to_write(given_choice: Any, words: str) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(words)):
        as_tool_choice(given_choice)


@pytest.mark.parametrize(
    ("given_part", "said"),
    [(Text(5), "content[0].text"), (Text("x", None), "content[0].extra"), (Image(url=5), "content[0].url"),
     (Image(b"x", detail=5), "content[0].detail"), (Audio(b"x", 5), "content[0].format"),
     (File("x"), "content[0].data"), (File(id=5), "content[0].id"), (File(b"x", filename=5), "content[0].filename")],
)  # fmt: skip
def test_a_part_of_our_own_with_a_field_of_the_wrong_kind_is_refused_by_name(
    given_part: Any, said: str
) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(said)):
        as_messages([Message("user", (given_part,))])
