"""The built page: read once, each file with its type and a tag that changes when it does."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

FOLDER = Path(__file__).parent / "static"
PAGE = "index.html"

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class File(Struct, frozen=True):
    """One file: `tag` is quoted, as `ETag` has it."""

    body: bytes
    content_type: str
    tag: str


def read(folder: Path = FOLDER) -> Mapping[str, File]:
    """All files of the page by their path below `folder`; none where it was not built."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix in _TYPES)
    return {path.relative_to(folder).as_posix(): _file(path) for path in paths}


def _file(path: Path) -> File:
    body = path.read_bytes()
    return File(body, _TYPES[path.suffix], f'"{hashlib.sha256(body).hexdigest()[:32]}"')
