"""The messages of a chat as ours. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.json import encode

from pointsman.plugin import Image, JsonObject, Message, Part, Text, TextMessages, ToolCall
from pointsman_wires.members import items, mapping, text, text_or_none, wrong
from pointsman_wires.unsaid import Unsaid

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
_TEXT_ROLES = ("user", "assistant", "system")
_KNOWN = ("role", "content", "images", "thinking", "tool_calls", "tool_name", "tool_call_id", "name")
_BEGINNINGS = {"iVBOR": "image/png", "/9j/": "image/jpeg", "R0lGOD": "image/gif", "UklGR": "image/webp"}
"""How the base64 of a picture begins, and what it is then."""


class _Pairs:
    """Which result belongs to which call: programs often leave out the ids, which others insist on."""

    def __init__(self) -> None:
        self._open: list[tuple[str, str]] = []
        self._count = 0

    def called(self, given: str | None, name: str) -> str:
        """The id of a call."""
        id = given or self._made()
        self._open.append((id, name))
        return id

    def answered(self, given: str | None, name: str | None) -> tuple[str, str | None]:
        """Id and name of the call that a result is of: by id, by name, or the first that has no result."""
        for wanted in (lambda each: each[0] == given, lambda each: each[1] == name, lambda _: not given):
            for each in self._open:
                if wanted(each):
                    self._open.remove(each)
                    return each[0], name or each[1]
        return given or self._made(), name

    def _made(self) -> str:
        self._count += 1
        return f"call_{self._count}"


def conversation(given: JsonObject, unsaid: Unsaid) -> Sequence[Message]:
    """The messages. Raises InvalidRequest that names the message and the member."""
    turns = items(given, "messages")
    if (plain := _plain(turns)) is not None:
        return plain
    pairs = _Pairs()
    return tuple(
        _message(mapping(turn, f"messages[{n}]"), f"messages[{n}]", pairs, unsaid)
        for n, turn in enumerate(turns)
    )


def _plain(turns: list[Any]) -> TextMessages | None:
    """Messages that all are a role and a text and nothing else; None of others."""
    roles: list[Any] = []
    texts: list[str] = []
    for turn in turns:
        if type(turn) is not dict or len(turn) != 2 or type(said := turn.get("content")) is not str:
            return None
        role = turn.get("role")
        if role not in _TEXT_ROLES:
            return None
        roles.append(role)
        texts.append(said)
    return TextMessages(tuple(roles), tuple(texts))


def _message(given: JsonObject, where: str, pairs: _Pairs, unsaid: Unsaid) -> Message:
    role = _ROLES.get(text(given, "role", where).lower())
    if role is None:
        raise wrong(f"{where}.role", "invalid role; expected system, user, assistant or tool")
    unsaid.ignores_others(given, _KNOWN, "messages")
    content = text_or_none(given, "content", where) or ""
    match role:
        case "tool":
            name = text_or_none(given, "tool_name", where) or text_or_none(given, "name", where)
            id, name = pairs.answered(text_or_none(given, "tool_call_id", where), name)
            return Message.tool(id, content, name=name)
        case "assistant":
            calls = enumerate(items(given, "tool_calls", where))
            return Message(
                "assistant",
                content,
                tool_calls=tuple(_call(each, f"{where}.tool_calls[{n}]", n, pairs) for n, each in calls),
                reasoning=text_or_none(given, "thinking", where) or None,
            )
        case "system":
            return Message("system", content)
        case _:
            pictures = [picture(each, f"{where}.images") for each in items(given, "images", where)]
            said: list[Part] = [Text(content)] if content else []
            return Message("user", (*said, *pictures) if pictures else content)


def _call(given: Any, where: str, index: int, pairs: _Pairs) -> ToolCall:
    call = mapping(given, where)
    function = mapping(call.get("function"), f"{where}.function")
    name = text(function, "name", f"{where}.function")
    arguments = function.get("arguments")
    written = (
        "{}" if arguments is None else encode(mapping(arguments, f"{where}.function.arguments")).decode()
    )
    return ToolCall(pairs.called(text_or_none(call, "id", where), name), name, written, index)


def picture(given: Any, where: str) -> Image:
    """A picture in base64, of whose kind nothing is said."""
    if not isinstance(given, str):
        raise wrong(where, "expected base64")
    if given.startswith("data:"):
        return Image(url=given)
    kind = next((kind for begin, kind in _BEGINNINGS.items() if given.startswith(begin)), "image/png")
    return Image(media_type=kind, url=f"data:{kind};base64,{given}")
