"""Signed pieces of reasoning (`reasoning_details`, OpenRouter's), streamed and whole. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pointsman.plugin import JsonObject, ReasoningBlock, StreamEvent, joined_extra
from pointsman_openai.values import as_list, as_text


def blocks_of(given: Any) -> tuple[JsonObject, ...]:
    """The pieces of a whole message."""
    return tuple(each for each in as_list(given) if isinstance(each, dict))


def text_of(blocks: Iterable[JsonObject]) -> str:
    """What can be read of pieces."""
    return "".join(as_text(each.get("text")) or as_text(each.get("summary")) for each in blocks)


class Details:
    """The pieces of one streamed answer, which come in pieces themselves, told apart by number and type."""

    __slots__ = ("_blocks",)

    def __init__(self) -> None:
        self._blocks: dict[tuple[Any, str], dict[str, Any]] = {}

    def take(self, given: Any) -> str:
        """Keep what a chunk tells; what can be read of it."""
        for each in blocks_of(given):
            number = each.get("index")
            key = (number if isinstance(number, int) else None, as_text(each.get("type")))
            known = self._blocks.get(key)
            if known is None:
                self._blocks[key] = dict(each)
                continue
            # Only what is written piece by piece grows; the rest is said once, or again.
            grows = {name: value for name, value in each.items() if name in ("text", "summary", "data")}
            known.update(joined_extra(known, grows))
            known.update(
                {name: value for name, value in each.items() if name not in grows and value is not None}
            )
        return text_of(blocks_of(given))

    def finish(self, events: list[StreamEvent]) -> None:
        """Add to `events` the pieces, complete."""
        events += [ReasoningBlock(each) for each in self._blocks.values()]
        self._blocks.clear()
