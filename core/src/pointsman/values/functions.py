"""A Python function as the tool that a model may ask for: what its signature and its docstring say."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection
from functools import partial
from typing import Any, NamedTuple

from pointsman.values.docstrings import summary_of
from pointsman.values.schemas import Schema, closed, open_places, plain

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_REFUSED = {
    inspect.Parameter.VAR_POSITIONAL: "takes any number of arguments",
    inspect.Parameter.VAR_KEYWORD: "takes arguments of any name",
    inspect.Parameter.POSITIONAL_ONLY: "cannot be given by its name",
}


class Described(NamedTuple):
    """What a tool says of a function; `parameters` is a JSON Schema of type object."""

    name: str
    description: str
    parameters: Schema


def described(function: Callable[..., Any], *, strict: bool | None = None) -> Described:
    """What is to be said of `function`, which is not called.

    Args: strict: demand every parameter and allow no other one, as strict modes want it.

    Raises: TypeError that names the parameter which a model could not give.
    """
    inner, bound = _unbound(function)
    name = getattr(inner, "__name__", type(inner).__name__)
    about, about_each = summary_of(inspect.getdoc(inner) or "")
    signature = _without(_signature(function, name), bound)
    parameters = _parameters(signature, name, about_each)
    if strict:
        if places := open_places(parameters):
            raise TypeError(f"{name}() cannot be strict: {places[0]}")
        parameters = closed(parameters)
    return Described(name, about, parameters)


def expect_name(name: str) -> str:
    """`name`, which upstreams take as that of a tool. Raises TypeError."""
    if not _NAME.fullmatch(name):
        raise TypeError(f"a tool cannot be called {name!r}; give it a name of letters, digits, _ and -")
    return name


def _unbound(function: Any) -> tuple[Any, Collection[str]]:
    """The function inside of partial ones, and the parameters that these bind by name."""
    bound = set[str]()
    while isinstance(function, partial):
        bound |= function.keywords.keys()
        function = function.func
    return function, bound


def _without(signature: inspect.Signature, bound: Collection[str]) -> inspect.Signature:
    """`signature` less what is bound, a default there: it may be a key, and is no model's to choose."""
    left = [each for name, each in signature.parameters.items() if name not in bound]
    return signature.replace(parameters=left)


def _signature(function: Callable[..., Any], name: str) -> inspect.Signature:
    if not callable(function) or isinstance(function, type):
        what = name if isinstance(function, type) else f"a {type(function).__name__}"
        raise TypeError(f"{what} is no function")
    try:
        return inspect.signature(function, eval_str=True)
    except NameError as error:
        raise TypeError(f"{name}(): an annotation cannot be read: {error}") from error


def _parameters(signature: inspect.Signature, name: str, about_each: dict[str, str]) -> Schema:
    from pydantic import TypeAdapter
    from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError

    adapters: dict[str, TypeAdapter[Any]] = {}
    for parameter in signature.parameters.values():
        where = f"{name}(): the parameter {parameter.name!r}"
        if parameter.kind in _REFUSED:
            raise TypeError(f"{where} {_REFUSED[parameter.kind]}, which a model cannot say")
        if parameter.annotation is parameter.empty:
            own = "; hand in a method of an object" if parameter.name in ("self", "cls") else ""
            raise TypeError(f"{where} has no annotation{own}")
        try:
            adapters[parameter.name] = TypeAdapter(parameter.annotation)
        except (PydanticUserError, PydanticUndefinedAnnotation) as error:
            raise _unknown(where, error) from error
    wanted: list[Any] = [(each, "validation", adapter) for each, adapter in adapters.items()]
    try:
        schemas, shared = TypeAdapter.json_schemas(wanted)
    except PydanticUserError as error:  # of a type that can be read and not described
        raise _unknown(f"{name}()", error) from error
    properties = {each: dict(schemas[each, "validation"]) for each in adapters}
    for each, schema in properties.items():
        default = signature.parameters[each].default
        if default is not inspect.Parameter.empty and "default" not in schema:
            schema |= _told(adapters[each], default)
        if each in about_each:
            schema.setdefault("description", about_each[each])
    required = [each for each in adapters if signature.parameters[each].default is inspect.Parameter.empty]
    whole = {"type": "object", "properties": properties, "required": required, **shared}
    return plain({**whole, "additionalProperties": False})


def _unknown(where: str, error: Any) -> TypeError:
    return TypeError(f"{where} has no JSON Schema: {str(error.message).splitlines()[0]}")


def _told(adapter: Any, default: Any) -> dict[str, Any]:
    """The default, where JSON can say it."""
    try:
        return {"default": adapter.dump_python(default, mode="json", warnings=False)}
    except ValueError:
        return {}
