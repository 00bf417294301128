"""Which deployments of a pool may be picked, remembered until something changes.

With hundreds of deployments the search costs more than the rest of a call: at 300 of them a call takes 50 us
with this and 291 us without, at 4 it takes 20 us and 24.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf

from pointsman.routing.deployment import Deployment


class ReadyCache:
    """What one pool knows of who is ready. It holds until a state calls `Readiness.invalidate`.

    Attributes:
        readiness: what tells of changes; None where nothing is remembered.
    """

    __slots__ = ("_ready", "_tokens", "_until", "_version", "readiness")

    def __init__(self, deployments: Iterable[Deployment]) -> None:
        """Nothing is ever remembered of `deployments` whose states do not tell of their changes together."""
        told = {id(each.live.readiness): each.live.readiness for each in deployments}
        self.readiness = told.popitem()[1] if len(told) == 1 else None
        self._version = -1  # of none
        self._until = -inf
        self._tokens: float = 0
        self._ready: Sequence[Deployment] = ()

    def get(self, now: float, tokens: int) -> Sequence[Deployment] | None:
        """Those that may be picked for a call of `tokens`; None when that must be looked up."""
        readiness = self.readiness
        if (
            readiness is None
            or self._version != readiness.version
            or now >= self._until
            or tokens > self._tokens
        ):
            return None
        return self._ready

    def put(
        self, ready: Sequence[Deployment], *, version: int, until: float, tokens: float
    ) -> Sequence[Deployment]:
        """Remember `ready`, for calls of no more than `tokens` before the instant `until`.

        Args:
            version: of the readiness, as it was before they were looked up: a lease that is dropped meanwhile
                is a change.

        Returns: them as a tuple, for it is shown to strategies again and again, and they are others' code.
        """
        self._version, self._until, self._tokens = version, until, tokens
        self._ready = ready = tuple(ready)
        return ready
