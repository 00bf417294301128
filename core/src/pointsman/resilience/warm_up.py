"""Warm-up: how a deployment that was away returns to full load (slow start)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from pointsman._internal.settings import Number, Section, setting
from pointsman.units import Duration, Percent

_MILLION = 1_000_000  # of a second and of the whole: with integers the caps are exact, whoever computes them


class WarmUpSettings(Section):
    """How a deployment that comes back takes on load, so that it is not buried at once."""

    window: Duration = setting(default=30.0, gt=0, description="until it takes as much as the others")
    minimum: Percent = setting(default=0.1, gt=0, description="the share that it begins with")
    aggression: Number = setting(default=1.0, gt=0, description="1: evenly; more: faster at the beginning")


class WarmUp:
    """Caps what one deployment may have in flight while it warms up.

    Attributes:
        begins, ends: the window; both -inf before the first.
    """

    __slots__ = ("_least", "_settings", "_window", "begins", "ends")

    def __init__(self, settings: WarmUpSettings) -> None:
        self.begins = -math.inf
        self.configure(settings)

    def configure(self, settings: WarmUpSettings) -> None:
        """Go by `settings` from now on; what warms up goes on, from when it began."""
        self._settings = settings
        self._window = round(settings.window * _MILLION)
        self._least = round(settings.minimum * _MILLION)
        self.ends = self.begins + settings.window

    def begin(self, now: float) -> None:
        """Warm up from `now` on, which may be an instant to come: the end of an ejection is known."""
        self.begins = now
        self.ends = now + self._settings.window

    def active(self, now: float) -> bool:
        """Whether it is warming up."""
        return self.begins <= now < self.ends

    def cap(self, weight: int, largest: tuple[int, int], now: float) -> int:
        """It may take a call only while it has fewer than this in flight: 1 or more.

        Args:
            weight: its own.
            largest: (in flight, weight) of the member with the largest ratio of the two among those who are
                not warming up; see `largest_ratio`.

        Returns: max(1, ceil(ramp * weight * in flight / weight of that one)), with ramp =
            max(minimum, (elapsed / window) ** (1 / aggression)). The product is exact; ramp is, to a
            millionth of the window, with an aggression of 1, else it is rounded to a millionth.
        """
        numerator, denominator = self._ramp(now)
        in_flight, of = largest
        return max(1, -(-numerator * weight * in_flight // (denominator * of)))

    def snapshot(self, now: float) -> dict[str, bool | float]:
        """Plain data for a status page: `seconds_left` until `share`, 0 to 1, is 1 again."""
        numerator, denominator = self._ramp(now)
        return {
            "active": self.active(now),
            "seconds_left": max(0.0, self.ends - now),
            "share": numerator / denominator,
        }

    def _ramp(self, now: float) -> tuple[int, int]:
        """A fraction from `minimum` to 1."""
        if now >= self.ends:
            return 1, 1
        elapsed = max(0, round((now - self.begins) * _MILLION))
        if self._settings.aggression != 1.0:
            share = (elapsed / self._window) ** (1.0 / self._settings.aggression)
            return min(_MILLION, max(self._least, round(share * _MILLION))), _MILLION
        if elapsed * _MILLION <= self._least * self._window:
            return self._least, _MILLION
        return min(elapsed, self._window), self._window


class Warming(Protocol):
    """What `admitted` needs to know of a member."""

    @property
    def weight(self) -> int: ...

    @property
    def in_flight(self) -> int: ...

    @property
    def warm_up(self) -> WarmUp | None: ...


W = TypeVar("W", bound=Warming)


def admitted(ready: Sequence[W], now: float) -> Sequence[W]:
    """Those of `ready` that may take a call, in the same order; `ready` itself when all may.

    Nobody is held back when all are warming up, after a start for instance: there is nobody to spare them.
    """
    warming = [each for each in ready if each.warm_up is not None and each.warm_up.active(now)]
    if not warming or len(warming) == len(ready):
        return ready
    held = {id(each) for each in warming}
    largest = largest_ratio((each.in_flight, each.weight) for each in ready if id(each) not in held)
    for each in warming:
        if each.warm_up is not None and each.in_flight < each.warm_up.cap(each.weight, largest, now):
            held.discard(id(each))
    return [each for each in ready if id(each) not in held] if held else ready


def largest_ratio(pairs: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """The (in flight, weight) whose ratio is the largest, compared exactly; (0, 1) of none."""
    most, of = 0, 1
    for in_flight, weight in pairs:
        if in_flight * of > most * weight:
            most, of = in_flight, weight
    return most, of
