"""What a request says that a wire has no place for."""

from __future__ import annotations

from typing import Any

import pytest

from pointsman.types import (
    Audio,
    ChatRequest,
    EmbedRequest,
    GenerateRequest,
    Image,
    Message,
    Request,
    ResponseFormat,
    Text,
    Tool,
    ToolCall,
)
from pointsman.wire.unsent import said_besides

HELLO = Message.user("hello")


def chat(*messages: Message, **more: Any) -> ChatRequest:
    return ChatRequest("public", messages or (HELLO,), **more)


@pytest.mark.parametrize(
    ("request_", "names"),
    [
        (chat(), ()),
        (chat(user="ann", metadata={"a": "b"}), ()),
        (chat(temperature=None, stop=(), extra={}, response_format=ResponseFormat("text")), ()),
        (chat(temperature=0.0, seed=0), ("temperature", "seed")),
        (chat(Message.user((Text("a"), Image(b"x")))), ("images",)),
        (chat(HELLO, Message.assistant("", (ToolCall("1", "t", "{}"),)), Message.tool("1", "x")), ("tools",)),
        (chat(Message("user", "a", extra={"b": 1})), ("message_extra",)),
        (GenerateRequest("public", "go on"), ()),
        (EmbedRequest("public", ("a",), dimensions=3), ("dimensions",)),
    ],
)
def test_what_has_a_place_is_nothing_besides(request_: Request, names: tuple[str, ...]) -> None:
    assert said_besides(request_, names) == {}


@pytest.mark.parametrize(
    ("request_", "what"),
    [
        (chat(temperature=0.0), "`temperature`"),
        (chat(logprobs=False), "`logprobs`"),
        (chat(response_format=ResponseFormat("json")), "`response_format`"),
        (chat(extra={"a": 1}), "`extra`"),
        (chat(Message.user((Audio(b"x"),))), "audio in a message"),
        (chat(HELLO, Message.tool("1", "x")), "calls of tools in a message"),
        (chat(Message.user((Text("a", extra={"b": 1}),))), "a part of a message"),
        (chat(tools=(Tool("t"),)), "`tools`"),
        (GenerateRequest("public", "go on", suffix="end"), "`suffix`"),
        (EmbedRequest("public", ("a",), dimensions=3), "`dimensions`"),
    ],
)
def test_whatever_else_is_said_is_named(request_: Request, what: str) -> None:
    assert what in str(said_besides(request_, ()))


def test_members_of_a_tool_are_named_where_its_tools_have_a_place() -> None:
    assert "of a tool" in str(said_besides(chat(tools=(Tool("t", extra={"a": 1}),)), ("tools",)))
