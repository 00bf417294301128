"""All that is text in requests and answers, to be changed; and in streams, piece by piece."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from pointsman.plugin import (
    ChatRequest,
    ChatResponse,
    EmbedRequest,
    EmbedResponse,
    File,
    Finished,
    GenerateRequest,
    Message,
    RawDelta,
    ReasoningBlock,
    ReasoningDelta,
    RefusalDelta,
    StreamEvent,
    Text,
    TextDelta,
    TextMessages,
    ToolCall,
    ToolCallDelta,
    joined_extra,
)
from pointsman_guards.screen import Held

Change = Callable[[str], str]
V = TypeVar("V")

_LONG = 20_000
"""Characters."""

_FIELDS: Mapping[type, tuple[str, ...]] = {
    ChatRequest: ("messages", "user", "metadata", "extra"),
    GenerateRequest: ("prompt", "suffix", "system", "extra"),
    EmbedRequest: ("texts", "extra"),
    ChatResponse: ("text", "tool_calls", "reasoning", "refusal", "raw", "extra"),
    EmbedResponse: (),
    Message: ("content", "tool_calls", "reasoning", "extra"),
    Text: ("text", "extra"),
    File: ("filename", "extra"),
    ToolCall: ("arguments", "extra"),
}
"""What of each value people and models write. Signed reasoning is not: once changed, nobody takes it back."""


def changed(value: V, change: Change) -> V:
    """`value` with `change` applied to each text that somebody wrote; itself where none of them changes."""
    made: Any = _changed(value, change)
    return made  # type: ignore[no-any-return]


def _changed(value: Any, change: Change) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, TextMessages):
        if all(change(text) == text for text in value.texts):
            return value
        value = tuple(value)
    if isinstance(value, Mapping):
        members = {name: _changed(each, change) for name, each in value.items()}
        return members if any(members[name] is not value[name] for name in members) else value
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        items = [_changed(each, change) for each in value]
        same = all(new is old for new, old in zip(items, value, strict=True))
        return value if same else type(value)(items) if isinstance(value, list | tuple) else tuple(items)
    if isinstance(value, Struct):
        old = {name: getattr(value, name) for name in _FIELDS.get(type(value), ())}
        new = {name: _changed(each, change) for name, each in old.items()}
        changes = {name: each for name, each in new.items() if each is not old[name]}
        return replace(value, **changes) if changes else value
    return value


def answer_changed(response: ChatResponse, change: Change) -> ChatResponse:
    """`response` with `change` applied to its texts, without the signed reasoning that it would change."""
    made = changed(response, change)
    blocks = tuple(each for each in made.reasoning_blocks if changed(each, change) is each)
    return made if len(blocks) == len(made.reasoning_blocks) else replace(made, reasoning_blocks=blocks)


async def aside(value: object, work: Callable[[], V]) -> V:
    """What `work` returns, which reads the texts of `value`: in a thread where they are long."""
    size = 0

    def count(text: str) -> str:
        nonlocal size
        size += len(text)
        return text

    changed(value, count)
    # Up to 0.1 us a character; the engine that looks for patterns lets the loop go on meanwhile.
    return work() if size <= _LONG else await asyncio.to_thread(work)


class HeldStream:
    """A `StreamFilter` that has each text of a streamed answer go through a `Held` of its own.

    What has no place in the answer (`RawDelta`, and `extra` of calls) is joined and told at the end: its
    texts come in pieces, too.
    """

    def __init__(self, held: Callable[[], Held], whole: Change) -> None:
        self._make = held
        self._whole = whole
        self._held: dict[str | int, Held] = {}
        self._raw: dict[str, Any] = {}
        self._extra: dict[str, Any] = {}
        self._of_calls: dict[int, dict[str, Any]] = {}

    def feed(self, event: StreamEvent, /) -> Sequence[StreamEvent]:
        """What can be told, now that `event` is there."""
        match event:
            case TextDelta() | ReasoningDelta() | RefusalDelta():
                text = self._through(event.kind, getattr(event, _TEXT_OF[type(event)]))
                return [type(event)(text)] if text else []
            case ToolCallDelta():
                return self._of_call(event)
            case ReasoningBlock():
                return [event] if changed(event.block, self._whole) is event.block else []
            case RawDelta():
                self._raw = joined_extra(self._raw, event.raw)
                self._extra = joined_extra(self._extra, event.extra)
                return []
            case Finished():
                return [*self.end(), event]
        return [event]

    def end(self) -> Sequence[StreamEvent]:
        """What was held back."""
        events = [_delta(of, text) for of, held in self._held.items() if (text := held.end())]
        for index, extra in self._of_calls.items():
            events.append(ToolCallDelta(index, extra=changed(extra, self._whole)))
        if self._raw or self._extra:
            events.append(RawDelta(changed(self._raw, self._whole), changed(self._extra, self._whole)))
        self._held, self._raw, self._extra, self._of_calls = {}, {}, {}, {}
        return events

    def _of_call(self, event: ToolCallDelta) -> Sequence[StreamEvent]:
        arguments = self._through(event.index, event.arguments)
        if event.extra:
            self._of_calls[event.index] = joined_extra(self._of_calls.get(event.index, {}), event.extra)
        if arguments or event.id or event.name:
            return [ToolCallDelta(event.index, event.id, event.name, arguments)]
        return []

    def _through(self, of: str | int, text: str) -> str:
        held = self._held.get(of)
        if held is None:
            held = self._held[of] = self._make()
        return held.feed(text)


_TEXT_OF: Mapping[type, str] = {TextDelta: "text", ReasoningDelta: "reasoning", RefusalDelta: "refusal"}
_KINDS: Mapping[str, Callable[[str], StreamEvent]] = {
    TextDelta.kind: TextDelta,
    ReasoningDelta.kind: ReasoningDelta,
    RefusalDelta.kind: RefusalDelta,
}


def _delta(of: str | int, text: str) -> StreamEvent:
    """The event that tells `text`: of a tool call where `of` is its number."""
    return ToolCallDelta(of, arguments=text) if isinstance(of, int) else _KINDS[of](text)
