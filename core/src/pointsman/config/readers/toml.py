"""TOML: the data as the standard library reads it, and the places by a walk of our own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pointsman.config import codes
from pointsman.config.document import Place
from pointsman.config.problems import KeyPath
from pointsman.config.readers.builder import DEEPEST, Builder, Lines, Malformed

_HINTS = {
    "Invalid value": "a text stands in quotes",
    "Expected '=' after a key": "a key is written `key = value`",
}
"""By what the standard library says, what would help."""
_AT = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)$")


def read_toml(text: str, builder: Builder) -> None:
    """Build what `text` holds. Raises Malformed."""
    import tomllib

    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _AT.search(str(error))
        if found is not None and found[1]:
            position = int(found[1]), int(found[2])
        else:
            position = Lines(text).position(len(text))
        message = _AT.sub("", str(error))
        twice = message.startswith(("Cannot overwrite", "Cannot declare"))
        code = codes.DUPLICATE_KEY if twice else codes.SYNTAX
        hint = next((hint for said, hint in _HINTS.items() if message.startswith(said)), None)
        message = f"is not TOML: {message[0].lower()}{message[1:]}"
        raise Malformed(message, position, hint, code=code) from None
    except ValueError:
        message = "is not TOML: a number of too many digits"
        raise Malformed(message, None, code=codes.VALUE_OF_NO_KIND) from None
    places = dict(_Places(text).all())
    builder.places[()] = Place((1, 1), (1, 1))
    _add(builder, data, (), places)
    builder.root = data


def _add(builder: Builder, value: Any, path: KeyPath, places: Mapping[KeyPath, Place]) -> None:
    """Take over the places, of what is really there, and refuse what the other formats cannot hold."""
    if len(path) > DEEPEST:
        raise Malformed(f"is nested more than {DEEPEST} levels deep", None, code=codes.TOO_DEEP)
    place = places.get(path)
    if place is not None:
        builder.places[path] = place
    if isinstance(value, dict):
        for key, each in value.items():
            _add(builder, each, (*path, key), places)
    elif isinstance(value, list):
        for n, each in enumerate(value):
            _add(builder, each, (*path, n), places)
    else:
        builder.check(value, path, place.value if place else (1, 1))


_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}(?!")' r"|'''.*?'{3,5}(?!')" r'|"(?:[^"\\\n]|\\.)*"' r"|'[^'\n]*'", re.DOTALL
)
_WORD = re.compile(r"[^\s,=\[\]{}#\"']+(?: [0-9][^\s,=\[\]{}#\"']*)?")
_BARE = re.compile(r"[A-Za-z0-9_-]+")


class _Places:
    """Walks a text that is known to be TOML, and says where the keys and values stand."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._lines = Lines(text)
        self._counts: dict[KeyPath, int] = {}
        self._seen: set[KeyPath] = set()

    def all(self) -> Iterator[tuple[KeyPath, Place]]:
        table: KeyPath = ()
        self._space()
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                start, is_list = self._at, self._text.startswith("[[", self._at)
                self._at += 2 if is_list else 1
                keys = self._keys()
                self._space()
                self._at += 2 if is_list else 1
                table, places = self._header(keys, is_list=is_list, start=start)
                yield from places
            else:
                yield from self._pair(table)
            self._space()

    def _header(
        self, keys: list[tuple[str, int]], *, is_list: bool, start: int
    ) -> tuple[KeyPath, list[tuple[KeyPath, Place]]]:
        path: KeyPath = ()
        places = []
        for n, (key, at) in enumerate(keys):
            path = (*path, key)
            places.append((path, self._place(at, at)))
            if n == len(keys) - 1 and is_list:
                self._counts[path] = self._counts.get(path, -1) + 1
            if path in self._counts:
                path = (*path, self._counts[path])
                places.append((path, self._place(start, start)))
        # What an earlier header placed keeps its place.
        fresh = [(each, place) for each, place in places if each not in self._seen]
        self._seen.update(each for each, _place in fresh)
        return path, fresh

    def _pair(self, table: KeyPath) -> Iterator[tuple[KeyPath, Place]]:
        keys = self._keys()
        self._space()
        self._at += 1
        self._space()
        path = table
        for key, at in keys[:-1]:
            path = (*path, key)
            if path not in self._seen:
                self._seen.add(path)
                yield path, self._place(at, at)
        path = (*path, keys[-1][0])
        yield path, self._place(keys[-1][1], self._at)
        yield from self._value(path)

    def _value(self, path: KeyPath) -> Iterator[tuple[KeyPath, Place]]:
        opening = self._text[self._at]
        if opening == "[":
            yield from self._array(path)
        elif opening == "{":
            yield from self._inline_table(path)
        else:
            found = _STRING.match(self._text, self._at) or _WORD.match(self._text, self._at)
            self._at = found.end() if found else self._at + 1

    def _array(self, path: KeyPath) -> Iterator[tuple[KeyPath, Place]]:
        self._at += 1
        self._space()
        index = 0
        while self._text[self._at] != "]":
            yield (*path, index), self._place(self._at, self._at)
            yield from self._value((*path, index))
            index += 1
            self._comma()
        self._at += 1

    def _inline_table(self, path: KeyPath) -> Iterator[tuple[KeyPath, Place]]:
        self._at += 1
        self._space()
        while self._text[self._at] != "}":
            yield from self._pair(path)
            self._comma()
        self._at += 1

    def _comma(self) -> None:
        self._space()
        if self._text[self._at] == ",":
            self._at += 1
            self._space()

    def _keys(self) -> list[tuple[str, int]]:
        """A dotted key, and where each part of it begins."""
        keys = []
        while True:
            self._space()
            found = _STRING.match(self._text, self._at)
            if found:
                key = _unquoted(found[0])
            else:
                found = _BARE.match(self._text, self._at)
                assert found is not None
                key = found[0]
            keys.append((key, self._at))
            self._at = found.end()
            self._space()
            if self._text[self._at] != ".":
                return keys
            self._at += 1

    def _space(self) -> None:
        found = _SPACE.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _place(self, key: int, value: int) -> Place:
        return Place(self._lines.position(key), self._lines.position(value))


def _unquoted(key: str) -> str:
    import tomllib

    return next(iter(tomllib.loads(f"{key} = 1")))
