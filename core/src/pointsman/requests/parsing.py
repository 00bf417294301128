"""What callers hand in, made into requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

from msgspec.structs import replace

from pointsman.errors import InvalidRequest
from pointsman.requests.call_options import shown
from pointsman.requests.checks import expect_several
from pointsman.requests.messages import Messages, as_messages
from pointsman.requests.options import (
    ALL_OPTIONS,
    CHAT_OPTIONS,
    EMBED_OPTIONS,
    GENERATE_OPTIONS,
    read_options,
)
from pointsman.requests.tools import expect_named_tool
from pointsman.types import ChatRequest, EmbedRequest, GenerateRequest


def chat_request(model: str, messages: Messages, options: Mapping[str, Any]) -> ChatRequest:
    """A ChatRequest of what `Router.chat` was given. Raises InvalidRequest that names what is wrong."""
    _expect_name(model)
    read = read_options(options, CHAT_OPTIONS)
    if "tool_choice" in read:
        expect_named_tool(read)
    return ChatRequest(model, as_messages(messages), **read)


# All of them by one call of C, so that a request without options is known by one comparison.
_options_in = attrgetter(*CHAT_OPTIONS)
_NO_OPTIONS = _options_in(ChatRequest("", ()))
_NOT_SAID: tuple[object, ...] = (None, (), {})


def checked_request(request: ChatRequest) -> ChatRequest:
    """A request that its caller made, read as `Router.chat` reads what it is given. Raises InvalidRequest."""
    _expect_name(request.model)
    changed: dict[str, Any] = {}
    options = _options_in(request)
    if options != _NO_OPTIONS:
        given = {
            name: value for name, value in zip(CHAT_OPTIONS, options, strict=True) if value not in _NOT_SAID
        }
        read = read_options(given, CHAT_OPTIONS)
        expect_named_tool(read)
        changed = {name: value for name, value in read.items() if value is not given[name]}
    messages = as_messages(request.messages)
    if messages is not request.messages:
        changed["messages"] = messages
    return replace(request, **changed) if changed else request


def generate_request(model: str, prompt: str, options: Mapping[str, Any]) -> GenerateRequest:
    """A GenerateRequest of what `Router.generate` was given."""
    _expect_name(model)
    if not isinstance(prompt, str):
        raise InvalidRequest(f"prompt is a {type(prompt).__name__}; expected text")
    return GenerateRequest(model, prompt, **read_options(options, GENERATE_OPTIONS))


def embed_request(model: str, texts: str | Sequence[str], options: Mapping[str, Any]) -> EmbedRequest:
    """An EmbedRequest of what `Router.embed` was given; a single string is a list of one."""
    _expect_name(model)
    given = (texts,) if isinstance(texts, str) else tuple(expect_several(texts, "texts"))
    if not given or not all(isinstance(each, str) for each in given):
        raise InvalidRequest("texts must be a string or a list of at least one string")
    return EmbedRequest(model, given, **read_options(options, EMBED_OPTIONS))


def default_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options that a configuration gives as defaults, for whichever kind of request they fit.

    Raises: InvalidRequest for one that no kind of request has, or whose value cannot be read.
    """
    return read_options(options, ALL_OPTIONS)


def _expect_name(model: Any) -> None:
    if not isinstance(model, str):
        raise InvalidRequest(f"model is {shown(model)}; expected the name of one")
