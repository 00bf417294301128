"""What was counted in the last seconds, in a ring of ten buckets: exact to a tenth of the window.

Without clock or I/O; `now` is in one unit of time on any clock that only moves forward and is 0 or more.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Generic, TypeVar

BUCKETS = 10

B = TypeVar("B")


class TimeBuckets(Generic[B]):
    """The last ten buckets, each of what was counted in `width` units of time.

    Who counts looks at `ends` itself and calls `turn` only when it has come: in a call that succeeds a count
    is then a comparison and an addition.

    Args:
        width: of one bucket, above 0, in the unit of `now`.
        empty: makes a bucket.

    Attributes:
        current: the bucket that is being counted.
        ends: the instant at which the next one begins; minus infinity before the first `turn`.
    """

    __slots__ = ("_empty", "_number", "_ring", "_width", "current", "ends")

    def __init__(self, width: float, empty: Callable[[], B]) -> None:
        self._width = width
        self._empty = empty
        self._ring = [empty() for _ in range(BUCKETS)]
        self._number = 0  # of the bucket that is being counted, in ring[number % 10]; numbers grow with time
        self.current = self._ring[0]
        self.ends = -math.inf

    def turn(self, now: float) -> list[B]:
        """Have `current` be the bucket of `now`. Returns those that count no longer."""
        number = max(self._number, int(now // self._width))
        gone = []
        for new in range(max(self._number + 1, number - BUCKETS + 1), number + 1):
            gone.append(self._ring[new % BUCKETS])
            self._ring[new % BUCKETS] = self._empty()
        self._number = number
        self.current = self._ring[number % BUCKETS]
        self.ends = (number + 1) * self._width
        return gone

    def within(self, now: float | None = None) -> list[B]:
        """Those that count at `now`, or at the last `turn`, the oldest first. Changes nothing."""
        number = self._number if now is None else max(self._number, int(now // self._width))
        oldest = (self._number + 1) % BUCKETS
        return (self._ring[oldest:] + self._ring[:oldest])[number - self._number :]

    def sorted_into(self, other: TimeBuckets[B], add: Callable[[B, B], None]) -> None:
        """Count in `other`, which is new, what was counted here: each bucket at its middle."""
        nothing = self._empty()
        for number in range(self._number - BUCKETS + 1, self._number + 1):
            bucket = self._ring[number % BUCKETS]
            if bucket != nothing:
                other.turn((number + 0.5) * self._width)
                add(other.current, bucket)
