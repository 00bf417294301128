"""Who asks what, and when: made up by a few numbers, or as it was recorded."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from random import Random
from typing import Annotated, Literal

from msgspec import Struct
from pydantic import AfterValidator

from pointsman._internal.settings import Count, Number, Section, setting
from pointsman.plugin import Duration, Percent, Rate
from pointsman.requests.call_options import CallOptions
from pointsman_forecast.spreads import AmountSpread, Lognormal
from pointsman_forecast.upstreams import Size
from pointsman_forecast.world import Question

Shape = Literal["poisson", "steady", "bursts", "ramp", "wave"]


class Arrival(Struct, frozen=True):
    """A question, and when it comes: seconds from the start, in ascending order."""

    at: float
    question: Question


def _some(mix: dict[str, float]) -> dict[str, float]:
    if not mix or not sum(mix.values()):
        raise ValueError("expected models with their shares, such as {assistant: 3, coder: 1}")
    return mix


class TrafficSettings(Section):
    """What callers ask for."""

    rate: Rate = setting(default=Rate(6, 60.0), description="requests, such as `5/s` or `300/min`")
    shape: Shape = setting(
        default="poisson",
        description="`poisson`: at random; `steady`: evenly; `bursts`, `ramp`, `wave`: from `rate` to `peak`",
    )
    peak: Rate | None = setting(
        default=None, description="of `bursts`, `ramp` and `wave`; without it four times the `rate`"
    )
    period: Duration | None = setting(
        default=None, gt=0, description="of `bursts` and `wave`; without it a sixth of `duration`"
    )
    burst: Percent = setting(
        default=0.1, gt=0, le=1, description="of `bursts`: the share of a `period` with the peak's rate"
    )
    duration: Duration = setting(default=3600.0, gt=0, description="for how long requests come")
    streamed: Percent = setting(default=1.0, description="the share of requests whose answers are streamed")
    prompt: AmountSpread = setting(
        default=Lognormal(300.0, 2000.0), description="tokens of a question: `300`, `{median: …, p95: …}`, …"
    )
    answer: AmountSpread = setting(default=Lognormal(150.0, 600.0), description="tokens of an answer")
    models: Annotated[dict[str, Number], AfterValidator(_some)] | None = setting(
        default=None, description="what is asked for, with shares; without it the configuration's default"
    )
    conversations: Count = setting(
        default=0, ge=0, description="how many there are that requests belong to; 0: each stands alone"
    )

    @property
    def at_most(self) -> float:
        """Requests per second when there are most."""
        return max(_per_second(self.rate), _per_second(self.highest) if self.has_peak else 0)

    def rate_at(self, at: float) -> float:
        """Requests per second at an instant, in seconds from the start."""
        low = _per_second(self.rate)
        if not self.has_peak:
            return low
        high = _per_second(self.highest)
        if self.shape == "ramp":
            return low + (high - low) * min(1.0, at / self.duration)
        period = self.period or self.duration / 6
        phase = at % period / period
        if self.shape == "wave":
            return low + (high - low) * (1 - math.cos(2 * math.pi * phase)) / 2
        return high if phase < self.burst else low

    @property
    def has_peak(self) -> bool:
        """Whether the rate changes with the time."""
        return self.shape in ("bursts", "ramp", "wave")

    @property
    def highest(self) -> Rate:
        """The rate of the peak, where there is one."""
        return self.peak or Rate(4 * self.rate.count, self.rate.period)


def _per_second(rate: Rate) -> float:
    return rate.count / rate.period


def made_up(settings: TrafficSettings, *, seed: int, default_model: str) -> Iterator[Arrival]:
    """The questions of `settings`; the same seed asks the same ones at the same times."""
    times, rng = Random(f"times {seed}"), Random(f"questions {seed}")  # noqa: S311 - a model of chance
    pick = _picker(settings.models or {default_model: 1.0})
    for n, at in enumerate(_times(settings, times)):
        of = f"conversation {int(rng.random() * settings.conversations)}" if settings.conversations else ""
        question = Question(
            id=f"forecast-{n}",
            model=pick(rng),
            size=Size(max(1, round(settings.prompt.draw(rng))), max(1, round(settings.answer.draw(rng)))),
            streamed=settings.streamed >= 1 or rng.random() < settings.streamed,
            options=CallOptions(affinity=of),
        )
        yield Arrival(at, question)


def _times(settings: TrafficSettings, rng: Random) -> Iterator[float]:
    if settings.shape == "steady":
        gap = 1 / _per_second(settings.rate)
        yield from (n * gap for n in range(math.ceil(settings.duration / gap)))
        return
    # Thinning: at random as often as at the peak, of which those stay that the rate of the moment allows.
    at, most = 0.0, settings.at_most
    while (at := at + rng.expovariate(most)) < settings.duration:
        if not settings.has_peak or rng.random() * most < settings.rate_at(at):
            yield at


def _picker(mix: Mapping[str, float]) -> Callable[[Random], str]:
    names, sums = [*mix], [*accumulate(mix.values())]
    if len(names) == 1:
        return lambda _rng: names[0]
    return lambda rng: rng.choices(names, cum_weights=sums)[0]
