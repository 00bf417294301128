"""Tickets: what a browser opens a WebSocket with, since it can send no header there."""

from __future__ import annotations

import secrets

from pointsman.plugin import Caller, Clock

GOOD_FOR = 30.0
"""Seconds."""
_AT_MOST = 10_000


class TicketBox:
    """The tickets that have been issued and not used; each is good for one WebSocket."""

    def __init__(self, clock: Clock) -> None:
        self._now = clock.now
        self._issued: dict[str, tuple[Caller, float]] = {}

    def issue(self, caller: Caller) -> tuple[str, float]:
        """As `Tickets.issue`."""
        now = self._now()
        # In the order in which they end; with too many of them the oldest goes, too.
        while self._issued and (len(self._issued) >= _AT_MOST or next(iter(self._issued.values()))[1] <= now):
            del self._issued[next(iter(self._issued))]
        ticket = secrets.token_urlsafe(32)
        self._issued[ticket] = (caller, now + GOOD_FOR)
        return ticket, GOOD_FOR

    def redeem(self, ticket: str) -> Caller | None:
        """Whose it is; None for one that is nobody's, was used, or is too old."""
        caller, until = self._issued.pop(ticket, (None, 0.0))
        return caller if self._now() < until else None
