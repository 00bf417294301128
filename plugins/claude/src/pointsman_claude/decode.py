"""Claude's answers as our values: whole messages, streams, and lists of models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pointsman import jsonio
from pointsman.errors import BadResponse, Truncated
from pointsman.framing import SseEvent
from pointsman.types import (
    ChatResponse,
    Finished,
    FinishReason,
    ModelInfo,
    ReasoningBlock,
    ReasoningDelta,
    RefusalDelta,
    Started,
    StreamEvent,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
    UsageUpdate,
)
from pointsman_claude.failures import failure_in_stream

# What is not here (a reason of the future) is `stop`; the upstream's own word is always kept beside it.
_FINISH: Mapping[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_MALFORMED = (KeyError, TypeError, AttributeError, ValueError, RecursionError)


# ── whole answers ────────────────────────────────────────────────────────────────────────────────────


def chat_response(body: Any, *, request_id: str = "") -> ChatResponse:
    """A `message` object as a response, which keeps it as `raw`. Raises BadResponse when it is none."""
    if isinstance(body, Mapping) and body.get("type") == "error":
        raise failure_in_stream(body, request_id=request_id)
    try:
        return _chat_response(body, request_id)
    except _MALFORMED as error:
        raise BadResponse(
            f"the upstream's answer is not a message: {type(error).__name__} {error}",
            upstream_request_id=request_id,
        ) from error


def _chat_response(body: Any, request_id: str) -> ChatResponse:
    blocks = body["content"]
    calls = [block for block in blocks if block["type"] == "tool_use"]
    native = _text_or_none(body.get("stop_reason"))
    return ChatResponse(
        text="".join(block["text"] for block in blocks if block["type"] == "text"),
        tool_calls=tuple(
            ToolCall(_text(block["id"]), _text(block["name"]), jsonio.dumps(block["input"]).decode(), index)
            for index, block in enumerate(calls)
        ),
        finish_reason=finish_reason(native, called=bool(calls)),
        native_finish_reason=native,
        usage=usage(body.get("usage") or {}),
        model=_text(body.get("model") or ""),
        id=_text(body.get("id") or ""),
        reasoning="".join(block["thinking"] for block in blocks if block["type"] == "thinking") or None,
        reasoning_blocks=tuple(block for block in blocks if _is_reasoning(block)),
        refusal=_refusal(body),
        upstream_request_id=request_id,
        raw=body,
    )


def finish_reason(native: str | None, *, called: bool) -> FinishReason:
    """Our word for `native`; without one (foreign servers) tool calls decide."""
    if native is None:
        return "tool_calls" if called else "stop"
    return _FINISH.get(native, "stop")


def usage(raw: Mapping[str, Any]) -> Usage:
    """The counters of a `usage` object. Cached tokens are not in `input_tokens`; in ours they are."""
    read, written = _count(raw.get("cache_read_input_tokens")), _count(raw.get("cache_creation_input_tokens"))
    prompt = _count(raw.get("input_tokens"))
    if prompt is not None:
        prompt += (read or 0) + (written or 0)
    return Usage(
        prompt=prompt,
        completion=_count(raw.get("output_tokens")),
        cached=read,
        cache_write=written,
        reasoning=_count((raw.get("output_tokens_details") or {}).get("thinking_tokens")),
    )


def _count(value: Any) -> int | None:
    """`value` when it can be a number of tokens, else None: unknown."""
    return value if type(value) is int and 0 <= value < 1 << 62 else None


def _text(value: Any) -> str:
    """`value` when it is text. Raises TypeError: what reads the events relies on it."""
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {type(value).__name__}")
    return value


def _text_or_none(value: Any) -> str | None:
    return None if value is None else _text(value)


def _is_reasoning(block: Mapping[str, Any]) -> bool:
    """Whether `block` is reasoning that can be sent back; without its signature it cannot."""
    return block["type"] == "redacted_thinking" or (
        block["type"] == "thinking" and bool(block.get("signature"))
    )


def _refusal(message: Mapping[str, Any]) -> str | None:
    details = message.get("stop_details") or {}
    return _text_or_none(details.get("explanation")) if details.get("type") == "refusal" else None


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
    except _MALFORMED as error:
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


# ── streams ──────────────────────────────────────────────────────────────────────────────────────────


class _Block:
    """One content block while it is open."""

    __slots__ = ("call", "pieces", "raw", "signature")

    def __init__(self, raw: dict[str, Any], call: int) -> None:
        self.raw = raw
        self.call = call
        self.pieces: list[str] = []
        self.signature = raw.get("signature") or ""


class MessagesDecoder:
    """The events of one streamed message, one named server-sent event at a time.

    Blocks, events and deltas of an unknown type are passed over: the upstream reserves the right to add
    some. Only `message_stop` makes an answer complete.
    """

    __slots__ = ("_blocks", "_calls", "_committed", "_finished", "_request_id", "_usage", "done")

    def __init__(self, *, request_id: str = "") -> None:
        self.done = False
        self._blocks: dict[int, _Block] = {}
        self._calls = 0
        self._usage: dict[str, Any] = {}
        self._finished = False
        self._committed = False
        self._request_id = request_id

    def decode(self, frame: SseEvent, /) -> Sequence[StreamEvent]:
        if frame.event and frame.event not in _HANDLERS:
            return ()
        try:
            data = self._json(frame.data)
            handle = _HANDLERS.get(data["type"])
            events = handle(self, data) if handle is not None else ()
        except _MALFORMED as error:
            raise BadResponse(
                f"the upstream sent a malformed event {frame.event!r}: {type(error).__name__} {error}",
                upstream_request_id=self._request_id,
            ) from error
        if not self._committed:
            self._committed = any(event.content for event in events)
        return events

    def close(self) -> Sequence[StreamEvent]:
        if not self.done:
            raise Truncated(
                "the upstream's stream ended without message_stop", upstream_request_id=self._request_id
            )
        return ()

    def _json(self, data: bytes) -> Any:
        try:
            return jsonio.loads(data)
        except ValueError:
            # Before the first content everything can be tried again; after it, a broken character is
            # better than a broken answer.
            if not self._committed:
                raise
            return jsonio.loads(data.decode("utf-8", "replace"))

    def _message_start(self, data: dict[str, Any]) -> list[StreamEvent]:
        message = data["message"]
        started = Started(_text(message.get("id") or ""), _text(message.get("model") or ""))
        return [started, *self._counted(message)]

    def _block_start(self, data: dict[str, Any]) -> list[StreamEvent]:
        raw = data["content_block"]
        block = self._blocks[data["index"]] = _Block(raw, self._calls)
        match raw["type"]:
            case "text" if raw.get("text"):
                return [TextDelta(_text(raw["text"]))]
            case "thinking" if raw.get("thinking"):
                block.pieces.append(_text(raw["thinking"]))
                return [ReasoningDelta(raw["thinking"])]
            case "tool_use":
                self._calls += 1
                return [ToolCallDelta(block.call, _text(raw["id"]), _text(raw["name"]))]
            case _:
                return []

    def _block_delta(self, data: dict[str, Any]) -> list[StreamEvent]:
        delta = data["delta"]
        block = self._blocks[data["index"]]
        match delta["type"]:
            case "text_delta" if delta["text"]:
                return [TextDelta(_text(delta["text"]))]
            case "thinking_delta" if delta["thinking"]:
                block.pieces.append(_text(delta["thinking"]))
                return [ReasoningDelta(delta["thinking"])]
            case "signature_delta":
                block.signature = delta["signature"]
            case "input_json_delta" if block.raw["type"] == "tool_use" and delta["partial_json"]:
                block.pieces.append(_text(delta["partial_json"]))
                return [ToolCallDelta(block.call, arguments=delta["partial_json"])]
        return []

    def _block_stop(self, data: dict[str, Any]) -> list[StreamEvent]:
        block = self._blocks.pop(data["index"])
        raw = block.raw
        match raw["type"]:
            case "tool_use" if not block.pieces:
                return [ToolCallDelta(block.call, arguments=jsonio.dumps(raw.get("input") or {}).decode())]
            case "thinking" if block.signature:
                thinking = "".join(block.pieces)
                return [ReasoningBlock({**raw, "thinking": thinking, "signature": block.signature})]
            case "redacted_thinking":
                return [ReasoningBlock(raw)]
            case _:
                return []

    def _message_delta(self, data: dict[str, Any]) -> list[StreamEvent]:
        events = self._counted(data)
        delta = data["delta"]
        if refusal := _refusal(delta):
            events.append(RefusalDelta(refusal))
        if (native := _text_or_none(delta.get("stop_reason"))) is not None and not self._finished:
            self._finished = True
            events.append(Finished(finish_reason(native, called=self._calls > 0), native))
        return events

    def _message_stop(self, _data: dict[str, Any]) -> list[StreamEvent]:
        events = [event for index in sorted(self._blocks) for event in self._block_stop({"index": index})]
        if not self._finished:
            events.append(Finished(finish_reason(None, called=self._calls > 0)))
        self.done = True
        return events

    def _error(self, data: dict[str, Any]) -> list[StreamEvent]:
        raise failure_in_stream(data, request_id=self._request_id)

    def _life(self, _data: dict[str, Any]) -> list[StreamEvent]:
        return []

    def _counted(self, holder: dict[str, Any]) -> list[StreamEvent]:
        """The counters so far. They are cumulative, so later ones overwrite; nulls say nothing."""
        counters = holder.get("usage")
        if not counters:
            return []
        self._usage.update((name, value) for name, value in counters.items() if value is not None)
        return [UsageUpdate(usage(self._usage))]


_HANDLERS = {
    "message_start": MessagesDecoder._message_start,
    "content_block_start": MessagesDecoder._block_start,
    "content_block_delta": MessagesDecoder._block_delta,
    "content_block_stop": MessagesDecoder._block_stop,
    "message_delta": MessagesDecoder._message_delta,
    "message_stop": MessagesDecoder._message_stop,
    "error": MessagesDecoder._error,
    "ping": MessagesDecoder._life,
}
