"""Several files as one document: what a file includes, what is in a folder, what was named together.

Mappings are merged. Where two files say something else of the same thing, neither is right by itself: that is
a problem which names both places. Each value remembers its file.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pointsman.config import codes
from pointsman.config.document import SUFFIXES, ConfigSource, Document
from pointsman.config.findings import kind
from pointsman.config.problems import KeyPath, Problem, config_error, readable
from pointsman.errors import ConfigError

INCLUDE = "include"
"""The key under which a file names others."""

DEEPEST_INCLUDE = 5
"""Levels of files that include files; more is a mistake."""
MOST_FILES = 500

ReadOne = Callable[[str], Document]
"""Reads one file, without what it includes. Raises ConfigError."""


def gathered(source: ConfigSource, read_one: ReadOne) -> Document:
    """The document in `source`, which is a file with includes, a folder, or several of these.

    Raises: ConfigError with everything that was found wrong in any of the files.
    """
    several = [str(each) for each in ([source] if isinstance(source, str | Path) else source)]
    name = ", ".join(several)
    gathering = _Gathering(read_one)
    for each in several:
        gathering.take_all(each)
    return gathering.document(name)


class _Place:
    """Where a file is named: an item of `include`. Of one that was named outside, there is none."""

    def __init__(
        self, document: Document | None = None, path: KeyPath = (), trail: tuple[str, ...] = ()
    ) -> None:
        self.document = document
        self.path = path
        self.trail = trail

    def problem(self, message: str, hint: str | None = None, *, file: str, code: str) -> Problem:
        if self.document is None:
            return Problem(readable(message), "", hint, file, code=code)
        return self.document.problem(self.path, f"includes {file}, which {message}", hint, code=code)

    def placed(self, problem: Any, file: str) -> Problem:
        """A problem of that file; here where it cannot be read at all."""
        found: Problem = problem
        return (
            found
            if found.line is not None or self.document is None
            else self.problem(found.message, file=file, code=codes.INCLUDE)
        )


class _Gathering:
    """The files that were read so far, in their order."""

    def __init__(self, read_one: ReadOne) -> None:
        self._read_one = read_one
        self._parts: list[Document] = []
        self._known: set[str] = set()
        self._folders: dict[str, None] = {}
        self._problems: list[Problem] = []

    def document(self, name: str) -> Document:
        """All of them as one. Raises ConfigError."""
        data: dict[str, Any] = {}
        if not self._problems:
            for n, part in enumerate(self._parts):
                earlier = Document(data, name, parts=self._parts[:n])
                self._problems += _merged(data, part.data, (), earlier, part)
        if self._problems:
            raise config_error(self._problems, file=name)
        unlike_ours = tuple(problem for part in self._parts for problem in part.unlike_ours)
        return Document(
            data, name, parts=tuple(self._parts), folders=tuple(self._folders), unlike_ours=unlike_ours
        )

    def take_all(self, path: str, at: _Place | None = None) -> None:
        """Read the file at `path`, or all in the folder that is there."""
        at = at or _Place()
        if not os.path.isdir(path):
            self._take(path, at)
            return
        self._folders[path] = None
        try:
            found = [each for each in _listed(path) if each.lower().endswith(SUFFIXES)]
        except OSError as error:  # others may not look into it, or it is no longer there
            why = f"cannot be read: {error.strerror}"
            self._problems.append(at.problem(why, file=path, code=codes.FILE_UNREADABLE))
            return
        if not found:
            suffixes = f"{', '.join(SUFFIXES[:-1])} and {SUFFIXES[-1]}"
            self._problems.append(
                at.problem(
                    f"is a folder with no file of {suffixes} in it", file=path, code=codes.EMPTY_FOLDER
                )
            )
        for each in found:
            self._take(each, at)

    def _take(self, file: str, at: _Place) -> None:
        real = os.path.realpath(file)
        if real in at.trail:
            self._problems.append(
                at.problem("leads back here", "take one of the two out", file=file, code=codes.INCLUDE_LOOP)
            )
            return
        if real in self._known or len(self._known) > MOST_FILES:  # which has been said once
            return
        self._known.add(real)
        if len(at.trail) > DEEPEST_INCLUDE or len(self._known) > MOST_FILES:
            most = f"{DEEPEST_INCLUDE} levels deep, or more than {MOST_FILES} files in all"
            self._problems.append(at.problem(f"makes it more than {most}", file=file, code=codes.INCLUDE))
            return
        try:
            document = self._read_one(file)
        except ConfigError as error:
            self._problems += [at.placed(each, file) for each in error.problems]
            return
        if not isinstance(document.data, Mapping | None):
            self._problems.append(
                document.problem((), f"expected a mapping, not {kind(document.data)}", code=codes.NO_MAPPING)
            )
            return
        self._parts.append(document)
        for path, included in self._included(document, file):
            self.take_all(included, _Place(document, path, (*at.trail, real)))

    def _included(self, document: Document, file: str) -> Iterator[tuple[KeyPath, str]]:
        """The files and folders that `document` names, each with the place where it does."""
        said = (document.data or {}).get(INCLUDE)
        patterns = [said] if isinstance(said, str) else said
        if not isinstance(patterns, list | None):
            message = f"expected a list of files, not {kind(said)}"
            self._problems.append(document.problem((INCLUDE,), message, code=codes.WRONG_KIND))
            return
        for n, pattern in enumerate(patterns or ()):
            path: KeyPath = (INCLUDE,) if isinstance(said, str) else (INCLUDE, n)
            wrong = _no_pattern(pattern)
            if wrong is not None:
                self._problems.append(document.problem(path, wrong, code=codes.INCLUDE))
                continue
            whole = os.path.join(os.path.dirname(file), pattern)
            if not glob.has_magic(pattern):
                yield path, whole
                continue
            for each in self._matching(document, path, os.path.dirname(file), pattern):
                if os.path.realpath(each) != os.path.realpath(file):  # a pattern may well match its own file
                    yield path, each

    def _matching(self, document: Document, path: KeyPath, base: str, pattern: str) -> list[str]:
        """What matches `pattern`, sorted. Where nothing does, there is at least the folder for it."""
        folder = os.path.join(base, os.path.dirname(pattern))
        if not glob.has_magic(folder):
            if not os.path.isdir(folder or "."):
                self._problems.append(
                    document.problem(path, f"there is no folder {folder}", code=codes.INCLUDE)
                )
                return []
            self._folders[folder or "."] = None
        found = sorted(glob.glob(os.path.join(glob.escape(base), pattern)))
        return [each for each in found if not _is_schema(each)]


def _no_pattern(pattern: object) -> str | None:
    """What is wrong with one item of `include`; None when it can be one."""
    if not isinstance(pattern, str):
        return f"expected text, not {kind(pattern)}"
    if not pattern.strip() or "\0" in pattern:
        return "expected the name of a file, such as providers.yaml, or a pattern such as configs/*.yaml"
    if "${" in pattern:
        return "is read before any ${…} is; write the name of the file itself"
    return None


def _is_schema(name: str) -> bool:
    """Whether it is what editors complete keys by, which stands beside the files it is for."""
    return name.endswith(".schema.json")


def _listed(folder: str) -> list[str]:
    """What is in `folder` and not hidden, in the order of names; Kubernetes keeps old versions hidden."""
    there = (each for each in sorted(os.listdir(folder)) if not each.startswith("."))
    return [os.path.join(folder, each) for each in there if not _is_schema(each)]


def _merged(
    data: dict[str, Any], more: Mapping[str, Any] | None, path: KeyPath, earlier: Document, part: Document
) -> Iterator[Problem]:
    """Put `more`, which stands at `path` of `part`, into `data`; say where the two contradict each other."""
    for key, value in (more or {}).items():
        here = (*path, key)
        if here == (INCLUDE,):
            continue
        if key not in data:
            data[key] = _own(value)
        elif isinstance(data[key], dict) and isinstance(value, Mapping):
            yield from _merged(data[key], value, here, earlier, part)
        elif type(data[key]) is not type(value) or data[key] != value:
            place = ":".join(str(each) for each in earlier.spot(here) or ())
            what = "a list, which is not merged; " if isinstance(value, list) else ""
            hint = f"{what}keep one of the two"
            yield part.problem(
                here, f"is said otherwise in {place}", hint, code=codes.SAID_OTHERWISE, key=True
            )


def _own(value: Any) -> Any:
    """`value` with mappings of its own, for what other files put into them."""
    return {key: _own(each) for key, each in value.items()} if isinstance(value, Mapping) else value
