"""Our values as the agent's messages, and back. Pure: no channel, no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pointsman.plugin import (
    ChatRequest,
    ChatResponse,
    Finished,
    FinishReason,
    GenerateRequest,
    StreamEvent,
    TextDelta,
    Usage,
    UsageUpdate,
)
from pointsman_aiagent import aiagent_pb2 as pb

_REASONS: Mapping[str, FinishReason] = {"stop": "stop", "length": "length", "filtered": "content_filter"}
OPTIONS = ("temperature", "top_p", "max_tokens", "seed", "stop")
"""Those that an agent has; they have the same names there."""


def chat_message(request: ChatRequest, model: str) -> pb.ChatRequest:
    """A conversation that holds nothing but text."""
    turns = [pb.Turn(role=each.role, text=each.text) for each in request.messages]
    return pb.ChatRequest(model=model, turns=turns, options=_options(request))


def generate_message(request: GenerateRequest, model: str) -> pb.GenerateTextRequest:
    """A prompt to go on after."""
    return pb.GenerateTextRequest(model=model, prompt=request.prompt, options=_options(request))


def response(reply: pb.Reply, upstream_request_id: str) -> ChatResponse:
    """A whole answer."""
    return ChatResponse(
        text=reply.text,
        finish_reason=_REASONS.get(reply.finish_reason, "other"),
        native_finish_reason=reply.finish_reason,
        usage=_usage(reply.usage),
        model=reply.model,
        upstream_request_id=upstream_request_id,
    )


def events(piece: pb.Piece) -> Sequence[StreamEvent]:
    """Those of one piece; none for one that is empty, which is a sign of life."""
    found: list[StreamEvent] = [TextDelta(piece.text)] if piece.text else []
    if piece.HasField("usage"):
        found.append(UsageUpdate(_usage(piece.usage)))
    if piece.finish_reason:
        found.append(Finished(_REASONS.get(piece.finish_reason, "other"), piece.finish_reason))
    return found


def _options(request: ChatRequest | GenerateRequest) -> pb.Options:
    options = pb.Options(stop=request.stop)
    for name in OPTIONS:
        if name != "stop" and (value := getattr(request, name)) is not None:
            setattr(options, name, value)
    return options


def _usage(usage: pb.Usage) -> Usage:
    return Usage(prompt=usage.prompt_tokens, completion=usage.completion_tokens)
