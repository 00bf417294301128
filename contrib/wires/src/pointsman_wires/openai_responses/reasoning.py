"""Reasoning that only its maker can read, on its way out to callers and back. Pure.

What an upstream of this wire made goes out as `pm.<mark>.<blob>`, the mark being that of the upstream. What
one of another wire made goes out as `pm.blocks.<base64>`: the pieces as we have them.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw

from pointsman.plugin import ChatResponse, JsonObject, Unsupported, jsonio, replace

_OURS = "pm."
_BLOCKS = "pm.blocks."
_SIGN = b'"pm.'
_SEALED = "reasoning"
"""The type of a piece that is nothing but a blob of this wire."""

_members = msgspec.json.Decoder(dict[str, Raw])
_items = msgspec.json.Decoder(list[Raw])
_item = msgspec.json.Decoder(dict[str, Any])


def sealed(blob: str) -> JsonObject:
    """A piece of reasoning that is a blob of this wire."""
    return {"type": _SEALED, "encrypted_content": blob}


def is_sealed(block: JsonObject) -> bool:
    """Whether a piece of reasoning is such a one."""
    return block.get("type") == _SEALED


def seal_in(answer: ChatResponse, blob: str) -> ChatResponse:
    """`answer` with such a piece."""
    return replace(answer, reasoning_blocks=(*answer.reasoning_blocks, sealed(blob)))


def blob_of(blocks: Sequence[JsonObject]) -> str:
    """`blocks` as the text that a caller hands back."""
    if len(blocks) == 1 and is_sealed(blocks[0]):
        return str(blocks[0].get("encrypted_content"))
    return _BLOCKS + b64encode(jsonio.dumps([dict(each) for each in blocks])).decode()


def blocks_of(blob: Any) -> tuple[JsonObject, ...]:
    """The pieces of reasoning in a text that was handed back; () for none."""
    if type(blob) is not str or not blob:
        return ()
    if not blob.startswith(_BLOCKS):
        return (sealed(blob),)
    try:
        blocks = jsonio.loads(b64decode(blob[len(_BLOCKS) :], validate=True))
    except ValueError:
        return ()
    return tuple(each for each in blocks if type(each) is dict) if type(blocks) is list else ()


def holds_marks(body: bytes) -> bool:
    """Whether something in `body` may carry a mark."""
    return _SIGN in body


def for_maker(body: bytes, mark: str) -> bytes:
    """`body` for the upstream of that `mark`: its own blobs as it made them, and none of others.

    Items that have nothing but such a blob go, and so do the names of the others, which refer to them.

    Raises: Unsupported when a whole conversation is in a blob of another upstream.
    """
    members = _members.decode(body)
    given = members.get("input")
    if given is None or not bytes(given).lstrip().startswith(b"["):
        return body
    items = _items.decode(given)
    kept = [_for_maker(each, mark) if _SIGN in bytes(each) else each for each in items]
    if None in kept:
        kept = [_without_name(each) for each in kept if each is not None]
    members["input"] = Raw(msgspec.json.encode(kept))
    return msgspec.json.encode(members)


def _for_maker(raw: Raw, mark: str) -> Raw | None:
    item = _item.decode(raw)
    blob = item.get("encrypted_content")
    if type(blob) is not str or not blob.startswith(_OURS):
        return raw
    maker, _, inner = blob[len(_OURS) :].partition(".")
    if maker == mark:
        return Raw(msgspec.json.encode(item | {"encrypted_content": inner}))
    if item.get("type") != "reasoning":
        raise Unsupported(f"an item of type {item.get('type')!r} was made by another upstream")
    return None


def _without_name(raw: Raw) -> Raw:
    item = _item.decode(raw)
    if item.get("type", "message") not in ("message", "function_call", "custom_tool_call"):
        return raw
    return Raw(msgspec.json.encode({name: value for name, value in item.items() if name != "id"}))
