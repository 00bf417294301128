"""What callers hand in is of its kind, or is refused by the name of the place where it stood."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache
from sys import float_info
from types import NoneType
from typing import Any, TypeVar

from msgspec import Struct

from pointsman.errors import InvalidRequest
from pointsman.types import NOTHING, JsonObject

R = TypeVar("R")
S = TypeVar("S", bound=Struct)

_SHOWN = 40
_BITS = 100  # Python refuses to write out very long numbers


def shown(value: Any) -> str:
    """A wrong value for a message: short words and numbers as they are, others by their type."""
    if isinstance(value, str):
        value = value[:50]
    elif isinstance(value, int) and value.bit_length() > _BITS:
        return f"a {type(value).__name__}"
    text = repr(value) if isinstance(value, str | int | float | None) else ""
    return text if 0 < len(text) <= _SHOWN else f"a {type(value).__name__}"


def _wrong(value: Any, where: str, expected: str) -> InvalidRequest:
    """What to raise of a value that may be what was asked, or a key: of texts only that they are some."""
    what = f"a {type(value).__name__}" if isinstance(value, str) else shown(value)
    return InvalidRequest(f"{where} is {what}; expected {expected}")


def expect(given: Any, where: str, kind: Any, expected: str) -> Any:
    """`given`, when it is a `kind`; `expected` is the word for that. Raises InvalidRequest otherwise."""
    if not isinstance(given, kind):
        raise _wrong(given, where, expected)
    return given


def expect_one_of(given: Any, where: str, words: Collection[str]) -> Any:
    """`given`, when it is one of `words`. Raises InvalidRequest that lists them otherwise."""
    if not isinstance(given, str) or given not in words:
        raise InvalidRequest(f"{where} is {shown(given)}; expected one of {', '.join(words)}")
    return given


def number(
    expected: str, *, kind: Any = (int, float), least: float = -float_info.max, most: float = float_info.max
) -> Callable[[Any, str], Any]:
    """What takes a value and its place, and gives the value back when it is a number from `least` to `most`.

    True is none, and infinity neither. It raises InvalidRequest. Nearly every call has some of these: one
    function that is handed all that they differ in takes 0.2 us more for each.
    """

    def read(given: Any, where: str) -> Any:
        if isinstance(given, bool) or not isinstance(given, kind) or not least <= given <= most:
            raise InvalidRequest(f"{where} is {shown(given)}; expected {expected}")
        return given

    return read


def as_tuple(given: Any, where: str, expected: str = "a list") -> tuple[Any, ...]:
    """What can be iterated over; a single mapping is no list of one. Raises InvalidRequest."""
    if isinstance(given, Mapping) or not isinstance(given, Iterable):
        raise _wrong(given, where, expected)
    return tuple(given)


def read_each(
    given: Any, where: str, read: Callable[[Any, str], R], expected: str = "a list"
) -> tuple[R, ...]:
    """What `read` makes of each of several and its place. Raises InvalidRequest."""
    return tuple([read(each, f"{where}[{n}]") for n, each in enumerate(as_tuple(given, where, expected))])


def as_texts(given: Any, where: str) -> tuple[str, ...]:
    """One text, or several. Raises InvalidRequest."""
    texts = (given,) if isinstance(given, str) else as_tuple(given, where)
    if not all(isinstance(each, str) for each in texts):
        raise InvalidRequest(f"{where} must be a string or a list of strings")
    return texts


_CHECKED = {
    "str": (str, "text"),
    "str | None": ((str, NoneType), "text"),
    "bytes": (bytes, "bytes"),
    "bytes | None": ((bytes, NoneType), "bytes"),
    "JsonObject": (Mapping, "a mapping"),
    "JsonSchema": (Mapping, "a JSON Schema"),
    "JsonSchema | None": ((Mapping, NoneType), "a JSON Schema"),
}
"""Types of fields as they are written in `types`: what is accepted, and the word for it."""


@cache
def _fields(kind: type[Struct]) -> list[tuple[str, Any, str]]:
    # The annotations are texts: to evaluate them would take longer than the rest of the module.
    return [(name, *_CHECKED[type]) for name, type in kind.__annotations__.items() if type in _CHECKED]


def expect_value(given: Any, where: str, *kinds: type[S]) -> S:
    """`given`, when it is one of `kinds`, and its texts, bytes and mappings are such. Raises InvalidRequest.

    What is not would look like a failure of the upstream.
    """
    for kind in kinds:
        if isinstance(given, kind):
            for name, accepted, expected in _fields(kind):
                value = getattr(given, name)
                if not isinstance(value, accepted):
                    raise _wrong(value, f"{where}.{name}", expected)
            return given
    raise _wrong(given, where, ", ".join(kind.__name__ for kind in kinds))


def unknown_members(given: JsonObject, known: Collection[str], **inside: JsonObject) -> JsonObject:
    """The members of `given` that are not `known`, and those of `inside`; NOTHING when there are none.

    What is None says nothing.
    """
    rest = {str(name): value for name, value in given.items() if name not in known and value is not None}
    rest |= {name: value for name, value in inside.items() if value}
    return rest or NOTHING
