"""Bodies that callers wrote for this API: where they go, and how their answers are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from msgspec.structs import replace

from pointsman.plugin import (
    Answer,
    Call,
    ChatRequest,
    ChatResponse,
    EmbedRequest,
    EmbedResponse,
    GenerateRequest,
    Original,
    Relaying,
    Request,
    Unsupported,
    json_or_none,
    original_of,
)
from pointsman_ollama import decode, wire

R = TypeVar("R", ChatResponse, EmbedResponse)

PROMPTS = "ollama.generate"
"""The wire of prompts that are the one turn of a chat, which other upstreams can be asked as well."""
_NOTHING = wire.Defaults({}, {})


def of(
    request: Request,
    call: Call,
    defaults: wire.Defaults,
    *,
    seed: str,
    vectors: Callable[[EmbedRequest, Answer, bytes], EmbedResponse],
) -> Relaying:
    """How a request goes on.

    Args:
        defaults: what the configuration says where callers do not.
        vectors: reads the answer of /api/embed.
    """
    says_something = defaults.fields or defaults.options

    def decoder(*, prompted: bool) -> decode.StreamDecoder:
        return decode.StreamDecoder(seed, prompted=prompted)

    def streamed(path: str, body: Callable[..., Mapping[str, Any]], *, prompted: bool) -> Relaying:
        return Relaying(
            path=path,
            write=lambda asked: body(asked, call.model, _NOTHING, stream=True),
            configured=(lambda asked: body(asked, call.model, defaults, stream=True))
            if says_something
            else None,
            read=lambda answer, content: _read(answer, content, decoder(prompted=prompted)),
            events=lambda _answer: (decode.Lines(), decoder(prompted=prompted)),
            lines=True,
        )

    match request:
        case ChatRequest() if original_of(call).wire == PROMPTS:
            return streamed("/api/generate", wire.prompt_body, prompted=True)
        case ChatRequest():
            return streamed("/api/chat", wire.chat_body, prompted=bool(request.messages))
        case GenerateRequest():
            _expect_system_is_read(request, original_of(call))
            return Relaying(
                path="/api/generate",
                write=lambda asked: wire.generate_body(asked, call.model, _NOTHING, stream=True),
                configured=(lambda asked: wire.generate_body(asked, call.model, defaults, stream=True))
                if says_something
                else None,
                read=lambda answer, content: _read(answer, content, decoder(prompted=bool(request.prompt))),
            )
        case EmbedRequest():
            return Relaying(
                path="/api/embed",
                write=lambda asked: wire.embed_body(asked, call.model, _NOTHING),
                configured=(lambda asked: wire.embed_body(asked, call.model, defaults))
                if says_something
                else None,
                read=lambda answer, content: vectors(request, answer, content),
            )


def _expect_system_is_read(request: GenerateRequest, original: Original) -> None:
    """Raise Unsupported where a system prompt was changed that the body has its model not see."""
    if request.system == getattr(original.request, "system", None):
        return
    given = json_or_none(original.body) or {}
    template = given.get("template") or ""
    if given.get("raw") or (template and ".System" not in template):
        said = "raw" if given.get("raw") else "template"
        raise Unsupported(f"`{said}`: this model has text around its system prompt, which that leaves out")


def _read(answer: Answer, content: bytes, decoder: decode.StreamDecoder) -> ChatResponse:
    return replace(decode.chat_response(content, decoder), upstream_request_id=answer.request_id)
