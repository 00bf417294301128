"""Rate limits and places that routers share: the local part of them, which is asked first.

Nothing here awaits or reads a clock. A reservation of the local part comes first and costs nobody a round
trip; what it took is then asked for at the store, and where that refuses, the meter that had no room stays
closed for as long as the store said. While the store is away, each router goes by its share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import Literal

from msgspec import field

from pointsman.resilience.rate_limit import Gcra, RateLimits, RateLimitScope, Reservation
from pointsman.state import Admission, NoRoom, Take, WantedPlace

UNSURE = 1.0
"""Seconds after which a store is asked again that had no room for tokens: others may give back what they did
not use."""
_NEXT_PLACE = 0.1
"""Seconds after which it is asked again for a place: another router may have freed one."""
_AT_LEAST = 1e-3
"""Seconds for which what was refused is not asked for again."""
_SOON = 0.05
"""Seconds until what time alone does not tell may be otherwise."""


class Standing:
    """How it stands with the store, for the limits that go by it.

    Attributes:
        away: it is not asked now.
        replicas: routers that were there when it last answered, this one included.
        back_at: the instant at which it is next looked at, while it is away.
        outage: counts how often it went.
    """

    __slots__ = ("away", "back_at", "outage", "replicas")

    def __init__(self) -> None:
        self.away = False
        self.replicas = 1
        self.back_at = 0.0
        self.outage = 0


class SharedMeter:
    """One meter of a scope that is shared.

    Attributes:
        name: by which routers share it; `meter`: what this router took of it.
        fails_closed: nothing is let through while the store is away; else the share of this router.
    """

    __slots__ = ("_outage", "_share", "fails_closed", "is_of_tokens", "meter", "name")

    def __init__(self, name: str, meter: Gcra, *, fails_closed: bool, is_of_tokens: bool) -> None:
        self.name = name
        self.meter = meter
        self.fails_closed = fails_closed
        self.is_of_tokens = is_of_tokens
        self._share = meter
        self._outage = 0

    def share(self, standing: Standing, now: float) -> Gcra:
        """The part of this router in the outage that there is: it begins with what it took before."""
        if self._outage != standing.outage:
            self._outage, whole, parts = standing.outage, self.meter, standing.replicas
            # What is larger than a share may still go into debt: it would never be let through otherwise.
            self._share = Gcra(
                whole.count, whole.period * parts, max(1, whole.burst // parts), oversize="full"
            )
            if (taken := whole.burst - whole.remaining(now)) > 0:
                self._share.take(taken, now)
        return self._share

    def take(self, tokens: int) -> Take:
        """What an attempt of so many `tokens` takes of it."""
        meter = self.meter
        units = tokens if self.is_of_tokens else 1
        return Take(self.name, units, meter.count, meter.period, meter.burst, meter.oversize)


class SharedScope(RateLimitScope):
    """A scope of limits that is shared by its name."""

    __slots__ = ("shared",)

    def __init__(
        self, requests: Gcra | None, tokens: Gcra | None, name: str, *, fail: Literal["local", "closed"]
    ) -> None:
        super().__init__(requests, tokens, name)
        self.shared = [
            SharedMeter(f"{name}/{unit}", meter, fails_closed=fail == "closed", is_of_tokens=unit == "tokens")
            for unit, meter in (("tokens", tokens), ("requests", requests))
            if meter is not None
        ]


class SharedLimits(RateLimits):
    """All that the calls of one deployment count against, where a store is to admit them, too.

    Args:
        deployment: its id.
        places: attempts at the same time in all routers; None for any number.
        fails_closed: what becomes of places while the store is away.

    Attributes:
        held: reservations that are neither settled nor given back.
    """

    __slots__ = ("_closed_until", "_fails_closed", "_meters", "_place", "_standing", "held")

    def __init__(
        self,
        scopes: Sequence[SharedScope],
        standing: Standing,
        *,
        deployment: str,
        places: int | None,
        fails_closed: bool,
    ) -> None:
        super().__init__(scopes)
        self._standing = standing
        self._place = None if places is None else WantedPlace(deployment, places)
        meters = [each for scope in dict.fromkeys(scopes) for each in scope.shared]
        # In the order of the marks of a reservation.
        self._meters = sorted(meters, key=lambda each: not each.is_of_tokens)
        self._fails_closed = (fails_closed and places is not None) or any(
            each.fails_closed for each in meters
        )
        self._closed_until = -inf
        self.held = 0

    @property
    def stuck(self) -> bool:
        return self._fails_closed and self._standing.away

    def wait(self, tokens: int, now: float) -> float:
        wait = max(super().wait(tokens, now), self._closed_until - now)
        if not self._standing.away:
            return wait
        if self.stuck:
            return max(wait, self._standing.back_at - now, _SOON)
        if self._is_full():
            wait = max(wait, _SOON)
        for each in self._meters:
            units = tokens if each.is_of_tokens else 1
            wait = max(wait, each.share(self._standing, now).wait(units, now))
        return wait

    def watch(self, now: float, tell: Callable[[], None]) -> float | None:
        if self._standing.away or now < self._closed_until:
            return None
        return super().watch(now, tell)

    def reserve(self, tokens: int, now: float) -> SharedReservation | None:
        away = self._standing.away
        # Also where the store is well: it may have refused a moment ago.
        if (away and self.wait(tokens, now) > 0) or now < self._closed_until:
            self.refused += 1
            return None
        local = super().reserve(tokens, now)
        if local is None:
            return None
        self.held += 1
        taken = SharedReservation(self, tokens, local.marks)
        if away:
            for each in self._meters:
                share, units = each.share(self._standing, now), tokens if each.is_of_tokens else 1
                taken.shares.append((share, share.take(units, now), units, each.is_of_tokens))
        return taken

    def admission(self, id: str, tokens: int, seconds: float) -> Admission:
        """What the attempt of that `id` asks of the store."""
        return Admission(id, [each.take(tokens) for each in self._meters], self._place, seconds)

    def used(self, tokens: int, requests: int) -> Sequence[int]:
        """Of each of its limits, in the order of an admission."""
        return [tokens if each.is_of_tokens else requests for each in self._meters]

    def no_room(self, answer: NoRoom, now: float) -> None:
        """The store has refused: until when it need not be asked again."""
        for each in self._meters:
            if each.name == answer.lacking:
                wait = max(min(answer.wait, UNSURE) if each.is_of_tokens else answer.wait, _AT_LEAST)
                each.meter.lower(each.meter.burst, now, now + wait)
                return
        self._closed_until = now + min(max(answer.wait, _SOON), _NEXT_PLACE)

    def unanswered(self, now: float) -> bool:
        """The store has not answered: whether the attempt may be made all the same."""
        if self._fails_closed:
            self._closed_until = now + _SOON
        return not self._fails_closed

    def given_back(self, *, had_a_place: bool) -> None:
        """One of its reservations is over, and with it the place that the store may have given it."""
        self.held -= 1
        if had_a_place:
            self._closed_until = -inf

    def reset(self) -> None:
        super().reset()
        self._closed_until = -inf

    def _is_full(self) -> bool:
        place = self._place
        return place is not None and self.held >= max(1, place.places // self._standing.replicas)


class SharedReservation(Reservation):
    """What one call took of the local part; what it took of the store is settled with it.

    Attributes:
        shares: the meters of an outage, each with mark, units and whether these are tokens.
        settled: tells the store how many units were used of each limit; None while it has not admitted it.
    """

    shares: list[tuple[Gcra, int, int, bool]] = field(default_factory=list)
    settled: Callable[[Sequence[int]], None] | None = None

    def settle(self, actual_tokens: int | None, now: float) -> bool:
        return super().settle(actual_tokens, now) and self._over(
            self.tokens if actual_tokens is None else max(0, actual_tokens), 1, now
        )

    def refund(self, now: float) -> bool:
        return super().refund(now) and self._over(0, 0, now)

    def admission(self, id: str, seconds: float) -> Admission:
        """What it asks of the store, as the attempt of that `id`."""
        return self.shared.admission(id, self.tokens, seconds)

    @property
    def shared(self) -> SharedLimits:
        """Where it was taken."""
        limits = self.limits
        assert isinstance(limits, SharedLimits)
        return limits

    def _over(self, tokens: int, requests: int, now: float) -> bool:
        for share, mark, units, is_of_tokens in self.shares:
            share.settle(mark, units, tokens if is_of_tokens else requests, now)
        limits = self.shared
        limits.given_back(had_a_place=self.settled is not None)
        if self.settled is not None:
            self.settled(limits.used(tokens, requests))
        return True
