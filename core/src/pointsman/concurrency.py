"""How many calls a deployment bears at once, learned from how it fares; and when a second try is worth it.

Decisions only, without clock, I/O or tasks: `now` is handed in, in seconds on any clock that only moves
forward. `Window` is what both learn from: the times to the first token of the last minutes.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Callable
from itertools import accumulate

from pointsman.frozen import frozen

_SLICES = 10


# ── adaptive concurrency ─────────────────────────────────────────────────────────────────────────────


@frozen
class AdaptiveSettings:
    """How a limit of concurrency learns.

    Args:
        decrease: what is left of the limit after an overload.
        increase: what is added while it is used and all is well.
        pace: seconds between two steps while no time to the first token is known.
        initial: the limit in the beginning; None: the highest there is.

    Raises: ValueError naming the setting that cannot be right.
    """

    decrease: float = 0.9
    increase: float = 1.0
    pace: float = 1.0
    initial: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.decrease < 1:
            raise ValueError(f"decrease must be above 0 and below 1, got {self.decrease}")
        for name in ("increase", "pace"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be positive and finite, got {getattr(self, name)}")
        if self.initial is not None and self.initial < 1:
            raise ValueError(f"initial must be 1 or more, got {self.initial}")


class AdaptiveLimit:
    """A limit on what one deployment has in flight: additive increase, multiplicative decrease.

    It falls at most once in a median time to first token, for all calls that were in flight together fail
    together. It rises at most once in that time, only when at least half of it is in use: a limit that
    nobody reaches has shown nothing.

    Args:
        maximum: it never exceeds this, 1 or more; the `max_in_flight` of the deployment.
        median: called with `now`, the median time to the first token in seconds, None when not known.

    Attributes:
        limit: a whole number, 1 <= limit <= maximum: with so many in flight it takes no further call.
        exact: the same, not rounded down.
        raised, lowered: how often.
    """

    __slots__ = (
        "_lower_from",
        "_maximum",
        "_median",
        "_raise_from",
        "_settings",
        "exact",
        "limit",
        "lowered",
        "raised",
    )

    def __init__(
        self, settings: AdaptiveSettings, maximum: int, median: Callable[[float], float | None]
    ) -> None:
        if maximum < 1:
            raise ValueError(f"maximum must be 1 or more, got {maximum}")
        self._settings = settings
        self._maximum = maximum
        self._median = median
        self.exact = float(maximum if settings.initial is None else min(settings.initial, maximum))
        self.limit = int(self.exact)
        self.raised = 0
        self.lowered = 0
        self._lower_from = -math.inf
        self._raise_from = -math.inf

    def configure(self, settings: AdaptiveSettings, maximum: int) -> None:
        """Go by these from now on. What was learned stays; a limit at its maximum goes to the new one."""
        unlimited = self.limit >= self._maximum
        self._settings, self._maximum = settings, maximum
        self._set(float(maximum) if unlimited else min(self.exact, float(maximum)))

    def overloaded(self, now: float) -> None:
        """An attempt ended with an overload, or ran out of its time."""
        if now < self._lower_from:
            return
        self._lower_from = self._raise_from = now + self._step(now)
        self.lowered += 1
        self._set(max(1.0, self.exact * self._settings.decrease))

    def ok(self, now: float, in_flight: int) -> None:
        """An attempt succeeded, while `in_flight` were running: itself included."""
        if now < self._raise_from or self.limit >= self._maximum or in_flight * 2 < self.exact:
            return
        self._raise_from = now + self._step(now)
        self.raised += 1
        self._set(min(float(self._maximum), self.exact + self._settings.increase))

    def snapshot(self) -> dict[str, int]:
        """Plain data for a status page."""
        return {
            "limit": self.limit,
            "maximum": self._maximum,
            "raised": self.raised,
            "lowered": self.lowered,
        }

    def _step(self, now: float) -> float:
        median = self._median(now)
        return self._settings.pace if median is None else median

    def _set(self, exact: float) -> None:
        self.exact = exact
        self.limit = int(exact)


# ── hedging ──────────────────────────────────────────────────────────────────────────────────────────


@frozen
class HedgeSettings:
    """When a request that waits for its first token is sent to a second deployment as well.

    Args:
        quantile: it is late when so many of the others had their first token by now ...
        floor: ... and never sooner than this, in seconds.
        minimum_samples: with fewer of them nobody knows what late is, and nothing is hedged.

    Raises: ValueError naming the setting that cannot be right.
    """

    quantile: float = 0.95
    floor: float = 1.0
    minimum_samples: int = 20

    def __post_init__(self) -> None:
        if not 0 < self.quantile < 1:
            raise ValueError(f"quantile must be above 0 and below 1, got {self.quantile}")
        if not 0 <= self.floor < math.inf:
            raise ValueError(f"floor must be 0 seconds or more, got {self.floor}")
        if self.minimum_samples < 1:
            raise ValueError(f"minimum_samples must be 1 or more, got {self.minimum_samples}")


def hedge_after(late: float | None, floor: float = 1.0) -> float | None:
    """Seconds without a first token after which a second attempt is worth it: at least `floor`.

    Args:
        late: the p95 of the time to the first token; None when not known, and then the answer is None.
    """
    return None if late is None else max(late, floor)


def may_hedge(*, committed: bool, hedges: int, overloads: int, elsewhere: bool) -> bool:
    """Whether a request may have a second attempt beside the one that is running, if the budget allows.

    Args:
        committed: its first content was delivered to the caller.
        hedges: how many it has had.
        overloads: how many of its attempts ended with an overload: more load is the last thing it needs.
        elsewhere: a deployment other than those it has been to could take the call.
    """
    return not committed and hedges == 0 and overloads == 0 and elsewhere


# ── what both learn from ─────────────────────────────────────────────────────────────────────────────


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
        "_number",
        "_offset",
        "_ring",
        "_scale",
        "_shift",
        "_slice",
        "_slice_ends",
        "_top",
        "_width",
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
        self._width = seconds / _SLICES
        self._number = 0  # of the slice being counted, in ring[number % 10]; numbers grow with time
        self._slice_ends = -math.inf
        self._ring = [self._empty() for _ in range(_SLICES)]
        self._slice = self._ring[0]
        self._all = self._empty()
        self._count = 0
        self._known: dict[float, float] = {}  # answers since the last change

    def add(self, sample: float, now: float) -> None:
        """Count `sample`, in seconds, taken at `now`."""
        if now >= self._slice_ends:
            self._turn_to(now)
        if not sample > self.LEAST:
            bucket = 0
        elif sample < self.MOST:
            bucket = int(math.log(sample) * self._scale + self._offset)
        else:
            bucket = self._top
        self._slice[bucket] += 1
        self._all[bucket] += 1
        self._count += 1
        if self._known:
            self._known.clear()

    def count(self, now: float) -> int:
        """How many samples count at `now`."""
        if now >= self._slice_ends:
            self._turn_to(now)
        return self._count

    def quantile(self, q: float, now: float, *, at_least: int = 1) -> float | None:
        """The sample below or at which a share of `q` of all lie, 0 < q <= 1, in seconds.

        None with fewer samples than `at_least`, 1 or more.
        """
        if now >= self._slice_ends:
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
        number = max(self._number, int(now // self._width))
        gone = range(max(self._number + 1, number - _SLICES + 1), number + 1)
        for each in gone:
            self._forget(each % _SLICES)
        self._number = number
        self._slice = self._ring[number % _SLICES]
        self._slice_ends = (number + 1) * self._width

    def _forget(self, index: int) -> None:
        old = self._ring[index]
        dropped = sum(old)
        if not dropped:
            return
        self._all = array("Q", (whole - part for whole, part in zip(self._all, old, strict=True)))
        self._count -= dropped
        self._ring[index] = self._empty()
        self._known.clear()


def _rank(q: float, n: int) -> int:
    """The smallest rank r with r / n >= q, from 1 to n."""
    rank = min(n, max(1, math.ceil(q * n)))
    # The product may round up beyond a whole number; the quotient is the float nearest to the true one.
    return rank - 1 if rank > 1 and (rank - 1) / n >= q else rank
