"""What a configuration would have made of the requests of an audit log: the real router, in virtual time.

Upstreams answer as the log says. Where a call goes to a deployment that it did not reach then, that answers
as it did to others at about that time; where the log knows of none, as it did at other times, else as its
type usually does.
"""

from __future__ import annotations

import asyncio
from bisect import bisect
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import chain

from pointsman import Config
from pointsman.errors import (
    CallError,
    ContentFiltered,
    ContextWindowExceeded,
    InvalidRequest,
    Outcome,
    ProviderError,
    Unavailable,
)
from pointsman.events import AttemptEnded
from pointsman.plugin import Call
from pointsman.reports import Report
from pointsman_forecast.fitted import fitted
from pointsman_forecast.records import Log, RecordedAttempt, RecordedRequest
from pointsman_forecast.settings import UpstreamSettings
from pointsman_forecast.upstreams import Size
from pointsman_forecast.world import Asked, Question, World, in_virtual_time

NEAR = 60.0
"""Seconds within which a deployment is taken to answer as it did to others."""
_USUAL = Size(200, 200)
"""Of a request whose tokens nobody counted."""
_OF_THE_UPSTREAM = frozenset((Outcome.OK, Outcome.UPSTREAM_FAULT, Outcome.OVERLOAD))
"""Outcomes that say something about an upstream, and would have been those of another request, too."""
_NEVER_ROUTED = frozenset(("invalid_request", "unknown_model", "refused"))
"""Errors of requests without an attempt that no deployment had a say in."""


class Decision(Report, frozen=True):
    """Where one request went.

    Attributes:
        path: the deployments of its attempts, in order.
        end: the deployment that answered; else the code of the error, in brackets.
        cost_microcents: of all attempts, in millionths of a US cent; None where nobody knows.
    """

    path: Sequence[str]
    end: str
    cost_microcents: int | None


class Change(Report, frozen=True):
    """One request that goes elsewhere.

    Attributes:
        request_id: as in the log.
        before, after: where it went, and where it goes.
    """

    request_id: str
    model: str
    before: Decision
    after: Decision


class Replay(Report, frozen=True):
    """What is otherwise.

    Attributes:
        requests: that were decided anew.
        left_out: that no deployment had a say in, such as those for an unknown model.
        changes: those that are answered elsewhere, or end otherwise.
        moves: how many of them: from, to, number; the largest first.
        answered: requests that each deployment answered, or that ended with each error: before and after.
        cost_before_usd, cost_after_usd: of the requests whose cost is known in both.
        errors_before, errors_after: requests that ended with one.
        drawn: deployments of which the log knows nothing, and whose answers were drawn as is usual.
    """

    requests: int
    left_out: int
    changes: Sequence[Change]
    moves: Sequence[tuple[str, str, int]]
    answered: Mapping[str, tuple[int, int]]
    cost_before_usd: float
    cost_after_usd: float
    errors_before: int
    errors_after: int
    drawn: Sequence[str]


def replay(config: Config, log: Log, *, than: Config | None = None, seed: int = 0) -> Replay:
    """What `config` decides otherwise than the log tells, or than the configuration `than` does.

    Raises: ConfigError.
    """
    routed = [each for each in log.requests if each.attempts or each.error not in _NEVER_ROUTED]
    after, drawn = decisions(config, routed, seed=seed)
    if than is None:
        before: Sequence[Decision] = [_recorded(each) for each in routed]
    else:
        before, _ = decisions(than, routed, seed=seed)
    changes = [
        Change(request.id, request.model, old, new)
        for request, old, new in zip(routed, before, after, strict=True)
        if old.end != new.end
    ]
    moves = Counter((each.before.end, each.after.end) for each in changes)
    costs = [
        (old.cost_microcents, new.cost_microcents)
        for old, new in zip(before, after, strict=True)
        if old.cost_microcents is not None and new.cost_microcents is not None
    ]
    return Replay(
        requests=len(routed),
        left_out=len(log.requests) - len(routed),
        changes=changes,
        moves=[(*move, count) for move, count in moves.most_common()],
        answered=_answered(before, after),
        cost_before_usd=sum(old for old, _ in costs) / 1e8,
        cost_after_usd=sum(new for _, new in costs) / 1e8,
        errors_before=sum(each.end.startswith("(") for each in before),
        errors_after=sum(each.end.startswith("(") for each in after),
        drawn=drawn,
    )


def _answered(before: Sequence[Decision], after: Sequence[Decision]) -> Mapping[str, tuple[int, int]]:
    old, new = (Counter(each.end for each in some) for some in (before, after))
    return {end: (old[end], new[end]) for end, _ in (old + new).most_common()}


def decisions(
    config: Config, requests: Sequence[RecordedRequest], *, seed: int = 0
) -> tuple[list[Decision], list[str]]:
    """Where `config` sends each of `requests`, which are in the order of their beginnings.

    Returns: one decision for each, and the deployments whose answers had to be drawn as is usual.
    Raises: ConfigError.
    """
    return in_virtual_time(_decisions(config, requests, seed)) if requests else ([], [])


async def _decisions(
    config: Config, requests: Sequence[RecordedRequest], seed: int
) -> tuple[list[Decision], list[str]]:
    began = requests[0].began
    ids = _Places(config)
    fit = fitted(Log(requests, (), 0, ()), [config], {})
    history = _History(requests, ids, fit.upstreams)
    paths: dict[str, list[AttemptEnded]] = defaultdict(list)
    async with World(
        config,
        upstreams=fit.upstreams,
        faults=fit.faults,
        seed=seed,
        begins=began,
        replies=history.reply,
    ) as world:
        history.clock = world.clock.wall
        world.router.listen(lambda event: paths[event.request_id].append(event), kinds=[AttemptEnded])
        asking = list[asyncio.Task[Asked]]()
        for number, each in enumerate(requests):
            wait = each.began - world.clock.wall()
            if wait > 0:
                await world.clock.sleep(wait)
            asking.append(asyncio.create_task(world.ask(_question(number, each))))
        asked = await asyncio.gather(*asking)
    found = [
        _decided(request, paths[_id(number)], became)
        for number, (request, became) in enumerate(zip(requests, asked, strict=True))
    ]
    return found, sorted(history.drawn)


def _id(number: int) -> str:
    """Of the request of that number: those of the log need not be unique."""
    return f"replayed-{number}"


def _question(number: int, request: RecordedRequest) -> Question:
    return Question(
        id=_id(number), model=request.model, size=_size(request), streamed=request.operation == "stream"
    )


def _size(request: RecordedRequest) -> Size:
    prompts = [request.prompt, *(each.prompt for each in request.attempts)]
    answers = [request.answer, *(each.answer for each in request.attempts)]
    return Size(_counted(prompts, _USUAL.prompt), _counted(answers, _USUAL.answer))


def _counted(tokens: Sequence[int | None], otherwise: int) -> int:
    return next((each for each in tokens if each is not None), otherwise)


def _recorded(request: RecordedRequest) -> Decision:
    failed = request.result not in ("ok", "cancelled")
    return Decision(
        [each.deployment for each in request.attempts],
        f"({request.error})" if failed else request.deployment,
        request.cost_microcents,
    )


def _decided(request: RecordedRequest, attempts: Sequence[AttemptEnded], became: Asked) -> Decision:
    path = [each.deployment for each in sorted(attempts, key=lambda each: each.number)]
    end = f"({became.error})" if became.error else became.deployment
    cost = became.cost_microcents
    if path == [each.deployment for each in request.attempts]:
        cost = request.cost_microcents  # which also knows what came out of a cache
    return Decision(path, end, cost)


# ── what the log knows of upstreams ──────────────────────────────────────────────────────────────────


class _Places:
    """Where the deployments of a configuration are: `provider/upstream-model`, by their ids."""

    def __init__(self, config: Config) -> None:
        listed = chain.from_iterable(each.deployments for each in config.described_models().values())
        self._places = {each.id: f"{each.provider}/{each.model}" for each in listed}

    def of(self, deployment: str) -> str:
        """The place of a deployment, also of one that the configuration no longer has."""
        return self._places.get(deployment, deployment)


class _History:
    """How the upstreams of a log answered.

    Attributes:
        clock: seconds since 1970 UTC.
        drawn: places whose answers had to be drawn as is usual.
    """

    def __init__(
        self,
        requests: Sequence[RecordedRequest],
        places: _Places,
        upstreams: Mapping[str, UpstreamSettings],
    ) -> None:
        self._upstreams = upstreams
        self.drawn: set[str] = set()
        self.clock: Callable[[], float] = lambda: 0.0
        self._own: dict[tuple[str, str], list[RecordedAttempt]] = {}
        self._sizes: dict[str, Size] = {}
        self._of_place: dict[str, list[RecordedAttempt]] = defaultdict(list)
        for number, request in enumerate(requests):
            self._sizes[_id(number)] = _size(request)
            for each in request.attempts:
                place = places.of(each.deployment)
                self._own.setdefault((_id(number), place), []).append(each)
                if each.outcome in _OF_THE_UPSTREAM:
                    self._of_place[place].append(each)
        for attempts in self._of_place.values():
            attempts.sort(key=lambda each: each.began)
        self._began = {place: [each.began for each in found] for place, found in self._of_place.items()}

    def reply(self, provider: str, call: Call) -> _Played | None:
        """As its own call went, else as that of another one at about that time; None where there is none."""
        place, size = f"{provider}/{call.model}", self._sizes.get(call.request_id, _USUAL)
        own = self._own.get((call.request_id, place))
        if own:
            return _Played(own.pop(0), size)
        nearest = self._nearest(place, self.clock())
        if nearest is not None:
            return _Played(nearest, size, scaled=True)
        known = self._upstreams.get(place)
        if known is None or "first_token" not in known.model_fields_set:
            self.drawn.add(place)
        return None

    def _nearest(self, place: str, now: float) -> RecordedAttempt | None:
        began, attempts = self._began.get(place, []), self._of_place.get(place, [])
        after = bisect(began, now)
        near = [each for each in attempts[max(0, after - 1) : after + 1] if abs(each.began - now) <= NEAR]
        return min(near, key=lambda each: abs(each.began - now), default=None)


def _each_token(attempt: RecordedAttempt) -> float:
    """Seconds for each token after the first one; 0 where nobody knows."""
    if attempt.first_token is None or attempt.answer is None or attempt.answer < 2:
        return 0.0
    return max(0.0, attempt.seconds - attempt.first_token) / (attempt.answer - 1)


class _Played:
    """An answer as one was.

    Args:
        scaled: it is that of another request, so that it takes as long as its own tokens do.
    """

    def __init__(self, attempt: RecordedAttempt, size: Size, *, scaled: bool = False) -> None:
        self._attempt = attempt
        self.size = size
        first = attempt.first_token
        # An answer in one piece, and what came in place of one, come when all the time has passed.
        self._first = attempt.seconds if first is None else min(first, attempt.seconds)
        self.left = attempt.seconds - self._first
        if scaled and first is not None and not attempt.error:
            self.left = _each_token(attempt) * max(0, size.answer - 1)

    async def first(self) -> None:
        await asyncio.sleep(self._first)
        if self._attempt.error and self._attempt.first_token is None:
            raise error_of(self._attempt.error, self._attempt.status)

    async def work(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def end(self) -> None:
        if self._attempt.error:
            raise error_of(self._attempt.error, self._attempt.status)

    def close(self) -> None:
        """It holds nothing."""


def error_of(code: str, status: int | None) -> CallError:
    """The error that a log tells by its code; for one that no provider raises, that of an upstream down."""
    error = _KINDS.get(code, Unavailable)("as the log has it")
    error.status = status
    return error


def _kinds(root: type[CallError]) -> Mapping[str, type[CallError]]:
    found = {root.code: root}
    for each in root.__subclasses__():
        found = {**_kinds(each), **found}
    return found


_KINDS: Mapping[str, type[CallError]] = {
    **_kinds(ProviderError),
    **{each.code: each for each in (ContentFiltered, ContextWindowExceeded, InvalidRequest)},
}
