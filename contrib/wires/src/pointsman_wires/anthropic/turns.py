"""The conversation of a Messages request as our messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.json import encode

from pointsman.plugin import NOTHING, JsonObject, Message, Part, TextMessages, ToolCall
from pointsman_wires.anthropic.parts import joined_if_text, parts
from pointsman_wires.members import flag, items, mapping, text, wrong
from pointsman_wires.tool_names import short_name
from pointsman_wires.unsaid import Unsaid

_ROLES = ("user", "assistant", "system")


def conversation(given: JsonObject, unsaid: Unsaid) -> Sequence[Message]:
    """The system prompt and the turns.

    A user's turn that brings results of tools is several messages of ours. Raises InvalidRequest that names
    the turn, the block and the member.
    """
    turns = items(given, "messages")
    if not turns:
        raise wrong("messages", "at least one message is required")
    system = _system(given.get("system"), unsaid)
    if (plain := _plain(turns)) is not None:
        roles, texts = plain
        if system:
            roles, texts = ["system", *roles], [system, *texts]
        return TextMessages(tuple(roles), tuple(texts))  # type: ignore[arg-type]  # checked there
    said = [Message("system", system)] if system else []
    for n, turn in enumerate(turns):
        said += _turn(mapping(turn, f"messages.{n}"), f"messages.{n}", unsaid)
    return tuple(said)


def _plain(turns: list[Any]) -> tuple[list[str], list[str]] | None:
    """Roles and texts of turns that all are mere text; None of others."""
    roles: list[str] = []
    texts: list[str] = []
    for turn in turns:
        if type(turn) is not dict or len(turn) != 2 or turn.get("role") not in _ROLES:
            return None  # with a third member, too: that is named by who reads turns one by one
        content = turn.get("content")
        if type(content) is not str:
            return None
        roles.append(turn["role"])
        texts.append(content)
    return roles, texts


def _system(given: Any, unsaid: Unsaid) -> str:
    if given is None or isinstance(given, str):
        return given or ""
    if not isinstance(given, list):
        raise wrong("system", "Input should be a string or a list of text blocks")
    said = []
    for n, block in enumerate(given):
        where = f"system.{n}"
        block = mapping(block, where)
        if block.get("type") != "text":
            raise wrong(f"{where}.type", "Input should be 'text'")
        unsaid.ignores_others(block, ("type", "text"), "system")
        said.append(text(block, "text", f"{where}.text"))
    return "\n\n".join(said)


def _turn(turn: JsonObject, where: str, unsaid: Unsaid) -> list[Message]:
    role = turn.get("role")
    if role not in _ROLES:
        raise wrong(f"{where}.role", "Input should be 'user' or 'assistant'")
    unsaid.ignores_others(turn, ("role", "content"), "messages")
    content = turn.get("content")
    if isinstance(content, str):
        return [Message(role, content)]
    if not isinstance(content, list):
        raise wrong(
            f"{where}.content", "Field required" if content is None else "Input should be a valid list"
        )
    blocks = [mapping(block, f"{where}.content.{n}") for n, block in enumerate(content)]
    if role == "assistant":
        return [_assistant(blocks, f"{where}.content", unsaid)]
    said: list[Part] = []
    results: list[Message] = []
    for n, block in enumerate(blocks):
        if block.get("type") == "tool_result":
            results.append(_result(block, f"{where}.content.{n}", unsaid))
        else:
            said += parts(block, f"{where}.content.{n}", unsaid)
    return [*results, Message(role, joined_if_text(said))] if said or not results else results


def _result(block: JsonObject, where: str, unsaid: Unsaid) -> Message:
    """What a tool gave. Several texts stay apart by a line break, since they are one text for most others."""
    known = ("type", "tool_use_id", "content", "is_error")
    unsaid.ignores_others(block, known, "messages")
    id, content = text(block, "tool_use_id", where), block.get("content")
    said: str | tuple[Part, ...] = content if isinstance(content, str) else ""
    if content is not None and not isinstance(content, str):
        found: list[Part] = []
        for n, each in enumerate(items(block, "content", where)):
            found += parts(each, f"{where}.content.{n}", unsaid)
        said = joined_if_text(found, "\n")
    return Message("tool", said, tool_call_id=id, is_error=flag(block, "is_error", where) is True)


def _assistant(blocks: list[dict[str, Any]], where: str, unsaid: Unsaid) -> Message:
    """What a model said. Blocks that only Claude knows go along for it, and for nobody else."""
    said: list[str] = []
    thought: list[str] = []
    calls: list[ToolCall] = []
    reasoning: list[JsonObject] = []
    others = False
    for n, block in enumerate(blocks):
        place = f"{where}.{n}"
        match text(block, "type", place):
            case "text":
                said.append(text(block, "text", f"{place}.text"))
                unsaid.ignores_others(block, ("type", "text"), "messages")
            case "tool_use":
                calls.append(_call(block, place, len(calls), unsaid))
            case "thinking":
                thought.append(text(block, "thinking", place))
                reasoning.append(block)
            case "redacted_thinking":
                reasoning.append(block)
            case kind:
                others = True
                unsaid.ignores(f"messages.{kind}")
    unsaid.opaque = unsaid.opaque or bool(reasoning)
    return Message(
        "assistant",
        "".join(said),
        tool_calls=tuple(calls),
        reasoning="".join(thought) or None,
        reasoning_blocks=tuple(reasoning),
        extra={"content": blocks} if others else NOTHING,
    )


def _call(block: JsonObject, where: str, index: int, unsaid: Unsaid) -> ToolCall:
    unsaid.ignores_others(block, ("type", "id", "name", "input", "caller"), "messages")
    arguments = mapping(block.get("input"), f"{where}.input")
    name = short_name(text(block, "name", where))
    return ToolCall(text(block, "id", where), name, encode(arguments).decode(), index)
