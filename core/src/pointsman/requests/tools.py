"""Tools, the choice among them, and calls of them: our own, checked, and mappings, read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from pointsman.errors import InvalidRequest
from pointsman.requests.call_options import shown
from pointsman.requests.checks import expect, expect_fields, expect_several, unknown_members
from pointsman.types import NOTHING, JsonObject, Tool, ToolCall, ToolChoice, ToolMode


def as_tools(given: Iterable[Tool | JsonObject] | None) -> tuple[Tool, ...]:
    """Tools given as `Tool` or as OpenAI-style mappings. Raises InvalidRequest that names the one."""
    tools = []
    for n, each in enumerate(expect_several(() if given is None else given, "tools")):
        tool = each if isinstance(each, Tool) else _tool(each, n)
        expect_fields(tool, Tool, f"tools[{n}]")
        tools.append(tool)
    return tuple(tools)


_WRAPPER = frozenset(("type", "function"))
_FUNCTION = frozenset(Tool.__struct_fields__) - {"extra"}


def _tool(given: Any, n: int) -> Tool:
    try:
        function = given.get("function", given)
        if function is given:
            extra = unknown_members(given, _FUNCTION | _WRAPPER)
        else:
            extra = unknown_members(given, _WRAPPER, function=unknown_members(function, _FUNCTION))
        return Tool(
            function["name"],
            function.get("description") or "",
            function.get("parameters") or {"type": "object", "properties": {}},
            function.get("strict"),
            extra,
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidRequest(f"tools[{n}] is malformed: missing or wrong {error}") from error


# ── the choice ───────────────────────────────────────────────────────────────────────────────────────

_MODES = get_args(ToolMode)
_CHOICES = {mode: ToolChoice(mode) for mode in _MODES if mode != "tool"}
_CHOICES["any"] = ToolChoice("required")  # Claude's and Mistral's word


def as_tool_choice(given: ToolChoice | str | JsonObject | None) -> ToolChoice | None:
    """`auto`, `none`, `required`, the name of a tool, or a mapping as OpenAI or Anthropic have it."""
    if given is None:
        return None
    if isinstance(given, ToolChoice):
        if given.mode not in _MODES or (given.mode == "tool" and not isinstance(given.name, str)):
            raise InvalidRequest(
                f"tool_choice is {shown(given.mode)}; expected a mode of {', '.join(_MODES)}"
            )
        return given
    if isinstance(given, str):
        return _CHOICES.get(given) or ToolChoice("tool", given)
    if not isinstance(given, Mapping):
        raise InvalidRequest(f"tool_choice is a {type(given).__name__}; expected a string or a mapping")
    return _choice_of_mapping(given)


def _choice_of_mapping(given: JsonObject) -> ToolChoice:
    if given.get("disable_parallel_tool_use"):
        raise InvalidRequest("tool_choice has disable_parallel_tool_use; write parallel_tool_calls=False")
    function = given.get("function")
    name = given.get("name") or (function.get("name") if isinstance(function, Mapping) else None)
    if name:
        return ToolChoice("tool", str(name))
    kind = given.get("type")
    if isinstance(kind, str) and kind in _CHOICES:
        return _CHOICES[kind]
    if kind in (None, "tool", "function"):
        raise InvalidRequest("tool_choice is a mapping that names no tool")
    raise InvalidRequest(
        f"tool_choice is a mapping whose type is {shown(kind)}; "
        f"expected {', '.join(_CHOICES)}, or tool with a name"
    )


def expect_named_tool(options: Mapping[str, Any]) -> None:
    """Raise InvalidRequest when the tool that must be called is none of the tools."""
    choice, tools, extra = options.get("tool_choice"), options.get("tools"), options.get("extra") or ()
    if choice is None or choice.mode != "tool" or not tools or "tools" in extra:
        return
    names = [each.name for each in tools]
    if choice.name not in names:
        raise InvalidRequest(f"tool_choice names {shown(choice.name)}; the tools are {', '.join(names)}")


# ── calls ────────────────────────────────────────────────────────────────────────────────────────────

_CALL = frozenset(("id", "type", "index", "function"))
_CALLED = frozenset(("name", "arguments"))


def expect_tool_call(given: Any, where: str) -> None:
    """Raise InvalidRequest unless `given` is a ToolCall, and everything in it of its kind."""
    expect(given, ToolCall, where, "a ToolCall")
    expect_fields(given, ToolCall, where)


def as_tool_call(given: Any, index: int, where: str) -> ToolCall:
    """A ToolCall, or an OpenAI-style mapping as the one of that `index`. Raises InvalidRequest."""
    if isinstance(given, ToolCall):
        return given
    try:
        function = given["function"]
        arguments = function.get("arguments")
        if arguments is None:
            arguments = ""
        elif not isinstance(arguments, str):
            arguments = json.dumps(arguments)
        extra = NOTHING
        if not given.keys() <= _CALL or not function.keys() <= _CALLED:
            extra = unknown_members(given, _CALL, function=unknown_members(function, _CALLED))
        return ToolCall(str(given.get("id") or ""), function["name"], arguments, index, extra)
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidRequest(f"{where} is malformed: missing or wrong {error}") from error
