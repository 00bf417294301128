"""Answers in the Responses API: whole, and as the events that its clients insist on. Pure.

The official helper fails unless `response.created` comes first, every item and part is added before
something of it comes, and numbers and names stay as they were; what an upstream leaves out is made up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pointsman.plugin import (
    ChatResponse,
    Done,
    EmbedResponse,
    ProblemDetails,
    ReasoningBlock,
    ReasoningDelta,
    RefusalDelta,
    StreamEvent,
    TextDelta,
    ToolCallDelta,
    json_or_none,
)
from pointsman_wires.encoding import COMMENT, EVENT_STREAM, JSON, json_bytes, text_json
from pointsman_wires.openai_errors import error_object
from pointsman_wires.openai_responses.envelope import Envelope
from pointsman_wires.openai_responses.output import (
    Called,
    Item,
    Output,
    PartKind,
    Said,
    SaidPart,
    Status,
    Thought,
)
from pointsman_wires.openai_responses.tools import Toolbox


class ResponsesWriter:
    """Writes one answer."""

    content_type = JSON
    stream_type = EVENT_STREAM

    def __init__(self, envelope: Envelope, toolbox: Toolbox) -> None:
        self._envelope = envelope
        self._output = Output(envelope.digits, toolbox)
        self._number = 0
        self._begun = False
        self._open: Said | Thought | None = None
        self._calls: dict[int, Called] = {}
        self._written: list[bytes] = []

    def whole(self, answer: ChatResponse | EmbedResponse) -> bytes:
        """The response object."""
        assert isinstance(answer, ChatResponse), "only chats are asked in this wire"
        self._output.fill(answer)
        status = "incomplete" if answer.finish_reason == "length" else "completed"
        return self._envelope.ended(json_bytes(self._output.values(status)), answer)[1]  # type: ignore[arg-type]

    def events(self, events: Sequence[StreamEvent]) -> bytes:
        """The frames that `events` are here; the first ones bring the beginning of the answer."""
        if not self._begun and events:
            self._begun = True
            for name in ("response.created", "response.in_progress"):
                self._frame(name, b'"response":' + self._envelope.running())
        for each in events:
            write = _WRITERS.get(type(each))
            if write is not None:
                write(self, each)
        written, self._written = self._written, []
        return b"".join(written)

    def failure(self, problem: ProblemDetails) -> bytes:
        """`response.failed`, or an error where nothing has begun."""
        error = error_object(problem)
        if not self._begun:
            self._frame("error", b'"error":' + json_bytes(error))
        else:
            output = json_bytes(self._output.values("incomplete"))
            code = str(error.get("code") or error.get("type") or "server_error")
            self._frame(
                "response.failed", b'"response":' + self._envelope.failed(output, code, problem.message)
            )
        written, self._written = self._written, []
        return b"".join(written)

    def failure_after(self, first: bytes, latest: bytes, problem: ProblemDetails) -> bytes:
        """`response.failed` of the answer that an upstream began, or an error where it began none."""
        numbers = [each.get("sequence_number") for each in _told(latest)]
        self._number = 1 + max((each for each in numbers if type(each) is int), default=-1)
        for each in _told(first):
            if each.get("type") == "response.created" and isinstance(each.get("response"), dict):
                error = error_object(problem)
                code = str(error.get("code") or error.get("type") or "server_error")
                said = {"status": "failed", "error": {"code": code, "message": problem.message}}
                self._frame("response.failed", b'"response":' + json_bytes({**each["response"], **said}))
                written, self._written = self._written, []
                return b"".join(written)
        return self.failure(problem)

    def heartbeat(self) -> bytes:
        """A comment."""
        return COMMENT

    # ── events ───────────────────────────────────────────────────────────────────────────────────────

    def _text(self, event: TextDelta) -> None:
        self._say("output_text", "response.output_text.delta", event.text, b',"logprobs":[]')

    def _refusal(self, event: RefusalDelta) -> None:
        self._say("refusal", "response.refusal.delta", event.refusal, b"")

    def _say(self, kind: PartKind, name: str, text: str, more: bytes) -> None:
        if not text:
            return
        said = self._open
        if type(said) is not Said:
            said = self._opened(self._output.said())
        if not said.parts or said.parts[-1].kind != kind:
            self._close_part(said)
            said.parts.append(SaidPart(kind))
            part = json_bytes(said.parts[-1].value())
            self._frame("response.content_part.added", self._part_of(said) + b',"part":' + part)
        said.parts[-1].pieces.append(text)
        self._frame(name, self._part_of(said) + b',"delta":' + text_json(text) + more)

    def _think(self, event: ReasoningDelta) -> None:
        if not event.reasoning:
            return
        thought = self._thought()
        if not thought.pieces:
            part = b',"summary_index":0,"part":{"type":"summary_text","text":""}'
            self._frame("response.reasoning_summary_part.added", self._place(thought) + part)
        thought.pieces.append(event.reasoning)
        delta = b',"summary_index":0,"delta":' + text_json(event.reasoning)
        self._frame("response.reasoning_summary_text.delta", self._place(thought) + delta)

    def _block(self, event: ReasoningBlock) -> None:
        thought = self._thought()
        if thought.is_full(event.block):
            thought = self._opened(self._output.thought())
        thought.blocks.append(event.block)

    def _thought(self) -> Thought:
        return self._open if type(self._open) is Thought else self._opened(self._output.thought())

    def _call(self, event: ToolCallDelta) -> None:
        call = self._calls.get(event.index)
        if call is None:
            self._close()
            call = self._calls[event.index] = self._output.called(event.name, event.id)
            self._item("response.output_item.added", call, "in_progress")
        if event.arguments:
            call.pieces.append(event.arguments)
            if call.callee.kind == "function":
                delta = b',"delta":' + text_json(event.arguments)
                self._frame("response.function_call_arguments.delta", self._place(call) + delta)

    def _done(self, event: Done) -> None:
        answer = event.response
        last: Status = "incomplete" if answer.finish_reason == "length" else "completed"
        self._close(last)
        for call in self._calls.values():
            self._close_call(call, last)
        status, value = self._envelope.ended(json_bytes(self._output.values(last)), answer)
        self._frame(f"response.{status}", b'"response":' + value)

    # ── items ────────────────────────────────────────────────────────────────────────────────────────

    def _opened(self, item: Any) -> Any:
        self._close()
        self._open = item
        self._item("response.output_item.added", item, "in_progress")
        return item

    def _close(self, status: Status = "completed") -> None:
        item, self._open = self._open, None
        if item is None:
            return
        if type(item) is Said:
            self._close_part(item)
        elif type(item) is Thought and item.pieces:
            text, place = text_json(item.text), self._place(item) + b',"summary_index":0'
            self._frame("response.reasoning_summary_text.done", place + b',"text":' + text)
            part = b',"part":{"type":"summary_text","text":' + text + b"}"
            self._frame("response.reasoning_summary_part.done", place + part)
        self._item("response.output_item.done", item, status)

    def _close_part(self, said: Said) -> None:
        if not said.parts:
            return
        part, place = said.parts[-1], self._part_of(said)
        text = text_json(part.text)
        if part.kind == "refusal":
            self._frame("response.refusal.done", place + b',"refusal":' + text)
        else:
            self._frame("response.output_text.done", place + b',"logprobs":[],"text":' + text)
        self._frame("response.content_part.done", place + b',"part":' + json_bytes(part.value()))

    def _close_call(self, call: Called, status: Status) -> None:
        arguments, place = text_json(call.arguments), self._place(call)
        if call.callee.kind == "custom":
            self._frame("response.custom_tool_call_input.delta", place + b',"delta":' + arguments)
            self._frame("response.custom_tool_call_input.done", place + b',"input":' + arguments)
        else:
            name = b',"name":' + text_json(call.callee.name)
            self._frame("response.function_call_arguments.done", place + name + b',"arguments":' + arguments)
        self._item("response.output_item.done", call, status)

    # ── frames ───────────────────────────────────────────────────────────────────────────────────────

    def _place(self, item: Item) -> bytes:
        return b'"item_id":"%s","output_index":%d' % (item.id.encode(), item.index)

    def _part_of(self, said: Said) -> bytes:
        return self._place(said) + b',"content_index":%d' % max(0, len(said.parts) - 1)

    def _item(self, name: str, item: Item, status: Status) -> None:
        head = b'"output_index":%d,"item":' % item.index
        self._frame(name, head + json_bytes(item.value(status)))

    def _frame(self, name: str, members: bytes) -> None:
        kind = name.encode()
        self._written.append(
            b'event: %b\ndata: {"type":"%b",%b,"sequence_number":%d}\n\n'
            % (kind, kind, members, self._number)
        )
        self._number += 1


def _told(frames: bytes) -> list[dict[str, Any]]:
    """What the frames say that an upstream has sent."""
    values = [json_or_none(line[5:]) for line in frames.split(b"\n") if line.startswith(b"data:")]
    return [each for each in values if isinstance(each, dict)]


_WRITERS: dict[type[StreamEvent], Callable[[ResponsesWriter, Any], None]] = {
    TextDelta: ResponsesWriter._text,
    RefusalDelta: ResponsesWriter._refusal,
    ReasoningDelta: ResponsesWriter._think,
    ReasoningBlock: ResponsesWriter._block,
    ToolCallDelta: ResponsesWriter._call,
    Done: ResponsesWriter._done,
}
