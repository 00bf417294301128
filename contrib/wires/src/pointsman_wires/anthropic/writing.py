"""Our answers as the Messages API writes them: a whole message, or the events of one. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.json import Encoder

from pointsman.plugin import (
    NOTHING,
    ChatResponse,
    Done,
    EmbedResponse,
    JsonObject,
    ProblemDetails,
    Started,
    StreamEvent,
    ToolCall,
    Usage,
    UsageUpdate,
    openai_objects,
    well_formed,
)
from pointsman_wires.anthropic.blocks import BlockWriter
from pointsman_wires.anthropic.problems import error_frame
from pointsman_wires.anthropic.usages import usage_object
from pointsman_wires.arguments import as_object
from pointsman_wires.encoding import EVENT_STREAM, JSON, named_frame
from pointsman_wires.origin import origin

_FINISH = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "error": "end_turn",
    "other": "end_turn",
}
_NATIVE = frozenset(
    (
        "end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal",
        "model_context_window_exceeded",
    )
)  # fmt: skip
"""The API's own words, which say more than ours."""
_PING = b'event: ping\ndata: {"type": "ping"}\n\n'
_STOP = named_frame("message_stop", {"type": "message_stop"})

_encode = Encoder().encode


class MessageWriter:
    """Writes one answer.

    Args:
        model: what the caller called it.
        message_id: of the answer, for one whose upstream gave none that fits.
        names: what the caller calls tools, where a model was told another name.
    """

    content_type = JSON
    stream_type = EVENT_STREAM

    __slots__ = ("_blocks", "_id", "_model", "_names")

    def __init__(self, model: str, *, message_id: str, names: Mapping[str, str] = NOTHING) -> None:
        self._model = model
        self._id = message_id
        self._names = names
        self._blocks: BlockWriter | None = None

    def whole(self, answer: ChatResponse | EmbedResponse) -> bytes:
        """The message."""
        assert isinstance(answer, ChatResponse)
        return _encode(
            {
                **self._head(answer.id),
                "content": self._content(answer),
                **self.ending(answer),
                **self.counted(answer.usage),
                **origin(answer),
            }
        )

    def events(self, events: Sequence[StreamEvent]) -> bytes:
        """The frames of `events`."""
        out: list[bytes] = []
        blocks = self._blocks
        if blocks is None and events:
            blocks = self._blocks = BlockWriter(self._id, self._names)
            out.append(self._start(events))
        for event in events:
            if type(event) is Done:
                assert blocks is not None
                blocks.finish(out)
                out += (self._message_delta(event.response), _STOP)
            elif blocks is not None:
                blocks.add(event, out)
        return b"".join(out)

    def failure(self, problem: ProblemDetails) -> bytes:
        """The event that says what broke the answer off."""
        return error_frame(problem)

    def heartbeat(self) -> bytes:
        """A ping."""
        return _PING

    # ── what a server that is imitated may say otherwise ─────────────────────────────────────────────

    def counted(self, usage: Usage) -> dict[str, Any]:
        """The member that holds the counts of a whole answer."""
        return {"usage": usage_object(usage)}

    def counted_at_start(self, usage: Usage) -> dict[str, Any]:
        """The same of what is known when a stream begins."""
        return self.counted(usage)

    def counted_at_end(self, usage: Usage) -> dict[str, Any]:
        """The same when a stream ends."""
        return self.counted(usage)

    def ending(self, answer: ChatResponse) -> dict[str, Any]:
        """Why it ended, in the API's own word where the answer is from there."""
        native = answer.native_finish_reason
        reason = native if native in _NATIVE else _FINISH[answer.finish_reason]
        if answer.refusal and reason == "end_turn":
            reason = "refusal"
        raw = answer.raw if reason == "stop_sequence" and isinstance(answer.raw, Mapping) else {}
        ending: dict[str, Any] = {"stop_reason": reason, "stop_sequence": raw.get("stop_sequence")}
        if answer.refusal:
            ending["stop_details"] = {"type": "refusal", "category": None, "explanation": answer.refusal}
        return ending

    def input_of(self, call: ToolCall) -> Any:
        """The arguments of a call, for an encoder."""
        return as_object(call.arguments)

    # ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _head(self, id: str) -> dict[str, Any]:
        return {
            "id": id if id.startswith("msg_") else self._id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
        }

    def _start(self, events: Sequence[StreamEvent]) -> bytes:
        """How a message begins, with what is known of it by then."""
        id, usage = "", Usage()
        for event in events:
            if type(event) is Started:
                id = id or event.id
            elif type(event) is UsageUpdate:
                usage = event.usage
        message = {
            **self._head(id),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            **self.counted_at_start(usage),
        }
        return named_frame("message_start", {"type": "message_start", "message": message})

    def _message_delta(self, answer: ChatResponse) -> bytes:
        told = {"delta": self.ending(answer), **self.counted_at_end(answer.usage), **origin(answer)}
        return named_frame("message_delta", {"type": "message_delta", **told})

    def _content(self, answer: ChatResponse) -> list[Any]:
        """Reasoning first, then what was said, then the calls."""
        blocks: list[Any] = [block for block in answer.reasoning_blocks if _is_anthropics(block)]
        if not blocks and answer.reasoning:
            blocks = [{"type": "thinking", "thinking": well_formed(answer.reasoning), "signature": ""}]
        if said := answer.text or answer.refusal:
            blocks.append({"type": "text", "text": well_formed(said)})
        blocks += map(self._tool_use, answer.tool_calls)
        return blocks

    def _tool_use(self, call: ToolCall) -> dict[str, Any]:
        id = call.id or openai_objects.call_id(self._id, call.index)
        name = self._names.get(call.name, call.name)
        return {"type": "tool_use", "id": id, "name": name, "input": self.input_of(call)}


def _is_anthropics(block: JsonObject) -> bool:
    return block.get("type") in ("thinking", "redacted_thinking")
