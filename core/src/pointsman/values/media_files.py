"""Pictures, documents and sound out of files, and what kind each is: its first bytes say so, not its name."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from errno import EFBIG
from pathlib import Path

from pointsman._internal.regular_files import read_regular
from pointsman.units import format_size

LARGEST = 50 * 2**20
"""Bytes of a file; no upstream that we know takes more in one request."""

_BEGINNINGS: Mapping[str, re.Pattern[bytes]] = {
    kind: re.compile(beginning, re.DOTALL)
    for kind, beginning in {
        "image/png": rb"\x89PNG\r\n\x1a\n",
        "image/jpeg": rb"\xff\xd8\xff",
        "image/gif": rb"GIF8[79]a",
        "image/webp": rb"RIFF.{4}WEBP",
        "image/tiff": rb"II\*\0|MM\0\*",
        "image/avif": rb".{4}ftypavi[fs]",
        "image/heic": rb".{4}ftyp(hei[cx]|mif1)",
        "application/pdf": rb".{,1019}?%PDF-",  # what comes before it readers pass over
        "audio/wav": rb"RIFF.{4}WAVE",
        "audio/mp3": rb"ID3|\xff[\xe2\xe3\xf2\xf3\xfa\xfb]",
        "audio/aac": rb"\xff[\xf0\xf1\xf8\xf9]",
        "audio/flac": rb"fLaC",
        "audio/ogg": rb"OggS",
        "audio/m4a": rb".{4}ftyp",
        "audio/webm": rb"\x1a\x45\xdf\xa3",
    }.items()
}
"""In order: the first that fits is the kind."""
_OFFICE = "application/vnd.openxmlformats-officedocument"
_BY_SUFFIX = {
    ".txt": "text/plain",
    ".md": "text/markdown",
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".xml": "application/xml",
    ".rtf": "application/rtf",
    ".docx": f"{_OFFICE}.wordprocessingml.document",
    ".pptx": f"{_OFFICE}.presentationml.presentation",
    ".xlsx": f"{_OFFICE}.spreadsheetml.sheet",
}
"""Of documents whose first bytes do not tell."""
_WANTED = {"Image": "image/", "Audio": "audio/"}
_CLASS_OF = {"image": "Image", "audio": "Audio", "application": "File"}


def read_media(path: str | os.PathLike[str], part: str) -> tuple[bytes, str]:
    """The content of a file for a part of that class, and its media type.

    Args: part: `Image`, `File` or `Audio`.

    Raises: OSError when it is not there, is a directory, or cannot be read; ValueError when it is empty,
        larger than `LARGEST`, or of no kind that such a part can be.
    """
    content = _content(path)
    begins = next((kind for kind, beginning in _BEGINNINGS.items() if beginning.match(content)), None)
    kind = begins or (_BY_SUFFIX.get(Path(path).suffix.lower()) if part == "File" else None)
    if kind is None:
        known = ", ".join(_names(part))
        raise ValueError(f"{os.fspath(path)} is of no kind that is known ({known}); say it: {part}(data, …)")
    if begins and (other := _CLASS_OF[begins.partition("/")[0]]) != part:
        raise ValueError(f"{os.fspath(path)} holds {begins}: read it with {other}.from_file")
    return content, kind


def _content(path: str | os.PathLike[str]) -> bytes:
    if os.path.isdir(path):
        raise IsADirectoryError(f"{os.fspath(path)} is a directory")
    try:
        content = read_regular(path, LARGEST)
    except OSError as error:
        if error.errno != EFBIG:
            error.filename = error.filename or os.fspath(path)  # not every one says which file it was
            raise
        raise ValueError(f"{os.fspath(path)} is larger than {format_size(LARGEST)}") from None
    if not content:
        raise ValueError(f"{os.fspath(path)} is empty")
    return content


def _names(part: str) -> list[str]:
    """The kinds of a class of parts, as people call them."""
    wanted = _WANTED.get(part)
    if wanted is None:
        return ["pdf", *(suffix[1:] for suffix in _BY_SUFFIX)]
    return [kind.removeprefix(wanted) for kind in _BEGINNINGS if kind.startswith(wanted)]
