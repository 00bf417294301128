"""Bodies that callers wrote for this API: where they go, and how their answers are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from pointsman.plugin import (
    Answer,
    Call,
    ChatRequest,
    Decoder,
    EmbedRequest,
    Framer,
    Original,
    Relaying,
    Request,
    SseFramer,
    StreamEvent,
    Unsupported,
    json_or_none,
    original_of,
)
from pointsman_openai import wire
from pointsman_openai.decode import ChatDecoder
from pointsman_openai.responses import ResponsesDecoder
from pointsman_openai.responses_body import responses_body
from pointsman_openai.unasked_usage import ask_for_usage
from pointsman_openai.values import as_object
from pointsman_openai.wire import Body, Quirks

if TYPE_CHECKING:
    from pointsman_openai.provider import OpenAIProvider

_PASSED_ON = ("openai-beta",)
"""Headers of callers that mean something to the API."""
_SYNONYMS = (("max_completion_tokens", "max_tokens"), ("repeat_penalty", "repetition_penalty"))
"""As whoever reads the body has them: the first of each holds."""
_END = b"data: [DONE]\n\n"


def of(provider: OpenAIProvider, request: Request, call: Call) -> Relaying:
    """How a request of one of the provider's wires goes on. Raises Unsupported for any other."""
    original, quirks = original_of(call), provider.quirks_of(call)
    headers = {name: original.headers[name] for name in _PASSED_ON if name in original.headers}
    match original.wire:
        case "openai.chat" if isinstance(request, ChatRequest):
            wire.refuse(request, quirks)
            return Relaying(
                path=provider.prefix + "/chat/completions",
                write=lambda asked: wire.chat_body(asked, call.model, quirks, stream=False),
                configured=None
                if provider.writes_as_we_do
                else lambda asked: _object(provider.chat_body(asked, call, stream=False)),
                read=provider.chat_answer,
                events=partial(_events, provider, ChatDecoder),
                headers=headers,
                synonyms=_SYNONYMS,
                ends=_END,
                asks=ask_for_usage if quirks.include_usage else None,
            )
        case "openai.completions":
            return Relaying(
                path=provider.prefix + "/completions",
                write=lambda asked: wire.completion_body(asked, call.model, quirks),
                read=provider.completion,
                events=partial(_events, provider, CompletionDecoder),
                headers=headers,
                ends=_END,
            )
        case "openai.embeddings" if isinstance(request, EmbedRequest):
            return Relaying(
                path=provider.prefix + "/embeddings",
                write=lambda asked: wire.embed_body(asked, call.model, quirks),
                read=partial(provider.vectors, request),
                headers=headers,
            )
        case "openai.responses" | "openai.responses.compact" if isinstance(request, ChatRequest):
            path = "/responses/compact" if original.wire.endswith("compact") else "/responses"
            return Relaying(
                path=provider.prefix + path,
                write=_responses_writer(original, quirks),
                read=provider.response,
                events=_responses_events,
                headers=headers,
                holder="response",
                opaque=(b'"encrypted_content"',),
            )
    raise Unsupported(f"provider {provider.name!r} does not speak the wire {original.wire!r}")


class CompletionDecoder(ChatDecoder):
    """Chunks of POST /completions as events."""

    __slots__ = ()

    def _choice(self, choice: Mapping[str, Any], events: list[StreamEvent]) -> None:
        said = {name: value for name, value in choice.items() if name != "text"}
        super()._choice({**said, "delta": {"content": choice.get("text")}}, events)


def _events(provider: OpenAIProvider, decoder: type[ChatDecoder], answer: Answer) -> tuple[Framer, Decoder]:
    return SseFramer(), decoder(request_id=answer.request_id, address=provider.address())


def _responses_events(answer: Answer) -> tuple[Framer, Decoder]:
    return SseFramer(), ResponsesDecoder(request_id=answer.request_id)


def _responses_writer(original: Original, quirks: Quirks) -> Callable[[ChatRequest], Body]:
    given = as_object(json_or_none(original.body))
    asked_first = getattr(original.request, "messages", None) or ()
    # A system message that is first where there was none has been added: not to `input`, which may be a text.
    instructions = bool(given.get("instructions")) or not (asked_first and asked_first[0].role == "system")
    plain = isinstance(given.get("input"), str)
    unwritten = [name for name in original.needs_wire if name.startswith("input")]

    def write(asked: ChatRequest) -> Body:
        # Messages are only compared where a guard has changed them.
        if unwritten and asked.messages is getattr(original.request, "messages", None):
            raise quirks.cannot(f"other messages beside {', '.join(unwritten)}", fields=("messages",))
        return responses_body(asked, quirks, instructions=instructions, plain=plain)

    return write


def _object(body: Any) -> Mapping[str, Any]:
    if not isinstance(body, Mapping):
        raise Unsupported(f"a body that is a {type(body).__name__} cannot be compared with another")
    return body
