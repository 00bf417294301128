"""What callers hand in is of its kind, or is refused by the name of the place where it stood."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from types import NoneType
from typing import Any

from msgspec import Struct

from pointsman.errors import InvalidRequest
from pointsman.requests.call_options import shown
from pointsman.types import NOTHING, Audio, File, Image, JsonObject, Message, Text, Tool, ToolCall


def expect(given: Any, kind: Any, where: str, expected: str) -> None:
    """Raise InvalidRequest unless `given` is a `kind`; `expected` is the word for it."""
    if not isinstance(given, kind):
        raise InvalidRequest(f"{where} is {shown(given)}; expected {expected}")


def expect_list(given: Any, where: str) -> Sequence[Any]:
    """`given`, when it is a sequence, and no text."""
    if not isinstance(given, Sequence) or isinstance(given, str | bytes):
        raise InvalidRequest(f"{where} is {shown(given)}; expected a list")
    return given


def expect_several(given: Any, where: str) -> Iterable[Any]:
    """`given`, when it can be iterated over; a single mapping is no list of one."""
    if isinstance(given, Mapping) or not isinstance(given, Iterable):
        raise InvalidRequest(f"{where} is a {type(given).__name__}; expected a list")
    return given


_CHECKED = {
    "str": (str, "text"),
    "str | None": ((str, NoneType), "text"),
    "bytes": (bytes, "bytes"),
    "bytes | None": ((bytes, NoneType), "bytes"),
    "JsonObject": (Mapping, "a mapping"),
    "JsonSchema": (Mapping, "a JSON Schema"),
}
"""Types of fields as they are written in `types`: what is accepted, and the word for it."""


def _fields(kind: type[Struct]) -> list[tuple[str, Any, str]]:
    return [
        (name, *_CHECKED[type]) for name, type in kind.__annotations__.items() if type in _CHECKED
    ]  # the annotations are texts: to evaluate them would take longer than the rest of the module


_FIELDS: Mapping[type[Struct], list[tuple[str, Any, str]]] = {
    kind: _fields(kind) for kind in (Text, Image, File, Audio, ToolCall, Message, Tool)
}


def expect_fields(given: Struct, kind: type[Struct], where: str) -> None:
    """Raise InvalidRequest unless the texts, bytes and mappings of `given`, a `kind`, are such.

    What is not would look like a failure of the upstream.
    """
    for name, accepted, expected in _FIELDS[kind]:
        value = getattr(given, name)
        if not isinstance(value, accepted):
            raise InvalidRequest(f"{where}.{name} is {shown(value)}; expected {expected}")


def unknown_members(given: JsonObject, known: Collection[str], **inside: JsonObject) -> JsonObject:
    """The members of `given` that are not `known`, and those of `inside`; NOTHING when there are none.

    What is None says nothing.
    """
    rest = {str(name): value for name, value in given.items() if name not in known and value is not None}
    rest |= {name: value for name, value in inside.items() if value}
    return rest or NOTHING
