"""Header fields: of requests as they go out, checked, and of answers by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from string import ascii_letters, digits
from typing import Any

from pointsman.errors import InvalidRequest

_HEX = frozenset("0123456789abcdef")
_TRACED = 55
_OF_NAMES = frozenset("!#$%&'*+-.^_`|~" + digits + ascii_letters)


def bearer(secret: str) -> dict[str, str]:
    """`Authorization: Bearer <secret>`."""
    return {"authorization": f"Bearer {secret}"}


def raw_fields(headers: Mapping[str, str]) -> dict[bytes, bytes]:
    """`headers` as they go out, by name in lower case. Raises InvalidRequest; no message holds a value."""
    fields = {}
    for name, value in headers.items():
        raw_name = _raw_name(name)
        if "\r" in value or "\n" in value or "\0" in value:
            raise InvalidRequest(f"the value of header {name!r} has a line break or NUL")
        if not value.isascii() and max(value) > "\xff":
            raise InvalidRequest(f"the value of header {name!r} has characters outside Latin-1")
        fields[raw_name] = value.encode("latin-1")
    return fields


def passed_on(traceparent: str) -> str:
    """`traceparent` as a header that goes to upstreams; "" for what is no such, which is told to nobody."""
    if len(traceparent) != _TRACED or not _HEX.issuperset(traceparent.replace("-", "")):
        return ""
    version, *ids = parts = traceparent.split("-")
    sound = [*map(len, parts)] == [2, 32, 16, 2] and version != "ff" and all(id.strip("0") for id in ids[:2])
    return traceparent if sound else ""


@lru_cache(maxsize=256)
def _raw_name(name: str) -> bytes:
    if not name or not _OF_NAMES.issuperset(name):
        raise InvalidRequest(f"{name[:100]!r} cannot be the name of a header")
    return name.lower().encode("ascii")


class Fields(Mapping[str, str]):
    """The header fields of an answer, by name in any case; several of one name are joined by commas."""

    __slots__ = ("_values",)

    def __init__(self, values: dict[str, str]) -> None:
        """`values`: by name in lower case."""
        self._values = values

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def get(self, name: str, default: Any = None) -> Any:
        # That of Mapping fails first and is caught, for all the headers that are not there.
        return self._values.get(name.lower(), default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Fields({self._values!r})"
