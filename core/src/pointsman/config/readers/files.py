"""Configuration files as documents.

`read` takes YAML, TOML or JSON. All three go through one builder, so that the same things are refused in
each: duplicate keys, deep nesting, half characters.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pointsman._internal.regular_files import read_regular
from pointsman.config.document import LARGEST_BYTES, Document
from pointsman.config.problems import Problem, config_error, show_path
from pointsman.config.readers.builder import DEEPEST, Builder, Lines, Malformed, ReadingFault
from pointsman.units import format_size

_SUFFIXES = (".yaml", ".yml", ".toml", ".json")


def read(file: Path | str) -> Document:
    """The document in `file`, whose suffix says what it is: .yaml, .yml, .toml or .json.

    Raises: ConfigError with every problem that was found.
    """
    name = str(file)
    suffix = Path(name).suffix.lower()
    if suffix not in _SUFFIXES:
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
        line, column = Lines(before).position(len(before))
        problem = Problem("is not text in UTF-8", file=file, line=line, column=column)
        raise config_error([problem], file=file) from None
    builder = Builder()
    try:
        _reader(suffix)(text.removeprefix("\ufeff"), builder)
    except Malformed as error:
        builder.faults.append((error.position, (), error.message, error.hint))
    except RecursionError:
        builder.faults.append((None, (), f"is nested more than {DEEPEST} levels deep", None))
    if builder.faults:
        raise config_error([_located(fault, file) for fault in builder.faults], file=file)
    return Document(builder.root, file, builder.places)


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


def _located(fault: ReadingFault, file: str | None) -> Problem:
    position, path, message, hint = fault
    line, column = position or (None, None)
    return Problem(message, show_path(path), hint, file, line, column)
