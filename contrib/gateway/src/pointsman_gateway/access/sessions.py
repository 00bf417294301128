"""Sessions of the console: what a cookie stands for, kept in this process and known by a digest."""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from typing import Protocol

from msgspec import Struct

from pointsman_gateway.access.credentials import SESSION_COOKIE
from pointsman_gateway.access.grants import Grant

LASTS = 12 * 3600.0
"""Seconds from the login to the end of a session, whatever is done in it."""
IDLE = 3600.0
"""Seconds without a request after which a session ends."""
_MOST = 1_000


class WallClock(Protocol):
    """Seconds since 1970."""

    def wall(self) -> float: ...


class _Session(Struct, eq=False):
    grant: Grant
    until: float
    seen: float


class Sessions:
    """Those that are open. The oldest gives way when there are too many."""

    def __init__(self, clock: WallClock) -> None:
        self._clock = clock
        self._open: OrderedDict[bytes, _Session] = OrderedDict()

    def begin(self, grant: Grant) -> str:
        """A new session with what `grant` allows, no longer than that is worth something: its secret."""
        now = self._clock.wall()
        secret = secrets.token_urlsafe(32)
        self._open[_digest(secret)] = _Session(grant, min(now + LASTS, grant.until), now)
        if len(self._open) > _MOST:
            self._open.popitem(last=False)
        return secret

    def find(self, secret: str) -> Grant | None:
        """What a session allows; None for one that is over, or never was."""
        digest = _digest(secret)
        session = self._open.get(digest)
        if session is None:
            return None
        now = self._clock.wall()
        if now >= session.until or now - session.seen >= IDLE:
            del self._open[digest]
            return None
        session.seen = now
        return session.grant

    def end(self, secret: str) -> None:
        """That session is over."""
        self._open.pop(_digest(secret), None)

    def end_of(self, key_id: str) -> None:
        """Those are over that began with the key of that id."""
        for digest, each in [*self._open.items()]:
            if each.grant.caller.key_id == key_id:
                del self._open[digest]


def cookie(secret: str, *, secure: bool) -> str:
    """The field `set-cookie` that hands a session to a browser; an empty secret takes it away."""
    age = f"; Max-Age={LASTS:.0f}" if secret else "; Max-Age=0"
    only_tls = "; Secure" if secure else ""
    return f"{SESSION_COOKIE}={secret}; Path=/; HttpOnly; SameSite=Strict{age}{only_tls}"


def token_of(secret: str) -> str:
    """What requests of that session say which change something: only our own pages can learn it."""
    return hashlib.sha256(b"csrf:" + secret.encode("utf-8", "surrogatepass")).hexdigest()


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
