"""The pepper: the secret without which what is stored of keys is of no use to anybody."""

from __future__ import annotations

import hmac
import os
import secrets
from pathlib import Path

from pointsman.plugin import ConfigError, read_regular

_LEAST, _MOST = 16, 4096


def digest_of(pepper: bytes, key: str) -> bytes:
    """What is stored of a key: HMAC-SHA-256, from which nobody gets back to the key."""
    return hmac.digest(pepper, key.encode("utf-8", "surrogatepass"), "sha256")


def check_of(pepper: bytes) -> str:
    """What tells whether two peppers are the same, and neither of them."""
    return hmac.digest(pepper, b"pointsman: which pepper this is", "sha256").hex()


def pepper_in(file: Path) -> tuple[bytes, bool]:
    """The pepper in `file`, which is made where it is not there; and whether it was made just now.

    Raises: ConfigError where it cannot be read or made, or where others may read it.
    """
    made = _made(file)
    try:
        if os.name == "posix" and file.stat().st_mode & 0o077:
            raise ConfigError(f"{file}: others than its owner can read the pepper; try: chmod 600 {file}")
        found = read_regular(file, _MOST).strip()
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror or error}; the pepper of the keys is in it") from error
    if len(found) < _LEAST:
        raise ConfigError(f"{file}: a pepper has {_LEAST} bytes or more, and this one has {len(found)}")
    return found, made


def _made(file: Path) -> bool:
    """Make `file` with a pepper by chance, whole or not at all, unless it is there."""
    if file.exists():
        return False
    beside = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    try:
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as out:
            out.write(secrets.token_hex(32) + "\n")
            out.flush()
            os.fsync(out.fileno())
        try:
            os.link(beside, file)  # of two processes that begin at once one is the first
        except FileExistsError:
            return False
        finally:
            beside.unlink()
    except OSError as error:
        raise ConfigError(
            f"{file}: {error.strerror or error}; the pepper of the keys is to be in it"
        ) from error
    return True
