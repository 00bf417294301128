"""The content blocks of a streamed message: one after the other, numbered without a gap."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pointsman.plugin import (
    ReasoningBlock,
    ReasoningDelta,
    RefusalDelta,
    StreamEvent,
    TextDelta,
    ToolCallDelta,
    openai_objects,
)
from pointsman_wires.arguments import is_object
from pointsman_wires.encoding import named_frame, text_json

_TEXT, _THINKING = "text", "thinking"
_END = b"}}\n\n"
_CONTENT = (TextDelta, ReasoningDelta, ReasoningBlock, RefusalDelta, ToolCallDelta)


class BlockWriter:
    """Writes events as blocks.

    Only one block can be open. What comes for another one while a call's arguments are not complete waits
    until they are, or until all has come.

    Args:
        message_id: what ids are made from for calls that have none.
        names: what the caller calls tools, where a model was told another name.
    """

    __slots__ = ("_arguments", "_closed", "_head", "_index", "_message_id", "_names", "_open", "_waiting")

    def __init__(self, message_id: str, names: Mapping[str, str]) -> None:
        self._message_id = message_id
        self._names = names
        self._open: str | int | None = None
        self._index = -1
        self._head = b""
        self._arguments: list[str] = []
        self._closed: set[int] = set()
        self._waiting: list[StreamEvent] = []

    def add(self, event: StreamEvent, out: list[bytes]) -> None:
        """Add the frames of an event to `out`."""
        if type(event) is TextDelta and self._open is _TEXT:  # as nearly all are
            out.append(self._head + text_json(event.text) + _END)
        elif type(event) in _CONTENT:
            self._content(event, out)

    def finish(self, out: list[bytes]) -> None:
        """Add whatever is left."""
        waiting, self._waiting = self._waiting, []
        places: dict[str | int, list[StreamEvent]] = {}
        for event in waiting:
            places.setdefault(_place(event), []).append(event)
        for events in places.values():
            for event in events:
                self._write(event, out)
        self._close(out)

    def _content(self, event: StreamEvent, out: list[bytes]) -> None:
        of_open = type(self._open) is int and _place(event) == self._open
        if not of_open and (self._waiting or not self._may_close()):
            self._waiting.append(event)
            return
        self._write(event, out)
        if self._waiting and self._may_close():
            waiting, self._waiting = self._waiting, []
            for each in waiting:
                self._content(each, out)

    def _may_close(self) -> bool:
        """Whether nothing more can come for the open block: a JSON object that is whole has an end."""
        return type(self._open) is not int or is_object("".join(self._arguments))

    def _write(self, event: StreamEvent, out: list[bytes]) -> None:
        _WRITES[type(event)](self, event, out)

    # ── events ───────────────────────────────────────────────────────────────────────────────────────

    def _text(self, event: TextDelta, out: list[bytes]) -> None:
        self._say(event.text, out)

    def _refusal(self, event: RefusalDelta, out: list[bytes]) -> None:
        self._say(event.refusal, out)

    def _say(self, text: str, out: list[bytes]) -> None:
        if self._open != _TEXT:
            self._begin(_TEXT, {"type": "text", "text": ""}, "text_delta", "text", out)
        out.append(self._head + text_json(text) + _END)

    def _reasoning(self, event: ReasoningDelta, out: list[bytes]) -> None:
        self._begin_thinking(out)
        out.append(self._head + text_json(event.reasoning) + _END)

    def _begin_thinking(self, out: list[bytes]) -> None:
        if self._open != _THINKING:
            block = {"type": "thinking", "thinking": "", "signature": ""}
            self._begin(_THINKING, block, "thinking_delta", "thinking", out)

    def _reasoning_block(self, event: ReasoningBlock, out: list[bytes]) -> None:
        """The signature of what was thought before; or what nobody but its maker can read."""
        block = event.block
        match block.get("type"):
            case "thinking":
                if self._open != _THINKING and (text := block.get("thinking")):
                    self._reasoning(ReasoningDelta(text), out)
                self._begin_thinking(out)
                delta = {"type": "signature_delta", "signature": block.get("signature") or ""}
                out.append(_delta(self._index, delta))
                self._close(out)
            case "redacted_thinking":
                self._begin(_THINKING, dict(block), "thinking_delta", "thinking", out)
                self._close(out)

    def _tool_call(self, event: ToolCallDelta, out: list[bytes]) -> None:
        if self._open != event.index:
            if event.index in self._closed:  # its arguments are complete: nothing can be added to them
                return
            id = event.id or openai_objects.call_id(self._message_id, event.index)
            name = self._names.get(event.name, event.name)
            block = {"type": "tool_use", "id": id, "name": name, "input": {}}
            self._begin(event.index, block, "input_json_delta", "partial_json", out)
        if event.arguments:
            self._arguments.append(event.arguments)
            out.append(self._head + text_json(event.arguments) + _END)

    # ── blocks ───────────────────────────────────────────────────────────────────────────────────────

    def _begin(
        self, what: str | int, block: Mapping[str, Any], delta: str, member: str, out: list[bytes]
    ) -> None:
        self._close(out)
        self._open = what
        self._index += 1
        start = {"type": "content_block_start", "index": self._index, "content_block": block}
        out.append(named_frame("content_block_start", start))
        self._head = (
            'event: content_block_delta\ndata: {"type":"content_block_delta","index":'
            f'{self._index},"delta":{{"type":"{delta}","{member}":'
        ).encode()

    def _close(self, out: list[bytes]) -> None:
        if self._open is None:
            return
        if isinstance(self._open, int):
            self._closed.add(self._open)
            self._arguments.clear()
        self._open = None
        stop = {"type": "content_block_stop", "index": self._index}
        out.append(named_frame("content_block_stop", stop))


_WRITES: Mapping[type[StreamEvent], Callable[[BlockWriter, Any, list[bytes]], None]] = {
    TextDelta: BlockWriter._text,
    RefusalDelta: BlockWriter._refusal,
    ReasoningDelta: BlockWriter._reasoning,
    ReasoningBlock: BlockWriter._reasoning_block,
    ToolCallDelta: BlockWriter._tool_call,
}


def _place(event: StreamEvent) -> str | int:
    """The block that an event belongs to."""
    match event:
        case ToolCallDelta():
            return event.index
        case TextDelta() | RefusalDelta():
            return _TEXT
        case _:
            return _THINKING


def _delta(index: int, delta: Mapping[str, Any]) -> bytes:
    data = {"type": "content_block_delta", "index": index, "delta": delta}
    return named_frame("content_block_delta", data)
