"""What is known of an installed distribution as a whole: where it is, and which build it is.

A wheel lists its files with their hashes in `RECORD`. The digest of these lines tells one build from another.
Installers add lines of their own (scripts, byte code, where they had it from), which differ from machine to
machine; they are left out, so that one pin holds wherever the same wheel is installed.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Set
from importlib.machinery import all_suffixes
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from pointsman.hookspecs import PROJECT

_OF_INSTALLERS = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "RECORD.jws", "RECORD.p7s")
_PIECE = 1 << 20
_REINSTALL = "pip install --force-reinstall {name}"


class Unverified(Exception):
    """Why no digest stands for what is installed, as the end of a sentence; `help` names `{name}`."""

    def __init__(self, message: str, help: str = _REINSTALL) -> None:
        super().__init__(message)
        self.help = help


class Installation(Struct, frozen=True):
    """Where a distribution is: the folder that holds it; of an `editable` one, the folder of its project."""

    path: str
    editable: bool


def installation(distribution: Any) -> Installation:
    """Where a `Distribution` of importlib.metadata is installed."""
    source = _editable_source(distribution)
    if source is not None:
        return Installation(source, editable=True)
    return Installation(str(distribution.locate_file("")).rstrip("/"), editable=False)


def fingerprint(distribution: Any) -> str:
    """The sha256, in hexadecimal, of what a wheel's RECORD says, when all of its files are as it says.

    It is that of the sorted lines `path,hash`, each with a line feed.

    Raises: Unverified.
    """
    if _editable_source(distribution) is not None:
        raise Unverified("it is an editable install, whose files no RECORD lists", "pin its version")
    lines, paths = [], set()
    for path, stated in _rows(distribution):
        kind, equals, digest = stated.partition("=")
        if not equals or kind not in ("sha256", "sha384", "sha512"):
            raise Unverified(f"its RECORD has no hash of {path}")
        if _digest(distribution, path, kind) != digest:
            raise Unverified(f"its file {path} is not as its RECORD says")
        lines.append(f"{path},{stated}\n")
        paths.add(path)
    if not lines:
        raise Unverified("its RECORD lists no files")
    _refuse_added(distribution, paths)
    _refuse_elsewhere(distribution, paths)
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


def _rows(distribution: Any) -> Iterator[tuple[str, str]]:
    """Path and hash of each file that came in the wheel."""
    try:
        text = distribution.read_text("RECORD")
        rows = list(csv.reader((text or "").splitlines()))
    except (ValueError, csv.Error):
        raise Unverified("its RECORD cannot be read") from None
    if text is None:
        raise Unverified("it has no RECORD of its files", "pin its version")
    for row in rows:
        if len(row) < 2:
            continue
        path, stated = row[0].replace("\\", "/"), row[1]
        if path.startswith(("../", "/")) or ("__pycache__/" in path and not stated):
            continue  # scripts and byte code, made where it was installed
        folder, _, file = path.rpartition("/")
        if folder.endswith(".dist-info") and (file in _OF_INSTALLERS or file.startswith("uv_")):
            continue
        if ".." in path.split("/"):
            raise Unverified("its RECORD names files outside of it")
        yield path, stated


def _refuse_added(distribution: Any, paths: Set[str]) -> None:
    """Raise Unverified where a package of `distribution` has a module that did not come in its wheel.

    It would be imported, perhaps in place of one that did: `a/b/__init__.py` goes before `a/b.py`.
    """
    for folder in sorted(
        each.removesuffix("/__init__.py") for each in paths if each.endswith("/__init__.py")
    ):
        root = distribution.locate_file(folder)
        if not isinstance(root, Path):  # in a zip, which nobody adds to
            return
        for at, folders, files in os.walk(root):
            folders[:] = [each for each in folders if each != "__pycache__"]
            for each in files:
                path = f"{folder}/{Path(at, each).relative_to(root).as_posix()}"
                if path not in paths and each.endswith(tuple(all_suffixes())):
                    raise Unverified(f"there is a file {path}, which its RECORD does not list")


def _refuse_elsewhere(distribution: Any, paths: Set[str]) -> None:
    """Raise Unverified where an entry point leads to something else than the files of `distribution`."""
    own = {os.path.realpath(str(distribution.locate_file(each))) for each in paths}
    for point in distribution.entry_points:
        if not point.group.startswith(f"{PROJECT}."):
            continue
        module, _, file = point.value.partition(":")
        if file.endswith((".yaml", ".yml")):
            if f"{module.replace('.', '/')}/{file}" not in paths:
                raise Unverified(f"its RECORD does not list the file of {point.value}")
            continue
        try:
            # Of the first name alone: to look for one within a package imports that.
            spec = find_spec(module.partition(".")[0].strip())
        except (ImportError, ValueError):
            continue
        if spec is not None and spec.has_location and os.path.realpath(spec.origin or "") not in own:
            name, where = spec.name, spec.origin
            raise Unverified(f"{name} is imported from {where}, which is none of its files", "remove that")


def _digest(distribution: Any, path: str, kind: str) -> str:
    """The digest of a file as RECORD writes it; "" when it cannot be read."""
    digest = hashlib.new(kind)
    try:
        file = distribution.locate_file(path)
        if not file.is_file():  # to open a pipe waits for its writer
            return ""
        with file.open("rb") as stream:
            while piece := stream.read(_PIECE):
                digest.update(piece)
    except (OSError, KeyError):  # KeyError: what is in a zip
        return ""
    return urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()


def _editable_source(distribution: Any) -> str | None:
    """The folder of an editable install; None for any other."""
    try:
        about = json.loads(distribution.read_text("direct_url.json") or "null")
        if not about["dir_info"].get("editable"):
            return None
        return unquote(urlsplit(about["url"]).path)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
