"""Claude's answers in one piece as our values: messages, token counts, and lists of models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pointsman.plugin import (
    NOTHING,
    BadResponse,
    ChatResponse,
    FinishReason,
    JsonObject,
    ModelInfo,
    ToolCall,
    Usage,
    arguments_text,
    holds_complaint,
    jsonio,
    well_formed,
)
from pointsman_claude import shapes
from pointsman_claude.errors import failed, failure_in_stream

MALFORMED = (KeyError, TypeError, AttributeError, ValueError, RecursionError)
"""What reading a value of another shape than expected raises."""

_FINISH: Mapping[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "compaction": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
    "tool_use": "tool_calls",
    # words of servers that translate from another wire
    "stop": "stop",
    "length": "length",
    "content_filter": "content_filter",
    "tool_calls": "tool_calls",
    "error": "error",
}
_ORDER = {"thinking": 0, "redacted_thinking": 0, "text": 1, "tool_use": 2}
"""How a message of ours is written: its blocks stand in this order."""
_WRITTEN = {"text": {"type", "text"}, "tool_use": {"type", "id", "name", "input"}}
"""And these members its blocks have; those of reasoning are kept as they came."""


# ── whole answers ────────────────────────────────────────────────────────────────────────────────────


def usual_response(body: bytes, *, request_id: str = "") -> ChatResponse | None:
    """The response of a whole body of the usual shape; None of any other, which `chat_response` reads.

    It is the one that `chat_response` would make of it, in 4 us instead of 47.
    """
    try:
        message = shapes.message(body)
    except shapes.UNUSUAL:
        return None
    native, used = message.stop_reason, message.usage
    finish = finish_reason(native, called=False)
    if finish == "error":
        return None
    details = used.output_tokens_details
    return ChatResponse(
        text="".join([block.text for block in message.content]),
        finish_reason=finish,
        native_finish_reason=native,
        usage=_usage(
            used.input_tokens,
            used.output_tokens,
            read=used.cache_read_input_tokens,
            written=used.cache_creation_input_tokens,
            reasoning=None if details is None else details.thinking_tokens,
            hour=None if used.cache_creation is None else used.cache_creation.ephemeral_1h_input_tokens,
            tier=used.service_tier,
        ),
        model=message.model,
        id=message.id,
        upstream_request_id=request_id,
        raw=jsonio.loads(body),
    )


def chat_response(body: Any, *, request_id: str = "") -> ChatResponse:
    """A `message` object as a response, which keeps it as `raw`.

    Raises: the error that the body holds; BadResponse when it is no message.
    """
    try:
        if holds_complaint(body):
            raise failure_in_stream(body, request_id=request_id)
        return _chat_response(body, request_id)
    except MALFORMED as error:
        raise BadResponse(
            f"the upstream's answer is not a message: {type(error).__name__} {error}",
            upstream_request_id=request_id,
        ) from error


def _chat_response(body: Any, request_id: str) -> ChatResponse:
    blocks = body["content"]
    calls = [block for block in blocks if block["type"] == "tool_use"]
    native = text_or_none(body.get("stop_reason"))
    finish = finish_reason(native, called=bool(calls))
    if finish == "error":
        raise failed(native, request_id=request_id)
    return ChatResponse(
        text=well_formed("".join(block["text"] for block in blocks if block["type"] == "text")),
        tool_calls=tuple(
            ToolCall(
                name_of(block["id"], "id"),
                name_of(block["name"], "name"),
                arguments_text(block["input"]) or "{}",
                index,
            )
            for index, block in enumerate(calls)
        ),
        finish_reason=finish,
        native_finish_reason=native,
        usage=usage_of(body.get("usage")),
        model=label_of(body, "model"),
        id=label_of(body, "id"),
        reasoning=well_formed("".join(block["thinking"] for block in blocks if block["type"] == "thinking"))
        or None,
        reasoning_blocks=tuple(block for block in blocks if _is_reasoning(block)),
        refusal=refusal_of(body),
        upstream_request_id=request_id,
        raw=body,
        extra=extra_of(blocks),
    )


def finish_reason(native: str | None, *, called: bool) -> FinishReason:
    """Our word for `native`. Tool calls count for more than a word that tells of neither cut nor refusal."""
    word = (native or "").lower()
    reason = "stop" if word in ("", "null") else _FINISH.get(word, "other")
    if called:
        return "tool_calls" if reason in ("stop", "other") else reason
    return "stop" if reason == "tool_calls" else reason


def usage_of(raw: Any) -> Usage:
    """The counters of a `usage` object. Cached tokens are not in `input_tokens`; in ours they are.

    What is none of the upstream's is unknown: it must not cost an answer.
    """
    if not isinstance(raw, dict):
        return Usage()
    details, kept = raw.get("output_tokens_details"), raw.get("cache_creation")
    return _usage(
        _count(raw.get("input_tokens")),
        _count(raw.get("output_tokens")),
        read=_count(raw.get("cache_read_input_tokens")),
        written=_count(raw.get("cache_creation_input_tokens")),
        reasoning=_count(details.get("thinking_tokens")) if isinstance(details, dict) else None,
        hour=_count(kept.get("ephemeral_1h_input_tokens")) if isinstance(kept, dict) else None,
        tier=raw.get("service_tier"),
    )


def _usage(
    prompt: int | None,
    completion: int | None,
    *,
    read: int | None,
    written: int | None,
    reasoning: int | None,
    hour: int | None,
    tier: object,
) -> Usage:
    if prompt is not None:
        prompt += (read or 0) + (written or 0)
    if completion is not None and reasoning is not None and reasoning > completion:
        completion += reasoning  # counted beside each other, which only other servers do
    if hour or (tier is not None and tier != "standard"):
        served = tier if isinstance(tier, str) and tier not in _ORDINARY else None
        return Usage(prompt, completion, read, written, reasoning, hour or None, served)
    return Usage(prompt, completion, cached=read, cache_write=written, reasoning=reasoning)


_ORDINARY = ("", "standard", "auto")


def extra_of(blocks: Sequence[Any]) -> JsonObject:
    """What a message must carry in `extra` so that it can be sent back as it was: its `content`, if need be.

    That is when it holds blocks that we have no type for, such as those of the upstream's own tools, when its
    blocks stand in another order than ours would, or when they say more than ours, such as citations.
    """
    places = [_ORDER.get(block["type"]) for block in blocks]
    known = [place for place in places if place is not None]
    if len(known) == len(places) and known == sorted(known) and not any(map(_says_more, blocks)):
        return NOTHING
    return {"content": list(blocks)}


def _says_more(block: Mapping[str, Any]) -> bool:
    written = _WRITTEN.get(block["type"])
    return written is not None and any(value for name, value in block.items() if name not in written)


def _count(value: Any) -> int | None:
    """`value` when it can be a number of tokens, else None: unknown."""
    return value if type(value) is int and 0 <= value < 1 << 62 else None


def label_of(holder: Mapping[str, Any], name: str) -> str:
    """The id or model of a message, "" where it is no text: nothing depends on it."""
    value = holder.get(name)
    return value if isinstance(value, str) else ""


def text_of(value: Any) -> str:
    """`value` when it is text. Raises TypeError: what reads the events relies on it."""
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {type(value).__name__}")
    return value


def text_or_none(value: Any) -> str | None:
    return None if value is None else text_of(value)


def name_of(value: Any, what: str) -> str:
    """`value` when it can be the `what` of a tool call. Raises TypeError and ValueError."""
    if not text_of(value).strip():
        raise ValueError(f"a tool call without {what}")
    return str(value)


def _is_reasoning(block: Mapping[str, Any]) -> bool:
    """Whether `block` is reasoning that can be sent back; without its signature it cannot."""
    return block["type"] == "redacted_thinking" or (
        block["type"] == "thinking" and bool(block.get("signature"))
    )


def refusal_of(message: Mapping[str, Any]) -> str | None:
    details = message.get("stop_details") or {}
    return text_or_none(details.get("explanation")) if details.get("type") == "refusal" else None


def input_tokens(body: Any) -> int:
    """The number in an answer of `count_tokens`. Raises BadResponse when there is none."""
    if isinstance(body, Mapping) and isinstance(count := body.get("input_tokens"), int):
        return count
    raise BadResponse("the upstream's answer has no input_tokens")


def model_page(body: Any, provider: str) -> tuple[list[ModelInfo], str | None]:
    """The models of one page, and the id after which the next one begins; None when it is the last."""
    try:
        models = [_model(each, provider) for each in body["data"]]
        return models, body["last_id"] if body.get("has_more") else None
    except MALFORMED as error:
        raise BadResponse(f"the upstream's list of models is malformed: {error}") from error


def _model(raw: Mapping[str, Any], provider: str) -> ModelInfo:
    created = raw.get("created_at")
    return ModelInfo(
        raw["id"],
        provider,
        created=int(datetime.fromisoformat(created).timestamp()) if created else None,
        context_window=raw.get("max_input_tokens"),
        capabilities=tuple(
            name for name, value in (raw.get("capabilities") or {}).items() if _supported(value)
        ),
        raw=raw,
    )


def _supported(value: Any) -> bool:
    return bool(value.get("supported")) if isinstance(value, Mapping) else value is True
