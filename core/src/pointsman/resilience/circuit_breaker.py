"""The circuit breaker of one deployment and credential.

A state machine without clock, I/O or tasks: `now` is handed in, in seconds on any clock that only moves
forward. The pool asks `admits`, takes a permit with `acquire`, and reports how the attempt ended with
that permit.

    CLOSED ──trip──> OPEN ──time──> HALF_OPEN ──enough probes ok──> CLOSED
                      ^                 └──a probe failed──> OPEN, for twice as long

FORCED_OPEN is set by an operator, from any state, and left only by `reset`; DISABLED is set by an operator or
by the settings, and left by `enable` or by other settings.

Every transition begins a new epoch, and a permit belongs to the epoch that gave it. What is reported
from an older epoch changes nothing but a counter: a late answer of the closed period can neither close
nor reopen a breaker that is probing, nor add to the probes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from pointsman._internal.observers import fails
from pointsman._internal.settings import Count, Order, Section, setting
from pointsman.clock import Rng
from pointsman.resilience.time_buckets import BUCKETS, TimeBuckets
from pointsman.units import Duration, Percent

LEASE_GRACE = 5.0
"""Seconds after its deadline at which a probe that was not reported counts as lost."""
DEFAULT_LEASE = 600.0
"""The deadline, in seconds from now, of a probe that names none."""


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    FORCED_OPEN = "forced_open"
    DISABLED = "disabled"


class BreakerSettings(Section):
    """When a deployment that keeps failing is left alone, and how it comes back.

    The window is counted in 10 buckets: exact to a tenth of it.
    """

    orders = (
        Order("success_threshold", "half_open_max_calls", ": it could never close again"),
        Order("reset_timeout", "max_reset_timeout"),
    )

    enabled: bool = setting(
        default=True, description="false: failures are counted, and nothing follows from them"
    )
    failure_threshold: Count = setting(
        default=5, ge=1, description="failures in a row that open it", json_schema_extra={"unit": "calls"}
    )
    window: Duration = setting(default=30.0, gt=0, description="the time over which the rates are taken")
    minimum_calls: Count = setting(
        default=20,
        ge=1,
        description="fewer calls in the window make no rate",
        json_schema_extra={"unit": "calls"},
    )
    failure_rate: Percent = setting(default=0.5, gt=0, description="the share of failed calls that opens it")
    slow_rate: Percent = setting(default=0.8, gt=0, description="the share of slow calls that opens it")
    slow_after: Duration = setting(
        default=30.0, gt=0, description="a call is slow when its first content takes longer"
    )
    slow_call_duration: Duration | None = setting(
        default=None, gt=0, description="or when it takes longer as a whole; without it that is no matter"
    )
    reset_timeout: Duration = setting(
        default=15.0,
        gt=0,
        description="how long it stays open the first time; doubles each time, plus up to a fifth",
    )
    max_reset_timeout: Duration = setting(
        default=300.0,
        default_from=lambda said: max(300.0, said.get("reset_timeout", 0.0)),
        gt=0,
        description="it never stays open longer, apart from that fifth; at least `reset_timeout`",
    )
    half_open_max_calls: Count = setting(
        default=2,
        ge=1,
        description="trial calls at a time while half open",
        json_schema_extra={"unit": "calls"},
    )
    success_threshold: Count = setting(
        default=2,
        default_from=lambda said: min(2, said.get("half_open_max_calls", 2)),
        ge=1,
        description="trial calls that must succeed to close it; at most `half_open_max_calls`",
        json_schema_extra={"unit": "calls"},
    )
    count_overload: bool = setting(
        default=False, description="an overloaded upstream (429, 503 with a hint) counts too"
    )


class Permit(NamedTuple):
    """The right to one attempt. Reported once; in CLOSED all permits of an epoch are alike, with id 0."""

    epoch: int
    id: int


OnChange = Callable[[BreakerState, BreakerState, float, str], None]
"""Called with (old state, new state, now, reason)."""


class Breaker:
    """Refuses calls to an upstream that keeps failing, and finds out with few probes when it is back.

    Attributes:
        state, epoch: as described above; `epoch` grows by 1 at every transition.
        opens_in_row: k of the open duration min(max, reset_timeout x 2**k) x uniform(1, 1.2): 0 for the
            first opening, 1 after the first failed probe, and so on; 0 again once it closed.
        standing: the permit of everyone while nothing is refused, and None in the three states that do
            refuse; whoever finds it here need not ask `acquire` for it.
        refused: `acquire` calls that gave no permit.
        late_results: reports from an older epoch.
        lost_leases: probes that were never reported in time.
        listener_errors: exceptions of `on_change`, which never reach the caller.
        on_change: called after each transition, when everything is consistent; it may call the breaker.
    """

    __slots__ = (
        "_buckets",
        "_consecutive",
        "_leases",
        "_next_id",
        "_open_until",
        "_rng",
        "_settings",
        "_successes",
        "epoch",
        "late_results",
        "listener_errors",
        "lost_leases",
        "on_change",
        "opens_in_row",
        "refused",
        "standing",
        "state",
    )

    def __init__(self, settings: BreakerSettings, rng: Rng, *, on_change: OnChange | None = None) -> None:
        self.state = BreakerState.CLOSED if settings.enabled else BreakerState.DISABLED
        self.epoch = 0
        self.opens_in_row = 0
        self.refused = self.late_results = self.lost_leases = self.listener_errors = 0
        self.on_change = on_change
        self._settings = settings.in_order()
        self._rng = rng
        self.standing: Permit | None = Permit(0, 0)
        self._open_until = 0.0
        self._leases: dict[int, float] = {}  # the probes in flight -> when each counts as lost
        self._next_id = 1
        self._successes = 0
        self._buckets: TimeBuckets[list[int]]
        self._clear_counts()

    @property
    def settings(self) -> BreakerSettings:
        return self._settings

    def configure(self, settings: BreakerSettings, now: float) -> None:
        """Go by `settings` from now on. State and counts stay, and an opening ends when it would have.

        `enabled` leads to DISABLED or out of it, unless an operator forced it open.
        """
        old, self._settings = self._settings, settings.in_order()
        if settings.window != old.window:
            counted, self._buckets = self._buckets, TimeBuckets(settings.window / BUCKETS, _nothing)
            counted.sorted_into(self._buckets, _add)
        if settings.enabled != old.enabled and self.state is not BreakerState.FORCED_OPEN:
            if not settings.enabled:
                self._change(BreakerState.DISABLED, now, "disabled by the configuration")
            elif self.state is BreakerState.DISABLED:
                self._close(now, "enabled by the configuration")
        if self.state is BreakerState.HALF_OPEN and self._successes >= settings.success_threshold:
            self._close(now, f"{self._successes} probes succeeded")

    def admits(self, now: float) -> bool:
        """Whether `acquire` would give a permit. Changes nothing."""
        if self.standing is not None:
            return True
        if self.state is BreakerState.OPEN:
            return now >= self._open_until
        return self.state is BreakerState.HALF_OPEN and self._free_at(now) <= now

    def acquire(self, now: float, expires: float | None = None) -> Permit | None:
        """A permit for one attempt, or None.

        Every permit is reported exactly once, with `ok`, `failed`, `overloaded` or `neutral`.

        Args:
            expires: the attempt's deadline. A probe that has not been reported `LEASE_GRACE` seconds
                after it is given up: its slot is free again, and its report is ignored.
        """
        if self.standing is not None:
            return self.standing
        if not self.admits(now):
            self.refused += 1
            return None
        probing = self.state is BreakerState.HALF_OPEN
        if not probing:
            self._enter(BreakerState.HALF_OPEN)
        self._drop_lost(now)
        permit = Permit(self.epoch, self._next_id)
        self._next_id += 1
        deadline = now + DEFAULT_LEASE if expires is None else expires
        self._leases[permit.id] = deadline + LEASE_GRACE
        if not probing:
            self._announce(BreakerState.OPEN, now, "time to probe")
        return permit

    def retry_at(self, now: float) -> float:
        """The first instant at which it admits if nothing else happens: `now` when it does already.

        While probes are in flight that is when one of them would be given up, though any of them may
        end earlier; it is infinity while forced open.
        """
        if self.state is BreakerState.OPEN:
            return max(now, self._open_until)
        if self.state is BreakerState.HALF_OPEN:
            return self._free_at(now)
        return now if self.standing is not None else math.inf

    def ok(
        self,
        permit: Permit,
        now: float,
        started: float = math.inf,
        first_at: float | None = None,
        late: bool = False,
    ) -> None:
        """The attempt succeeded.

        Args:
            started: when it began; what began at no known time is not slow.
            first_at: when its first content came; None for what has none.
            late: it is slow, whatever these say.
        """
        if permit[0] != self.epoch:
            self.late_results += 1
        elif self.standing is not None:
            # Counted on the spot, without a call: every attempt that succeeds comes by here.
            buckets = self._buckets
            if now >= buckets.ends:
                buckets.turn(now)
            buckets.current[0] += 1
            self._consecutive = 0
            settings = self._settings
            slow = first_at is not None and first_at - started > settings.slow_after
            whole = settings.slow_call_duration
            if late or slow or (whole is not None and now - started > whole):
                buckets.current[2] += 1
                self._trip_if_due(now)
        elif self._takes_back(permit, now):
            self._successes += 1
            if self._successes >= self._settings.success_threshold:
                self._close(now, f"{self._successes} probes succeeded")

    def failed(self, permit: Permit, now: float) -> None:
        """The upstream is to blame."""
        if permit[0] != self.epoch:
            self.late_results += 1
        elif self.standing is not None:
            if now >= self._buckets.ends:
                self._buckets.turn(now)
            self._buckets.current[1] += 1
            self._consecutive += 1
            self._trip_if_due(now)
        elif self._takes_back(permit, now):
            self.opens_in_row += 1
            self._open(now, "a probe failed")

    def overloaded(self, permit: Permit, now: float) -> None:
        """The upstream has no capacity: a failure with `count_overload`, otherwise neutral."""
        if self._settings.count_overload:
            self.failed(permit, now)
        else:
            self.neutral(permit, now)

    def neutral(self, permit: Permit, now: float) -> None:
        """The attempt says nothing about the upstream: cancelled, refused locally, the caller's fault."""
        if permit[0] != self.epoch:
            self.late_results += 1
        elif self.standing is None:
            self._takes_back(permit, now)

    def open_until(self, until: float, now: float, reason: str) -> None:
        """Others found it failing: leave it alone until then. No effect unless it is closed."""
        if self.state is BreakerState.CLOSED and until > now:
            self._open_until = until
            self._change(BreakerState.OPEN, now, reason)

    def force_open(self, now: float) -> None:
        """Refuse everything until `reset`."""
        if self.state is not BreakerState.FORCED_OPEN:
            self._change(BreakerState.FORCED_OPEN, now, "forced open by the operator")

    def disable(self, now: float) -> None:
        """Admit everything and only count, until `enable`."""
        if self.state is not BreakerState.DISABLED:
            self._change(BreakerState.DISABLED, now, "disabled by the operator")

    def enable(self, now: float) -> None:
        """End DISABLED and begin with empty counts; no effect in another state."""
        if self.state is BreakerState.DISABLED:
            self._close(now, "enabled by the operator")

    def reset(self, now: float) -> None:
        """Close and forget all counts, whatever happened. No effect when disabled: that takes `enable`.

        One whose settings do not enable it is disabled again.
        """
        if self.state is BreakerState.CLOSED:
            self._clear_counts()
        elif self.state is not BreakerState.DISABLED:
            to = BreakerState.CLOSED if self._settings.enabled else BreakerState.DISABLED
            self._close(now, "reset by the operator", to=to)

    def snapshot(self, now: float | None = None) -> dict[str, str | int | float | None]:
        """Plain data for a status page. The counts are those of the window that ends `now`, which is the
        last report when not given."""
        calls, failures, slow = self._counts(now)
        return {
            "state": self.state.value,
            "epoch": self.epoch,
            "opens_in_row": self.opens_in_row,
            "open_until": self._open_until if self.state is BreakerState.OPEN else None,
            "calls": calls,
            "failures": failures,
            "slow": slow,
            "consecutive_failures": self._consecutive,
            "probes_in_flight": sum(now is None or end > now for end in self._leases.values()),
            "probe_successes": self._successes,
            "refused": self.refused,
            "late_results": self.late_results,
            "lost_leases": self.lost_leases,
            "listener_errors": self.listener_errors,
        }

    def _free_at(self, now: float) -> float:
        # Probes in flight and passed never exceed half_open_max_calls, so one that ends makes room; and
        # success_threshold <= half_open_max_calls keeps room above 0, so that there is always a way out.
        room = self._settings.half_open_max_calls - self._successes
        if len(self._leases) < room:
            return now
        return max(now, min(self._leases.values()))

    def _takes_back(self, permit: Permit, now: float) -> bool:
        # False for a second report, for one that comes after its lease was given up, and for a permit
        # that nobody gave: none of them may touch the others' slots.
        self._drop_lost(now)
        return self._leases.pop(permit.id, None) is not None

    def _drop_lost(self, now: float) -> None:
        for key in [key for key, end in self._leases.items() if end <= now]:
            del self._leases[key]
            self.lost_leases += 1

    def _trip_if_due(self, now: float) -> None:
        if self.state is not BreakerState.CLOSED:
            return
        settings = self._settings
        if self._consecutive >= settings.failure_threshold:
            self._open(now, f"{self._consecutive} failures in a row")
            return
        calls, failures, slow = self._counts()
        if calls < settings.minimum_calls:
            return
        # Divided, not multiplied: k / n is the float nearest to the true rate, as 0.1 is nearest to 1/10.
        if failures / calls >= settings.failure_rate:
            self._open(now, f"{failures} of {calls} calls failed")
        elif slow / calls >= settings.slow_rate:
            self._open(now, f"{slow} of {calls} calls were slow")

    def _open(self, now: float, reason: str) -> None:
        settings = self._settings
        doublings = min(self.opens_in_row, 64)  # 2.0**k overflows long after it stopped to matter
        duration = min(settings.max_reset_timeout, settings.reset_timeout * 2.0**doublings)
        self._open_until = now + duration * (1.0 + 0.2 * self._rng.random())
        self._change(BreakerState.OPEN, now, reason)

    def _close(self, now: float, reason: str, *, to: BreakerState = BreakerState.CLOSED) -> None:
        self.opens_in_row = 0
        self._clear_counts()
        self._change(to, now, reason)

    def _change(self, state: BreakerState, now: float, reason: str) -> None:
        old = self.state
        self._enter(state)
        self._announce(old, now, reason)

    def _enter(self, state: BreakerState) -> None:
        self.state = state
        self.epoch += 1
        self._leases.clear()
        self._successes = 0
        admits_all = state is BreakerState.CLOSED or state is BreakerState.DISABLED
        self.standing = Permit(self.epoch, 0) if admits_all else None

    def _announce(self, old: BreakerState, now: float, reason: str) -> None:
        if fails(self.on_change, old, self.state, now, reason):
            self.listener_errors += 1

    def _clear_counts(self) -> None:
        self._buckets = TimeBuckets(self._settings.window / BUCKETS, _nothing)
        self._consecutive = 0

    def _counts(self, now: float | None = None) -> tuple[int, int, int]:
        """Calls, failures and slow calls of the window that ends `now`, or with the last report."""
        ok, failed, slow = map(sum, zip(_nothing(), *self._buckets.within(now), strict=True))
        return ok + failed, failed, slow


def _nothing() -> list[int]:
    """A bucket: calls that went well, that failed, and those of the first that were slow."""
    return [0, 0, 0]


def _add(to: list[int], counted: list[int]) -> None:
    for n, each in enumerate(counted):
        to[n] += each
