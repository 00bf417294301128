"""The places of deployments that are counted together: those that one `*` of the configuration stands for."""

from __future__ import annotations

from weakref import WeakSet

from pointsman.clock import Rng
from pointsman.resilience.circuit_breaker import Breaker
from pointsman.routing.deployment_state import DeploymentState, Readiness


class Places:
    """How many attempts are in flight at all of them together.

    Attributes:
        limit: how many that may be; None for any number.
    """

    __slots__ = ("in_flight", "limit", "members")

    def __init__(self) -> None:
        self.in_flight = 0
        self.limit: int | None = None
        self.members: WeakSet[DeploymentState] = WeakSet()


class CountedTogether(DeploymentState):
    """The state of one of them, which is full where all together are."""

    __slots__ = ("_in_flight", "_own_places", "shared")

    shared: Places

    def __init__(self, shared: Places, id: str, breaker: Breaker, rng: Rng, readiness: Readiness) -> None:
        self.shared = shared
        self._in_flight = 0
        self._own_places: int | None = None
        super().__init__(id, breaker, rng, readiness)
        shared.members.add(self)

    @property
    def in_flight(self) -> int:
        """Its own."""
        return self._in_flight

    @in_flight.setter
    def in_flight(self, count: int) -> None:
        self.shared.in_flight += count - self._in_flight
        self._in_flight = count

    @property
    def places(self) -> int | None:
        """Those that the others leave it."""
        limit, own = self.shared.limit, self._own_places
        if limit is None:
            return own
        left = max(0, limit - self.shared.in_flight + self._in_flight)
        return left if own is None else min(own, left)

    @places.setter
    def places(self, count: int | None) -> None:
        self._own_places = count

    @property
    def taken(self) -> tuple[int, int | None]:
        limit = self.shared.limit
        return super().taken if limit is None else (self.shared.in_flight, limit)

    def wake(self) -> None:
        # What becomes free here may be what any of them waits for.
        for each in (self,) if self.shared.limit is None else tuple(self.shared.members):
            DeploymentState.wake(each)
