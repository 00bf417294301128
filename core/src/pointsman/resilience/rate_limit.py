"""How much an upstream may be asked in how long: requests and tokens per time, reserved before they are sent.

Nothing here reads a clock, waits or starts a task: `now` is handed in, in seconds on any clock that only
moves forward, and every call returns at once.

The promise of a `Gcra`: whatever is taken, in any window of length t that is at most

    burst + count x t / period        units.

It is kept to the last unit, for ever, because nothing adds up but whole numbers. Time is counted in ticks of
2**-36 s (15 picoseconds): `now` is rounded down to one, and the time of one unit is rounded up, which at
200,000 units per minute makes the meter slower by less than one part in 20 million. Floats of seconds would
lose or grant a little with each call, and over a busy period, which may never end, that has no bound.

A call takes what it may need and says afterwards what it used (`settle`). After that the meter stands as if
the smaller amount had been taken at once: the promise holds for what was used, counted when it was let
through. What a call used beyond its reservation is debt, which is charged when it is known and paid by those
who come later: in a window there can be as much more as was reserved too little, by calls of that window,
and not known yet when the last of them was let through.

Source: the generic cell rate algorithm, virtual scheduling form; ITU-T I.371, 1993, annex A.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from fractions import Fraction
from math import ceil, inf, nextafter
from typing import Literal

from msgspec import Struct

Oversize = Literal["refuse", "full"]

_TICKS = 2.0**36  # per second; a power of two, so that multiplying a float by it is exact
_MOST_LOWS = 64


class Gcra:
    """So many units per period, and up to `burst` at once.

    Args:
        count, period: `count` units, 1 or more, in `period` seconds, above 0.
        burst: units that can be had at once after a long rest; `count` when None, which is what a bucket
            allows that holds one period's worth.
        oversize: what becomes of a quantity above `burst`: `refuse` it for good, or let it wait until the
            meter is `full` and then go into debt. With `full`, read the largest quantity for `burst` in the
            promise.

    Attributes:
        plenty: units, half of the burst; see `watch`.
        used: units, all that was taken with all settlements and refunds.
    """

    __slots__ = (
        "_closed_until",
        "_idle_mark",
        "_interval",
        "_lows",
        "_mark",
        "_marks",
        "_room_for_plenty",
        "_tat",
        "_tell",
        "_tolerance",
        "burst",
        "count",
        "oversize",
        "period",
        "plenty",
        "used",
    )

    def __init__(
        self, count: int, period: float, burst: int | None = None, *, oversize: Oversize = "refuse"
    ) -> None:
        burst = count if burst is None else burst
        if count < 1 or burst < 1 or not 0 < period < inf:
            raise ValueError("a meter needs a count and a burst of 1 or more and a period above 0")
        self.count = count
        self.period = period
        self.burst = burst
        self.oversize = oversize
        self.plenty = max(1, burst // 2)
        self.used = 0
        self._interval = interval = ceil(Fraction(period) * int(_TICKS) / count)  # of one unit
        self._tolerance = burst * interval
        self._room_for_plenty = self._tolerance - self.plenty * interval
        self._tat = 0  # when everything taken is worked off, at an even pace
        self._closed_until = -inf
        self._tell: Callable[[], None] | None = None
        # What was worked off already cannot be given back: how low the backlog (`_tat` less now) was at
        # each of the latest takings, less those that had a lower one after them. `_lows` grows strictly
        # with `_marks`; at `_idle_mark` the backlog was 0.
        self._mark = 0
        self._idle_mark = 0
        self._marks: list[int] = []
        self._lows: list[int] = []

    def wait(self, quantity: int, now: float) -> float:
        """Seconds until `quantity` units would fit if nothing else happened.

        0.0 when they fit now, infinity when they never will. At `now + wait` they do fit.
        """
        if quantity > self.burst:
            if self.oversize == "refuse":
                return inf
            quantity = self.burst
        ticks = self._tat + quantity * self._interval - self._tolerance
        # With quantity <= burst, a meter at rest (`_tat` in the past) has room anyhow.
        if ticks <= int(now * _TICKS) and now >= self._closed_until:
            return 0.0
        at = max(ticks / _TICKS, self._closed_until)
        while int(at * _TICKS) < ticks:
            at = nextafter(at, inf)
        wait = max(0.0, at - now)
        while now + wait < at:
            wait = nextafter(wait, inf)
        return wait

    def watch(self, now: float, tell: Callable[[], None]) -> bool:
        """Whether `plenty` units fit now. If so they fit at any later instant too, until `tell` is called.

        Time only makes more room, so there is nothing to ask again before. It is called once, by what takes
        the room away. One can watch: whoever watched before is told, so that it comes and asks again.
        """
        if not self._has_plenty(now):
            return False
        if self._tell != tell:
            self._no_more_plenty()
            self._tell = tell
        return True

    def take(self, quantity: int, now: float) -> int:
        """Take `quantity` units, whether they fit or not; what comes back is for `settle`."""
        return self._charge(quantity, now, int(now * _TICKS), True)

    def settle(self, mark: int, reserved: int, actual: int, now: float) -> None:
        """What was taken at `mark` as `reserved` units were `actual` units in the end; once for each `mark`.

        Less than reserved: the meter stands as if no more had been taken then. What has been worked off
        since cannot be had again, so a meter that was at rest in between gives nothing back; and never is
        it fuller than full. More than reserved: it is owed.
        """
        self._correct(actual - reserved, mark, int(now * _TICKS))

    def refund(self, mark: int, reserved: int, now: float) -> None:
        """What was taken at `mark` was not used at all."""
        self.settle(mark, reserved, 0, now)

    def lower(self, remaining: int, now: float, until: float | None = None) -> None:
        """The upstream says that `remaining` units are left, or even that none is to be had before `until`.

        It can only take away: a number above ours and an instant before one known change nothing. What was
        reserved before cannot bring back more than the upstream said there was.
        """
        if remaining < self.burst:
            self._mark += 1
            least = int(now * _TICKS) + self._tolerance - max(0, remaining) * self._interval
            if least >= self._tat:
                self._tat = least
                self._at_rest(self._mark)
            else:
                self._note(self._tat - least)
        if until is not None:
            self._closed_until = max(self._closed_until, until)
        if not self._has_plenty(now):
            self._no_more_plenty()

    def reset(self) -> None:
        """Forget all that was taken, owed, and said by the upstream: from now on it is full."""
        self._tat = 0
        self._closed_until = -inf
        self._mark += 1
        self._at_rest(self._mark)

    def remaining(self, now: float) -> int:
        """Whole units that could be taken now, cool-down aside; below 0 when in debt."""
        backlog = max(0, self._tat - int(now * _TICKS))
        return (self._tolerance - backlog) // self._interval

    def snapshot(self, now: float) -> dict[str, int | float]:
        """Plain data for a status page; `next_free` is the seconds until one unit can be taken."""
        return {
            "count": self.count,
            "period": self.period,
            "burst": self.burst,
            "remaining": self.remaining(now),
            "next_free": self.wait(1, now),
            "used": self.used,
        }

    def _charge(self, quantity: int, now: float, ticks: int, unasked: bool = False) -> int:
        """Take them if they fit `now`, which is `ticks`, or `unasked`: the mark; 0 when nothing was taken."""
        backlog = self._tat - ticks
        if backlog < 0:
            backlog = 0
        filled = backlog + quantity * self._interval
        # Only what is larger than the burst exceeds it at rest.
        too_much = filled > self._tolerance and (backlog or self.oversize == "refuse")
        if (too_much or now < self._closed_until) and not unasked:
            return 0
        self.used += quantity
        self._mark = mark = self._mark + 1
        if backlog:
            self._note(backlog)
        elif self._lows:
            self._at_rest(mark)
        else:
            self._idle_mark = mark
        self._tat = ticks + filled
        if filled > self._room_for_plenty:
            self._no_more_plenty()
        return mark

    def _correct(self, more: int, mark: int, ticks: int) -> None:
        self.used += more
        if more >= 0:
            self._tat += more * self._interval
            if self._tat - ticks > self._room_for_plenty:
                self._no_more_plenty()
            return
        room = self._tat - ticks
        if mark < self._idle_mark or room <= 0:
            return
        back = -more * self._interval
        marks = self._marks
        if not marks or marks[-1] <= mark:  # nothing was taken since
            self._tat -= back if back < room else room
            return
        lows = self._lows
        since = bisect_right(marks, mark)
        back = min(back, room, lows[since])
        self._tat -= back
        for n in range(since, len(lows)):
            lows[n] -= back
        first = since
        while first and lows[first - 1] >= lows[since]:
            first -= 1
        del lows[first:since], marks[first:since]

    def _has_plenty(self, now: float) -> bool:
        """Whether `wait(plenty, now)` is 0."""
        return self._tat - int(now * _TICKS) <= self._room_for_plenty and now >= self._closed_until

    def _no_more_plenty(self) -> None:
        tell, self._tell = self._tell, None
        if tell is not None:
            tell()

    def _note(self, low: int) -> None:
        # Of what was reserved before now no more than `low` can be given back.
        lows, marks = self._lows, self._marks
        while lows and lows[-1] >= low:
            lows.pop()
            marks.pop()
        lows.append(low)
        marks.append(self._mark)
        if len(lows) == _MOST_LOWS:
            # Coarser, on the safe side: of each pair, the lower one at the later mark.
            self._lows, self._marks = lows[0::2], marks[1::2]

    def _at_rest(self, mark: int) -> None:
        self._idle_mark = mark
        self._lows.clear()
        self._marks.clear()


class RateLimitScope:
    """One scope of limits: a deployment's own, or a named domain that several deployments draw from.

    Deployments that share an account share the object.
    """

    __slots__ = ("name", "requests", "tokens")

    def __init__(self, requests: Gcra | None = None, tokens: Gcra | None = None, name: str = "") -> None:
        self.requests = requests
        self.tokens = tokens
        self.name = name

    def snapshot(self, now: float) -> dict[str, object]:
        """Plain data for a status page."""
        return {
            "name": self.name,
            "requests": None if self.requests is None else self.requests.snapshot(now),
            "tokens": None if self.tokens is None else self.tokens.snapshot(now),
        }


class RateLimits:
    """All scopes that one deployment's calls count against; its own comes first.

    Attributes:
        refused: reservations that did not fit.
        late: settlements of what had been settled already; they change nothing.
    """

    __slots__ = ("_requests", "_tokens", "late", "refused", "scopes")

    @property
    def stuck(self) -> bool:
        """Whether it lets nothing through for want of what it has to know, rather than of room."""
        return False

    def __init__(self, scopes: Sequence[RateLimitScope]) -> None:
        self.scopes = tuple(dict.fromkeys(scopes))
        self._requests = tuple(each.requests for each in self.scopes if each.requests is not None)
        self._tokens = tuple(each.tokens for each in self.scopes if each.tokens is not None)
        self.refused = 0
        self.late = 0
        meters = (*self._requests, *self._tokens)
        if len(set(meters)) < len(meters):
            raise ValueError("one meter stands in two scopes of one deployment: its calls would count twice")

    @property
    def counts_tokens(self) -> bool:
        """Whether `tokens` matter at all, so that an estimate is worth making."""
        return bool(self._tokens)

    def wait(self, tokens: int, now: float) -> float:
        """Seconds until a call with `tokens` tokens would fit everywhere; 0.0 now, infinity never."""
        wait = 0.0
        for meter in self._requests:
            wait = max(wait, meter.wait(1, now))
        for meter in self._tokens:
            wait = max(wait, meter.wait(tokens, now))
        return wait

    def watch(self, now: float, tell: Callable[[], None]) -> float | None:
        """Tokens, so many that a call with no more of them fits now; None when there is no plenty of room.

        What fits now fits at any later instant too, until `tell` is called; see `Gcra.watch`.
        """
        if not all(meter.watch(now, tell) for meter in (*self._requests, *self._tokens)):
            return None
        return min((meter.plenty for meter in self._tokens), default=inf)

    def too_large(self, tokens: int) -> str | None:
        """Why a call with `tokens` tokens can never be let through; None when it can."""
        for scope in self.scopes:
            meter = scope.tokens
            if meter is not None and tokens > meter.burst and meter.oversize == "refuse":
                of = f" of {scope.name!r}" if scope.name else ""
                return (
                    f"about {tokens} tokens do not fit the token limit{of}, which lets at most {meter.burst}"
                    " through at once; raise its burst, ask for fewer with max_tokens,"
                    " or let oversized calls wait for a full bucket"
                )
        return None

    def reserve(self, tokens: int, now: float) -> Reservation | None:
        """One request and `tokens` tokens in every scope, or nothing anywhere."""
        ticks = int(now * _TICKS)
        taken = Reservation(self, tokens, marks := [])
        for meters, units in (self._tokens, tokens), (self._requests, 1):
            for meter in meters:
                if mark := meter._charge(units, now, ticks):
                    marks.append(mark)
                else:
                    taken.refund(now)
                    self.refused += 1
                    return None
        return taken

    def lower(
        self,
        now: float,
        *,
        requests: int | None = None,
        requests_until: float | None = None,
        tokens: int | None = None,
        tokens_until: float | None = None,
    ) -> None:
        """What the upstream's headers say is left, and until when nothing is to be had; None: not said.

        It concerns the first scope that counts such units: the deployment's own, or else the account's.
        """
        for meters, remaining, until in (
            (self._requests, requests, requests_until),
            (self._tokens, tokens, tokens_until),
        ):
            if meters and (remaining is not None or until is not None):
                meters[0].lower(meters[0].burst if remaining is None else remaining, now, until)

    def reset(self) -> None:
        """Every scope is full again."""
        for meter in (*self._requests, *self._tokens):
            meter.reset()

    def snapshot(self, now: float) -> list[dict[str, object]]:
        """Plain data for a status page, one entry for each scope."""
        return [scope.snapshot(now) for scope in self.scopes]


class Reservation(Struct, eq=False):
    """What one call took. It is settled or refunded once; a second time is counted and changes nothing.

    Attributes:
        tokens: as they were reserved.
        marks: of the token meters, then of the request meters.
        is_open: it is neither settled nor refunded yet.
    """

    limits: RateLimits
    tokens: int
    marks: list[int]
    is_open: bool = True

    def settle(self, actual_tokens: int | None, now: float) -> bool:
        """The call was sent and used `actual_tokens`; None when nobody knows: then the estimate stands.

        False when it had been settled already.
        """
        if not self.is_open:
            self.limits.late += 1
            return False
        self.is_open = False
        if actual_tokens is not None and actual_tokens != self.tokens:
            used = actual_tokens if actual_tokens > 0 else 0  # what counts below nothing grants no credit
            more = used - self.tokens
            ticks = int(now * _TICKS)
            # The marks of the request meters follow, and a request was one request. Without `zip`, which has
            # to be told that it is not strict: that alone costs 1,000 instructions.
            for n, meter in enumerate(self.limits._tokens):
                meter._correct(more, self.marks[n], ticks)
        return True

    def refund(self, now: float) -> bool:
        """The call was not sent: give back the request and all tokens. False when settled already."""
        limits = self.limits
        if not self.is_open:
            limits.late += 1
            return False
        self.is_open = False
        ticks = int(now * _TICKS)
        left = iter(self.marks)  # fewer than meters, where one of them had no room
        for meters, units in (limits._tokens, self.tokens), (limits._requests, 1):
            for meter, mark in zip(meters, left, strict=False):
                meter._correct(-units, mark, ticks)
        return True
