"""Bodies of requests: JSON objects, and what to say where they are none or a member of one is wrong. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pointsman.plugin import InvalidRequest, jsonio

_PATH = re.compile(r"[a-z_]\w*(?:\[\d+\]|\.\w+)*(?= )")


class InvalidBody(InvalidRequest):
    """A body that cannot be right.

    `param` is the member that is to blame, as a path such as `messages[0].role`; "" for the whole of it.
    """

    param: str = ""


def invalid(message: str, param: str = "") -> InvalidBody:
    """What to raise of a body whose member `param` is wrong."""
    error = InvalidBody(message)
    error.param = param
    return error


def blamed(error: InvalidRequest) -> InvalidBody:
    """The same, with the member that its message begins with."""
    if isinstance(error, InvalidBody):
        return error
    found = _PATH.match(error.message)
    return invalid(error.message, found.group() if found else "")


def object_of(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`. Raises InvalidBody."""
    try:
        given = jsonio.loads(body)
    except ValueError as error:
        raise invalid(f"the body is not JSON: {error}") from error
    if not isinstance(given, dict):
        raise invalid(f"the body is a JSON {type(given).__name__}; expected an object")
    return given


def text_member(given: Mapping[str, Any], name: str) -> str:
    """The member `name`, which must be there and a text that is not empty. Raises InvalidBody."""
    value = given.get(name)
    if not isinstance(value, str) or not value:
        what = "missing" if value in (None, "") else "not a text"
        raise invalid(f"{name} is {what}", name)
    return value


def flag_member(given: Mapping[str, Any], name: str, *, default: bool = False) -> bool:
    """The member `name`, true or false; `default` where nobody says. Raises InvalidBody."""
    value = given.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise invalid(f"{name} is no boolean; expected true or false", name)
    return value


def count_member(given: Mapping[str, Any], name: str) -> int | None:
    """The member `name`, a whole number of 1 or more; None where nobody says. Raises InvalidBody."""
    value = given.get(name)
    if value is not None and (type(value) is not int or value < 1):
        raise invalid(f"{name} is no whole number of 1 or more", name)
    return value


def object_member(given: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The member `name`, an object; an empty one where nobody says. Raises InvalidBody."""
    value = given.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise invalid(f"{name} is no object", name)
    return value
