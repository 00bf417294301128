"""What was said before an answer, as items that can stand before those of the next request. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from pointsman_wires.bodies import invalid

_ITEM_IDS = ("message", "function_call", "custom_tool_call")
"""Types of items whose id nobody needs, and that another upstream would look for."""


class _Asked(Struct):
    input: Raw = Raw(b"null")


class _Answered(Struct):
    id: str
    output: list[dict[str, Any]]


_asked = msgspec.json.Decoder(_Asked).decode
_answered = msgspec.json.Decoder(_Answered).decode
_members = msgspec.json.Decoder(dict[str, Raw]).decode


class PreviousAnswer(Struct, frozen=True):
    """An answer that can be gone on from.

    Attributes:
        id: its name.
        turn: the items that were new in its request, and those of its output, as JSON without the brackets.
    """

    id: str
    turn: bytes


def previous_answer(request: bytes, answer: bytes) -> PreviousAnswer | None:
    """What `answer` was, and what `request` said; None for what is no answer that can be gone on from."""
    try:
        asked, answered = _asked(request), _answered(answer)
        output = [each for each in map(_kept, answered.output) if each is not None]
        items = [_inside(asked.input), msgspec.json.encode(output)[1:-1]]
    except (msgspec.MsgspecError, RecursionError):
        return None
    return PreviousAnswer(answered.id, b",".join(each for each in items if each))


def with_history(request: bytes, turns: Sequence[bytes]) -> bytes:
    """`request` with what was said in `turns` before its own items, and without a previous answer.

    Raises: InvalidBody.
    """
    try:
        members = _members(request)
        own = _inside(members.get("input", Raw(b"[]")))
    except msgspec.MsgspecError as error:
        raise invalid(f"the body is not as it should be: {error}") from error
    members.pop("previous_response_id", None)
    members["input"] = Raw(b"[" + b",".join(each for each in (*turns, own) if each) + b"]")
    return msgspec.json.encode(members)


def _inside(given: Raw) -> bytes:
    """The items of an `input`, without the brackets; a text is one item."""
    text = bytes(given).strip()
    if text.startswith(b'"'):
        return b'{"role":"user","content":' + text + b"}"
    if not text.startswith(b"["):
        raise invalid("input is neither a text nor a list of items", "input")
    return text[1:-1].strip()


def _kept(item: dict[str, Any]) -> dict[str, Any] | None:
    """An item of an output as it goes into the next request; None for one that only its server could read."""
    kind = item.get("type")
    if kind == "reasoning" and not item.get("encrypted_content"):
        return None
    if kind in _ITEM_IDS:
        return {name: value for name, value in item.items() if name != "id"}
    return item
