"""Tickets: what a browser, which can send no header with an upgrade, opens one WebSocket with."""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict

from msgspec import Struct

from pointsman.clock import Clock
from pointsman.plugin import Caller

LASTS = 30.0
"""Seconds from its issue to the end of a ticket that nobody used."""
_MOST = 10_000


class _Ticket(Struct, frozen=True):
    caller: Caller
    until: float


class SocketTickets:
    """Those that are out, each good once, known by a digest. The oldest gives way when there are too many."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._out: OrderedDict[bytes, _Ticket] = OrderedDict()

    def issue(self, caller: Caller) -> tuple[str, float]:
        """As of `Tickets`."""
        secret = secrets.token_urlsafe(32)
        self._out[_digest(secret)] = _Ticket(caller, self._clock.now() + LASTS)
        if len(self._out) > _MOST:
            self._out.popitem(last=False)
        return secret, LASTS

    def redeem(self, secret: str) -> Caller | None:
        """Whose it is, for the one time that it can be used; None for one that is worth nothing."""
        ticket = self._out.pop(_digest(secret), None)
        return None if ticket is None or self._clock.now() >= ticket.until else ticket.caller


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
