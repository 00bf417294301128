"""The fair queue by its definition: one flat list of who waits, and everything else is worked out from it.

Deficit round robin is written as a list of rounds that is played out turn by turn; priorities as a ledger
of turns owed in fractions; shedding as the worst of a sorted list.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction


@dataclass
class Caller:
    number: int
    key: str
    priority: int


@dataclass
class QueueModel:
    length: int
    classes: int
    share: Fraction
    weights: dict[str, int]
    callers: list[Caller] = field(default_factory=list)  # in the order of arrival
    rings: dict[int, list[str]] = field(default_factory=dict)  # priority → keys, the one being served first
    left: dict[tuple[int, str], int] = field(default_factory=dict)  # turns left in the visit that goes on
    owed: dict[int, Fraction] = field(default_factory=dict)

    def weight(self, key: str) -> int:
        return self.weights.get(key, 1)

    def of(self, priority: int, key: str | None = None) -> list[Caller]:
        return [each for each in self.callers if each.priority == priority and key in (None, each.key)]

    def victim(self, new: Caller) -> Caller | None:
        """Who has to go for `new`; `new` itself when it is the one that is refused; None when there is room."""
        if len(self.callers) < self.length:
            return None
        unknown = [
            each for each in self.callers if not each.key and (new.key or each.priority > new.priority)
        ]
        if unknown:
            return max(unknown, key=lambda each: (each.priority, each.number))
        if not new.key:
            return new
        worse = [each for each in self.callers if each.priority > new.priority]
        if worse:
            return max(worse, key=lambda each: (each.priority, each.number))

        def held(key: str, more: int = 0) -> Fraction:
            return Fraction(len(self.of(new.priority, key)) + more, self.weight(key))

        ring = self.rings.get(new.priority, [])
        most = max((held(key) for key in ring), default=Fraction(0))
        if most <= held(new.key, 1):
            return new
        hoarder = next(key for key in ring if held(key) == most)
        return max(self.of(new.priority, hoarder), key=lambda each: each.number)

    def enter(self, new: Caller) -> None:
        if not self.of(new.priority, new.key):
            self.rings.setdefault(new.priority, []).append(new.key)
        self.callers.append(new)

    def lane(self) -> int:
        waiting = sorted({each.priority for each in self.callers})
        owed = [priority for priority in waiting if self.owed.get(priority, 0) >= 1]
        return max(owed, key=lambda priority: (self.owed[priority], -priority)) if owed else waiting[0]

    def next(self) -> Caller | None:
        """Whose turn it is."""
        if not self.callers:
            return None
        priority = self.lane()
        ring = self.rings[priority]
        while True:
            place = (priority, ring[0])
            if place not in self.left:
                self.left[place] = self.weight(ring[0])
            if self.left[place] > 0:
                return self.of(*place)[0]
            del self.left[place]
            ring.append(ring.pop(0))

    def served(self, caller: Caller) -> None:
        """`caller`, whose turn it was, leaves with a place."""
        for priority in range(1, self.classes):
            if self.of(priority):
                self.owed[priority] = self.owed.get(priority, Fraction(0)) + self.share
        self.owed[caller.priority] = max(Fraction(0), self.owed.get(caller.priority, Fraction(0)) - 1)
        self.left[caller.priority, caller.key] -= 1
        self.leave(caller)

    def leave(self, caller: Caller) -> None:
        self.callers.remove(caller)
        if not self.of(caller.priority, caller.key):
            self.rings[caller.priority].remove(caller.key)
            self.left.pop((caller.priority, caller.key), None)
        if not self.of(caller.priority):
            self.owed.pop(caller.priority, None)
