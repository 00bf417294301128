"""The values that travel: immutable, and a request that says something is not overruled."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from pointsman import types
from pointsman.types import (
    ChatRequest,
    ChatResponse,
    EmbedRequest,
    GenerateRequest,
    Image,
    Message,
    StreamEvent,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    Usage,
)

VALUES: list[type[Struct]] = [
    each
    for _, each in inspect.getmembers(types, inspect.isclass)
    if issubclass(each, Struct) and each.__module__ == types.__name__
]
EVENTS = [each for each in VALUES if issubclass(each, StreamEvent) and each is not StreamEvent]


@pytest.mark.parametrize("kind", VALUES)
def test_no_value_can_be_changed_or_given_new_attributes(kind: Any) -> None:
    assert kind.__struct_config__.frozen
    value = kind(*("x" for _ in kind.__struct_fields__))

    for name in (*kind.__struct_fields__, "other"):
        with pytest.raises(AttributeError):
            setattr(value, name, 1)
        with pytest.raises(AttributeError):
            delattr(value, name)
    assert all(getattr(value, name) == "x" for name in kind.__struct_fields__)
    assert not hasattr(value, "__dict__")


def test_every_event_has_a_kind_of_its_own_and_text() -> None:
    kinds = [each.kind for each in EVENTS]

    assert len(set(kinds)) == len(kinds)
    assert all(each().text == "" for each in EVENTS)
    assert TextDelta("x").text == "x"


def test_only_pieces_of_the_answer_are_content() -> None:
    content = {each.kind for each in EVENTS if each.content}

    assert content == {"text", "reasoning", "reasoning_block", "refusal", "tool_call"}


# ── defaults ─────────────────────────────────────────────────────────────────────────────────────────


def test_defaults_fill_what_was_not_said() -> None:
    request = ChatRequest("m", (Message.user("x"),), temperature=0.0)

    filled = request.with_defaults({"temperature": 0.7, "max_tokens": 10, "stop": ("x",)})

    assert (filled.temperature, filled.max_tokens, filled.stop) == (0.0, 10, ("x",))
    assert request.max_tokens is None


def test_a_request_that_says_all_is_itself() -> None:
    request = ChatRequest("m", (Message.user("x"),), temperature=0.5)

    assert request.with_defaults({}) is request
    assert request.with_defaults({"temperature": 0.7}) is request


def test_the_callers_own_extra_wins_over_that_of_the_defaults() -> None:
    request = ChatRequest("m", (Message.user("x"),), extra={"a": 1})

    assert request.with_defaults({"extra": {"a": 2, "c": 4}}).extra == {"a": 1, "c": 4}
    assert request.extra == {"a": 1}


def test_a_default_for_another_kind_of_request_is_not_sent() -> None:
    embed = EmbedRequest("m", ("x",))

    assert embed.with_defaults({"temperature": 0.2}) is embed


def test_defaults_never_replace_what_is_asked() -> None:
    chat = ChatRequest("m", (Message.user("x"),)).with_defaults({"model": "n", "messages": ()})
    embed = EmbedRequest("m", ("x",)).with_defaults({"texts": ("y",), "dimensions": 3})
    generate = GenerateRequest("m", "x").with_defaults({"prompt": "y", "system": "s"})

    assert (chat.model, chat.messages) == ("m", (Message.user("x"),))
    assert (embed.texts, embed.dimensions) == (("x",), 3)
    assert (generate.prompt, generate.system) == ("x", "s")


options = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.sampled_from([0.0, 0.5]),
        "max_tokens": st.integers(0, 3),
        "logprobs": st.booleans(),
        "user": st.sampled_from(["", "u"]),
    },
)


@settings(deadline=None)
@given(options, options)
def test_what_was_said_wins_over_every_default_however_empty_it_is(
    said: dict[str, Any], more: dict[str, Any]
) -> None:
    request = ChatRequest("m", (Message.user("x"),), **said)

    assert request.with_defaults(more) == ChatRequest("m", (Message.user("x"),), **{**more, **said})


# ── small things ─────────────────────────────────────────────────────────────────────────────────────


def test_a_messages_parts_and_text_are_two_views_of_its_content() -> None:
    mixed = Message.user([Text("a"), Image(b"x"), Text("b")])

    assert (mixed.text, len(mixed.parts)) == ("ab", 3)
    assert (Message.user("a").parts, Message.user("").parts) == ((Text("a"),), ())


def test_arguments_are_parsed_only_on_demand() -> None:
    assert ToolCall("c", "f", '{"a": 1}').parsed() == {"a": 1}
    assert ToolCall("c", "f", " ").parsed() == {}
    with pytest.raises(ValueError, match="Expecting"):
        ToolCall("c", "f", "{").parsed()


def test_a_total_needs_both_counts() -> None:
    assert Usage(prompt=1, completion=2).total == 3
    assert Usage(prompt=0, completion=0).total == 0
    assert Usage(prompt=1).total is None


def test_an_answer_can_be_appended_to_the_conversation() -> None:
    call = ToolCall("c", "f", "{}")
    answer = ChatResponse("x", tool_calls=(call,), reasoning="r", reasoning_blocks=({"sig": 1},))

    assert answer.message == Message(
        "assistant", "x", tool_calls=(call,), reasoning="r", reasoning_blocks=({"sig": 1},)
    )


def test_tools_do_not_share_their_parameters() -> None:
    assert Tool("a").parameters == Tool("b").parameters
    assert Tool("a").parameters is not Tool("b").parameters
