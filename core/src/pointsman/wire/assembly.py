"""The events of a stream put together into the whole answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from typing import Any

from pointsman.types import (
    NOTHING,
    ChatResponse,
    Finished,
    FinishReason,
    JsonObject,
    RawDelta,
    ReasoningBlock,
    ReasoningDelta,
    RefusalDelta,
    Relayed,
    Started,
    StreamEvent,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
    UsageUpdate,
)
from pointsman.wire.token_usage import unsound


class Assembly:
    """Puts the events of a stream together into the whole answer."""

    __slots__ = (
        "_blocks",
        "_calls",
        "_extra",
        "_extras",
        "_finish",
        "_id",
        "_model",
        "_native",
        "_raw",
        "_reasoning",
        "_refusal",
        "_text",
        "events",
        "usage",
    )

    def __init__(self) -> None:
        self._text = StringIO()  # takes text and nothing else, as a list would not
        self._reasoning: list[str] = []
        self._refusal: list[str] = []
        self._blocks: list[JsonObject] = []
        self._calls: dict[int, list[str]] = {}
        self._extras: dict[int, dict[str, Any]] = {}
        self._raw: dict[str, Any] | None = None
        self._extra: dict[str, Any] | None = None
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
        write = self._text.write
        for event in events:
            if type(event) is TextDelta:  # as nearly all are
                write(event.text)
            elif type(event) is not Relayed:  # which says what others say
                self._add(event)

    @property
    def text(self) -> str:
        """The text so far."""
        return self._text.getvalue()

    def response(self, upstream_request_id: str = "") -> ChatResponse:
        """The whole answer, as far as the events tell it."""
        return ChatResponse(
            text=self.text,
            tool_calls=tuple(
                ToolCall(id, name, "".join(pieces), index, self._extras.get(index, NOTHING))
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
            raw=self._raw,
            extra=self._extra or NOTHING,
        )

    def _add(self, event: StreamEvent) -> None:
        for kind in type(event).__mro__:  # the first, but for a kind derived from ours
            if (take := _TAKES.get(kind)) is not None:
                return take(self, event)
        raise TypeError(f"a {type(event).__name__} is no event")

    def _text_delta(self, event: TextDelta) -> None:
        self._text.write(event.text)

    def _reasoning_delta(self, event: ReasoningDelta) -> None:
        self._reasoning.append(_text(event.reasoning))

    def _reasoning_block(self, event: ReasoningBlock) -> None:
        self._blocks.append(event.block)

    def _refusal_delta(self, event: RefusalDelta) -> None:
        self._refusal.append(_text(event.refusal))

    def _tool_call_delta(self, event: ToolCallDelta) -> None:
        # Pieces of a call: id and name come once, the arguments in any number of pieces.
        if type(event.index) is not int:  # exactly, for `True` is an int
            raise TypeError(f"the index of a tool call is a {type(event.index).__name__}")
        call = self._calls.setdefault(event.index, ["", ""])
        call[0] = call[0] or _text(event.id)
        call[1] = call[1] or _text(event.name)
        call.append(_text(event.arguments))
        if event.extra:
            extra = self._extras.setdefault(event.index, {})
            extra.update(joined_extra(extra, event.extra))

    def _started(self, event: Started) -> None:
        # The first that is some: a chunk of a router's or filter's own may come before the answer's.
        self._id, self._model = self._id or _text(event.id), self._model or _text(event.model)

    def _finished(self, event: Finished) -> None:
        if self._finish is None:
            self._finish, self._native = event.finish_reason, event.native

    def _usage_update(self, event: UsageUpdate) -> None:
        if (wrong := unsound(event.usage)) is not None:
            raise TypeError(f"the usage {wrong}")
        self.usage = event.usage

    def _raw_delta(self, event: RawDelta) -> None:
        self._raw = joined_extra(self._raw or {}, event.raw) if event.raw else self._raw
        self._extra = joined_extra(self._extra or {}, event.extra) if event.extra else self._extra

    def _nothing(self, event: StreamEvent) -> None:
        """An event of a kind that says nothing of the answer."""


_TAKES: Mapping[type, Callable[[Assembly, Any], None]] = {
    TextDelta: Assembly._text_delta,
    ReasoningDelta: Assembly._reasoning_delta,
    ReasoningBlock: Assembly._reasoning_block,
    RefusalDelta: Assembly._refusal_delta,
    ToolCallDelta: Assembly._tool_call_delta,
    Started: Assembly._started,
    Finished: Assembly._finished,
    UsageUpdate: Assembly._usage_update,
    RawDelta: Assembly._raw_delta,
    Relayed: Assembly._nothing,
    StreamEvent: Assembly._nothing,
}


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"there is a {type(value).__name__} where text should be")
    return value


def joined_extra(before: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """`before` with the members of `more`, which came later in the same answer.

    Texts and lists go on where the earlier ones ended, unless they say the same again; numbers and the like
    are replaced. So is all that is nested too deeply to be joined.
    """
    try:
        return _joined(before, more)
    except RecursionError:
        return {**before, **more}


def _joined(before: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(before)
    for name, value in more.items():
        known = result.get(name)
        match known, value:
            case Mapping(), Mapping():
                result[name] = _joined(known, value)
            case (str(), str()) | (list(), list()):
                result[name] = known if value == known else known + value
            case _ if value is not None or name not in result:
                result[name] = value
    return result
