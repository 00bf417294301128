"""Configuration files as documents.

`read` takes YAML, TOML or JSON. All three go through one builder, so that the same things are refused in
each: duplicate keys, deep nesting, half characters.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pointsman._internal.regular_files import Seen, read_and_seen
from pointsman.config import codes
from pointsman.config.document import LARGEST_BYTES, SUFFIXES, ConfigSource, Document, source_at
from pointsman.config.problems import Problem, config_error, readable, show_path
from pointsman.config.readers.builder import DEEPEST, Builder, Lines, Malformed, ReadingFault
from pointsman.units import format_size


def read(source: ConfigSource) -> Document:
    """The document in `source`, with all that its files include.

    Raises: ConfigError with every problem that was found.
    """
    if isinstance(source, str | Path) and not os.path.isdir(source):
        document = read_one(source)
        if not (isinstance(document.data, Mapping) and "include" in document.data):
            return document
    from pointsman.config.including import gathered  # most configurations are one file

    return gathered(source, read_one)


def read_one(file: Path | str) -> Document:
    """The document in `file`, whose suffix says what it is: .yaml, .yml, .toml or .json.

    Raises: ConfigError with every problem that was found.
    """
    name = str(file)
    suffix = Path(name).suffix.lower()
    if suffix not in SUFFIXES:
        problem = Problem("is none of .yaml, .yml, .toml and .json", file=name, code=codes.FILE_SUFFIX)
        raise config_error([problem], file=name)
    try:
        raw, seen = read_and_seen(name, LARGEST_BYTES)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        message = reason.removeprefix("it ") if reason.startswith("it is") else f"cannot be read: {reason}"
        large = reason.startswith("it is larger")
        code = codes.FILE_TOO_LARGE if large else codes.FILE_UNREADABLE
        problem = Problem(message, file=name, code=code)
        raise config_error([problem], file=name) from error
    return parse(raw, suffix=suffix, file=name, seen=seen)


def parse(raw: bytes | str, *, suffix: str, file: str | None = None, seen: Seen | None = None) -> Document:
    """The document in `raw`, as for a file of that suffix, `.yaml` for one.

    Raises: ConfigError with every problem that was found.
    """
    if len(raw) > LARGEST_BYTES:
        message = f"is larger than {format_size(LARGEST_BYTES)}"
        problem = Problem(message, file=file, code=codes.FILE_TOO_LARGE)
        raise config_error([problem], file=file)
    try:
        text = raw if isinstance(raw, str) else raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8") if isinstance(raw, bytes) else ""
        line, column = Lines(before).position(len(before))
        problem = Problem(
            "is not text in UTF-8",
            hint="save it as UTF-8",
            file=file,
            line=line,
            column=column,
            code=codes.NOT_UTF8,
        )
        raise config_error([problem], file=file) from None
    builder, lines = Builder(), _lines(text, suffix)
    try:
        _reader(suffix)(text.removeprefix("\ufeff"), builder)
    except Malformed as error:
        builder.faults.append((error.position, (), error.message, error.hint, error.code))
    except RecursionError:
        message = f"is nested more than {DEEPEST} levels deep"
        builder.faults.append((None, (), message, None, codes.TOO_DEEP))
    unlike_ours = tuple(_located(fault, file, lines) for fault in builder.unlike_ours)
    if builder.faults:
        faults = (_located(fault, file, lines) for fault in builder.faults)
        raise config_error([*faults, *unlike_ours], file=file)
    return Document(builder.root, file, builder.places, unlike_ours=unlike_ours, seen=seen, lines=lines)


def _reader(suffix: str) -> Callable[[str, Builder], None]:
    # Imported when it is asked for: the patterns of all take milliseconds.
    match suffix:
        case ".json":
            from pointsman.config.readers.json import read_json as reader
        case ".toml":
            from pointsman.config.readers.toml import read_toml as reader
        case _:
            from pointsman.config.readers.yaml import read_yaml as reader
    return reader


def _lines(text: str, suffix: str) -> list[str]:
    """The lines of `text` as its reader counts them."""
    breaks = r"\r\n|[\n\r]" if suffix in (".json", ".toml") else r"\r\n|[\n\r\x85\u2028\u2029]"
    return re.split(breaks, text.removeprefix("\ufeff"))


def _located(fault: ReadingFault, file: str | None, lines: Sequence[str]) -> Problem:
    position, path, message, hint, code = fault
    line, column = position or (None, None)
    source, caret = source_at(lines, position, path)
    hint = None if hint is None else readable(hint)
    return Problem(readable(message), show_path(path), hint, file, line, column, code, source, caret)
