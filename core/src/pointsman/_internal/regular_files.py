"""Reading files that a configuration names: regular ones only, and never more than is asked for."""

from __future__ import annotations

import os
import stat
from errno import EFBIG, EINVAL

from msgspec import Struct

from pointsman.units import format_size

Stamp = tuple[int, int, int, int, int]
"""Which file it is, and what changes with what is written into it: device, inode, size, mtime, ctime."""


class Seen(Struct, frozen=True):
    """A file as somebody has read it.

    Attributes:
        content: stands for what was in it, within this process.
    """

    stamp: Stamp
    content: int


def stamp_of(path: str | os.PathLike[str]) -> Stamp | None:
    """That of the file at `path`, links followed; None where there is none."""
    try:
        return _stamp(os.stat(path))
    except (OSError, ValueError):
        return None


def look_at(path: str, most_bytes: int = 1024 * 1024) -> Seen | None:
    """The file at `path` as it is now; None where there is none that can be read."""
    try:
        return read_and_seen(path, most_bytes)[1]
    except (OSError, ValueError):
        return None


def read_regular(path: str | os.PathLike[str], most_bytes: int) -> bytes:
    """As `read_and_seen`, the content alone."""
    return read_and_seen(path, most_bytes)[0]


def read_and_seen(path: str | os.PathLike[str], most_bytes: int) -> tuple[bytes, Seen]:
    """The content of the file at `path`, links followed, and the file as it was then.

    A device or a pipe could go on for ever or never begin; it is refused without being read.

    Raises: OSError, also for what is no regular file or larger than `most_bytes`; ValueError for a path that
        no file can have.
    """
    # Not blocking, for to open a pipe waits for its writer. What it is we ask of the descriptor: by then the
    # path may lead elsewhere.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    with open(descriptor, "rb") as stream:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(EINVAL, "it is not a regular file")
        content = stream.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise OSError(EFBIG, f"it is larger than {format_size(most_bytes)}")
    # As it was before it was read: what somebody writes meanwhile is seen by the next look.
    return content, Seen(_stamp(status), hash(content))


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
