"""Quantiles of recent samples, in bounded memory."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from itertools import accumulate

from pointsman.resilience.time_buckets import BUCKETS, TimeBuckets


class Window:
    """Quantiles of the samples of the last `seconds`, exact to a tenth of them, in bounded memory.

    Counts in buckets whose borders grow by a constant factor. A quantile is the sample of rank
    ceil(q * n), off by at most `error` of its value. Samples beyond 1 ms or an hour count as these.

    Args:
        seconds: how long a sample counts: no longer than this, and at least for nine tenths of it.
        error: the largest relative error of an answer, above 0 and below 1.

    Source: C. Masson, J. Rim and H. Lee, "DDSketch", VLDB 2019; here without merging.
    """

    __slots__ = (
        "_all",
        "_buckets",
        "_count",
        "_known",
        "_log_growth",
        "_offset",
        "_scale",
        "_shift",
        "_slices",
        "_top",
    )

    LEAST = 0.001
    MOST = 3600.0

    def __init__(self, seconds: float = 300.0, *, error: float = 0.05) -> None:
        if not 0 < seconds < math.inf:
            raise ValueError(f"seconds must be positive and finite, got {seconds}")
        if not 0 < error < 1:
            raise ValueError(f"error must be above 0 and below 1, got {error}")
        # Bucket b, 1 or more, holds what lies from growth ** (b - 1) to growth ** b, in units of LEAST. The
        # value between that is equally far from both ends, relative to them, is off by `error`.
        growth = (1 + error) / (1 - error)
        self._log_growth = math.log(growth)
        self._shift = math.log(2 / (1 + growth))
        self._scale = 1 / self._log_growth
        self._offset = 1 - math.log(self.LEAST) * self._scale
        self._top = int(math.log(self.MOST) * self._scale + self._offset)
        self._slices = TimeBuckets(seconds / BUCKETS, self._empty)
        self._all = self._empty()
        self._count = 0
        self._known: dict[float, float] = {}  # answers since the last change

    def add(self, sample: float, now: float) -> None:
        """Count `sample`, in seconds, taken at `now`."""
        if now >= self._slices.ends:
            self._turn_to(now)
        if not sample > self.LEAST:  # this way round a NaN finds a bucket, too
            bucket = 0
        elif sample < self.MOST:
            bucket = int(math.log(sample) * self._scale + self._offset)
        else:
            bucket = self._top
        self._slices.current[bucket] += 1
        self._all[bucket] += 1
        self._count += 1
        if self._known:
            self._known.clear()

    def count(self, now: float) -> int:
        """How many samples count at `now`."""
        if now >= self._slices.ends:
            self._turn_to(now)
        return self._count

    def quantile(self, q: float, now: float, *, at_least: int = 1) -> float | None:
        """The sample below or at which a share of `q` of all lie, 0 < q <= 1, in seconds.

        None with fewer samples than `at_least`, 1 or more.
        """
        if now >= self._slices.ends:
            self._turn_to(now)
        if self._count < at_least:
            return None
        known = self._known.get(q)
        if known is None:
            rank = _rank(q, self._count)
            known = self._known[q] = self._value(bisect_left(list(accumulate(self._all)), rank))
        return known

    def _value(self, bucket: int) -> float:
        if bucket == 0:
            return self.LEAST
        return min(self.MOST, self.LEAST * math.exp(bucket * self._log_growth + self._shift))

    def _empty(self) -> array[int]:
        return array("Q", bytes(8 * (self._top + 1)))

    def _turn_to(self, now: float) -> None:
        for old in self._slices.turn(now):
            dropped = sum(old)
            if dropped:
                self._all = array("Q", (whole - part for whole, part in zip(self._all, old, strict=True)))
                self._count -= dropped
                self._known.clear()


def _rank(q: float, n: int) -> int:
    """The smallest rank r with r / n >= q, from 1 to n."""
    rank = min(n, max(1, math.ceil(q * n)))
    # The product may round up beyond a whole number; the quotient is the float nearest to the true one.
    return rank - 1 if rank > 1 and (rank - 1) / n >= q else rank
