"""Plugins that are data: entry points that name a file in a package, of which nothing is imported."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from msgspec import Struct

from pointsman._internal.regular_files import read_regular
from pointsman.plugins.records import installation

_VALUE = r"(?P<package>[^\W\d]\w*(?:\.[^\W\d]\w*)*):(?P<file>(?:[\w-]+/)*[\w-]+\.ya?ml)"
_LARGEST_BYTES = 256 * 1024


class DataFile(Struct, frozen=True):
    """One file, read.

    Attributes:
        name: what it describes, as configurations name it.
        shown: where it is, as in messages: the package and the file.
    """

    name: str
    shown: str
    content: bytes


class Unreadable(Exception):
    """Why a file cannot be read, as the end of a sentence."""


def data_of(name: str, value: str, distribution: Any) -> DataFile:
    """The file that the entry point `name` with that value names. Raises Unreadable.

    It is looked for where `distribution` is installed; where that is an editable install, in the folders of
    its project and in those that it adds to the path.
    """
    found = re.fullmatch(_VALUE, value)
    if found is None:
        raise Unreadable("names no file in a package")
    below = (*found["package"].split("."), *found["file"].split("/"))
    shown = "/".join(below)
    for path in _places(distribution, below):
        try:
            return DataFile(name, shown, _content(path))
        except (FileNotFoundError, NotADirectoryError, KeyError):  # KeyError: not in that zip
            continue
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            raise Unreadable(f"names {shown}, which cannot be read: {why}") from error
    raise Unreadable(f"names {shown}, which is not there")


def read_data(path: Path, name: str) -> DataFile:
    """The file at `path`, which need not be installed. Raises OSError."""
    return DataFile(name, str(path), read_regular(path, _LARGEST_BYTES))


def _places(distribution: Any, below: tuple[str, ...]) -> Iterator[Any]:
    """Where the file may be: in the distribution, in the folders that it adds, where its package is found."""
    if distribution is not None:
        yield distribution.locate_file("/".join(below))
        for folder in _added_folders(distribution):
            yield folder.joinpath(*below)
    try:
        # Of the first name alone: to look for one within a package imports that.
        spec = find_spec(below[0])
    except (ImportError, ValueError):
        return
    for each in (spec.submodule_search_locations if spec is not None else None) or ():
        yield Path(each).joinpath(*below[1:])


def _added_folders(distribution: Any) -> Iterator[Path]:
    """The folders that the `.pth` files of an editable install add to the path, and those of its project.

    A builder may see no reason to add any for a package without a module.
    """
    where = installation(distribution)
    if where.editable:
        yield from (Path(where.path, "src"), Path(where.path))
    for each in distribution.files or ():
        if each.suffix == ".pth":
            text = distribution.locate_file(each).read_text("utf-8", "replace")
            yield from (Path(line) for line in text.splitlines() if line[:1] == "/" or line[1:2] == ":")


def _content(path: Any) -> bytes:
    if isinstance(path, Path):
        return read_regular(path, _LARGEST_BYTES)
    with path.open("rb") as stream:  # in a zip
        content: bytes = stream.read(_LARGEST_BYTES + 1)
    if len(content) > _LARGEST_BYTES:
        raise ValueError("too large")
    return content
