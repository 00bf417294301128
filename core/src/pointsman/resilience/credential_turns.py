"""Which of several credentials is used now: the newest that is valid and was not just rejected."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

FIRST_REST, LONGEST_REST = 60.0, 600.0
"""Seconds that a rejected credential is left alone: double with each time in a row."""


class Turn:
    """One credential, as far as whose turn it is depends on it.

    It never reads a clock: `wall` is in seconds since 1970 UTC, `now` on any clock that only moves forward.

    Attributes:
        not_before, not_after: when it may be used, on the wall's clock.
        rests_until: it was rejected, and is left alone until then.
    """

    __slots__ = ("_in_row", "_rejected_at", "not_after", "not_before", "rests_until")

    def __init__(self, not_before: float | None = None, not_after: float | None = None) -> None:
        self.not_before = -inf if not_before is None else not_before
        self.not_after = inf if not_after is None else not_after
        self.rests_until = -inf
        self._rejected_at = -inf
        self._in_row = 0

    def is_valid(self, wall: float) -> bool:
        """Whether it may be used."""
        return self.not_before <= wall < self.not_after

    def rejected(self, now: float, started: float) -> None:
        """A call that `started` then was answered 401."""
        if started < self._rejected_at:  # it was on its way when another one heard the same
            return
        self._rejected_at = now
        self.rests_until = now + min(LONGEST_REST, FIRST_REST * 2.0 ** min(self._in_row, 10))
        self._in_row += 1

    def lacking(self, until: float) -> None:
        """There is nothing to send before `until`, which says nothing against it."""
        self.rests_until = max(self.rests_until, until)

    def accepted(self) -> None:
        """A call with it was not rejected."""
        self.rests_until = self._rejected_at = -inf
        self._in_row = 0


def newest_first(turns: Iterable[Turn]) -> list[Turn]:
    """The order in which they are preferred: what began later, what ends later, what is listed first."""
    return sorted(turns, key=lambda each: (-each.not_before, -each.not_after))


def whose_turn(preferred: Iterable[Turn], wall: float, now: float) -> Turn | None:
    """The one to use; the first that is asked again where all rest; None where none is valid."""
    soonest: Turn | None = None
    for each in preferred:
        if each.is_valid(wall):
            if each.rests_until <= now:
                return each
            if soonest is None or each.rests_until < soonest.rests_until:
                soonest = each
    return soonest


def next_turn(preferred: Iterable[Turn], tried: Iterable[Turn], wall: float, now: float) -> Turn | None:
    """The one to use after those `tried` in the same call; None where no other is valid.

    One that rests is better than none: what was rejected may have been made valid only since.
    """
    before = {id(each) for each in tried}
    return whose_turn((each for each in preferred if id(each) not in before), wall, now)
