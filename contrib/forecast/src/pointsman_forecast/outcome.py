"""What came of a forecast, as figures: gathered while it runs, and told as plain data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import ceil

from msgspec import Struct, field

from pointsman import Router
from pointsman.events import AttemptEnded, BreakerChanged, Queued, RequestEnded
from pointsman.plugin import Clock, Outcome
from pointsman.reports import Report
from pointsman_forecast.upstreams import Upstream
from pointsman_forecast.world import Asked

BUCKETS = 60
"""Parts of the time, for what is told of its course."""


class Times(Report, frozen=True):
    """Quantiles of times, in seconds; None where there were none."""

    p50: float | None
    p95: float | None
    p99: float | None


class DeploymentFigures(Report, frozen=True):
    """What one deployment did.

    Attributes:
        attempts: at it; `answered`: those that ended well; `share`: of all that were answered.
        errors: how many attempts ended with which error.
        first_token, total: of the attempts that were answered.
        cost_usd: of its attempts; None where nobody knows what it charges.
        breaker_openings: how often its breaker opened.
    """

    id: str
    attempts: int
    answered: int
    share: float
    errors: Mapping[str, int]
    first_token: Times
    total: Times
    cost_usd: float | None
    breaker_openings: int


class UpstreamFigures(Report, frozen=True):
    """What one server, which is a provider, saw.

    Attributes:
        calls: that reached it.
        cold_loads: how often a model came into memory.
        limit_hits: calls that its own limits refused with 429.
        refused: calls that it refused with 503 because too many waited.
        waited: calls that waited in its line, and for how long.
        most_at_once: answers that it was busy with at the same time.
    """

    name: str
    calls: int
    cold_loads: int
    limit_hits: int
    refused: int
    waited: int
    wait: Times
    most_at_once: int


class Moment(Report, frozen=True):
    """One part of the time, of those that begin at `at` seconds: what came in it, and what became of that.

    Attributes:
        requests, errors: how many came, and how many of these failed.
        p50, p95: seconds until the answers to these were whole.
        attempts: those that began in it, by deployment.
    """

    at: float
    requests: int
    errors: int
    p50: float | None
    p95: float | None
    attempts: Mapping[str, int]


class Forecast(Report, frozen=True):
    """What would come of a configuration.

    Attributes:
        name: of the configuration.
        seconds: of virtual time that requests came for; `complete`: as long as was asked for.
        requests: that came to an end; `answered`: those with an answer.
        errors: how many requests ended with which error.
        attempts: of all requests, and `attempts_each` of one on average.
        fallbacks: requests that another model answered than they asked for.
        queued: requests that waited in the router's line, and for how long.
        first_token, total: of requests with an answer, waiting and further attempts included.
        cost_usd: of all answers whose price is known.
        unpriced: answers of which nobody knows it.
    """

    name: str
    seconds: float
    complete: bool
    requests: int
    answered: int
    errors: Mapping[str, int]
    attempts: int
    attempts_each: float
    fallbacks: int
    queued: int
    queue_wait: Times
    first_token: Times
    total: Times
    cost_usd: float
    unpriced: int
    deployments: Sequence[DeploymentFigures]
    upstreams: Sequence[UpstreamFigures]
    course: Sequence[Moment]


class _Deployment(Struct):
    attempts: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    first: list[float] = field(default_factory=list)
    total: list[float] = field(default_factory=list)
    microcents: int | None = None
    openings: int = 0
    begun: list[float] = field(default_factory=list)


class Gathering:
    """Listens to a router, takes what became of its requests, and makes a `Forecast` of both."""

    def __init__(self, router: Router, clock: Clock, upstreams: Mapping[str, Upstream] | None = None) -> None:
        """`upstreams`: those that are modelled; None where none is."""
        self._clock = clock
        self._upstreams = upstreams or {}
        self._asked: list[Asked] = []
        self._deployments: dict[str, _Deployment] = {}
        self._queued: dict[str, float] = {}
        self._waits: list[float] = []
        self._fallbacks = 0
        self._aliases = router.config.aliases
        self._began, self._wall = clock.now(), clock.wall()
        self._listen(router)

    def _listen(self, router: Router) -> None:
        router.listen(self._attempt_ended, kinds=[AttemptEnded])
        router.listen(self._request_ended, kinds=[RequestEnded])
        router.listen(self._breaker_changed, kinds=[BreakerChanged])
        router.listen(self._was_queued, kinds=[Queued])
        for model in router.status().models.values():
            for id in model.deployments:
                self._deployments.setdefault(id, _Deployment())

    def add(self, asked: Asked) -> None:
        """A request has ended."""
        self._asked.append(asked)

    def _attempt_ended(self, event: AttemptEnded) -> None:
        mine = self._deployments.get(event.deployment)
        if mine is None:  # of a pattern, made when it was asked for
            mine = self._deployments[event.deployment] = _Deployment()
        mine.attempts += 1
        mine.begun.append(event.wall - self._wall)
        if self._queued and (since := self._queued.pop(event.request_id, None)) is not None:
            self._waits.append(event.wall - since)
        if event.cost_microcents is not None:
            mine.microcents = (mine.microcents or 0) + event.cost_microcents
        if event.outcome is not Outcome.OK:
            mine.errors[event.error or event.outcome.value] += 1
            return
        mine.total.append(event.seconds)
        if event.first_token is not None:
            mine.first.append(event.first_token)

    def _request_ended(self, event: RequestEnded) -> None:
        if event.result == "ok" and event.pool != self._aliases.get(event.model, event.model):
            self._fallbacks += 1

    def _breaker_changed(self, event: BreakerChanged) -> None:
        if event.new == "open":
            self._deployments.setdefault(event.deployment, _Deployment()).openings += 1

    def _was_queued(self, event: Queued) -> None:
        self._queued.setdefault(event.request_id, self._clock.wall())

    def forecast(self, name: str, seconds: float, *, complete: bool) -> Forecast:
        """The figures of `seconds` of virtual time."""
        asked, deployments = self._asked, self._deployments
        answered = [each for each in asked if not each.error]
        attempts = sum(each.attempts for each in deployments.values())
        costs = [each.cost_microcents for each in answered]
        return Forecast(
            name=name,
            seconds=seconds,
            complete=complete,
            requests=len(asked),
            answered=len(answered),
            errors=dict(Counter(each.error for each in asked if each.error).most_common()),
            attempts=attempts,
            attempts_each=attempts / len(asked) if asked else 0.0,
            fallbacks=self._fallbacks,
            queued=len(self._waits),
            queue_wait=times(self._waits),
            first_token=times([each.first_token for each in answered if each.first_token is not None]),
            total=times([each.total for each in answered if each.total is not None]),
            cost_usd=sum(each for each in costs if each is not None) / 1e8,
            unpriced=costs.count(None),
            deployments=[_deployment(id, each, len(answered)) for id, each in deployments.items()],
            upstreams=[_upstream(name, each) for name, each in self._upstreams.items()],
            course=_course(asked, deployments, self._began, seconds),
        )


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """What `share` of `ordered`, which is in ascending order, does not exceed; None of nothing."""
    return ordered[max(0, ceil(share * len(ordered)) - 1)] if ordered else None


def times(values: Sequence[float]) -> Times:
    """The quantiles of `values`, to the microsecond."""
    ordered = sorted(values)
    return Times(*(_rounded(quantile(ordered, share)) for share in (0.5, 0.95, 0.99)))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _deployment(id: str, mine: _Deployment, answered: int) -> DeploymentFigures:
    return DeploymentFigures(
        id=id,
        attempts=mine.attempts,
        answered=len(mine.total),
        share=len(mine.total) / answered if answered else 0.0,
        errors=dict(mine.errors.most_common()),
        first_token=times(mine.first),
        total=times(mine.total),
        cost_usd=None if mine.microcents is None else mine.microcents / 1e8,
        breaker_openings=mine.openings,
    )


def _upstream(name: str, upstream: Upstream) -> UpstreamFigures:
    counts = upstream.counts
    return UpstreamFigures(
        name=name,
        calls=counts.calls,
        cold_loads=upstream.cold_loads,
        limit_hits=counts.limited,
        refused=counts.refused,
        waited=len(counts.waits),
        wait=times(counts.waits),
        most_at_once=counts.most,
    )


def _course(
    asked: Sequence[Asked], deployments: Mapping[str, _Deployment], began: float, seconds: float
) -> Sequence[Moment]:
    """What came, part by part of the time."""
    if not seconds:
        return ()
    width = seconds / BUCKETS

    def bucket(at: float) -> int:
        return min(BUCKETS - 1, int(at / width))

    requests, errors = [0] * BUCKETS, [0] * BUCKETS
    totals: list[list[float]] = [[] for _ in range(BUCKETS)]
    begun: list[Counter[str]] = [Counter() for _ in range(BUCKETS)]
    for each in asked:
        n = bucket(each.began - began)
        requests[n] += 1
        if each.total is None:
            errors[n] += 1
        else:
            totals[n].append(each.total)
    for id, mine in deployments.items():
        for at in mine.begun:
            if at < seconds:  # what follows is the end of what came before
                begun[bucket(at)][id] += 1
    moments = []
    for n in range(BUCKETS):
        ordered = sorted(totals[n])
        p50, p95 = (_rounded(quantile(ordered, share)) for share in (0.5, 0.95))
        moments.append(Moment(round(n * width, 3), requests[n], errors[n], p50, p95, dict(begun[n])))
    return moments
