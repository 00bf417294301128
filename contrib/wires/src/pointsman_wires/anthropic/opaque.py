"""Reasoning that only its maker can read: which of it may go to an upstream."""

from __future__ import annotations

from typing import Any

from msgspec.json import encode

from pointsman_wires.members import json_object

_SECRETS = {"thinking": "signature", "redacted_thinking": "data"}
"""The member of a block that tells who made it."""
_OURS = "pm."


def for_upstream(body: bytes, mark: str) -> bytes:
    """`body` as the upstream of `mark` may have it.

    Our marks are taken off what it made. What others made is left out, as is what is not signed: it would be
    refused. What bears no mark of ours stays, as its caller had it from somewhere else.
    """
    given = json_object(body)
    changed = False
    for turn in given.get("messages") or ():
        content = turn.get("content")
        if turn.get("role") == "assistant" and isinstance(content, list):
            kept = [block for each in content if (block := _block(each, mark)) is not None]
            if kept != content:
                changed = True
                turn["content"] = kept
    return encode(given) if changed else body


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
