"""The cheapest within a bound: what is known of each deployment, and the choice among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, isfinite

from pydantic import BaseModel, ConfigDict, Field

from pointsman.plugin import Clock, Duration, Member, Outcome, Sample, Strategy, StrategyContext


class BoundedSettings(BaseModel):
    """`strategy: {type: cheapest_within, bound: 2s}`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bound: Duration = Field(
        gt=0, description="seconds to the first token, or to the whole answer of no stream"
    )
    forgive: Duration = Field(
        default=60.0, gt=0, description="one that was too slow is tried again when it was left alone so long"
    )
    share: float = Field(
        default=0.3, gt=0, le=1, description="how much of a new sample goes into what is expected of the next"
    )


class CheapestWithin(Strategy):
    """The lowest price among those that are expected to answer within the bound; if none is, the fastest.

    Nobody knows how fast a deployment is that was never asked, or that was left alone for `forgive` seconds
    because it was too slow: one call at a time finds out. Among equals the fewest calls in flight for their
    weight, then the first in the configuration. O(n).
    """

    def __init__(self, settings: BoundedSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._expected: dict[str, tuple[float, float]] = {}
        """By id: seconds, and when that was learnt."""

    @classmethod
    def made(cls, context: StrategyContext) -> CheapestWithin:
        return cls(context.settings, context.clock)

    def pick(self, ready: Sequence[Member], request: object, /) -> Member:
        now = self._clock.now()
        hopeful = [member for member in ready if self._is_hopeful(member, now)]
        if hopeful:
            return min(hopeful, key=lambda member: (_price(member), _load(member)))
        return min(ready, key=lambda member: (self._seconds(member), _load(member)))

    def observed(self, member: Member, sample: Sample, /) -> None:
        if sample.outcome not in _TELLING:
            return  # cancelled, or the request was wrong: that says nothing about the deployment
        seconds = sample.seconds if sample.first_token is None else sample.first_token
        if sample.outcome is not Outcome.OK:
            # What fails fast is not fast: an answer that never came took at least as long as the bound.
            seconds = max(seconds, 2 * self._settings.bound)
        known = self._expected.get(member.id)
        # After a long time away the new sample counts alone.
        if known is not None and not self._is_forgiven(known, sample.now):
            seconds = known[0] + self._settings.share * (seconds - known[0])
        self._expected[member.id] = (seconds, sample.now)

    def members(self, everyone: Sequence[Member], /) -> None:
        ids = {member.id for member in everyone}
        self._expected = {id: known for id, known in self._expected.items() if id in ids}

    def state(self) -> Mapping[str, object]:
        return {"expected": {id: list(known) for id, known in self._expected.items()}}

    def restore(self, state: Mapping[str, object], /) -> None:
        expected = state.get("expected")
        if not isinstance(expected, Mapping):
            raise ValueError("a state of cheapest_within holds `expected`: {id: [seconds, when]}")
        self._expected = {str(id): _known(value) for id, value in expected.items()}

    def _is_hopeful(self, member: Member, now: float) -> bool:
        """Whether it is expected to answer in time, or worth a try."""
        known = self._expected.get(member.id)
        if known is None or self._is_forgiven(known, now):
            return member.in_flight == 0
        return known[0] <= self._settings.bound

    def _is_forgiven(self, known: tuple[float, float], now: float) -> bool:
        seconds, at = known
        return seconds > self._settings.bound and now - at >= self._settings.forgive

    def _seconds(self, member: Member) -> float:
        known = self._expected.get(member.id)
        return inf if known is None else known[0]


_TELLING = (Outcome.OK, Outcome.UPSTREAM_FAULT, Outcome.OVERLOAD)


def _price(member: Member) -> float:
    """What it charges, prompt and answer alike; who does not say comes after all who do."""
    price = getattr(member, "price", None)
    return inf if price is None else price.input + price.output


def _load(member: Member) -> float:
    return member.in_flight / member.weight


def _known(value: object) -> tuple[float, float]:
    if isinstance(value, list) and len(value) == 2:
        seconds, at = value
        if all(type(each) in (int, float) and isfinite(each) for each in value) and seconds >= 0:
            return float(seconds), float(at)
    raise ValueError("what is expected of a deployment is [seconds, when]")
