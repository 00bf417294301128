"""Claude's streamed messages as our events, also where a server between us numbers them its own way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pointsman.plugin import (
    Assembly,
    BadResponse,
    ChatResponse,
    Finished,
    RawDelta,
    ReasoningBlock,
    ReasoningDelta,
    RefusalDelta,
    SseEvent,
    Started,
    StreamEvent,
    SurrogateHalves,
    TextDelta,
    ToolCallDelta,
    Truncated,
    UsageUpdate,
    arguments_text,
    holds_complaint,
    is_complaint,
    jsonio,
    with_exact_numbers,
)
from pointsman_claude import shapes
from pointsman_claude.decode import (
    MALFORMED,
    chat_response,
    extra_of,
    finish_reason,
    label_of,
    name_of,
    refusal_of,
    text_of,
    text_or_none,
    usage_of,
    usual_response,
)
from pointsman_claude.errors import failed, failure_in_stream
from pointsman_claude.frames import Frames

_TAKEN_BY = {
    "text_delta": ("text",),
    "citations_delta": ("text",),
    "thinking_delta": ("thinking",),
    "signature_delta": ("thinking",),
    "input_json_delta": ("tool_use", "server_tool_use", "mcp_tool_use"),
}
"""Which blocks a delta can belong to; one of an unknown type is passed over."""
_IMPLIED = {
    "text": {"type": "text", "text": ""},
    "thinking": {"type": "thinking", "thinking": "", "signature": ""},
}
"""Blocks that need no start: nothing of it would be missing."""


class _Block:
    """One content block: as it began, and what its deltas added."""

    __slots__ = ("call", "citations", "is_open", "pieces", "raw", "signature")

    def __init__(self, raw: Mapping[str, Any], call: int) -> None:
        self.raw = raw
        self.call = call
        self.is_open = True
        self.pieces: list[str] = []
        self.citations: list[Any] = []
        self.signature = raw.get("signature") or ""

    @property
    def whole(self) -> dict[str, Any]:
        """As it would stand in a whole message."""
        raw, text = dict(self.raw), "".join(self.pieces)
        match raw["type"]:
            case "text":
                raw["text"] = text
                if self.citations:
                    raw["citations"] = [*(raw.get("citations") or ()), *self.citations]
            case "thinking":
                raw |= {"thinking": text, "signature": self.signature}
            case _ if text:
                raw["input"] = _value(text)
        return raw


class MessagesDecoder:
    """The events of one streamed message, one server-sent event at a time; also a whole message in one.

    Blocks, events and deltas of an unknown type are passed over: the upstream reserves the right to add
    some. Only `message_stop` makes an answer complete.

    A delta belongs to the open block of its index; where that is none, or cannot take it, to the last one
    that can. The upstream itself has started a block at one index and gone on at the next.
    """

    __slots__ = (
        "_blocks",
        "_by_index",
        "_calls",
        "_finished",
        "_halves",
        "_last",
        "_message",
        "_request_id",
        "_usage",
        "done",
    )

    def __init__(self, *, request_id: str = "") -> None:
        self.done = False
        self._blocks: list[_Block] = []
        self._by_index: dict[Any, _Block] = {}
        self._last: _Block | None = None
        """What the last delta added to."""
        self._calls = 0
        self._message: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}
        self._finished = False
        self._halves = SurrogateHalves()
        self._request_id = request_id

    def decode(self, frame: SseEvent, /) -> Sequence[StreamEvent]:
        """The events of one frame. Raises the error that it holds; BadResponse when it is malformed."""
        if frame.event == "content_block_delta":
            try:
                return self._usual(shapes.block_delta(frame.data))
            except MALFORMED:
                pass  # of another shape, or of a block that cannot take it; nothing of it is taken in
        return self.decode_any(frame)

    def decode_any(self, frame: SseEvent, /) -> Sequence[StreamEvent]:
        """As `decode`, without looking whether the frame is a usual one; the outcome is the same."""
        if not frame.data.strip() and frame.event != "error":
            return ()  # a proxy's way to keep the line alive
        try:
            data = self._json(frame)
            events = () if data is None and frame.event != "error" else self._read(data, frame.event)
        except MALFORMED as error:
            raise BadResponse(
                f"the upstream sent a malformed event {frame.event!r}: {type(error).__name__} {error}",
                upstream_request_id=self._request_id,
            ) from error
        return events

    def run_of(self, _frame: bytes, /) -> Sequence[list[str]] | None:
        """As of a `RunDecoder`."""
        return None if self._last is None else (self._last.pieces,)

    def close(self) -> Sequence[StreamEvent]:
        """The body has ended. Raises Truncated: only `message_stop` would have made it complete."""
        raise Truncated(
            "the upstream's stream ended without message_stop", upstream_request_id=self._request_id
        )

    def _read(self, data: Any, name: str) -> Sequence[StreamEvent]:
        if name == "error" or (not isinstance(data, dict) and holds_complaint(data)):
            raise failure_in_stream(data, request_id=self._request_id)
        kind = data.get("type") or name
        handle = _HANDLERS.get(kind)
        # An event of a type that is not known yet may well have a `message`.
        unsure = "type" not in data or str(kind).endswith("error")
        if data.get("error") or (unsure and is_complaint(data)):
            raise failure_in_stream(data, request_id=self._request_id)
        if handle is not None:
            return handle(self, data)
        if not kind:
            raise KeyError("type")
        return ()

    def _json(self, frame: SseEvent) -> Any:
        """The value of a frame; None for one that is nobody's concern."""
        try:
            value = jsonio.loads(frame.data)
            has_input = type(value) is dict and value.get("type") in ("content_block_start", "message")
            return with_exact_numbers(value, frame.data) if has_input else value
        except ValueError:
            if frame.event == "error":
                text = frame.data.decode("utf-8", "replace")
                raise failure_in_stream(text, request_id=self._request_id) from None
            if frame.event and frame.event not in _HANDLERS:
                return None
            raise

    # ── events ───────────────────────────────────────────────────────────────────────────────────────

    def _message_start(self, data: dict[str, Any]) -> list[StreamEvent]:
        message = data["message"]
        events: list[StreamEvent] = []
        if not self._message:
            events.append(Started(label_of(message, "id"), label_of(message, "model")))
            self._message = message or {"type": "message"}
        return [*events, *self._counted(message)]

    def _block_start(self, data: dict[str, Any]) -> list[StreamEvent]:
        index = data.get("index")
        before = self._by_index.get(index)
        events = [] if before is None else self._closed(before)
        block = self._begun(data["content_block"], index)
        raw = block.raw
        match raw["type"]:
            case "text" if raw.get("text"):
                events += self._text(block, raw["text"])
            case "thinking" if raw.get("thinking"):
                events += self._thinking(block, raw["thinking"])
            case "tool_use":
                self._calls += 1
                events.append(
                    ToolCallDelta(block.call, name_of(raw["id"], "id"), name_of(raw["name"], "name"))
                )
        return events

    def _block_delta(self, data: dict[str, Any]) -> list[StreamEvent]:
        delta = data["delta"]
        block = self._block_for(delta["type"], data.get("index"))
        if block is None:
            return []
        match delta["type"]:
            case "text_delta" if delta["text"]:
                return self._text(block, delta["text"])
            case "thinking_delta" if delta["thinking"]:
                return self._thinking(block, delta["thinking"])
            case "signature_delta":
                block.signature = text_of(delta["signature"])
            case "citations_delta":
                block.citations.append(delta["citation"])
            case "input_json_delta" if delta["partial_json"]:
                piece = self._piece(block, delta["partial_json"])
                if piece and block.raw["type"] == "tool_use":
                    return [ToolCallDelta(block.call, arguments=piece)]
        return []

    def _usual(self, data: shapes.BlockDelta) -> Sequence[StreamEvent]:
        """As `_block_delta` of the same frame. Raises one of `MALFORMED` before it takes anything in."""
        delta = data.delta
        block, piece = self._block_for(delta.kind, data.index), delta.piece
        if block is None or not piece:
            return ()
        self._last = block
        if self._halves:
            piece = self._piece(block, piece)
        else:
            # What msgspec reads has no half characters; to look for them costs 0.05 us, 0.2 beyond ASCII.
            block.pieces.append(piece)
        if not piece:
            return ()
        if type(delta) is shapes.Text:
            return (TextDelta(piece),)
        if type(delta) is shapes.Thinking:
            return (ReasoningDelta(piece),)
        return (ToolCallDelta(block.call, arguments=piece),) if block.raw["type"] == "tool_use" else ()

    def _block_stop(self, data: dict[str, Any]) -> list[StreamEvent]:
        block = self._by_index.get(data.get("index"))
        if block is None:  # under another index than it began
            block = next((each for each in reversed(self._blocks) if each.is_open), None)
        return [] if block is None else self._closed(block)

    def _message_delta(self, data: dict[str, Any]) -> list[StreamEvent]:
        events = self._counted(data)
        delta = data.get("delta") or {}
        if self._finished:
            return events
        self._message = {**self._message, **delta}
        if refusal := refusal_of(delta):
            events.append(RefusalDelta(refusal))
        if (native := text_or_none(delta.get("stop_reason"))) is not None:
            self._finish(native, events)
        return events

    def _message_stop(self, _data: dict[str, Any]) -> list[StreamEvent]:
        events = [event for block in self._blocks for event in self._closed(block)]
        if not self._finished:
            self._finish(None, events)
        content = [block.whole for block in self._blocks]
        message = {**self._message, "content": content, "usage": self._usage}
        events.append(RawDelta(message, extra_of(content)))
        self.done = True
        return events

    def _whole(self, data: dict[str, Any]) -> list[StreamEvent]:
        """A whole message, from a server that does not stream."""
        self.done = True
        return events_of(chat_response(data, request_id=self._request_id))

    def _life(self, _data: dict[str, Any]) -> list[StreamEvent]:
        return []

    # ── blocks ───────────────────────────────────────────────────────────────────────────────────────

    def _begun(self, raw: Mapping[str, Any], index: Any) -> _Block:
        block = self._by_index[index] = _Block(raw, self._calls)
        self._blocks.append(block)
        return block

    def _block_for(self, delta: str, index: Any) -> _Block | None:
        """The block that a delta of this type and index belongs to; None for a type that nobody knows."""
        kinds = _TAKEN_BY.get(delta)
        if kinds is None:
            return None
        block = self._by_index.get(index)
        if block is not None and block.is_open and block.raw["type"] in kinds:
            return block
        for block in reversed(self._blocks):
            if block.is_open and block.raw["type"] in kinds:
                return block
        if (implied := _IMPLIED.get(kinds[0])) is None:
            raise ValueError(f"{delta} of a block that was not begun")
        return self._begun(implied, index)

    def _closed(self, block: _Block) -> list[StreamEvent]:
        """What is to be said when `block` ends, for the first time."""
        if not block.is_open:
            return []
        block.is_open = False
        raw = block.raw
        rest = self._halves.rest(block)
        match raw["type"]:
            case "text" if rest:
                return self._text(block, rest)
            case "tool_use" if not block.pieces:
                return [ToolCallDelta(block.call, arguments=arguments_text(raw.get("input")) or "{}")]
            case "thinking":
                events = self._thinking(block, rest) if rest else []
                return [*events, ReasoningBlock(block.whole)] if block.signature else events
            case "redacted_thinking":
                return [ReasoningBlock(raw)]
            case _:
                return []

    def _text(self, block: _Block, text: Any) -> list[StreamEvent]:
        piece = self._piece(block, text)
        return [TextDelta(piece)] if piece else []

    def _thinking(self, block: _Block, text: Any) -> list[StreamEvent]:
        piece = self._piece(block, text)
        return [ReasoningDelta(piece)] if piece else []

    def _piece(self, block: _Block, text: Any) -> str:
        """What can be said of a block's text now; half a character waits for the other one."""
        piece = self._halves.take(block, text_of(text))
        if piece:
            block.pieces.append(piece)
            self._last = block
        return piece

    # ── the message ──────────────────────────────────────────────────────────────────────────────────

    def _finish(self, native: str | None, events: list[StreamEvent]) -> None:
        self._finished = True
        reason = finish_reason(native, called=self._calls > 0)
        if reason == "error":
            raise failed(native, request_id=self._request_id)
        events.append(Finished(reason, native))

    def _counted(self, holder: Mapping[str, Any]) -> list[StreamEvent]:
        """The counters so far. They are cumulative, so the largest counts; nulls say nothing."""
        counters = holder.get("usage")
        if not counters or not isinstance(counters, dict):
            return []
        for name, value in counters.items():
            known = self._usage.get(name)
            if value is not None and not (type(value) is type(known) is int and value < known):
                self._usage[name] = value
        return [UsageUpdate(usage_of(self._usage))]


_HANDLERS: Mapping[str, Callable[[MessagesDecoder, dict[str, Any]], Sequence[StreamEvent]]] = {
    "message_start": MessagesDecoder._message_start,
    "content_block_start": MessagesDecoder._block_start,
    "content_block_delta": MessagesDecoder._block_delta,
    "content_block_stop": MessagesDecoder._block_stop,
    "message_delta": MessagesDecoder._message_delta,
    "message_stop": MessagesDecoder._message_stop,
    "message": MessagesDecoder._whole,
    "ping": MessagesDecoder._life,
}


def whole_answer(body: bytes, *, request_id: str = "") -> ChatResponse:
    """The answer that came as a whole body: a message; or events, from a server that always streams.

    Raises: what `chat_response` and the decoder raise; BadResponse that tells what came for anything else.
    """
    usual = usual_response(body, request_id=request_id)
    return any_answer(body, request_id=request_id) if usual is None else usual


def any_answer(body: bytes, *, request_id: str = "") -> ChatResponse:
    """As `whole_answer`, without looking whether the body is a usual one; the outcome is the same."""
    try:
        value = jsonio.loads(body)
    except ValueError:
        pass
    else:
        return chat_response(with_exact_numbers(value, body), request_id=request_id)
    said, decoder, framer = Assembly(), MessagesDecoder(request_id=request_id), Frames()
    for frame in (*framer.feed(body), *framer.close()):
        if not decoder.done:
            said.extend(decoder.decode(frame))
    if not decoder.done:
        decoder.close()
    return said.response(request_id)


def events_of(response: ChatResponse) -> list[StreamEvent]:
    """The events of an answer that came in one piece."""
    events: list[StreamEvent] = [Started(response.id, response.model)]
    if response.reasoning:
        events.append(ReasoningDelta(response.reasoning))
    events += map(ReasoningBlock, response.reasoning_blocks)
    if response.text:
        events.append(TextDelta(response.text))
    events += (ToolCallDelta(each.index, each.id, each.name, each.arguments) for each in response.tool_calls)
    if response.refusal:
        events.append(RefusalDelta(response.refusal))
    events += (
        UsageUpdate(response.usage),
        Finished(response.finish_reason, response.native_finish_reason),
        RawDelta(response.raw, response.extra),
    )
    return events


def _value(text: str) -> Any:
    """The JSON value of a tool's input; the text itself where it is none."""
    try:
        return with_exact_numbers(jsonio.loads(text), text.encode())
    except ValueError:
        return text
