"""Reasoning that only its maker can read, in messages of OpenAI's chat: `reasoning_details`. Pure.

OpenAI's own chat has none; it is the member that compatible servers have for it, and their clients send back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pointsman.plugin import JsonObject, jsonio, openai_objects

DETAILS = openai_objects.DETAILS
_SECRETS = {"thinking": "signature", "redacted_thinking": "data"}
"""Blocks of another wire, which no server of this one can read, and the member that tells who made it."""
_OURS = "pm."


def numbered(block: JsonObject, number: int) -> JsonObject:
    """A block for a stream: clients join what has the same number, and fail where there is none."""
    return block if isinstance(block.get("index"), int) else {**block, "index": number}


def has_details(messages: Any) -> bool:
    """Whether one of the messages has some."""
    if not isinstance(messages, list):
        return False
    try:
        names = set().union(*messages)  # by C: each request asks this of each of its messages
    except TypeError:  # one of them is no object
        names = {DETAILS}
    return DETAILS in names and any(isinstance(each, dict) and each.get(DETAILS) for each in messages)


def as_made(messages: Sequence[Any]) -> list[Any]:
    """The messages with blocks of another wire as they were before they were numbered."""
    return [_with_blocks(each, _unnumbered) for each in messages]


def for_upstream(body: bytes, mark: str) -> bytes:
    """`body` as the upstream of `mark` may have it: without what it cannot read, as others made it.

    What bears no mark of ours its caller had from somewhere else, and it stays.
    """
    given = jsonio.exactly(body)
    given["messages"] = [
        _with_blocks(each, lambda block: _readable(block, mark)) for each in given["messages"]
    ]
    return jsonio.dumps(given)


def _with_blocks(message: Any, change: Callable[[Any], Any]) -> Any:
    """A message, each of its blocks changed, or left out where that is None."""
    blocks = message.get(DETAILS) if isinstance(message, dict) else None
    if not isinstance(blocks, list):
        return message
    kept = [changed for each in blocks if (changed := change(each)) is not None]
    rest = {name: value for name, value in message.items() if name != DETAILS}
    return {**rest, DETAILS: kept} if kept else rest


def _unnumbered(block: Any) -> Any:
    if not isinstance(block, dict) or block.get("type") not in _SECRETS:
        return block
    return {name: value for name, value in block.items() if name != "index"}


def _readable(block: Any, mark: str) -> Any:
    if not isinstance(block, Mapping):
        return block
    if block.get("type") in _SECRETS:
        return None
    changed = dict(block)
    for name, value in block.items():
        if isinstance(value, str) and value.startswith(_OURS):
            maker, _, blob = value.removeprefix(_OURS).partition(".")
            if maker != mark:
                return None
            changed[name] = blob
    return changed
