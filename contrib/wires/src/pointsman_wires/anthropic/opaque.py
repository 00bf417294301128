"""Reasoning that only its maker can read: which of it may go to an upstream. Pure."""

from __future__ import annotations

from typing import Any

from msgspec import Raw
from msgspec.json import Decoder, Encoder

_SECRETS = {"thinking": "signature", "redacted_thinking": "data"}
"""The member of a block that tells who made it."""
_OURS = "pm."

_members = Decoder(dict[str, Raw]).decode
_decode = Decoder().decode
_encode = Encoder().encode


def for_upstream(body: bytes, mark: str) -> bytes:
    """`body` as the upstream of `mark` may have it.

    Our marks are taken off what it made. What others made is left out, as is what is not signed: it would be
    refused. What bears no mark of ours stays, as its caller had it from somewhere else.
    """
    given = _members(body)
    turns = [turn for each in _decode(given["messages"]) if (turn := _turn(each, mark)) is not None]
    return _encode({**given, "messages": turns})


def _turn(turn: Any, mark: str) -> Any:
    """A turn with the blocks that the upstream may have; None when it has none then."""
    content = turn.get("content")
    if turn.get("role") != "assistant" or not isinstance(content, list):
        return turn
    kept = [block for each in content if (block := _block(each, mark)) is not None]
    return {**turn, "content": kept} if kept or not content else None


def _block(block: Any, mark: str) -> Any:
    """`block` as the upstream may have it; None when it may not."""
    member = _SECRETS.get(block.get("type", "")) if isinstance(block, dict) else None
    if member is None:
        return block
    secret = block.get(member)
    if not isinstance(secret, str) or not secret:
        return None
    if not secret.startswith(_OURS):
        return block
    own = f"{_OURS}{mark}."
    return {**block, member: secret.removeprefix(own)} if secret.startswith(own) else None
