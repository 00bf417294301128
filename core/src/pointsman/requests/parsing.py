"""What callers hand in, made into requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import compress
from operator import attrgetter, is_, ne
from typing import Any

from pointsman.errors import InvalidRequest
from pointsman.requests.checks import as_texts, expect
from pointsman.requests.messages import Messages, as_messages
from pointsman.requests.options import OPTIONS_OF, expect_named_tool, read_options
from pointsman.text_messages import TextMessages
from pointsman.types import ChatRequest, EmbedRequest, GenerateRequest, Request

_NAME = "the name of one"
_CHAT = OPTIONS_OF[ChatRequest]


def chat_request(model: str | ChatRequest, messages: Messages, options: Mapping[str, Any]) -> ChatRequest:
    """A ChatRequest of what `Router.chat` was given. Raises InvalidRequest that names what is wrong."""
    if isinstance(model, ChatRequest):
        if options or messages != ():
            surplus = ", ".join(options) or "messages"
            raise InvalidRequest(f"a complete ChatRequest takes no further options: {surplus}")
        return checked_request(model)
    expect(model, "model", str, _NAME)
    read = read_options(options, _CHAT)
    if "tool_choice" in read:
        expect_named_tool(read)
    return ChatRequest(model, as_messages(messages), **read)


# All of them by one call of C, so that a request without options is known by one comparison.
_options_in = attrgetter(*_CHAT)
_NO_OPTIONS = _options_in(ChatRequest("", ()))


def checked_request(request: ChatRequest) -> ChatRequest:
    """A request that its caller made, read as `Router.chat` reads what it is given. Raises InvalidRequest."""
    expect(request.model, "model", str, _NAME)
    options, said = _options_in(request), {}
    if options != _NO_OPTIONS:
        # The few that say something are picked by C: a comprehension would ask each of the others, too.
        picked = compress(zip(_CHAT, options, strict=True), map(ne, options, _NO_OPTIONS))
        said = {name: value for name, value in picked if value is not None}
    elif type(request.messages) is TextMessages:  # it was read before
        return request
    read, messages = read_options(said, _CHAT), as_messages(request.messages)
    if "tool_choice" in read:
        expect_named_tool(read)
    if messages is request.messages and all(map(is_, read.values(), said.values())):
        return request  # nothing of it had to be read otherwise
    return ChatRequest(request.model, messages, **read)


def checked(request: Request) -> Request:
    """As `checked_request`, of any kind."""
    match request:
        case ChatRequest():
            return checked_request(request)
        case GenerateRequest():
            return generate_request(request, "", {})
        case _:
            return embed_request(request, (), {})


def _expect_alone(
    request: GenerateRequest | EmbedRequest, given: str | Sequence[str], options: Mapping[str, Any]
) -> None:
    if options or len(given):
        surplus = ", ".join(options) or "what it is about"
        raise InvalidRequest(f"a complete {type(request).__name__} takes no further options: {surplus}")


def _said(request: GenerateRequest | EmbedRequest, blank: GenerateRequest | EmbedRequest) -> dict[str, Any]:
    options = {name: getattr(request, name) for name in OPTIONS_OF[type(blank)]}
    return {name: each for name, each in options.items() if each != getattr(blank, name)}


def generate_request(
    model: str | GenerateRequest, prompt: str, options: Mapping[str, Any]
) -> GenerateRequest:
    """A GenerateRequest of what `Router.generate` was given."""
    if isinstance(model, GenerateRequest):
        _expect_alone(model, prompt, options)
        said = _said(model, GenerateRequest("", ""))
        return generate_request(model.model, model.prompt, said)
    expect(model, "model", str, _NAME)
    expect(prompt, "prompt", str, "text")
    return GenerateRequest(model, prompt, **read_options(options, OPTIONS_OF[GenerateRequest]))


def embed_request(
    model: str | EmbedRequest, texts: str | Sequence[str], options: Mapping[str, Any]
) -> EmbedRequest:
    """An EmbedRequest of what `Router.embed` was given; a single string is a list of one."""
    if isinstance(model, EmbedRequest):
        _expect_alone(model, texts, options)
        return embed_request(model.model, model.texts, _said(model, EmbedRequest("", ())))
    expect(model, "model", str, _NAME)
    if not (given := as_texts(texts, "texts")):
        raise InvalidRequest("texts is empty; give at least one")
    return EmbedRequest(model, given, **read_options(options, OPTIONS_OF[EmbedRequest]))
