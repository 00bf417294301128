"""What a request says besides what is asked: `options`, `format`, `think`, `tools`. Pure."""

from __future__ import annotations

from typing import Any, get_args

from pointsman.plugin import JsonObject, ReasoningEffort, ResponseFormat, Tool
from pointsman_wires.members import (
    flag,
    items,
    mapping,
    mapping_or_empty,
    number,
    text,
    text_or_none,
    texts,
    whole_number,
    wrong,
)
from pointsman_wires.unsaid import Unsaid

_NUMBERS = ("temperature", "top_p", "min_p", "presence_penalty", "frequency_penalty", "repeat_penalty")
_READ = (*_NUMBERS, "top_k", "seed", "num_predict", "stop")
_EFFORTS: tuple[ReasoningEffort, ...] = get_args(ReasoningEffort)


def sampling(given: JsonObject, unsaid: Unsaid) -> dict[str, Any]:
    """What `options` say of sampling. What they say of the server that runs the model is its own business."""
    options = mapping_or_empty(given, "options")
    unsaid.ignores_others(options, _READ, "options")
    said: dict[str, Any] = {name: number(options, name, "options") for name in _NUMBERS}
    said["top_k"] = whole_number(options, "top_k", "options")
    seed, limit = (whole_number(options, name, "options") for name in ("seed", "num_predict"))
    said["seed"] = None if seed is None or seed < 0 else seed  # below 0: any
    said["max_tokens"] = limit if limit is not None and limit > 0 else None  # else: until it stops
    stop = options.get("stop")
    said["stop"] = (
        (stop,) if isinstance(stop, str) and stop else texts({"stop": stop or []}, "stop", "options")
    )
    return {name: value for name, value in said.items() if value is not None}


def thinking(given: JsonObject) -> ReasoningEffort | None:
    """How much is to be thought: a word, or yes or no."""
    think = given.get("think")
    if think is None or think == "":
        return None
    if isinstance(think, bool):
        return "medium" if think else "none"
    for each in _EFFORTS:
        if each == think:
            return each
    raise wrong("think", f"expected true, false or one of {', '.join(_EFFORTS)}")


def answer_format(given: JsonObject) -> ResponseFormat | None:
    """`json`, or a schema."""
    wanted = given.get("format")
    if wanted is None or wanted == "":
        return None
    if wanted == "json":
        return ResponseFormat("json")
    if isinstance(wanted, dict):
        return ResponseFormat("schema", wanted)
    raise wrong("format", 'expected "json" or a JSON Schema object')


def tools(given: JsonObject, unsaid: Unsaid) -> tuple[Tool, ...]:
    """The functions that the model may ask for."""
    found = []
    for n, each in enumerate(items(given, "tools")):
        tool, where = mapping(each, f"tools[{n}]"), f"tools[{n}].function"
        if (kind := tool.get("type") or "function") != "function":
            unsaid.ignores(f"tools.{kind}")
            continue
        function = mapping(tool.get("function"), where)
        unsaid.ignores_others(function, ("name", "description", "parameters", "strict"), "tools")
        about = text_or_none(function, "description", where) or ""
        name, parameters = text(function, "name", where), mapping_or_empty(function, "parameters", where)
        found.append(Tool(name, about, {"type": "object", "properties": {}, **parameters}))
    return tuple(found)


def streams(given: JsonObject) -> bool:
    """Whether the answer is to come in pieces: it is, unless somebody says no."""
    return flag(given, "stream") is not False
