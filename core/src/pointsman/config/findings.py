"""What a pydantic model finds wrong, in our words and without the values themselves."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Union, get_args, get_origin

from msgspec import Struct, structs
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pointsman._internal.settings import Section
from pointsman._internal.suggest import did_you_mean, nearest
from pointsman.auth import Secret
from pointsman.config import codes
from pointsman.config.problems import KeyPath
from pointsman.config.secret_values import is_secret, revealed

Model = type[BaseModel] | type[Section]
"""What says which keys there are: a section of ours, or the settings of a plugin."""

_SHORTEST_SECRET = 8
"""Characters. A shorter value is not hidden in a message: it would hide ordinary words."""


class Finding(Struct, frozen=True):
    """One thing that is wrong, not located yet. `at_key`: the key is wrong rather than its value.

    A `hint` that takes a search is made when it is shown: of thousands, most never are. `rests_on` are other
    places that were looked at: with something taken out of one of them, it would tell nothing.
    """

    path: KeyPath
    message: str
    hint: str | Callable[[], str | None] | None = None
    at_key: bool = False
    rests_on: tuple[KeyPath, ...] = ()
    code: str = codes.VALUE


def findings(
    error: ValidationError, model: Model, *, also: Iterable[str] = (), foreign: bool = False
) -> list[Finding]:
    """What `error`, raised by `model`, says.

    Args:
        also: keys that are known besides the fields of `model`.
        foreign: the validators of `model` are somebody else's and may repeat a value, which is cut out.
    """
    return [
        _without_value(_finding(each, model, tuple(also)), each["input"])
        if foreign and each["type"] not in (*_EXPECTED, *_BOUNDS, "extra_forbidden", "missing")
        else _finding(each, model, tuple(also))
        for each in error.errors(include_url=False)
        if each["type"] != "default_factory_not_called"  # a consequence of another one in the list
    ]


def unknown_key(path: KeyPath, known: Sequence[str]) -> Finding:
    """The key at `path` is none of `known`, which are all that there may be."""
    hint = partial(_near, path, known)
    return Finding(path, f"unknown key {path[-1]!r}", hint, at_key=True, code=codes.UNKNOWN_KEY)


def _near(path: KeyPath, known: Sequence[str]) -> str:
    from pointsman.config.foreign_keys import of_key

    return of_key(path) or did_you_mean(str(path[-1]), known) or "there is no key here"


def kind(value: object) -> str:
    """What sort of value this is, in the words of a configuration."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str() | Secret():
            return "text"
        case Mapping():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case _:
            return f"a {type(value).__name__}"


def _finding(details: ErrorDetails, model: Model, also: tuple[str, ...]) -> Finding:
    from pointsman.config.foreign_keys import instead, missing  # most configurations are right

    path = tuple(step for step in details["loc"] if step != "[key]")
    if details["type"] == "extra_forbidden":
        known = [*_fields_at(model, path[:-1]), *(also if len(path) == 1 else ())]
        return unknown_key(path, known)
    if details["type"] == "missing":
        return Finding(path, "is missing", missing(path, details["input"]), code=codes.MISSING_KEY)
    code, hint = _code(details), None
    if details["type"] in _EXPECTED:
        hint = instead(path, details["input"])
    elif code == codes.NOT_ONE_OF and isinstance(details["input"], str):
        hint = _of_those(details["input"], details.get("ctx", {}))
    elif details["type"] == "value_error":
        hint = getattr(details.get("ctx", {}).get("error"), "hint", None)
    return Finding(path, _message(details), hint, at_key="[key]" in details["loc"], code=code)


def _code(details: ErrorDetails) -> str:
    name = details["type"]
    if name in _EXPECTED or name == "string_type":
        return codes.WRONG_KIND
    if name in _BOUNDS:
        return codes.OUT_OF_RANGE
    if name in ("literal_error", "enum"):
        return codes.NOT_ONE_OF
    if details["msg"].startswith("unknown key"):
        return codes.UNKNOWN_KEY
    error = details.get("ctx", {}).get("error")
    general = codes.WRONG_KIND if isinstance(details["input"], bool) else codes.VALUE
    return str(getattr(error, "code", general))


def _of_those(value: str, ctx: Mapping[str, Any]) -> str | None:
    """Which of those that may stand there was probably meant by `value`."""
    near = nearest(value, re.findall(r"'([^']+)'", str(ctx.get("expected", ""))))
    return None if near is None else f"did you mean {near!r}?"


_EXPECTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a smaller number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dataclass_type": "a mapping",
    "none_required": "nothing",
    "path_type": "a path",
}


def _message(details: ErrorDetails) -> str:
    name, value = details["type"], details["input"]
    ctx: dict[str, Any] = details.get("ctx", {})
    if name == "value_error":
        return str(ctx.get("error", details["msg"]))
    if name == "string_type":
        hint = "; write it in quotes" if isinstance(value, int | float) else ""
        return f"expected text, not {kind(value)}{hint}"
    if name in _EXPECTED:
        found = "a fraction" if name == "int_from_float" else kind(value)
        expected = _EXPECTED[name]
        return f"expected {expected}" + (f", not {found}" if found != expected else "")
    if name in ("literal_error", "enum"):
        return f"must be {ctx.get('expected', 'something else')}"
    bound = _BOUNDS.get(name)
    if bound is not None:
        return bound(ctx)
    return details["msg"][:1].lower() + details["msg"][1:]


_BOUNDS: dict[str, Callable[[dict[str, Any]], str]] = {
    "greater_than": lambda ctx: f"must be above {_number(ctx['gt'])}",
    "greater_than_equal": lambda ctx: f"must be {_number(ctx['ge'])} or more",
    "less_than": lambda ctx: f"must be below {_number(ctx['lt'])}",
    "less_than_equal": lambda ctx: f"must be {_number(ctx['le'])} or less",
    "string_too_short": lambda _ctx: "must not be empty",
    "too_short": lambda ctx: f"must have {ctx['min_length']} or more entries",
    "too_long": lambda ctx: f"must have {ctx['max_length']} or fewer entries",
}


def _number(bound: object) -> str:
    """A bound without the `.0` of a whole number."""
    return str(int(bound)) if isinstance(bound, float) and bound.is_integer() else str(bound)


def _without_value(finding: Finding, value: object) -> Finding:
    """`finding` without the texts of `value` in its message."""
    message = finding.message
    for text in sorted(texts(value), key=len, reverse=True):
        if len(text) >= _SHORTEST_SECRET:
            message = message.replace(text, "***")
    return structs.replace(finding, message=message)


def texts(value: object) -> Iterable[str]:
    """The texts and numbers in `value`, at any depth."""
    if is_secret(value):
        yield revealed(value)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield str(value)
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from texts(each)


def _fields_at(model: Any, path: KeyPath) -> list[str]:
    """The keys that may stand at `path` inside `model`."""
    current = _plain(model)
    for step in path:
        if isinstance(current, type) and issubclass(current, Section):
            known = step in current.model_fields
            current = _plain(current.annotation(str(step))) if known else None
        elif isinstance(current, type) and issubclass(current, BaseModel):
            field = current.model_fields.get(str(step))
            current = _plain(field.annotation) if field is not None else None
        else:
            inner = get_args(current)
            current = _plain(inner[-1] if get_origin(current) is dict else inner[0]) if inner else None
    if isinstance(current, type) and issubclass(current, Section):
        return list(current.model_fields)
    if isinstance(current, type) and issubclass(current, BaseModel):
        return [field.alias or name for name, field in current.model_fields.items()]
    return []


def _plain(annotation: Any) -> Any:
    """`annotation` without None and metadata."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        inner = [each for each in get_args(annotation) if each is not types.NoneType]
        return _plain(inner[0]) if inner else None
    return annotation
