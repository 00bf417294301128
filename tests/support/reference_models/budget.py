"""The retry budget as a history: no balance is kept, it is worked out from all that ever happened.

What is in a bucket that loses what does not fit is the smallest of: what it held in the beginning and all
that came and went since; and, for each instant, what fitted in at that instant and all that came and went
after it. In fractions of a retry; nothing is rounded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from math import floor


@dataclass
class BudgetModel:
    ratio: Fraction
    reserve: Fraction
    minimum: int
    window: Fraction
    # (time, what it put in by itself, what it took out), by and by
    history: list[tuple[Fraction, Fraction, Fraction]] = field(default_factory=list)
    # (time, number of history entries at that moment, what fitted in at that moment)
    limits: list[tuple[Fraction, int, Fraction]] = field(default_factory=list)
    requests: list[Fraction] = field(default_factory=list)

    def capacity(self, now: Fraction) -> Fraction:
        tenth = self.window / 10
        oldest = floor(now / tenth) - 9
        counted = sum(floor(at / tenth) >= oldest for at in self.requests)
        return max(Fraction(self.minimum), self.ratio * counted)

    def balance(self, now: Fraction) -> Fraction:
        def since(at: Fraction, entry: int) -> Fraction:
            moved = sum((put - took for _, put, took in self.history[entry:]), Fraction(0))
            return moved + self.reserve * (now - at)

        held = [limit + since(at, entry) for at, entry, limit in self.limits]
        return min([self.minimum + since(Fraction(0), 0), self.capacity(now), *held])

    def request(self, now: Fraction) -> None:
        self.requests.append(now)
        self._note(now, self.ratio, Fraction(0))

    def retry(self, now: Fraction) -> bool:
        self._limit(now)
        granted = self.balance(now) >= 1
        if granted:
            self._note(now, Fraction(0), Fraction(1))
        return granted

    def refund(self, now: Fraction) -> None:
        self._note(now, Fraction(1), Fraction(0))

    def _note(self, now: Fraction, put: Fraction, took: Fraction) -> None:
        self.history.append((now, put, took))
        self._limit(now)

    def _limit(self, now: Fraction) -> None:
        self.limits.append((now, len(self.history), self.capacity(now)))
