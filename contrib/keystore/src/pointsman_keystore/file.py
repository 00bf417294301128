"""The keystore as a file: who may read it, one writer at a time, and after a crash the old or the new."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pointsman.plugin import ConfigError
from pointsman_keystore.format import LARGEST

LOCK_WITHIN = 10.0
"""Seconds that a writer waits for another one."""
_LOOK_EVERY = 0.02

Step = Callable[[str], None]
"""Hears what is about to be done; for tests, which stop there."""


class KeystoreError(ConfigError):
    """What keeps a keystore from being read or written, and what would help."""

    code = "keystore"


Stamp = tuple[int, int, int, int]


def stamp_of(path: Path) -> Stamp | None:
    """What changes when the file does; None where there is none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size


def read(path: Path) -> tuple[bytes, Stamp]:
    """The file as it is, and its stamp. Raises KeystoreError: it is not there, or others could read it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
        try:
            return _read(path, descriptor)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        raise KeystoreError(
            f"there is no keystore {path}; the first `pointsman credentials add NAME` makes it"
        ) from None
    except (OSError, ValueError) as error:
        raise KeystoreError(f"the keystore {path} cannot be read: {_said(error)}") from None


def _read(path: Path, descriptor: int) -> tuple[bytes, Stamp]:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise KeystoreError(f"the keystore {path} is no regular file")
    _check_file(path, status)
    check_directory(path)
    # A byte more than there may be is enough for whoever opens it to refuse it.
    with open(descriptor, "rb", closefd=False) as stream:
        data = stream.read(LARGEST + 1)
    return data, (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)


def _check_file(path: Path, status: os.stat_result) -> None:
    if os.name != "posix":
        return
    if status.st_mode & 0o077:
        mode = stat.S_IMODE(status.st_mode)
        raise KeystoreError(f"others may use the keystore {path} (mode {mode:04o}): chmod 600 {path}")
    if status.st_uid not in (os.geteuid(), 0):
        raise KeystoreError(f"the keystore {path} belongs to another user; it has to be yours: chown it")


def check_directory(path: Path) -> None:
    """Raises KeystoreError: somebody else could put another file in place of this one."""
    if os.name != "posix":
        return
    for folder in dict.fromkeys((path.parent, _real(path).parent)):
        _check_folder(folder)


def _real(path: Path) -> Path:
    """Where the file is: what a link leads to is written, for others read it there, and the link stays."""
    return Path(os.path.realpath(path))


def _check_folder(folder: Path) -> None:
    try:
        status = os.stat(folder)
    except OSError as error:
        raise KeystoreError(f"the folder {folder} of the keystore cannot be seen: {_said(error)}") from None
    if status.st_uid not in (os.geteuid(), 0):
        raise KeystoreError(f"the folder {folder} of the keystore belongs to another user: keep it elsewhere")
    if status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
        raise KeystoreError(f"anybody may write into the folder {folder} of the keystore: chmod o-w {folder}")


@contextmanager
def locked(
    path: Path, *, within: float = LOCK_WITHIN, sleep: Callable[[float], None] = time.sleep
) -> Iterator[None]:
    """Nobody else writes it meanwhile. Raises KeystoreError: somebody has been at it for too long."""
    check_directory(path)
    real = _real(path)
    file = real.with_name(real.name + ".lock")
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    except OSError as error:
        raise KeystoreError(f"the keystore {path} cannot be locked: {_said(error)}") from None
    try:
        waited = 0.0
        while not _is_locked(descriptor):
            if waited >= within:
                raise KeystoreError(
                    f"the keystore {path} has been locked by another process for {within:g} s; try again"
                )
            sleep(_LOOK_EVERY)
            waited += _LOOK_EVERY
        yield
    finally:
        os.close(descriptor)  # which unlocks it; the file stays, for others may wait for it


def _is_locked(descriptor: int) -> bool:
    import fcntl  # Windows has none

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def write(path: Path, data: bytes, step: Step = lambda _step: None) -> None:
    """Have `data` in the place of what was there; after a crash it is the one or the other, whole.

    To be called while it is `locked`. Raises KeystoreError: what was there is as it was.
    """
    real = _real(path)
    prefix = f".{real.name}."
    temporary = real.with_name(f"{prefix}{secrets.token_hex(8)}.tmp")
    try:
        _forget_others(real.parent, prefix)
        step("create")
        descriptor = os.open(
            temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600
        )
        with open(descriptor, "wb", buffering=0) as stream:
            half = len(data) // 2
            for n, part in enumerate((data[:half], data[half:])):
                step(f"write {n}")
                _write_all(stream.fileno(), part)
            step("sync")
            os.fsync(stream.fileno())
        step("rename")
        os.rename(temporary, real)
        step("sync the folder")
        _sync_folder(real.parent)
        step("end")
    except OSError as error:
        with suppress(OSError):
            os.unlink(temporary)
        raise KeystoreError(f"the keystore {path} cannot be written: {_said(error)}") from None


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _forget_others(folder: Path, prefix: str) -> None:
    """Remove what a writer left behind that was killed; whoever holds the lock is the only one."""
    for each in folder.iterdir():
        if each.name.startswith(prefix) and each.name.endswith(".tmp"):
            each.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _said(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or "no file can be called so"
