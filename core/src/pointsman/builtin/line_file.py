"""A file of lines that grows by whole lines only, whatever the disk does."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from errno import ENOSPC
from itertools import count
from pathlib import Path


class LineFile:
    """A new file of this process, mode 0600, in a directory that is made with mode 0700 when it is missing.

    Nothing is buffered here, so that it is known to the byte what the disk took: a line that is there in part
    is cut off again, at once or, where even that fails, before anything else is written.

    Attributes:
        path: the file.
    """

    __slots__ = ("_descriptor", "_ends_at", "_torn", "path")

    def __init__(self, directory: Path, wall: float) -> None:
        """`wall`: seconds since 1970, for the file's name. Raises OSError."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        stamp = datetime.fromtimestamp(wall, UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        for number in count():
            self.path = directory / f"audit-{stamp}-{os.getpid()}{f'-{number}' if number else ''}.jsonl"
            try:
                self._descriptor = os.open(
                    self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_EXCL, 0o600
                )
            except FileExistsError:
                continue
            break
        self._ends_at = 0
        self._torn = False

    @property
    def removed(self) -> bool:
        """Whether nobody can find what is written any more: the file, or its directory, was deleted."""
        return os.fstat(self._descriptor).st_nlink == 0

    def append(self, data: bytes, lines: int) -> tuple[int, OSError | None]:
        """How many of the `lines` in `data` are in the file now; and why no more, None when all are."""
        taken = 0
        failure = None
        try:
            self._cut()
            while taken < len(data):
                taken += self._write(memoryview(data)[taken:] if taken else data)
        except OSError as error:
            failure = error
        if failure is None:
            self._ends_at += taken
            return lines, None
        whole = data.rfind(b"\n", 0, taken) + 1
        self._ends_at += whole
        self._torn = self._torn or taken > whole
        self._try_to_cut()
        return data.count(b"\n", 0, whole), failure

    def close(self) -> None:
        """Give the file back. Raises OSError when the disk reports only now that it lost something."""
        self._try_to_cut()
        os.close(self._descriptor)

    def _write(self, data: bytes | memoryview) -> int:
        taken = os.write(self._descriptor, data)
        if not taken:  # some file systems say so; to try again at once would never end
            raise OSError(ENOSPC, os.strerror(ENOSPC))
        return taken

    def _cut(self) -> None:
        if self._torn:
            os.ftruncate(self._descriptor, self._ends_at)
            self._torn = False

    def _try_to_cut(self) -> None:
        try:
            self._cut()
        except OSError:
            return  # it is tried again before the next line
