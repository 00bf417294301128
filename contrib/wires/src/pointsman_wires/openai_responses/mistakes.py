"""What is wrong with a body, said with the member that is to blame."""

from __future__ import annotations

from typing import Any, NoReturn

from pointsman_wires.bodies import invalid

_SHOWN = 40
_WORDS = {
    dict: "an object",
    list: "a list",
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    type(None): "null",
}


def refuse(where: str, expected: str, given: Any) -> NoReturn:
    """Raise InvalidBody: `where` has something else than what was `expected`."""
    raise invalid(f"{where} is {_shown(given)}; expected {expected}", where)


def as_object(given: Any, where: str) -> dict[str, Any]:
    """`given` when it is an object. Raises InvalidBody."""
    if type(given) is not dict:
        refuse(where, "an object", given)
    return given


def as_list(given: Any, where: str) -> list[Any]:
    """`given` when it is a list. Raises InvalidBody."""
    if type(given) is not list:
        refuse(where, "a list", given)
    return given


def as_text(given: Any, where: str) -> str:
    """`given` when it is a text. Raises InvalidBody."""
    if type(given) is not str:
        refuse(where, "a text", given)
    return given


def member(given: dict[str, Any], name: str, where: str) -> str:
    """The text that is the member `name` of what stands at `where`. Raises InvalidBody."""
    return as_text(given.get(name), f"{where}.{name}")


def _shown(given: Any) -> str:
    if type(given) is str and len(given) <= _SHOWN:
        return repr(given)
    return _WORDS.get(type(given), "something else")
