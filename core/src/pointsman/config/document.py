"""A configuration as plain data that knows where each value stood in its file, where it had one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from pointsman._internal.regular_files import Seen
from pointsman.config.problems import KeyPath, Problem, config_error, readable, show_path

LARGEST_BYTES = 1024 * 1024

SUFFIXES = (".yaml", ".yml", ".toml", ".json")
"""Of the files that can be read."""

ConfigSource = str | Path | Sequence[str | Path]
"""A file, a folder with files, or several of these that are one configuration together."""

Position = tuple[int, int]
"""Line and column, both 1 or more."""


class Place(Struct, frozen=True):
    """Where a value stands, and its key (for an item of a list: the value again)."""

    key: Position
    value: Position


class Document(Struct, frozen=True):
    """A file that was read, or several: plain data, and the place of each path in it."""

    data: Any
    file: str | None = None
    places: Mapping[KeyPath, Place] = MappingProxyType({})
    source: Document | None = None
    """What it was translated from, which has the places; `origins` say what was made from what."""
    origins: Mapping[KeyPath, KeyPath] = MappingProxyType({})
    unlike_ours: tuple[Problem, ...] = ()
    """What is wrong with it where it is no file of another program: anchors of YAML."""
    parts: Sequence[Document] = ()
    """The files that it was merged from, where there are several; these have the places."""
    seen: Seen | None = None
    """The file as it was when it was read."""
    folders: tuple[str, ...] = ()
    """Folders in which a further file would belong to it."""
    lines: Sequence[str] = ()
    """The lines of the file, to show those with problems."""

    def __repr__(self) -> str:
        # The data may hold secrets, and tools that report errors show what local variables hold.
        return f"Document({self.file!r})"

    def expect_ours(self) -> None:
        """Raise ConfigError where it has what only files of other programs may have."""
        if self.unlike_ours:
            raise config_error(self.unlike_ours, file=self.file)

    def locate(self, path: KeyPath, *, key: bool = False) -> Position | None:
        """Line and column of the value at `path`, of its key when `key`.

        For what is not in the file, such as a key that is missing: the key of the mapping it is missing in,
        or the scalar that stands for that mapping.
        """
        if self.source is not None:
            return self.source.locate(self._origin(path), key=key)
        if self.parts:
            return self.parts[self._part_at(path)].locate(path, key=key)
        for length in range(len(path), -1, -1):
            place = self.places.get(path[:length])
            if place is not None:
                missing = length < len(path) and isinstance(self._value(path[:length]), dict | list)
                return place.key if key or missing else place.value
        return None

    @property
    def files(self) -> tuple[str, ...]:
        """The files that were read for it."""
        return tuple(self.read)

    @property
    def read(self) -> Mapping[str, Seen | None]:
        """These, each as it was then, where that is known."""
        if self.source is not None:
            return self.source.read
        own = {} if self.file is None else {self.file: self.seen}
        return {file: seen for part in self.parts for file, seen in part.read.items()} if self.parts else own

    def spot(self, path: KeyPath) -> tuple[str | None, int] | None:
        """The file and the line of the value at `path`; None where there are none."""
        if self.source is not None:
            return self.source.spot(self._origin(path))
        if self.parts:
            return self.parts[self._part_at(path)].spot(path)
        at = self.locate(path)
        return None if at is None else (self.file, at[0])

    def order(self, path: KeyPath, *, key: bool = False) -> tuple[int, int, int]:
        """Sorts places as they come, file by file."""
        line, column = self.locate(path, key=key) or (0, 0)
        if self.source is not None:
            return self.source.order(self._origin(path), key=key)
        return self._part_at(path) if self.parts else 0, line, column

    def _part_at(self, path: KeyPath) -> int:
        """Which of several files it is in which the value at `path` stands, or would stand."""
        for length in range(len(path), -1, -1):
            for n, part in enumerate(self.parts):
                if path[:length] in part.places:
                    return n
        return 0

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

    def problem(
        self,
        path: KeyPath,
        message: str,
        hint: str | None = None,
        *,
        code: str | None = None,
        key: bool = False,
        shown: bool = True,
    ) -> Problem:
        """The problem `message` of the value at `path`, or of its key; its line is in it when `shown`."""
        if self.source is not None:
            return self.source.problem(self._origin(path), message, hint, code=code, key=key, shown=shown)
        if self.parts:
            part = self.parts[self._part_at(path)]
            return part.problem(path, message, hint, code=code, key=key, shown=shown)
        at = self.locate(path, key=key)
        source, caret = source_at(self.lines, at, path) if shown and message else (None, 0)
        line, column = at or (None, None)
        hint = None if hint is None else readable(hint)
        where = show_path(path)
        return Problem(readable(message), where, hint, self.file, line, column, code, source, caret)


def source_at(lines: Sequence[str], at: Position | None, path: KeyPath = ()) -> tuple[str | None, int]:
    """`source` and `caret` of a problem at the place of `path`: the line without what may be secret."""
    if at is None or at[0] > len(lines):
        return None, 0
    from pointsman.config.source_line import LONGEST, shown_line  # most configurations are right

    line = lines[at[0] - 1]
    return (None, 0) if len(line) > LONGEST else shown_line(line, at[1] - 1, path)
