"""The numbers that signed requests were given to be used once, for as long as one could be used again."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Protocol

from pointsman_gateway.access.denials import denied

WINDOW = 300.0
"""Seconds from when a request is signed to when it is worth nothing any more."""
AHEAD = 60.0
"""Seconds by which the clocks of callers may be ahead of ours."""
MOST_OF_ONE_KEY = 250_000
"""Of one key, in a window. Who has used so many waits: what is forgotten could be sent again."""


class Clock(Protocol):
    """Seconds on a clock that only goes forward, and seconds since 1970."""

    def now(self) -> float: ...
    def wall(self) -> float: ...


class Nonces:
    """Those of all keys, known by a digest.

    What was signed before this began is not taken: nobody knows here whether it was used.

    Args:
        most: of one key.
    """

    def __init__(self, clock: Clock, most: int = MOST_OF_ONE_KEY) -> None:
        self._clock = clock
        self._most = most
        self._seen: dict[bytes, tuple[float, int, str]] = {}  # by age: all stay equally long
        self._count = Counter[str]()
        self._forgotten = int(clock.wall()) - 1

    def take(self, key_id: str, nonce: str, created: int) -> None:
        """From now on that one is used. Raises Denied for one that was, and where there is no room for it."""
        now = self._clock.now()
        self._forget(now)
        digest = hashlib.blake2b(f"{len(key_id)}:{key_id}{nonce}".encode(), digest_size=16).digest()
        # A wall clock that was set back would make young again what was forgotten; without that, all that
        # is as old as what was forgotten is out of the window anyhow.
        if digest in self._seen or created <= self._forgotten:
            raise denied(
                "authentication",
                "signature_replayed",
                "this was sent before; sign it again, with another nonce",
            )
        if self._count[key_id] >= self._most:
            raise denied(
                "overloaded",
                "nonces_full",
                f"this key has signed {self._most} requests in {WINDOW + AHEAD:g} s, and no more are kept",
                domain="policy",
                retry_after=max(1.0, next(iter(self._seen.values()))[0] - now),
            )
        self._seen[digest] = (now + WINDOW + AHEAD, created, key_id)
        self._count[key_id] += 1

    def _forget(self, now: float) -> None:
        while self._seen:
            digest = next(iter(self._seen))
            until, created, key_id = self._seen[digest]
            if until > now:
                return
            del self._seen[digest]
            self._count[key_id] -= 1
            self._forgotten = max(self._forgotten, created)
