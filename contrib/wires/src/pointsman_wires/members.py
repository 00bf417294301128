"""Members of bodies that are of their kinds, or are named to whoever wrote them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import DecodeError
from msgspec.json import Decoder

from pointsman_wires.bodies import InvalidBody, invalid

_decode = Decoder().decode


def json_object(body: bytes) -> dict[str, Any]:
    """The object that `body` is. Raises InvalidBody."""
    try:
        value = _decode(body)
    except (DecodeError, ValueError, RecursionError) as error:
        raise invalid(f"the body is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise invalid(f"the body is a JSON {_KINDS[type(value)]}; expected an object")
    return value


_KINDS = {list: "array", str: "string", int: "number", float: "number", bool: "boolean", type(None): "null"}


def wrong(where: str, what: str) -> InvalidBody:
    """What to raise of the member `where`."""
    return invalid(f"{where}: {what}", where)


def text(given: Mapping[str, Any], name: str, where: str = "") -> str:
    """A member that must be text. Raises InvalidBody that names it."""
    value = given.get(name)
    if type(value) is not str:
        raise wrong(
            _path(where, name), "Field required" if value is None else "Input should be a valid string"
        )
    return value


def text_or_none(given: Mapping[str, Any], name: str, where: str = "") -> str | None:
    """A member that is text where it is said."""
    return None if given.get(name) is None else text(given, name, where)


def flag(given: Mapping[str, Any], name: str, where: str = "") -> bool | None:
    """A member that is true or false where it is said."""
    value = given.get(name)
    if value is not None and type(value) is not bool:
        raise wrong(_path(where, name), "Input should be a valid boolean")
    return value


def whole_number(
    given: Mapping[str, Any], name: str, where: str = "", *, least: int | None = None
) -> int | None:
    """A member that is a whole number where it is said."""
    value = given.get(name)
    if value is None:
        return None
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int:
        raise wrong(_path(where, name), "Input should be a valid integer")
    if least is not None and value < least:
        raise wrong(_path(where, name), f"Input should be greater than or equal to {least}")
    return value


def number(given: Mapping[str, Any], name: str, where: str = "") -> float | None:
    """A member that is a number where it is said."""
    value = given.get(name)
    if value is not None and type(value) not in (int, float):
        raise wrong(_path(where, name), "Input should be a valid number")
    return value


def mapping(value: Any, where: str) -> dict[str, Any]:
    """`value`, which must be an object."""
    if type(value) is not dict:
        raise wrong(where, "Field required" if value is None else "Input should be an object")
    return value


def mapping_or_empty(given: Mapping[str, Any], name: str, where: str = "") -> dict[str, Any]:
    """A member that is an object where it is said."""
    value = given.get(name)
    return {} if value is None else mapping(value, _path(where, name))


def items(given: Mapping[str, Any], name: str, where: str = "") -> list[Any]:
    """A member that is a list where it is said."""
    value = given.get(name)
    if value is None:
        return []
    if type(value) is not list:
        raise wrong(_path(where, name), "Input should be a valid list")
    return value


def texts(given: Mapping[str, Any], name: str, where: str = "") -> tuple[str, ...]:
    """A member that is a list of texts where it is said."""
    found = items(given, name, where)
    for n, each in enumerate(found):
        if type(each) is not str:
            raise wrong(f"{_path(where, name)}.{n}", "Input should be a valid string")
    return tuple(found)


def _path(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
