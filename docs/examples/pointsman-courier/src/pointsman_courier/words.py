"""A request in the Courier's words. Pure: values in, values out."""

from __future__ import annotations

from typing import Any

from pointsman.plugin import ChatRequest, Message, Tool, Unsupported

OPTIONS = {"temperature": "warmth", "max_tokens": "longest", "stop": "until", "seed": "seed"}
"""Those that the Courier has, and what it calls them."""


def letter_of(request: ChatRequest, writer: str) -> dict[str, Any]:
    """The body of a letter to `writer`, of a request that says nothing else than has a place here."""
    letter: dict[str, Any] = {"writer": writer, "lines": [_line(each) for each in request.messages]}
    for name, theirs in OPTIONS.items():
        if (value := getattr(request, name)) not in (None, ()):
            letter[theirs] = list(value) if name == "stop" else value
    if request.tools:
        letter["tools"] = [_tool(each) for each in request.tools]
    if (choice := request.tool_choice) is not None:
        letter["use"] = choice.name if choice.mode == "tool" else choice.mode
    return {**letter, **request.extra}


def _line(message: Message) -> dict[str, Any]:
    # What another model thought aloud is not sent on: it was never meant for this one.
    line: dict[str, Any] = {"from": message.role, "text": message.text}
    if message.tool_calls:
        line["calls"] = [
            {"id": each.id, "tool": each.name, "with": each.arguments} for each in message.tool_calls
        ]
    if message.tool_call_id is not None:
        line |= {"answers": message.tool_call_id, "failed": message.is_error}
    if message.name is not None:
        line["name"] = message.name
    return line


def _tool(tool: Tool) -> dict[str, Any]:
    if tool.strict:
        raise Unsupported("the Courier does not check what a tool is called with (strict)")
    return {"tool": tool.name, "about": tool.description, "takes": tool.parameters}
