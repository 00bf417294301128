"""A configuration as YAML that people read: short things in one line, with comments."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

Path = tuple[str | int, ...]
"""The way to a value: keys of mappings and indices of lists."""

_WIDTH = 100
_WORDS = ("true", "false", "null", "yes", "no", "on", "off")
_PLAIN = re.compile(r"[0-9]+(ms|s|m|h|d|%)|[0-9]+/(s|min|h)")
"""Durations, shares and rates, which are texts without quotes, too."""


def written(
    data: Mapping[str, Any],
    comments: Mapping[Path, str] = MappingProxyType({}),
    notes: Mapping[Path, str] = MappingProxyType({}),
) -> str:
    """`data` as YAML, with an empty line before each of its sections but those of one line.

    Args:
        data: mappings with texts as keys, lists and scalars.
        comments: by the way to a value, what stands above it, in one line or several.
        notes: by the way to a value, what stands at the end of its line.
    """
    writing = _Writing(comments, notes)
    sections = [list(writing.entry((key,), key, value, "")) for key, value in data.items()]
    lines: list[str] = []
    for n, section in enumerate(sections):
        if n and (len(section) > 1 or len(sections[n - 1]) > 1):
            lines.append("")
        lines += section
    return "\n".join([*lines, ""])


def flow(value: object) -> str:
    """`value` as YAML in one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)}: {flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    return scalar(value)


def scalar(value: object) -> str:
    """A text as YAML: bare where that is safe inside braces, else quoted as JSON, which YAML reads; numbers
    and truth values as they are.
    """
    if not isinstance(value, str):
        return json.dumps(value)
    plain = value.replace("://", "").replace(":", "") if value.startswith("http") else value
    safe = plain[:1].isalpha() and all(each.isalnum() or each in "._/-" for each in plain)
    if (safe and value.lower() not in _WORDS) or _PLAIN.fullmatch(value):
        return value
    quoted = json.dumps(value, ensure_ascii=False)
    return quoted if quoted.isprintable() else "".join(map(_escaped, quoted))


def _key(name: str) -> str:
    return name if name == "on" else scalar(name)  # a key of ours, and a truth value only to old readers


def _escaped(character: str) -> str:
    # As YAML has it: JSON would write a character beyond 16 bits as two, which YAML takes for two.
    return character if character.isprintable() else f"\\U{ord(character):08x}"


class _Writing:
    def __init__(self, comments: Mapping[Path, str], notes: Mapping[Path, str]) -> None:
        self._comments = comments
        self._notes = notes

    def entry(self, path: Path, key: str, value: object, indent: str) -> Iterator[str]:
        """The lines of one entry of a mapping."""
        yield from self._above(path, indent)
        start = f"{indent}{_key(key)}:"
        if self._in_one_line(path, value, len(start)):
            yield self._noted(f"{start} {flow(value)}", path)
            return
        yield self._noted(start, path)
        yield from self._inside(path, value, f"{indent}  ")

    def _inside(self, path: Path, value: object, indent: str) -> Iterator[str]:
        if isinstance(value, Mapping):
            for key, each in value.items():
                yield from self.entry((*path, key), key, each, indent)
        elif isinstance(value, list):
            for n, each in enumerate(value):
                yield from self._item((*path, n), each, indent)

    def _item(self, path: Path, value: object, indent: str) -> Iterator[str]:
        yield from self._above(path, indent)
        if self._in_one_line(path, value, len(indent) + 2):
            yield self._noted(f"{indent}- {flow(value)}", path)
            return
        first, *rest = self._inside(path, value, f"{indent}  ")
        yield f"{indent}- {first.lstrip()}"
        yield from rest

    def _in_one_line(self, path: Path, value: object, before: int) -> bool:
        """Whether it is short, and nothing within has something to be said about it."""
        if not isinstance(value, Mapping | list) or not value:
            return True
        within = (each for known in (self._comments, self._notes) for each in known)
        if any(len(each) > len(path) and each[: len(path)] == path for each in within):
            return False
        deep = (
            isinstance(value, Mapping)
            and len(path) < 2
            and any(isinstance(each, Mapping) for each in value.values())
        )
        return not deep and before + len(flow(value)) < _WIDTH

    def _above(self, path: Path, indent: str) -> Iterator[str]:
        for line in self._comments.get(path, "").splitlines():
            yield f"{indent}# {line}".rstrip()

    def _noted(self, line: str, path: Path) -> str:
        note = self._notes.get(path)
        return f"{line}  # {note}" if note else line
