"""Configuration files as documents.

`read` takes YAML (the core schema of 1.2, without anchors and tags), TOML or JSON. All three go through one
builder, so that the same things are refused in each: duplicate keys, deep nesting, half characters.
"""

from __future__ import annotations

import json
import math
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path as FilePath
from typing import Any

from pointsman._internal.regular_files import read_regular
from pointsman.config.document import LARGEST_BYTES, Document, Place, Position
from pointsman.config.problems import Path, Problem, config_error, show_path
from pointsman.units import format_size

DEEPEST = 64


def read(file: FilePath | str) -> Document:
    """The document in `file`, whose suffix says what it is: .yaml, .yml, .toml or .json.

    Raises: ConfigError with every problem that was found.
    """
    name = str(file)
    suffix = FilePath(name).suffix.lower()
    if suffix not in _READERS:
        raise config_error([Problem("is none of .yaml, .yml, .toml and .json", file=name)], file=name)
    try:
        raw = read_regular(name, LARGEST_BYTES)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        message = reason.removeprefix("it ") if reason.startswith("it is") else f"cannot be read: {reason}"
        raise config_error([Problem(message, file=name)], file=name) from error
    return parse(raw, suffix=suffix, file=name)


def parse(raw: bytes | str, *, suffix: str, file: str | None = None) -> Document:
    """The document in `raw`, as for a file of that suffix, `.yaml` for one.

    Raises: ConfigError with every problem that was found.
    """
    if len(raw) > LARGEST_BYTES:
        message = f"is larger than {format_size(LARGEST_BYTES)}"
        raise config_error([Problem(message, file=file)], file=file)
    try:
        text = raw if isinstance(raw, str) else raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8") if isinstance(raw, bytes) else ""
        line, column = _Lines(before).position(len(before))
        problem = Problem("is not text in UTF-8", file=file, line=line, column=column)
        raise config_error([problem], file=file) from None
    builder = _Builder()
    try:
        _READERS[suffix](text.removeprefix("\ufeff"), builder)
    except _Malformed as error:
        builder.faults.append((error.position, (), error.message, error.hint))
    except RecursionError:
        builder.faults.append((None, (), f"is nested more than {DEEPEST} levels deep", None))
    if builder.faults:
        raise config_error([_located(fault, file) for fault in builder.faults], file=file)
    return Document(builder.root, file, builder.places)


_Fault = tuple[Position | None, Path, str, str | None]


def _located(fault: _Fault, file: str | None) -> Problem:
    position, path, message, hint = fault
    line, column = position or (None, None)
    return Problem(message, show_path(path), hint, file, line, column)


class _Malformed(Exception):
    def __init__(self, message: str, position: Position | None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.position = position
        self.hint = hint


class _Builder:
    """Data and places, out of what a reader comes across from top to bottom."""

    def __init__(self) -> None:
        self.root: Any = None
        self.places: dict[Path, Place] = {}
        self.faults: list[_Fault] = []
        self._open: list[tuple[dict[str, Any] | list[Any], Path]] = []
        self._key: tuple[str, Position] | None = None

    def awaits_key(self) -> bool:
        """What comes next is a key: a mapping is open, and the last key has its value."""
        return bool(self._open) and isinstance(self._open[-1][0], dict) and self._key is None

    def key_at(self) -> Position | None:
        """Where the key stands whose value comes next."""
        return self._key[1] if self._key else None

    def begin(self, container: dict[str, Any] | list[Any], at: Position) -> None:
        if len(self._open) >= DEEPEST:
            raise _Malformed(f"is nested more than {DEEPEST} levels deep", at)
        path = self._put(container, at)
        self._open.append((container, path))

    def end(self) -> None:
        self._open.pop()

    def key(self, name: str, at: Position) -> None:
        container, path = self._open[-1]
        self.check(name, path, at)
        if name in container:
            first = self.places[(*path, name)].key
            self.fault(at, (*path, name), f"duplicate key {name!r}", f"the first is on line {first[0]}")
        self._key = name, at

    def scalar(self, value: Any, at: Position) -> None:
        self.check(value, self._put(value, at), at)

    def check(self, value: Any, path: Path, at: Position) -> None:
        """Refuse a key or a value that the formats do not agree upon."""
        if isinstance(value, str):
            if any("\ud800" <= each <= "\udfff" for each in value):
                self.fault(at, path, "holds half of a character pair (a lone surrogate)")
        elif isinstance(value, float) and not math.isfinite(value):
            self.fault(at, path, "is not a finite number")
        elif not isinstance(value, str | int | float | bool | dict | list | None):
            self.fault(at, path, "a date or time is not expected", "quotes make a text")

    def fault(self, at: Position, path: Path, message: str, hint: str | None = None) -> None:
        self.faults.append((at, path, message, hint))

    def here(self) -> Path:
        """The path of what comes next."""
        if not self._open:
            return ()
        container, path = self._open[-1]
        if isinstance(container, list):
            return (*path, len(container))
        return (*path, self._key[0]) if self._key else path

    def _put(self, value: Any, at: Position) -> Path:
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


class _Lines:
    """Offsets in a text as lines and columns."""

    def __init__(self, text: str) -> None:
        self._starts = [0, *(found.end() for found in re.finditer(r"\r\n|\n|\r", text))]

    def position(self, offset: int) -> Position:
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1


# ── YAML ─────────────────────────────────────────────────────────────────────────────────────────────

_YAML_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_YAML_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_YAML_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


def _read_yaml(text: str, builder: _Builder) -> None:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        _build_from_yaml(YAML(typ="safe", pure=True).parse(text), builder)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = None if mark is None else (mark.line + 1, mark.column + 1)
        hint = "indent with spaces" if "'\\t'" in str(error.problem) else error.context
        raise _Malformed(f"is not YAML: {error.problem or error.context}", position, hint) from None
    except YAMLError as error:
        offset = getattr(error, "position", None)
        position = _Lines(text).position(offset) if isinstance(offset, int) else None
        raise _Malformed("is not YAML: a character that may not stand in it", position) from None


def _build_from_yaml(events: Any, builder: _Builder) -> None:
    from ruamel.yaml import events as kinds

    documents = 0
    for event in events:
        at = (event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, kinds.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise _Malformed("holds a second document", at, "one file is one configuration")
        elif isinstance(event, kinds.MappingEndEvent | kinds.SequenceEndEvent):
            builder.end()
        elif isinstance(event, kinds.NodeEvent):
            _build_yaml_node(event, at, builder)


def _build_yaml_node(event: Any, at: Position, builder: _Builder) -> None:
    from ruamel.yaml import events as kinds

    if isinstance(event, kinds.AliasEvent):
        builder.fault(at, builder.here(), f"the alias *{event.anchor} is not allowed", "write the value out")
    elif event.anchor is not None:
        builder.fault(at, builder.here(), f"the anchor &{event.anchor} is not allowed", "write the value out")
    tag = getattr(event, "tag", None)
    if tag is not None and str(tag) != "!":
        builder.fault(at, builder.here(), "a tag (!) is not allowed", "quotes make a text")
    plain = isinstance(event, kinds.ScalarEvent)
    if builder.awaits_key():
        if not plain:
            raise _Malformed("a key is not a plain word", at)
        builder.key(event.value, at)
    elif isinstance(event, kinds.MappingStartEvent):
        builder.begin({}, at)
    elif isinstance(event, kinds.SequenceStartEvent):
        builder.begin([], at)
    elif plain and not event.value and not event.style:
        builder.scalar(None, builder.key_at() or at)  # the parser sees nothing where the next token is
    elif plain:
        builder.scalar(event.value if event.style else _yaml_value(event.value, at), at)
    else:
        builder.scalar(None, at)


def _yaml_value(text: str, at: Position) -> Any:
    """What an unquoted scalar is in the core schema of YAML 1.2."""
    if text in _YAML_WORDS:
        return _YAML_WORDS[text]
    if _YAML_INTEGER.fullmatch(text):
        return _integer(text, at)
    return float(text) if _YAML_FLOAT.fullmatch(text) else text


def _integer(text: str, at: Position) -> int:
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    if len(text) > 100:
        raise _Malformed("a number of more than 100 digits", at)
    return int(text[2:] if base != 10 else text, base)


# ── JSON ─────────────────────────────────────────────────────────────────────────────────────────────

_JSON_TOKEN = re.compile(
    r'[\s,:]*(?:(?P<string>"(?:[^"\\]|\\.)*")|(?P<mark>[\[\]{}])|(?P<word>[^\s,:\[\]{}"]+))'
)


def _read_json(text: str, builder: _Builder) -> None:
    lines = _Lines(text)
    try:
        json.loads(text, parse_constant=str, parse_int=str)
    except json.JSONDecodeError as error:
        position = lines.position(error.pos)
        raise _Malformed(f"is not JSON: {error.msg[0].lower()}{error.msg[1:]}", position) from None
    # It is JSON, so words are all that is left to tell apart.
    for found in _JSON_TOKEN.finditer(text):
        word = found[found.lastgroup or 0]
        at = lines.position(found.start(found.lastgroup or 0))
        if word in "{[":
            builder.begin({} if word == "{" else [], at)
        elif word in "}]":
            builder.end()
        elif builder.awaits_key():
            builder.key(json.loads(word), at)
        else:
            builder.scalar(_integer(word, at) if _YAML_INTEGER.fullmatch(word) else json.loads(word), at)


# ── TOML ─────────────────────────────────────────────────────────────────────────────────────────────

_TOML_AT = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)$")


def _read_toml(text: str, builder: _Builder) -> None:
    import tomllib

    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _TOML_AT.search(str(error))
        if found is not None and found[1]:
            position = int(found[1]), int(found[2])
        else:
            position = _Lines(text).position(len(text))
        message = _TOML_AT.sub("", str(error))
        raise _Malformed(f"is not TOML: {message[0].lower()}{message[1:]}", position) from None
    except ValueError:
        raise _Malformed("is not TOML: a number of too many digits", None) from None
    places = dict(_TomlPlaces(text).all())
    builder.places[()] = Place((1, 1), (1, 1))
    _add(builder, data, (), places)
    builder.root = data


def _add(builder: _Builder, value: Any, path: Path, places: Mapping[Path, Place]) -> None:
    """Take over the places, of what is really there, and refuse what the other formats cannot hold."""
    if len(path) > DEEPEST:
        raise _Malformed(f"is nested more than {DEEPEST} levels deep", None)
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


_TOML_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_TOML_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}(?!")' r"|'''.*?'{3,5}(?!')" r'|"(?:[^"\\\n]|\\.)*"' r"|'[^'\n]*'", re.DOTALL
)
_TOML_WORD = re.compile(r"[^\s,=\[\]{}#\"']+(?: [0-9][^\s,=\[\]{}#\"']*)?")
_TOML_BARE = re.compile(r"[A-Za-z0-9_-]+")


class _TomlPlaces:
    """Walks a text that is known to be TOML, and says where the keys and values stand."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._lines = _Lines(text)
        self._counts: dict[Path, int] = {}
        self._seen: set[Path] = set()

    def all(self) -> Iterator[tuple[Path, Place]]:
        table: Path = ()
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
    ) -> tuple[Path, list[tuple[Path, Place]]]:
        path: Path = ()
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

    def _pair(self, table: Path) -> Iterator[tuple[Path, Place]]:
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

    def _value(self, path: Path) -> Iterator[tuple[Path, Place]]:
        opening = self._text[self._at]
        if opening == "[":
            yield from self._array(path)
        elif opening == "{":
            yield from self._inline_table(path)
        else:
            found = _TOML_STRING.match(self._text, self._at) or _TOML_WORD.match(self._text, self._at)
            self._at = found.end() if found else self._at + 1

    def _array(self, path: Path) -> Iterator[tuple[Path, Place]]:
        self._at += 1
        self._space()
        index = 0
        while self._text[self._at] != "]":
            yield (*path, index), self._place(self._at, self._at)
            yield from self._value((*path, index))
            index += 1
            self._comma()
        self._at += 1

    def _inline_table(self, path: Path) -> Iterator[tuple[Path, Place]]:
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
            found = _TOML_STRING.match(self._text, self._at)
            if found:
                key = _unquoted(found[0])
            else:
                found = _TOML_BARE.match(self._text, self._at)
                assert found is not None
                key = found[0]
            keys.append((key, self._at))
            self._at = found.end()
            self._space()
            if self._text[self._at] != ".":
                return keys
            self._at += 1

    def _space(self) -> None:
        found = _TOML_SPACE.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _place(self, key: int, value: int) -> Place:
        return Place(self._lines.position(key), self._lines.position(value))


def _unquoted(key: str) -> str:
    import tomllib

    return next(iter(tomllib.loads(f"{key} = 1")))


_READERS: dict[str, Callable[[str, _Builder], None]] = {
    ".yaml": _read_yaml,
    ".yml": _read_yaml,
    ".json": _read_json,
    ".toml": _read_toml,
}
