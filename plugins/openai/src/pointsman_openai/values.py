"""JSON values of the wire, read with care: servers leave out and mistype almost anything. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_TOO_MANY = 1 << 63


def as_object(value: Any) -> Mapping[str, Any]:
    """`value` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> Sequence[Any]:
    """`value` if it is a list, else an empty one."""
    return value if isinstance(value, list) else ()


def as_text(value: Any) -> str:
    """`value` if it is a string, else ""."""
    return value if isinstance(value, str) else ""


def as_count(value: Any) -> int | None:
    """`value` if it is a whole number of 0 or more, else None."""
    if type(value) is int:
        return value if 0 <= value < _TOO_MANY else None
    if type(value) is not float or not 0 <= value < _TOO_MANY or not value.is_integer():
        return None
    return int(value)
