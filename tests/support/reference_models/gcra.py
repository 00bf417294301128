"""Rate limits by their definition: every window of the whole history is looked at, each time.

Nothing is counted ahead. A history is a list of what was let through and when, with what it counts for
today; a quantity fits when no window that ends now would hold more than burst + rate x length. Times are
whole numbers of 1/1024 s, so that floats of seconds hold them exactly and all sums are of integers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

PER_SECOND = 1024


@dataclass
class Entry:
    at: int
    charged: int  # as far as it is known now
    floor: int = 0  # taken away by the upstream's own count, in windows that begin here only


@dataclass
class WindowModel:
    """`interval` is the time of one unit, in 1/1024 s."""

    interval: int
    burst: int
    oversize: bool = False
    history: list[Entry] = field(default_factory=list)
    closed_until: int = -1

    def excess(self, quantity: int, now: int) -> int:
        """By how much (units x interval) the fullest window that ends now would be too full."""
        worst = (quantity - self.burst) * self.interval
        in_window = quantity
        for entry in reversed(self.history):
            in_window += entry.charged
            length = now - entry.at
            worst = max(worst, (in_window + entry.floor - self.burst) * self.interval - length)
        return worst

    def fits(self, quantity: int, now: int) -> bool:
        if now < self.closed_until:
            return False
        if quantity > self.burst:
            return self.oversize and self.excess(self.burst, now) <= 0
        return self.excess(quantity, now) <= 0

    def take(self, quantity: int, now: int) -> Entry:
        self.history.append(Entry(now, quantity))
        return self.history[-1]

    def lower(self, remaining: int, now: int, until: int | None) -> None:
        if remaining < self.burst:
            self.history.append(Entry(now, 0, floor=self.burst - max(0, remaining)))
        if until is not None:
            self.closed_until = max(self.closed_until, until)

    def remaining(self, now: int) -> int:
        # The excess of nothing is how far below full it is, from -burst up, in units x interval.
        return -self.excess(0, now) // self.interval


def fullest_window(events: list[tuple[int, int]], interval: int) -> int:
    """The most that any window holds beyond rate x its length, in units x interval. `events`: (at, units)."""
    worst = 0
    for last in range(len(events)):
        held = 0
        for first in range(last, -1, -1):
            held += events[first][1]
            worst = max(worst, held * interval - (events[last][0] - events[first][0]))
    return worst
