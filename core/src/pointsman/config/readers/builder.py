"""What all readers build: data, the place of each key and value, and what is wrong in any format."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from itertools import takewhile
from typing import Any

from pointsman.config import codes
from pointsman.config.document import Place, Position
from pointsman.config.problems import KeyPath

DEEPEST = 64
INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")

ReadingFault = tuple[Position | None, KeyPath, str, str | None, str]


class Malformed(Exception):
    def __init__(
        self, message: str, position: Position | None, hint: str | None = None, *, code: str = codes.SYNTAX
    ) -> None:
        super().__init__(message)
        self.message = message
        self.position = position
        self.hint = hint
        self.code = code


class Builder:
    """Data and places, out of what a reader comes across from top to bottom."""

    def __init__(self) -> None:
        self.root: Any = None
        self.places: dict[KeyPath, Place] = {}
        self.faults: list[ReadingFault] = []
        self.unlike_ours: list[ReadingFault] = []
        """What only files of other programs may have."""
        self._open: list[tuple[dict[str, Any] | list[Any], KeyPath]] = []
        self._key: tuple[str, Position] | None = None

    def awaits_key(self) -> bool:
        """What comes next is a key: a mapping is open, and the last key has its value."""
        return bool(self._open) and isinstance(self._open[-1][0], dict) and self._key is None

    def key_at(self) -> Position | None:
        """Where the key stands whose value comes next."""
        return self._key[1] if self._key else None

    def begin(self, container: dict[str, Any] | list[Any], at: Position) -> None:
        if len(self._open) >= DEEPEST:
            raise Malformed(f"is nested more than {DEEPEST} levels deep", at, code=codes.TOO_DEEP)
        path = self._put(container, at)
        self._open.append((container, path))

    def end(self) -> None:
        self._open.pop()

    def merge(self, key: str) -> None:
        """Have what the mappings at `key` say in the open mapping, which says what it says itself."""
        container, path = self._open[-1]
        assert isinstance(container, dict)
        said = container.get(key)
        several = said if isinstance(said, list) else [said]
        if not any(isinstance(each, dict) for each in several):
            return
        # What it refers to need not be said: the one goes with the other.
        self.unlike_ours = [each for each in self.unlike_ours if each[1][: len(path) + 1] != (*path, key)]
        message = f"the merge key {key} is not allowed"
        self.unlike_ours.append(
            (self.places[(*path, key)].key, path, message, "write the values out", codes.YAML_REFERENCE)
        )
        del container[key]
        here = takewhile(lambda each: each[0][: len(path)] == path, reversed(self.places.items()))
        places = [(at, place) for at, place in here if at[len(path) :][:1] == (key,)]
        for n, each in enumerate(several):
            of = (*path, key, n) if isinstance(said, list) else (*path, key)
            for name in each if isinstance(each, dict) else ():
                if name not in container:
                    container[name] = each[name]
                    inside = (*of, name)
                    self.places |= {
                        (*path, name, *at[len(inside) :]): place
                        for at, place in places
                        if at[: len(inside)] == inside
                    }

    def key(self, name: str, at: Position) -> None:
        container, path = self._open[-1]
        self.check(name, path, at)
        if name in container:
            first = self.places[(*path, name)].key
            hint = f"the first is on line {first[0]}"
            self.fault(at, (*path, name), f"duplicate key {name!r}", hint, code=codes.DUPLICATE_KEY)
        self._key = name, at

    def scalar(self, value: Any, at: Position) -> None:
        self.check(value, self._put(value, at), at)

    def check(self, value: Any, path: KeyPath, at: Position) -> None:
        """Refuse a key or a value that the formats do not agree upon."""
        if isinstance(value, str):
            if any("\ud800" <= each <= "\udfff" for each in value):
                message = "holds half of a character pair (a lone surrogate)"
                self.fault(at, path, message, code=codes.VALUE_OF_NO_KIND)
        elif isinstance(value, float) and not math.isfinite(value):
            self.fault(at, path, "is not a finite number", code=codes.VALUE_OF_NO_KIND)
        elif not isinstance(value, str | int | float | bool | dict | list | None):
            message, hint = "a date or time is not expected", "quotes make a text"
            self.fault(at, path, message, hint, code=codes.VALUE_OF_NO_KIND)

    def fault(self, at: Position, path: KeyPath, message: str, hint: str | None = None, *, code: str) -> None:
        self.faults.append((at, path, message, hint, code))

    def here(self) -> KeyPath:
        """The path of what comes next."""
        if not self._open:
            return ()
        container, path = self._open[-1]
        if isinstance(container, list):
            return (*path, len(container))
        return (*path, self._key[0]) if self._key else path

    def _put(self, value: Any, at: Position) -> KeyPath:
        path = self.here()
        key_at = at
        if not self._open:
            self.root = value
        elif isinstance(self._open[-1][0], list):
            self._open[-1][0].append(value)
        else:
            assert self._key is not None
            key_at = self._key[1]
            self._open[-1][0].setdefault(self._key[0], value)
            self._key = None
        self.places.setdefault(path, Place(key_at, at))
        return path


class Lines:
    """Offsets in a text as lines and columns."""

    def __init__(self, text: str) -> None:
        self._starts = [0, *(found.end() for found in re.finditer(r"\r\n|\n|\r", text))]

    def position(self, offset: int) -> Position:
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1


def integer(text: str, at: Position) -> int:
    """The number that `text`, which is an `INTEGER`, writes. Raises Malformed."""
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    if len(text) > 100:
        raise Malformed("a number of more than 100 digits", at, code=codes.VALUE_OF_NO_KIND)
    return int(text[2:] if base != 10 else text, base)
