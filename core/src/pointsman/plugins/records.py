"""What is known of an installed distribution as a whole: where it is, and which build it is.

A wheel lists its files with their hashes in `RECORD`. The digest of these lines tells one build from another.
Installers add lines of their own (scripts, byte code, where they had it from), which differ from machine to
machine; they are left out, so that one pin holds wherever the same wheel is installed.
"""

from __future__ import annotations

import csv
import hashlib
import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

from msgspec import Struct

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
    lines = []
    for path, stated in _rows(distribution):
        kind, equals, digest = stated.partition("=")
        if not equals or kind not in ("sha256", "sha384", "sha512"):
            raise Unverified(f"its RECORD has no hash of {path}")
        if _digest(distribution, path, kind) != digest:
            raise Unverified(f"its file {path} is not as its RECORD says")
        lines.append(f"{path},{stated}\n")
    if not lines:
        raise Unverified("its RECORD lists no files")
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


def _rows(distribution: Any) -> Iterator[tuple[str, str]]:
    """Path and hash of each file that came in the wheel."""
    text = distribution.read_text("RECORD")
    if text is None:
        raise Unverified("it has no RECORD of its files", "pin its version")
    for row in csv.reader(text.splitlines()):
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


def _digest(distribution: Any, path: str, kind: str) -> str:
    """The digest of a file as RECORD writes it; "" when it cannot be read."""
    digest = hashlib.new(kind)
    try:
        with distribution.locate_file(path).open("rb") as stream:
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
