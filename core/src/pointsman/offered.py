"""What services offer to a gateway in front of their router: callers that they know, operators' routes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import TYPE_CHECKING, Protocol, TypeVar

from msgspec import Struct

if TYPE_CHECKING:
    from pointsman.surface import Caller, Route

T = TypeVar("T")


class KnownCaller(Struct, frozen=True):
    """Whose a credential is.

    Attributes:
        until: seconds since 1970 UTC after which it is worth nothing: of one that was revoked, since when.
    """

    caller: Caller
    until: float = inf


class CallerSource(Protocol):
    """Knows callers by the credentials that they show, such as keys in a store."""

    def known(self, credential: str) -> KnownCaller | None:
        """Whose `credential` is, from memory; None where nobody's. Asked for each request: must not block."""

    async def find(self, credential: str) -> KnownCaller | None:
        """As `known`, of one that is not known yet: may look where memory does not reach."""

    def again(self, key_id: str) -> KnownCaller | None:
        """What is left of the caller who showed the key of that id before; None for nothing."""

    def named(self, name: str) -> KnownCaller | None:
        """Who has that name, or had it: nobody gets by a token what is kept under it. None for nobody."""
        return None


class GatewayOffers:
    """All that the services of one router offer; each addition returns what ends it.

    Attributes:
        callers: who knows callers, the first one first.
        routes: for operators, at full paths such as `/admin/v1/callers`. Of two at one path the first counts,
            which came last: a reload starts what is new before it ends what was there.
        callers_ended: is told the id of a key that is worth nothing from now on.
        callers_changed: is told the id of a key that grants something else from now on.
        routes_changed: is told that there are other routes.
    """

    __slots__ = ("callers", "callers_changed", "callers_ended", "routes", "routes_changed")

    def __init__(self) -> None:
        self.callers: tuple[CallerSource, ...] = ()
        self.routes: tuple[Route, ...] = ()
        self.callers_ended: tuple[Callable[[str], None], ...] = ()
        self.callers_changed: tuple[Callable[[str], None], ...] = ()
        self.routes_changed: tuple[Callable[[], None], ...] = ()

    def add_callers(self, source: CallerSource) -> Callable[[], None]:
        """Have `source` asked for callers whom the configuration does not know."""
        self.callers += (source,)

        def end() -> None:
            self.callers = _without(self.callers, source)

        return end

    def add_routes(self, routes: Sequence[Route]) -> Callable[[], None]:
        """Have operators reach `routes`."""
        self._have(tuple(routes) + self.routes)

        def end() -> None:
            left = self.routes
            for each in routes:
                left = _without(left, each)
            self._have(left)

        return end

    def _have(self, routes: tuple[Route, ...]) -> None:
        self.routes = routes
        for told in self.routes_changed:
            told()

    def on_routes(self, told: Callable[[], None]) -> Callable[[], None]:
        """Have `told` called whenever there are other routes. It must not block."""
        self.routes_changed += (told,)

        def end() -> None:
            self.routes_changed = _without(self.routes_changed, told)

        return end

    def on_end(self, told: Callable[[str], None]) -> Callable[[], None]:
        """Have `told` called with the id of each key that ends before its time. It must not block."""
        self.callers_ended += (told,)

        def end() -> None:
            self.callers_ended = _without(self.callers_ended, told)

        return end

    def on_change(self, told: Callable[[str], None]) -> Callable[[], None]:
        """Have `told` called with the id of each key that grants something else. It must not block."""
        self.callers_changed += (told,)

        def end() -> None:
            self.callers_changed = _without(self.callers_changed, told)

        return end

    def changed(self, key_id: str) -> None:
        """The key of that id grants something else: what was opened for good by what it granted ends."""
        for told in self.callers_changed:
            told(key_id)

    def ended(self, key_id: str) -> None:
        """The key of that id was revoked: what its callers have open ends."""
        for told in self.callers_ended:
            told(key_id)


def _without(some: tuple[T, ...], one: T) -> tuple[T, ...]:
    return tuple(each for each in some if each is not one)
