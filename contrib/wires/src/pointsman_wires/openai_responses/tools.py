"""Tools of the Responses API as functions, and calls of those functions as calls of the tools. Pure.

Functions are the only tools that all upstreams have. A custom tool, which takes plain text, is a function
with one text; the tools of a namespace are functions that carry its name in theirs. Tools that a server
runs itself are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from pointsman.plugin import Tool, ToolChoice, jsonio
from pointsman_wires.openai_responses.mistakes import as_list, as_object, member, refuse
from pointsman_wires.tool_names import LONGEST, marked

_READ = frozenset(("type", "name", "namespace", "description", "parameters", "strict", "format"))
_MODES = ("auto", "none", "required")
_INPUT = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
_NO_PARAMETERS: Mapping[str, Any] = {"type": "object", "properties": {}}


class Callee(Struct, frozen=True):
    """What is called by a call, as the caller names it."""

    name: str
    kind: Literal["function", "custom"] = "function"
    namespace: str = ""


class Toolbox:
    """The tools of one request.

    Attributes:
        tools: as functions.
        left_out: the members of the body whose tools are not among them.
        unread: those of its tools that a function does not have.
    """

    def __init__(self) -> None:
        self.tools: list[Tool] = []
        self.left_out: list[str] = []
        self.unread: list[str] = []
        self._callees: dict[str, Callee] = {}
        self._names: dict[Callee, str] = {}

    def add(self, given: Any, where: str) -> None:
        """Take in the list of tools at `where`. Raises InvalidBody."""
        for n, each in enumerate(as_list(given, where)):
            self._add(as_object(each, f"{where}[{n}]"), f"{where}[{n}]", "")

    def callee(self, name: str) -> Callee:
        """What the function `name` stands for."""
        return self._callees.get(name) or Callee(name)

    def name_of(self, callee: Callee) -> str:
        """The name of the function that stands for `callee`, which may be none of the tools."""
        return self._names.get(callee) or _joined(callee)

    def choice(self, given: Any) -> tuple[ToolChoice | None, str]:
        """Which tools are to be called, and the member that says what only this wire can; "" for none.

        Tools that are not allowed are taken out. Raises InvalidBody.
        """
        where = "tool_choice"
        if given is None:
            return None, ""
        if isinstance(given, str):
            if given not in _MODES:
                refuse(where, f"one of {', '.join(_MODES)} or an object", given)
            return ToolChoice(given), ""  # type: ignore[arg-type]  # a word of `_MODES`
        kind = as_object(given, where).get("type")
        if kind in ("function", "custom"):
            return ToolChoice("tool", self.name_of(_callee(given, where))), ""
        if kind != "allowed_tools":
            return None, f"{where} ({kind})"
        mode = given.get("mode", "auto")
        if mode not in ("auto", "required"):
            refuse(f"{where}.mode", "auto or required", mode)
        self._allow(as_list(given.get("tools"), f"{where}.tools"), f"{where}.tools")
        return ToolChoice(mode), ""

    def _add(self, tool: dict[str, Any], where: str, namespace: str) -> None:
        kind = tool.get("type")
        if kind == "namespace" and not namespace:
            name = member(tool, "name", where)
            for n, each in enumerate(as_list(tool.get("tools"), f"{where}.tools")):
                self._add(as_object(each, f"{where}.tools[{n}]"), f"{where}.tools[{n}]", name)
        elif kind in ("function", "custom"):
            self._call_it(_callee(tool, where, namespace), tool, where)
            if not tool.keys() <= _READ:
                self.unread += [
                    f"{where}.{name}" for name, value in tool.items() if value and name not in _READ
                ]
        else:
            self.left_out.append(f"{where} ({str(kind)[:LONGEST]})")

    def _call_it(self, callee: Callee, tool: dict[str, Any], where: str) -> None:
        name = _joined(callee)
        if name in self._callees and self._callees[name] != callee:
            name = _marked(name, callee)
        self._callees[name], self._names[callee] = callee, name
        description = tool.get("description") or ""
        if callee.kind == "custom":
            self.tools.append(Tool(name, description + _rules(tool.get("format")), _INPUT))
            return
        parameters = as_object(tool.get("parameters") or dict(_NO_PARAMETERS), f"{where}.parameters")
        self.tools.append(Tool(name, description, parameters, tool.get("strict")))

    def _allow(self, given: Sequence[Any], where: str) -> None:
        allowed = set()
        for n, each in enumerate(given):
            if as_object(each, f"{where}[{n}]").get("type") in ("function", "custom"):
                allowed.add(self.name_of(_callee(each, f"{where}[{n}]")))
        self.tools = [each for each in self.tools if each.name in allowed]


def custom_arguments(text: str) -> str:
    """The arguments of the function that stands for a custom tool called with `text`."""
    return jsonio.dumps({"input": text}).decode()


def custom_input(arguments: str) -> str:
    """The text that a custom tool is called with; whatever a model wrote when that is something else."""
    try:
        given = jsonio.loads(arguments)
    except ValueError:
        return arguments
    if type(given) is dict and type(given.get("input")) is str:
        return str(given["input"])
    return given if type(given) is str else arguments


def _callee(given: dict[str, Any], where: str, namespace: str = "") -> Callee:
    space = namespace or given.get("namespace")
    kind: Literal["function", "custom"] = "custom" if given.get("type") == "custom" else "function"
    return Callee(member(given, "name", where), kind, space if isinstance(space, str) else "")


def _joined(callee: Callee) -> str:
    if not callee.namespace:
        return callee.name
    name = f"{callee.namespace.removesuffix('__')}__{callee.name}"
    return name if len(name) <= LONGEST else _marked(name, callee)


def _marked(name: str, callee: Callee) -> str:
    """`name`, made short and its own by digits that stay the same for the tool."""
    return marked(name, f"{callee.kind}\0{callee.namespace}\0{callee.name}")


def _rules(given: Any) -> str:
    """What a model is told of the form of the text, which nobody checks."""
    said = "\n\nGive the whole text as `input`."
    if type(given) is dict and given.get("type") == "grammar":
        said += f" It must follow this {given.get('syntax') or ''} grammar:\n{given.get('definition') or ''}"
    return said
