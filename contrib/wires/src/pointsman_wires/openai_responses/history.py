"""What was said before, as items that can stand in the next request: before its own, or where it names them.

Pure.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from pointsman_wires.bodies import invalid

_ITEM_IDS = ("message", "function_call", "custom_tool_call")
"""Types of items whose id nobody needs, and that another upstream would look for."""


_ITEM_ID = re.compile(r"[a-z]+_([0-9a-f]{32})[0-9a-f]{4}")
"""As `Output` makes them: the digits are those of the answer."""


class _Asked(Struct):
    input: Raw = Raw(b"null")


class _Answered(Struct):
    id: str
    output: list[dict[str, Any]]


class _Reference(Struct):
    id: str
    type: str


_asked = msgspec.json.Decoder(_Asked).decode
_answered = msgspec.json.Decoder(_Answered).decode
_items = msgspec.json.Decoder(list[Raw]).decode
_reference = msgspec.json.Decoder(_Reference).decode
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


def answers_referred_to(request: bytes) -> Collection[str]:
    """Ids of the answers whose items `request` only names; of those alone that were made here."""
    if b"item_reference" not in request:
        return ()
    try:
        items = _items(bytes(_asked(request).input))
    except (msgspec.MsgspecError, RecursionError):
        return ()  # whoever reads it says what is wrong
    made = (_ITEM_ID.fullmatch(id) for each in items if (id := _referred(each)))
    return dict.fromkeys(f"resp_{each[1]}" for each in made if each)


def items_by_id(answer: bytes) -> Mapping[str, Any]:
    """The items of `answer` as they go into a request, None for what only its server could read."""
    return {each["id"]: _kept(each) for each in _answered(answer).output if "id" in each}


def with_items(request: bytes, items: Mapping[str, Any]) -> bytes:
    """`request`, of which `answers_referred_to` found some, with `items` where it names them."""
    members = _members(request)
    own: list[Any] = []
    for each in _items(bytes(members["input"])):
        id = _referred(each)
        if id not in items:
            own.append(each)
        elif items[id] is not None:
            own.append(items[id])
    members["input"] = Raw(msgspec.json.encode(own))
    return msgspec.json.encode(members)


def _referred(item: Raw) -> str:
    """The id that `item` names another one by; "" for one that is an item itself."""
    if b"item_reference" not in bytes(item):
        return ""
    try:
        named = _reference(item)
    except msgspec.MsgspecError:
        return ""
    return named.id if named.type == "item_reference" else ""


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
