"""A configuration as plain data that knows where each value stood in its file, where it had one."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from pointsman.config.problems import KeyPath, Problem, readable, show_path

LARGEST_BYTES = 1024 * 1024

Position = tuple[int, int]
"""Line and column, both 1 or more."""


class Place(Struct, frozen=True):
    """Where a value stands, and its key (for an item of a list: the value again)."""

    key: Position
    value: Position


class Document(Struct, frozen=True):
    """A file that was read: plain data, and the place of each path in it."""

    data: Any
    file: str | None = None
    places: Mapping[KeyPath, Place] = MappingProxyType({})
    source: Document | None = None
    """What it was translated from, which has the places; `origins` say what was made from what."""
    origins: Mapping[KeyPath, KeyPath] = MappingProxyType({})

    def __repr__(self) -> str:
        # The data may hold secrets, and tools that report errors show what local variables hold.
        return f"Document({self.file!r})"

    def locate(self, path: KeyPath, *, key: bool = False) -> Position | None:
        """Line and column of the value at `path`, of its key when `key`.

        For what is not in the file, such as a key that is missing: the key of the mapping it is missing in,
        or the scalar that stands for that mapping.
        """
        if self.source is not None:
            return self.source.locate(self._origin(path), key=key)
        for length in range(len(path), -1, -1):
            place = self.places.get(path[:length])
            if place is not None:
                missing = length < len(path) and isinstance(self._value(path[:length]), dict | list)
                return place.key if key or missing else place.value
        return None

    def _origin(self, path: KeyPath) -> KeyPath:
        """The way to what the value at `path` was made from, or would have been."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.origins:
                return (*self.origins[path[:length]], *path[length:])
        return path

    def _value(self, path: KeyPath) -> Any:
        value = self.data
        for step in path:
            value = value[step]
        return value

    def problem(self, path: KeyPath, message: str, hint: str | None = None, *, key: bool = False) -> Problem:
        """The problem `message` of the value at `path`, or of its key."""
        if self.source is not None:
            return self.source.problem(self._origin(path), message, hint, key=key)
        line, column = self.locate(path, key=key) or (None, None)
        hint = None if hint is None else readable(hint)
        return Problem(readable(message), show_path(path), hint, self.file, line, column)
