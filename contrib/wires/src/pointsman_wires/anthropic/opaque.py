"""Reasoning that only its maker can read: which of it may go to an upstream. Pure."""

from __future__ import annotations

from collections.abc import Sequence
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
    refused. What bears no mark of ours stays, as its caller had it from somewhere else. Where a tool is at
    work and the thought that led there is left out, nothing further is thought.
    """
    given = _members(body)
    turns = [turn for each in _decode(given["messages"]) if (turn := _turn(each, mark)) is not None]
    made = {**given, "messages": Raw(_encode(turns))}
    if "thinking" in given and _answers_without_thought(turns):
        _stop_thinking(made)
    return _encode(made)


def _answers_without_thought(turns: Sequence[Any]) -> bool:
    """Whether a tool is at work, and no thought led there that may go along.

    All from the word of a user over the calls of tools and their results is one answer, and where thinking is
    on that must begin with a thought.
    """
    first = len(turns)
    while first >= 2 and _is_result(turns[first - 1]) and turns[first - 2].get("role") == "assistant":
        first -= 2
    return first < len(turns) and not _is_thought(turns[first])


def _is_result(turn: Any) -> bool:
    return any(isinstance(each, dict) and each.get("type") == "tool_result" for each in turn["content"])


def _is_thought(turn: Any) -> bool:
    first = turn["content"][:1]
    return isinstance(first, list) and any(block.get("type") in _SECRETS for block in first)


def _stop_thinking(members: dict[str, Raw]) -> None:
    """Have the rest of the answer made without thought: `adaptive` thinking alone bears that it begins so."""
    if (_decode(members["thinking"]) or {}).get("type") != "enabled":
        return
    members["thinking"] = Raw(b'{"type":"disabled"}')
    context = _decode(members.get("context_management", b"null"))
    if isinstance(context, dict) and isinstance(edits := context.get("edits"), list):
        kept = [each for each in edits if not _edits_thoughts(each)]  # those are refused without thinking
        members["context_management"] = Raw(_encode({**context, "edits": kept}))


def _edits_thoughts(edit: Any) -> bool:
    return isinstance(edit, dict) and str(edit.get("type")).startswith("clear_thinking")


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
