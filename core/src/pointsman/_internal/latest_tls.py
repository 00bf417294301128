"""TLS contexts that are read anew when their files change."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Stamps = Sequence[tuple[int, int, int]]


class LatestContext(ssl.SSLContext):
    """Has each new connection made by the context that is the latest then; those that are open stay.

    What a context trusts can only become more; so a changed one is another one.

    Attributes:
        latest: gives it, for each connection. Must not raise.
    """

    latest: Callable[[], ssl.SSLContext]

    def wrap_bio(self, *arguments: Any, **named: Any) -> ssl.SSLObject:
        """As of the latest: what every loop begins a connection with."""
        return self.latest().wrap_bio(*arguments, **named)


def latest_context(protocol: int, latest: Callable[[], ssl.SSLContext]) -> LatestContext:
    """A context that makes connections by whatever `latest` gives."""
    context = LatestContext(protocol)
    context.latest = latest
    return context


def stamps_of(files: Sequence[Path | None]) -> Stamps:
    """What differs once one of `files` was written again."""
    found = []
    for each in files:
        try:
            stat = each.stat() if each is not None else None
        except OSError:
            stat = None
        found.append((0, 0, 0) if stat is None else (stat.st_mtime_ns, stat.st_ino, stat.st_size))
    return found


def no_password() -> bytes:
    """For a key that needs none: OpenSSL would ask at the terminal, and wait. Raises ValueError."""
    raise ValueError("the key has a password, and none was given")
