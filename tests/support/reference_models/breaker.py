"""The circuit breaker as a history: nothing is counted ahead, everything is looked up when asked.

It keeps every outcome, every lease and every transition there ever was, and works out counts, live
leases and rates from the definitions each time. Slow, and shares no idea with the real one but the
numbers in the settings.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from math import floor, inf
from typing import Any

LEASE_GRACE = 5.0
DEFAULT_LEASE = 600.0


@dataclass
class Lease:
    epoch: int
    number: int
    ends: float
    given_back_at: float | None = None
    succeeded: bool = False


@dataclass
class Outcome:
    at: float
    epoch: int
    kind: str  # "ok", "slow", "fail"


@dataclass
class BreakerModel:
    settings: Any
    rng: Any
    states: list[str] = field(default_factory=lambda: ["closed"])  # one per epoch
    outcomes: list[Outcome] = field(default_factory=list)
    leases: list[Lease] = field(default_factory=list)
    forgotten: int = 0  # outcomes before this index were wiped by the operator
    k: int = 0
    open_until: float = -inf
    late: int = 0
    refused: int = 0

    @property
    def state(self) -> str:
        return self.states[-1]

    @property
    def epoch(self) -> int:
        return len(self.states) - 1

    def live(self, now: float) -> list[Lease]:
        return [
            lease
            for lease in self.leases
            if lease.epoch == self.epoch and lease.given_back_at is None and now < lease.ends
        ]

    def passed(self) -> int:
        return sum(lease.succeeded for lease in self.leases if lease.epoch == self.epoch)

    def would_admit(self, now: float) -> bool:
        match self.state:
            case "closed" | "disabled":
                return True
            case "open":
                return not now < self.open_until
            case "half_open":
                return len(self.live(now)) + self.passed() < self.settings.half_open_max_calls
            case _:
                return False

    def acquire(self, now: float, expires: float | None) -> tuple[int, int] | None:
        """(epoch, index of the lease), or None."""
        if not self.would_admit(now):
            self.refused += 1
            return None
        if self.state == "open":
            self.states.append("half_open")
        deadline = expires if expires is not None else now + DEFAULT_LEASE
        self.leases.append(Lease(self.epoch, len(self.leases), deadline + LEASE_GRACE))
        return self.epoch, len(self.leases) - 1

    def report(self, permit: tuple[int, int], now: float, kind: str) -> None:
        """`kind` is "ok", "slow", "fail", "overload" or "neutral"."""
        if kind == "overload":
            kind = "fail" if self.settings.count_overload else "neutral"
        epoch, number = permit
        if epoch != self.epoch:
            self.late += 1
        elif self.state == "half_open":
            self._probe_ended(self.leases[number], now, kind)
        elif kind != "neutral":
            self.outcomes.append(Outcome(now, epoch, kind))
            if self.state == "closed" and kind != "ok" and self._must_trip(now):
                self._go_open(now)

    def operator(self, word: str) -> None:
        match word, self.state:
            case "force_open", state if state != "forced_open":
                self.states.append("forced_open")
            case "disable", state if state != "disabled":
                self.states.append("disabled")
            case ("enable", "disabled") | ("reset", "open" | "half_open" | "forced_open"):
                self.k = 0
                self.states.append("closed")
            case "reset", "closed":
                self.forgotten = len(self.outcomes)

    def counted(self) -> list[Outcome]:
        """Outcomes since the counts were last cleared: those of this closed epoch. Disabled ones go on
        from where closed ones left off, which only a status page can see."""
        return [outcome for outcome in self.outcomes[self.forgotten :] if outcome.epoch == self.epoch]

    def _probe_ended(self, lease: Lease, now: float, kind: str) -> None:
        if lease not in self.live(now):
            return
        lease.given_back_at = now
        if kind == "fail":
            self.k += 1
            self._go_open(now)
        elif kind in ("ok", "slow"):
            lease.succeeded = True
            if self.passed() == self.settings.success_threshold:
                self.k = 0
                self.states.append("closed")

    def _must_trip(self, now: float) -> bool:
        in_a_row = 0
        for outcome in reversed(self.counted()):
            if outcome.kind != "fail":
                break
            in_a_row += 1
        if in_a_row >= self.settings.failure_threshold:
            return True
        tenth = Fraction(self.settings.window) / 10
        current = floor(Fraction(now) / tenth)
        calls = [o for o in self.counted() if floor(Fraction(o.at) / tenth) > current - 10]
        if len(calls) < self.settings.minimum_calls:
            return False
        failed = Fraction(sum(o.kind == "fail" for o in calls), len(calls))
        slow = Fraction(sum(o.kind == "slow" for o in calls), len(calls))
        as_written = [Fraction(str(rate)) for rate in (self.settings.failure_rate, self.settings.slow_rate)]
        return failed >= as_written[0] or slow >= as_written[1]

    def _go_open(self, now: float) -> None:
        longest = min(self.settings.max_reset_timeout, self.settings.reset_timeout * 2**self.k)
        self.open_until = now + longest * (1.0 + 0.2 * self.rng.random())
        self.states.append("open")
