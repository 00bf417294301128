"""How long a log is kept: whole files go, the oldest first, and the checkpoints say that they went."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.json import encode

from pointsman.audit_log.checkpoints import PREFIX
from pointsman.audit_log.committing import Committer, Entry
from pointsman.audit_log.files import DISK
from pointsman.audit_log.records import timestamp


class OldFile(Struct, frozen=True):
    """A file of a log that nobody writes any more.

    Attributes:
        latest: when it was last written, seconds since 1970.
    """

    path: Path
    latest: float
    size_bytes: int


def to_let_go(
    files: Sequence[OldFile], now: float, *, age: float | None, size_bytes: int | None
) -> Sequence[OldFile]:
    """Those of `files`, the oldest first, all of whose records are older, or that are beyond the size.

    Args:
        now: seconds since 1970.
        age: seconds; None for any.
        size_bytes: of what may stay; None for any.
    """
    excess = 0 if size_bytes is None else sum(each.size_bytes for each in files) - size_bytes
    gone = []
    for each in files:
        if (age is not None and each.latest < now - age) or excess > 0:
            gone.append(each)
            excess -= each.size_bytes
    return gone


def let_go(
    directory: Path,
    wall: Callable[[], float],
    now: Callable[[], float],
    *,
    age: float | None,
    size_bytes: int | None,
    checkpoints: Path | None = None,
    key: bytes = b"",
) -> Sequence[OldFile]:
    """Delete the files of a log that need not be kept; those that a process has are none of them.

    Args:
        wall: seconds since 1970; now: seconds on a clock that only moves forward.
        checkpoints: where those of the log are; there it is told first, so that no file is missed.
        key: of the log.

    Returns: what went. Raises: OSError.
    """
    gone = to_let_go(_nobodys(directory), wall(), age=age, size_bytes=size_bytes)
    if gone and checkpoints is not None:
        ts = timestamp(int(wall() * 1e3))
        committer = Committer(checkpoints, wall=wall, now=now, key=key, prefix=PREFIX)
        try:
            bodies = [b"," + encode({"log": each.path.name})[1:-1] for each in gone]
            committer.commit([Entry(ts, "retired", body) for body in bodies])
        finally:
            committer.close()
    for each in gone:
        each.path.unlink(missing_ok=True)
    return gone


def _nobodys(directory: Path) -> Sequence[OldFile]:
    """The files of the log that no process has, in the order in which they were begun."""
    found = []
    for path in sorted(each for each in directory.glob("audit-*.jsonl") if each.is_file()):
        with path.open("r+b") as file:
            if DISK.lock(file.fileno()):
                stat = path.stat()
                found.append(OldFile(path, stat.st_mtime, stat.st_size))
    return found
