"""`peak_ewma`: of two at random, the one that was quicker of late for the calls it has.

What is compared is the time to the first token, in an average that believes a bad sample at once and a good
one slowly. Source: "peak EWMA" of Finagle's load balancers, Twitter, 2015.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from math import exp, inf
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from pointsman.plugin import (
    Clock,
    Duration,
    Member,
    Outcome,
    Placing,
    Rng,
    Sample,
    Strategy,
    StrategyFactory,
    system_rng,
)
from pointsman_strategies.power_of_two import two_of


class PeakEwmaSettings(BaseModel):
    """`{type: peak_ewma}`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    decay: Duration = Field(
        default=10.0, gt=0, description="after this long a sample counts for a third (1/e)"
    )
    failure_at_least: Duration = Field(
        default=5.0,
        description="a failed attempt counts as an answer that took this long, or as long as it took",
    )
    overload_cap: Duration = Field(
        default=60.0, description="the most that the wait which an overloaded upstream asked for adds to that"
    )


class PeakEwma(Strategy):
    """The lower cost of two distinct members, each pair as likely as any other; O(1).

    Cost is estimate x (in-flight + 1) / weight. A member without history costs nothing, so that it is heard
    of soon, and while a call tries it, it is tried by no other if that can be.

    Args:
        rng: the source of chance; None: a fixed one, the same every time.
    """

    def __init__(self, settings: PeakEwmaSettings | None = None, *, clock: Clock, rng: Rng | None) -> None:
        self._settings = settings or PeakEwmaSettings()
        self._clock = clock
        self._rng = rng or system_rng(0)
        self._estimates: dict[str, tuple[float, float]] = {}  # id: (seconds, as of when)
        self._degraded = ""

    def pick(self, ready: Sequence[Member], _request: object, /) -> Member:
        self._degraded = "" if self._estimates else "no attempt has ended yet that says how long it takes"
        if len(ready) == 1:
            return ready[0]
        first, second = two_of(ready, self._rng)
        now = self._clock.now()
        costs = self.cost(first, now), self.cost(second, now)
        if min(costs) == inf:  # both are being tried for the first time, and perhaps all
            return min(ready, key=lambda each: (self.cost(each, now), each.in_flight / each.weight))
        return second if costs[1] < costs[0] else first

    def cost(self, member: Member, now: float) -> float:
        """What one more call is expected to cost there, seconds: 0 where nobody knows, and infinity while the
        first one is under way.
        """
        known = self._estimates.get(member.id)
        if known is None:
            return inf if member.in_flight else 0.0
        seconds, at = known
        if now > at:
            seconds *= exp((at - now) / self._settings.decay)
        return seconds * (member.in_flight + 1) / member.weight

    scored_by = "seconds that one more call is expected to cost; the lower of two at random"

    def scores(self, ready: Sequence[Member], _placing: Placing, /) -> Mapping[str, float]:
        now = self._clock.now()
        return {each.id: self.cost(each, now) for each in ready}

    def observed(self, member: Member, sample: Sample, /) -> None:
        seconds = self._seconds(sample)
        if seconds is None:
            return
        known = self._estimates.get(member.id)
        if known is None:
            self._estimates[member.id] = (seconds, sample.now)
            return
        estimate, at = known
        now = max(at, sample.now)
        if seconds < estimate:
            old = exp((at - now) / self._settings.decay)
            seconds = estimate * old + seconds * (1 - old)
        self._estimates[member.id] = (seconds, now)

    def _seconds(self, sample: Sample) -> float | None:
        """What `sample` says about the member; None when nothing."""
        match sample.outcome:
            case Outcome.OK:
                return sample.seconds if sample.first_token is None else sample.first_token
            case Outcome.UPSTREAM_FAULT:
                return max(sample.seconds, self._settings.failure_at_least)
            case Outcome.OVERLOAD:
                penalty = min(sample.retry_after or 0.0, self._settings.overload_cap)
                return max(sample.seconds, self._settings.failure_at_least) + penalty
            case _:  # cancelled, or the request was wrong: says nothing about the upstream
                return None

    def degraded(self) -> str:
        return self._degraded

    def members(self, everyone: Sequence[Member], /) -> None:
        ids = {member.id for member in everyone}
        self._estimates = {id: known for id, known in self._estimates.items() if id in ids}

    def state(self) -> Mapping[str, object]:
        return {"estimates": {id: list(known) for id, known in self._estimates.items()}}

    def restore(self, state: Mapping[str, object], /) -> None:
        estimates = state.get("estimates")
        if not isinstance(estimates, Mapping):
            raise ValueError("a state of peak_ewma holds `estimates`, a mapping from id to [seconds, at]")
        try:
            self._estimates = {
                str(id): (float(seconds), float(at)) for id, (seconds, at) in estimates.items()
            }
        except TypeError as error:
            raise ValueError(f"an estimate of peak_ewma is [seconds, at]: {error}") from error

    def __deepcopy__(self, memo: dict[int, Any]) -> PeakEwma:
        """For a preview: chance and estimates of its own, and the same clock, which cannot be copied."""
        twin = PeakEwma(self._settings, clock=self._clock, rng=deepcopy(self._rng, memo))
        twin._estimates = dict(self._estimates)
        return twin


FACTORY = StrategyFactory(
    "peak_ewma",
    PeakEwmaSettings,
    lambda context: PeakEwma(context.settings, clock=context.clock, rng=context.rng),
)
