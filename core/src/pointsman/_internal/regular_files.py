"""Reading files that a configuration names: regular ones only, and never more than is asked for."""

from __future__ import annotations

import os
import stat
from errno import EFBIG, EINVAL

from pointsman.units import format_size


def read_regular(path: str | os.PathLike[str], most_bytes: int) -> bytes:
    """The content of the file at `path`, links followed.

    A device or a pipe could go on for ever or never begin; it is refused without being read.

    Raises: OSError, also for what is no regular file or larger than `most_bytes`; ValueError for a path that
        no file can have.
    """
    # Not blocking, for to open a pipe waits for its writer. What it is we ask of the descriptor: by then the
    # path may lead elsewhere.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    with open(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(EINVAL, "it is not a regular file")
        content = stream.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise OSError(EFBIG, f"it is larger than {format_size(most_bytes)}")
    return content
