"""Tickets: what a browser, which can send no header with an upgrade, opens one WebSocket with."""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Mapping

from pointsman.auth import Discreet
from pointsman.clock import Clock
from pointsman.plugin import SurfaceRequest

LASTS = 30.0
"""Seconds from its issue to the end of a ticket that nobody used."""
_MOST = 10_000


class _Ticket(Discreet, frozen=True):
    unshown = ("headers",)
    headers: Mapping[str, str]
    until: float


class SocketTickets:
    """Those that are out, each good once, known by a digest. The oldest gives way when there are too many."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._out: OrderedDict[bytes, _Ticket] = OrderedDict()

    def issue(self, asked: SurfaceRequest) -> tuple[str, float]:
        """As of `Tickets`."""
        secret = secrets.token_urlsafe(32)
        self._out[_digest(secret)] = _Ticket(asked.headers, self._clock.now() + LASTS)
        if len(self._out) > _MOST:
            self._out.popitem(last=False)
        return secret, LASTS

    def redeem(self, secret: str) -> Mapping[str, str] | None:
        """The head of who asked for it, for the one time that it can be used; None for one worth nothing."""
        ticket = self._out.pop(_digest(secret), None)
        return None if ticket is None or self._clock.now() >= ticket.until else ticket.headers


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
