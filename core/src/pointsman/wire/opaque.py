"""Reasoning that only its maker can read, marked with who made it: what others made must not go there. Pure.

A signature or an encrypted thought goes out as `pm.<mark>.<blob>`. What bears no mark came from elsewhere.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from msgspec.structs import replace

from pointsman.text_messages import TextMessages
from pointsman.types import (
    ChatRequest,
    ChatResponse,
    JsonObject,
    Message,
    ReasoningBlock,
    Request,
    StreamEvent,
)

T = TypeVar("T")

_DIGITS = 12
_OURS = "pm."
BLOBS: Mapping[str, str] = {
    "thinking": "signature",
    "signature_delta": "signature",
    "redacted_thinking": "data",
    "reasoning": "encrypted_content",
    "compaction": "encrypted_content",
}
"""What holds such a blob, by its `type`, and the member with it."""


def mark_of(name: str, secret: str) -> str:
    """The mark of a provider of that `name` with that credential: it tells neither."""
    return hmac.new(secret.encode("utf-8", "surrogatepass"), name.encode(), "sha256").hexdigest()[:_DIGITS]


def marked(value: Any, mark: str) -> Any:
    """A JSON value with the mark on each blob in it, however deep it is."""
    if isinstance(value, Mapping):
        made = {name: marked(each, mark) for name, each in value.items()}
        member = BLOBS.get(str(made.get("type")))
        if member is not None and isinstance(blob := made.get(member), str) and blob:
            made[member] = f"{_OURS}{mark}.{blob}"
        return made
    return [marked(each, mark) for each in value] if isinstance(value, list) else value


def events_marked(events: Sequence[StreamEvent], mark: str) -> Sequence[StreamEvent]:
    """The events of an answer, signed pieces of reasoning with the mark."""
    if not any(type(event) is ReasoningBlock for event in events):
        return events
    return [
        ReasoningBlock(marked(event.block, mark)) if isinstance(event, ReasoningBlock) else event
        for event in events
    ]


def answer_marked(answer: ChatResponse, mark: str) -> ChatResponse:
    """An answer, its signed pieces of reasoning with the mark."""
    if not answer.reasoning_blocks:
        return answer
    return replace(answer, reasoning_blocks=tuple(marked(each, mark) for each in answer.reasoning_blocks))


def for_maker(request: T, mark: str) -> T:
    """A request as the upstream of that mark may have it: its own blobs as it made them, none of others."""
    if not isinstance(request, ChatRequest) or isinstance(request.messages, TextMessages):
        return request
    if not any(map(_has_blocks, request.messages)):
        return request
    messages = tuple(
        replace(each, reasoning_blocks=_own(each.reasoning_blocks, mark)) if _has_blocks(each) else each
        for each in request.messages
    )
    return replace(request, messages=messages)


def awaiting_maker(request: Request) -> str:
    """The mark of who made the reasoning that led to calls whose results end `request`; "" for nobody.

    From there on the model goes on with what it thought: from what a user says, it thinks anew.
    """
    if not isinstance(request, ChatRequest) or isinstance(request.messages, TextMessages):
        return ""
    messages, answered = request.messages, False
    for at in range(len(messages) - 1, 0, -1):
        message = messages[at]
        if message.role == "tool":
            answered = True
        elif message.role == "assistant":
            if not answered:
                return ""
            if mark := _mark_in(message.reasoning_blocks):
                return mark
        elif messages[at - 1].role != "tool":  # what is said beside the results is no turn of its own
            return ""
    return ""


def _mark_in(blocks: Sequence[JsonObject]) -> str:
    for block in blocks:
        blob = block.get(BLOBS.get(str(block.get("type")), ""))
        if isinstance(blob, str) and blob.startswith(_OURS):
            return blob.removeprefix(_OURS).partition(".")[0]
    return ""


def _has_blocks(message: Message) -> bool:
    return bool(message.reasoning_blocks)


def _own(blocks: Sequence[JsonObject], mark: str) -> Sequence[JsonObject]:
    return tuple(own for block in blocks if (own := _for_maker(block, mark)) is not None)


def _for_maker(block: JsonObject, mark: str) -> JsonObject | None:
    member = BLOBS.get(str(block.get("type")), "")
    blob = block.get(member)
    if not isinstance(blob, str) or not blob.startswith(_OURS):
        return block
    own = f"{_OURS}{mark}."
    return {**block, member: blob.removeprefix(own)} if blob.startswith(own) else None
