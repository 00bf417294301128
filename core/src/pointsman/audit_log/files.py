"""A file of lines that grows by whole lines only, whatever the disk does."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from datetime import UTC, datetime
from errno import ENOSPC
from itertools import count
from pathlib import Path

if sys.platform != "win32":
    from fcntl import LOCK_EX, LOCK_NB, flock


class Disk:
    """What files ask of the system; a test has a model of a disk in its place. All raise OSError."""

    def make_directory(self, path: Path) -> None:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def create(self, path: Path) -> int:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_EXCL, 0o600)

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        return os.write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        (os.fdatasync if hasattr(os, "fdatasync") else os.fsync)(descriptor)

    def sync_directory(self, path: Path) -> None:
        """Have the names in a directory on the disk; where directories cannot be synced, nothing."""
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except OSError:
            return
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def truncate(self, descriptor: int, size: int) -> None:
        os.ftruncate(descriptor, size)

    def gone(self, descriptor: int, path: Path) -> str:
        """What became of a file that is no longer at `path`: "deleted", "moved", or "" where it is."""
        ours = os.fstat(descriptor)
        if ours.st_nlink == 0:
            return "deleted"
        try:
            return "" if os.path.samestat(os.stat(path), ours) else "moved"
        except OSError:
            return "moved"

    def remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)

    def lock(self, descriptor: int) -> bool:
        """Whether the file is ours until it is closed, or this process ends; False where another has it."""
        if sys.platform == "win32":  # there nobody takes over what others left behind
            return False
        try:
            flock(descriptor, LOCK_EX | LOCK_NB)
        except OSError:
            return False
        return True


DISK = Disk()


class LineFile:
    """A new file of this process, mode 0600, in a directory that is made with mode 0700 when it is missing.

    Nothing is buffered here, so that it is known to the byte what the disk took: a line that is there in part
    is cut off again, at once or, where even that fails, before anything else is written.

    It is locked as long as it is open, so that others know that somebody lives who writes it.

    Attributes:
        path: the file; abandoned: nothing more is to be written to it.
    """

    __slots__ = ("_at", "_descriptor", "_disk", "_ends_at", "_torn", "abandoned", "path")

    def __init__(self, directory: Path, wall: float, *, prefix: str = "audit", disk: Disk = DISK) -> None:
        """`wall`: seconds since 1970, for the file's name. Raises OSError."""
        self._disk = disk
        disk.make_directory(directory)
        stamp = datetime.fromtimestamp(wall, UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        for number in count():
            self.path = directory / f"{prefix}-{stamp}-{os.getpid()}{f'-{number}' if number else ''}.jsonl"
            try:
                self._descriptor = disk.create(self.path)
            except FileExistsError:
                continue
            break
        self._at = self.path.absolute()
        disk.lock(self._descriptor)
        disk.sync_directory(directory)
        self._ends_at = 0
        self._torn = self.abandoned = False

    @property
    def gone(self) -> str:
        """What became of it, or of its directory, so that nobody finds what is written: as of `Disk.gone`."""
        return self._disk.gone(self._descriptor, self._at)

    @property
    def size(self) -> int:
        """Bytes of the whole lines in it."""
        return self._ends_at

    def sync(self) -> None:
        """Return once all that was written is on the disk. Raises OSError; then `abandon` it."""
        self._disk.sync(self._descriptor)

    def abandon(self) -> None:
        """Let go of it as it is."""
        self.abandoned = True
        with suppress(OSError):
            self._disk.close(self._descriptor)

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
        if not self.abandoned:
            self._try_to_cut()
            self._disk.close(self._descriptor)

    def _write(self, data: bytes | memoryview) -> int:
        taken = self._disk.write(self._descriptor, data)
        if not taken:  # some file systems say so; to try again at once would never end
            raise OSError(ENOSPC, os.strerror(ENOSPC))
        return taken

    def _cut(self) -> None:
        if self._torn:
            self._disk.truncate(self._descriptor, self._ends_at)
            self._torn = False

    def _try_to_cut(self) -> None:
        try:
            self._cut()
        except OSError:
            return  # it is tried again before the next line
