"""The events of a stream put together into the whole answer."""

from __future__ import annotations

from collections.abc import Sequence

from pointsman.types import (
    ChatResponse,
    Finished,
    FinishReason,
    JsonObject,
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


class Assembly:
    """Puts the events of a stream together into the whole answer."""

    __slots__ = (
        "_blocks",
        "_calls",
        "_finish",
        "_id",
        "_model",
        "_native",
        "_reasoning",
        "_refusal",
        "_text",
        "events",
        "usage",
    )

    def __init__(self) -> None:
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._refusal: list[str] = []
        self._blocks: list[JsonObject] = []
        self._calls: dict[int, list[str]] = {}
        self._finish: FinishReason | None = None
        self._native: str | None = None
        self._id = self._model = ""
        self.usage: Usage | None = None
        self.events = 0

    def add(self, event: StreamEvent) -> None:
        """Take the next event."""
        self.extend((event,))

    def extend(self, events: Sequence[StreamEvent]) -> None:
        """Take the next events."""
        self.events += len(events)
        text = self._text
        for event in events:
            if type(event) is TextDelta:  # as nearly all are
                text.append(event.text)
            else:
                self._add(event)

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self._text)

    def response(self, upstream_request_id: str = "") -> ChatResponse:
        """The whole answer, as far as the events tell it."""
        return ChatResponse(
            text=self.text,
            tool_calls=tuple(
                ToolCall(id, name, "".join(pieces), index)
                for index, (id, name, *pieces) in sorted(self._calls.items())
            ),
            finish_reason=self._finish or "stop",
            usage=self.usage or Usage(),
            model=self._model,
            id=self._id,
            reasoning="".join(self._reasoning) or None,
            reasoning_blocks=tuple(self._blocks),
            refusal="".join(self._refusal) or None,
            native_finish_reason=self._native,
            upstream_request_id=upstream_request_id,
        )

    def _add(self, event: StreamEvent) -> None:
        match event:
            case TextDelta():
                self._text.append(event.text)
            case ReasoningDelta():
                self._reasoning.append(event.reasoning)
            case ToolCallDelta():
                # Pieces of a call: id and name come once, the arguments in any number of pieces.
                call = self._calls.setdefault(event.index, ["", ""])
                call[0] = call[0] or event.id
                call[1] = call[1] or event.name
                call.append(event.arguments)
            case Started():
                self._id, self._model = event.id or self._id, event.model or self._model
            case Finished():
                if self._finish is None:
                    self._finish, self._native = event.finish_reason, event.native
            case UsageUpdate():
                self.usage = event.usage
            case ReasoningBlock():
                self._blocks.append(event.block)
            case RefusalDelta():
                self._refusal.append(event.refusal)
