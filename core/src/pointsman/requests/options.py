"""What a request says beside its model and its prompt: each option read as our own value, of its kind."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from math import inf
from typing import Any, get_args, get_origin

from pointsman._internal.suggest import nearest
from pointsman.errors import InvalidRequest
from pointsman.requests.call_options import OPTION_NAMES
from pointsman.requests.checks import (
    as_texts,
    expect,
    expect_one_of,
    expect_value,
    number,
    read_each,
    shown,
    unknown_members,
)
from pointsman.types import (
    FormatKind,
    Image,
    JsonObject,
    ReasoningEffort,
    Request,
    ResponseFormat,
    Tool,
    ToolChoice,
    ToolMode,
)


def read_options(
    options: Mapping[str, Any], known: Collection[str], *, also: Collection[str] = OPTION_NAMES
) -> dict[str, Any]:
    """`options` as our own values, without those that are None.

    Args:
        also: what else can be said where they stand.

    Raises: InvalidRequest for one that is not `known`, or whose value is not of its kind.
    """
    read = {}
    for name, value in options.items():
        if name not in known:
            raise InvalidRequest(f"unknown option {shown(name)}; {_hint(name, (*known, *also))}")
        if value is not None:
            read[name] = _READERS[name](value, name)
    return read


def is_option(name: str) -> bool:
    """Whether some kind of request has an option of that name."""
    return name in _READERS


def default_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options that a configuration gives as defaults, for whichever kind of request they fit.

    Raises: InvalidRequest for one that no kind of request has, or whose value cannot be read.
    """
    for name in OPTION_NAMES.intersection(options):
        from pointsman.requests.foreign_options import CONFIGURED

        see = f"; see {CONFIGURED[name]}" if name in CONFIGURED else ""
        raise InvalidRequest(f"{name!r} belongs to a call, not here{see}")
    return read_options(options, _READERS, also=())


def _hint(name: str, known: Collection[str]) -> str:
    from pointsman.requests.foreign_options import INSTEAD  # most programs know the options

    if name in INSTEAD:
        return INSTEAD[name]
    close = nearest(name, known)
    return f"did you mean {close!r}?" if close else "pass it through with extra={...}"


def _labels(given: Any, where: str) -> Any:
    for name, value in expect(given, where, Mapping, "a mapping").items():
        expect(name, f"a name in {where}", str, "text")
        expect(value, f"{where}.{name[:50]}", str | int | float | None, "text")
    return given


def _images(given: Any, where: str) -> tuple[Image, ...]:
    return read_each(given or (), where, lambda each, place: expect_value(each, place, Image))


_NOT_EXTRA = {
    "model": "name another model or deployment in the call",
    "stream": "call `stream` or `chat`",
    "messages": "hand the messages to the call",
    "prompt": "hand the prompt to `generate`",
    "input": "hand the texts to `embed`",
}
"""What routing and limits rest on, and what to do instead of saying it in `extra`."""


def _extra(given: Any, where: str) -> Any:
    for key in expect(given, where, Mapping, "a mapping"):
        instead = _NOT_EXTRA.get(str(key).casefold())  # some servers read keys without regard to case
        if instead is not None:
            raise InvalidRequest(f"{where} cannot set {shown(key)}: the router does; {instead}")
    return given


# ── tools ────────────────────────────────────────────────────────────────────────────────────────────

_WRAPPER = frozenset(("type", "function"))
_FUNCTION = frozenset(Tool.__struct_fields__) - {"extra"}


def as_tools(given: Any, where: str = "tools") -> tuple[Tool, ...]:
    """Tools given as `Tool`, functions, or OpenAI-style mappings. Raises InvalidRequest that names one."""
    return read_each(given or (), where, _tool)


def _tool(given: Any, where: str) -> Tool:
    return expect_value(given if isinstance(given, Tool) else _made_tool(given, where), where, Tool)


def _made_tool(given: Any, where: str) -> Tool:
    if callable(given) and not isinstance(given, type):
        try:
            return Tool.from_function(given)
        except TypeError as error:
            raise InvalidRequest(f"{where}: {error}") from error
    function: Any = expect(given, where, Mapping, "a Tool, a function or a mapping").get("function", given)
    if function is given:
        extra = unknown_members(given, _FUNCTION | _WRAPPER)
    else:
        expect(function, f"{where}.function", Mapping, "a mapping with a name")
        extra = unknown_members(given, _WRAPPER, function=unknown_members(function, _FUNCTION))
    return Tool(
        function.get("name"),
        function.get("description") or "",
        function.get("parameters") or {"type": "object", "properties": {}},
        function.get("strict"),
        extra,
    )


_MODES = get_args(ToolMode)
_CHOICES = {mode: ToolChoice(mode) for mode in _MODES if mode != "tool"}
_CHOICES["any"] = ToolChoice("required")  # Claude's and Mistral's word


def as_tool_choice(given: Any, where: str = "tool_choice") -> ToolChoice:
    """`auto`, `none`, `required`, the name of a tool, or a mapping as OpenAI or Anthropic have it."""
    if isinstance(given, str):
        return _CHOICES.get(given) or ToolChoice("tool", given)
    if isinstance(given, ToolChoice):
        expect_one_of(given.mode, f"{where}.mode", _MODES)
        if given.mode == "tool":
            expect(given.name, f"{where}.name", str, "the name of a tool")
        return expect_value(given, where, ToolChoice)
    return _choice_of_mapping(expect(given, where, Mapping, "a string or a mapping"))


def _choice_of_mapping(given: JsonObject) -> ToolChoice:
    if given.get("disable_parallel_tool_use"):
        raise InvalidRequest("tool_choice has disable_parallel_tool_use; write parallel_tool_calls=False")
    function, kind = given.get("function"), given.get("type")
    name = given.get("name") or (function.get("name") if isinstance(function, Mapping) else None)
    if name:
        return ToolChoice("tool", str(name))
    if kind in (None, "tool", "function"):
        raise InvalidRequest("tool_choice is a mapping that names no tool")
    return _CHOICES[expect_one_of(kind, "tool_choice.type", (*_CHOICES, "tool"))]


def expect_named_tool(options: Mapping[str, Any]) -> None:
    """Raise InvalidRequest when the tool that must be called is none of the tools."""
    choice, tools, extra = options.get("tool_choice"), options.get("tools"), options.get("extra") or ()
    if choice is None or choice.mode != "tool" or not tools or "tools" in extra:
        return
    names = [each.name for each in tools]
    if choice.name not in names:
        raise InvalidRequest(f"tool_choice names {shown(choice.name)}; the tools are {', '.join(names)}")


# ── the form of the answer ───────────────────────────────────────────────────────────────────────────

_FORMATS = {
    "text": ResponseFormat("text"),
    "json": ResponseFormat("json"),
    "json_object": ResponseFormat("json"),
}


def as_response_format(given: Any, where: str = "response_format") -> ResponseFormat:
    """`text`, `json`, a JSON Schema, OpenAI's `response_format` mapping, or a Python type."""
    if isinstance(given, str):
        if given not in _FORMATS:
            raise InvalidRequest(f"{where} is {shown(given)}; expected text, json, a JSON Schema or a type")
        return _FORMATS[given]
    if isinstance(given, type) or get_origin(given) is not None:
        try:
            return ResponseFormat.of(given)
        except TypeError as error:
            raise InvalidRequest(f"{where}: {error}") from error
    if not isinstance(given, ResponseFormat):
        given = _format_of_mapping(expect(given, where, Mapping, "a string, a mapping or a type"), where)
    expect_one_of(given.kind, f"{where}.kind", get_args(FormatKind))
    if given.kind == "schema":
        expect(given.schema, f"{where}.schema", Mapping, "a JSON Schema")
    return expect_value(given, where, ResponseFormat)


def _format_of_mapping(given: JsonObject, where: str) -> ResponseFormat:
    kind = given.get("type")
    if kind in ("text", "json_object"):
        return _FORMATS[kind]
    if kind != "json_schema":
        return ResponseFormat("schema", given)
    spec = expect(given.get("json_schema"), f"{where}.json_schema", Mapping, "a mapping with a schema")
    name = spec.get("name") or "answer"
    return ResponseFormat("schema", spec.get("schema"), name, spec.get("strict"), spec.get("description"))


# ── which options there are ──────────────────────────────────────────────────────────────────────────

_READER_OF: Mapping[str, Callable[[Any, str], Any]] = {
    "float | None": number("a finite number"),
    "int | None": number("a whole number", kind=int, least=-inf, most=inf),
    "bool | None": partial(expect, kind=bool, expected="True or False"),
    "str | None": partial(expect, kind=str, expected="text"),
    "Mapping[str, float] | None": partial(expect, kind=Mapping, expected="a mapping"),
    "Mapping[str, str] | None": _labels,
    "Sequence[str]": as_texts,
    "Sequence[Image]": _images,
    "Sequence[Tool]": as_tools,
    "ToolChoice | None": as_tool_choice,
    "ResponseFormat | None": as_response_format,
    "ReasoningEffort | None": partial(expect_one_of, words=get_args(ReasoningEffort)),
    "JsonObject": _extra,
}
"""The reader of a value and its name, by the type of the option's field as it is written in `types`."""

_SUBJECT = ("model", "messages", "prompt", "texts")

OPTIONS_OF: Mapping[type[Request], tuple[str, ...]] = {
    kind: tuple(name for name in kind.__struct_fields__ if name not in _SUBJECT) for kind in get_args(Request)
}
"""The options that a kind of request has, in order."""

_READERS = {
    name: _READER_OF[kind.__annotations__[name]]  # fails, on import, for a type that nobody can read
    for kind, names in OPTIONS_OF.items()
    for name in names
}
_READERS |= dict.fromkeys(
    ("max_tokens", "dimensions"),
    number("a whole number of 1 or more", kind=int, least=1, most=inf),
)
