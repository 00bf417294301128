"""What a request says besides that which a wire has a place for. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from pointsman.types import Audio, File, Image, Request, ResponseFormat

_ALWAYS = frozenset({"model", "messages", "prompt", "texts", "user", "metadata"})
"""What every wire sends, and labels, which change no answer."""
_PARTS: dict[type, str] = {Image: "images", File: "files", Audio: "audio"}


def said_besides(request: Request, names: Collection[str]) -> dict[str, str]:
    """What `request` says and that `names` do not have, in words, by the field of it; {} for nothing.

    Names are fields of a request, `images`, `files` and `audio` for parts of messages, and `message_extra`
    for what messages, their parts and calls, and tools have in `extra`.
    """
    found = {
        field: f"`{field}`"
        for field in request.__struct_fields__
        if field not in _ALWAYS and field not in names and _is_said(getattr(request, field))
    }
    for message in getattr(request, "messages", ()):
        for name, what in _held(message):
            if name not in names:
                found.setdefault("messages", what)
    if "tools" in found or "message_extra" in names:
        return found
    if any(each.extra for each in getattr(request, "tools", ())):
        found["tools"] = "members of a tool that it has no place for"
    return found


def _is_said(value: Any) -> bool:
    if isinstance(value, ResponseFormat):
        return value.kind != "text"
    return value is not None and (not hasattr(value, "__len__") or len(value) > 0)


def _held(message: Any) -> Iterator[tuple[str, str]]:
    """What a message holds besides text, by the name for it, and in words."""
    if message.tool_calls or message.role == "tool":
        yield "tools", "calls of tools in a message"
    if message.extra or any(each.extra for each in message.tool_calls):
        yield "message_extra", "members of a message that it has no place for"
    if isinstance(message.content, str):
        return
    for part in message.content:
        if type(part) in _PARTS:
            yield _PARTS[type(part)], f"{_PARTS[type(part)]} in a message"
        if part.extra:
            yield "message_extra", "members of a part of a message that it has no place for"
