"""The retry budget of one group of targets: retries are a share of the requests, whatever fails.

A bucket of integers, without clock or I/O; `now` is in seconds on any clock that only moves forward. Each
new request puts a share of a retry in, time puts in a small reserve, and each retry takes a whole one
out. What does not fit is lost, so that a quiet night does not save up for a storm.

What it promises, for every window of time of `t` seconds:

    retries - refunds <= ratio * requests + reserve * t + capacity when the window begins

For the balance is at most the capacity when the window begins, never below 0 when it ends, and nothing
but requests, time and refunds adds to it. Times are rounded to the microsecond; nothing else is.
"""

from __future__ import annotations

import math
from fractions import Fraction
from operator import itemgetter

from msgspec import Struct

from pointsman.resilience.time_buckets import BUCKETS, TimeBuckets

_RETRY = 10**9
"""The unit is a billionth of a retry, and time is in microseconds: so everything is an integer."""

_THOUSANDTH = _RETRY // 1000


def _thousandths(value: float) -> int:
    # As it is written: 0.29 is 290, though 0.29 * 1000 is a little less.
    return int(Fraction(str(value)) * 1000)


class BudgetSettings(Struct, frozen=True):
    """How many retries a group of targets has to bear.

    Args:
        ratio: retries per request, 0.3 for 30 %. Counted in steps of 0.1 %, rounded down.
        reserve: retries per second that are there without any request; the same steps.
        minimum: the capacity in retries, however few requests there are.
        window: the capacity is what the requests of this many seconds put in, exact to a tenth of it.

    Raises: ValueError naming the setting that cannot be right.
    """

    ratio: float = 0.3
    reserve: float = 1.0
    minimum: int = 3
    window: float = 10.0

    def __post_init__(self) -> None:
        for name in ("ratio", "reserve"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise ValueError(f"{name} must be 0 or more, got {value}")
            if value and not _thousandths(value):
                raise ValueError(f"{name} is counted in steps of 0.001, and {value} is less than one")
        if self.minimum < 1:
            raise ValueError(f"minimum must be 1 or more, or no retry ever fits, got {self.minimum}")
        if not 0.001 <= self.window < math.inf:
            raise ValueError(f"window must be 0.001 seconds or more, got {self.window}")


HEDGES = BudgetSettings(ratio=0.05, reserve=0.0, minimum=1)
"""For hedged attempts, which come on top of retries: one in 20 requests, and nothing for doing nothing."""


class RetryBudget:
    """Says whether one more retry can be borne. It begins full.

    Attributes:
        retries: how often `retry` said yes; `refused`: how often it said no.
        refunds: how many of those were given back.
    """

    __slots__ = (
        "_at",
        "_balance",
        "_bucket_ends",
        "_buckets",
        "_capacity",
        "_counted",
        "_deposit",
        "_floor",
        "_new",
        "_reserve",
        "_settings",
        "refunds",
        "refused",
        "retries",
    )

    def __init__(self, settings: BudgetSettings | None = None) -> None:
        self._settings = settings = settings or BudgetSettings()
        self.retries = 0
        self.refused = 0
        self.refunds = 0
        self._deposit = _thousandths(settings.ratio) * _THOUSANDTH
        self._reserve = _thousandths(settings.reserve)  # one retry a second is 1000 units a microsecond
        self._floor = settings.minimum * _RETRY
        self._buckets = TimeBuckets(round(settings.window * 1e6) // BUCKETS, _no_requests)
        self._balance = self._capacity = self._floor
        self._at = 0  # the balance is that of this microsecond ...
        self._new = 0  # ... without these requests
        self._counted = 0
        self._bucket_ends = -math.inf

    @property
    def settings(self) -> BudgetSettings:
        return self._settings

    @property
    def requests(self) -> int:
        """How many requests there have been."""
        return self._counted + self._new

    def request(self, now: float) -> None:
        """A new request has come; not called for its retries."""
        # Requests only add, and the capacity grows with each by what it adds: so the order in which the
        # balance hears of them and of the time changes nothing, and they can wait for `_settle`.
        if now >= self._bucket_ends:
            self._settle(now)
        self._new += 1

    def allows(self, now: float) -> bool:
        """Whether `retry` would say yes. Takes nothing."""
        self._settle(now)
        return self._balance >= _RETRY

    def retry(self, now: float) -> bool:
        """Take one retry; false when there is none, and then nothing is taken."""
        self._settle(now)
        if self._balance < _RETRY:
            self.refused += 1
            return False
        self._balance -= _RETRY
        self.retries += 1
        return True

    def refund(self, now: float) -> None:
        """Give one retry back, because nothing of it ever left the process.

        Raises: RuntimeError when there is none to give back.
        """
        if self.refunds >= self.retries:
            raise RuntimeError("a retry was given back that nobody took")
        self._settle(now)
        self.refunds += 1
        self._balance = min(self._balance + _RETRY, self._capacity)

    def snapshot(self, now: float) -> dict[str, int]:
        """Plain data for a status page. `balance` and `capacity` are in thousandths of a retry."""
        self._settle(now)
        return {
            "balance": self._balance // _THOUSANDTH,
            "capacity": self._capacity // _THOUSANDTH,
            "requests": self.requests,
            "retries": self.retries,
            "refunds": self.refunds,
            "refused": self.refused,
        }

    def _settle(self, now: float) -> None:
        """Bring balance and capacity up to `now`."""
        at = max(self._at, round(now * 1e6))
        gained = self._new * self._deposit + (at - self._at) * self._reserve
        buckets = self._buckets
        buckets.current[0] += self._new
        self._counted += self._new
        self._new = 0
        self._at = at
        buckets.turn(at)
        self._bucket_ends = buckets.ends / 1e6
        requests = sum(map(itemgetter(0), buckets.within()))
        self._capacity = max(self._floor, requests * self._deposit)
        self._balance = min(self._balance + gained, self._capacity)


def _no_requests() -> list[int]:
    return [0]
