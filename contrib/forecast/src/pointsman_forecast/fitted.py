"""Traffic and upstreams as an audit log has them: the same requests at the same times, with answers as long.

What waiting at an upstream took stands in its first tokens, as it was under the load of those days: where it
is to depend on the load that comes, say so in a scenario (`parallel`, `full_speed`, `memory`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from msgspec import Struct

from pointsman import Config, errors
from pointsman.config.names import provider_and_model
from pointsman.errors import CallError
from pointsman_forecast.faults import FaultSettings, Trouble
from pointsman_forecast.records import Log, RecordedAttempt, RecordedRequest
from pointsman_forecast.settings import ALL, OF_A_MODEL, UpstreamSettings
from pointsman_forecast.spreads import Always, Spread, one_of
from pointsman_forecast.traffic import Arrival
from pointsman_forecast.upstreams import Size
from pointsman_forecast.world import Question
from pointsman_simulator import Fault

LEAST = 5
"""Answers of which a spread is made; of fewer it is taken for granted."""
_MOST = 1_000
"""Values that a spread keeps."""
_WINDOWS = 60
_SHORTEST_WINDOW = 60.0
"""Seconds. How often something went wrong is counted in parts of the time, so that an outage stays one."""
_UNKNOWN = Size(300, 150)


class FittedTrouble(Trouble, frozen=True):
    """An error as it was recorded.

    Attributes:
        kind: of the error; `status`: of HTTP, where there was one.
    """

    kind: type[CallError] = errors.Unavailable
    status: int | None = None

    def error(self, where: str, type: str, *, wall: float) -> CallError:
        error = self.kind(f"{where}, as recorded")
        error.status = self.status  # here, for not all of them take it
        return error


class Fitted(Struct, frozen=True):
    """What a log says of a forecast.

    Attributes:
        arrivals: the requests; `seconds`: from the first to the last.
        upstreams, faults: as of a scenario.
        left_out: why some requests are not among them, with how many.
    """

    arrivals: Sequence[Arrival]
    seconds: float
    upstreams: Mapping[str, UpstreamSettings]
    faults: Sequence[FaultSettings]
    left_out: Mapping[str, int]


def fitted(log: Log, configs: Sequence[Config], said: Mapping[str, UpstreamSettings]) -> Fitted:
    """What `log` says for forecasts of `configs`; what is `said` of an upstream wins over it."""
    left_out: Counter[str] = Counter()
    requests = [each for each in log.requests if _is_asked(each, configs, left_out)]
    began = requests[0].began if requests else 0.0
    seconds = max(1.0, requests[-1].began - began) if requests else 0.0
    attempts: dict[str, list[tuple[float, RecordedAttempt]]] = defaultdict(list)
    for request in log.requests:
        for attempt in request.attempts:
            attempts[attempt.deployment].append((request.began - began, attempt))
    places = _places(configs)
    upstreams = dict(said)
    faults: list[FaultSettings] = []
    for id, found in attempts.items():
        if id in places:
            provider, type, model = places[id]
            upstreams[provider] = _server(said, provider, type)
            upstreams[f"{provider}/{model}"] = _of_model(
                said, provider, type, model, [each for _, each in found]
            )
            faults += _faults(f"{provider}/{model}", found, seconds)
    return Fitted([*_arrivals(requests, began)], seconds, upstreams, faults, left_out)


def _is_asked(request: RecordedRequest, configs: Sequence[Config], left_out: Counter[str]) -> bool:
    known = all(
        request.model in each.names() or provider_and_model(request.model)[0] in each.providers
        for each in configs
    )
    if request.operation not in ("chat", "stream", "generate"):
        left_out[f"of the kind {request.operation!r}"] += 1
    elif not known:
        left_out[f"for {request.model!r}, which a configuration has not"] += 1
    else:
        return True
    return False


def _places(configs: Sequence[Config]) -> dict[str, tuple[str, str, str]]:
    """By id of a deployment its provider, the type of that, and its model there."""
    places = {}
    for config in configs:
        for model in config.described_models().values():
            for each in model.deployments:
                provider = config.providers[each.provider]
                places[each.id] = (each.provider, provider.type, each.model)
    return places


def _arrivals(requests: Sequence[RecordedRequest], began: float) -> Iterator[Arrival]:
    prompts = [each.prompt for each in requests if each.prompt]
    answers = [each.answer for each in requests if each.answer]
    prompt = round(median(prompts)) if prompts else _UNKNOWN.prompt
    answer = round(median(answers)) if answers else _UNKNOWN.answer
    for n, each in enumerate(requests):
        size = Size(each.prompt or prompt, each.answer or answer)
        streamed = each.operation == "stream"
        yield Arrival(
            each.began - began, Question(id=f"forecast-{n}", model=each.model, size=size, streamed=streamed)
        )


# ── how upstreams behave ─────────────────────────────────────────────────────────────────────────────


def _keys(said: Mapping[str, UpstreamSettings], *names: str) -> dict[str, object]:
    """What is said under `names`, of which later ones are more specific."""
    found = [said[name] for name in names if name in said]
    return {key: value for each in found for key, value in each if key in each.model_fields_set}


def _server(said: Mapping[str, UpstreamSettings], provider: str, type: str) -> UpstreamSettings:
    """Whoever waited has it in the time to the first token."""
    as_recorded: dict[str, object] = {"parallel": None, "memory": None, "full_speed": None, "limits": None}
    return UpstreamSettings.model_construct(**{**as_recorded, **_keys(said, ALL, type, provider)})


def _of_model(
    said: Mapping[str, UpstreamSettings],
    provider: str,
    type: str,
    model: str,
    attempts: Sequence[RecordedAttempt],
) -> UpstreamSettings:
    own = _keys(said, ALL, type, provider, f"{provider}/{model}")
    own = {key: value for key, value in own.items() if key in OF_A_MODEL}
    return UpstreamSettings.model_construct(**{**_times(attempts), **own})


def _times(attempts: Sequence[RecordedAttempt]) -> dict[str, Spread]:
    """First tokens and speeds, as far as there are some."""
    answered = [each for each in attempts if each.outcome == "ok"]
    firsts = [each.first_token for each in answered if each.first_token is not None]
    speeds = [speed for each in answered if (speed := _speed(each)) is not None]
    found: dict[str, Spread] = {}
    if len(firsts) >= LEAST:
        found["first_token"] = one_of(_some(firsts))
    if len(speeds) >= LEAST:
        found["tokens_per_second"] = one_of(_some(speeds))
    return found or _of_whole_answers(answered)


def _speed(attempt: RecordedAttempt) -> float | None:
    """Tokens per second of a stream after its first one; None where that cannot be told."""
    if attempt.first_token is None or (attempt.answer or 0) < LEAST:
        return None
    after = attempt.seconds - attempt.first_token
    return (attempt.answer - 1) / after if after > 0 and attempt.answer else None


def _of_whole_answers(answered: Sequence[RecordedAttempt]) -> dict[str, Spread]:
    """What is the same for all of them, and what each token adds: the straight line of least squares."""
    points = [(each.answer, each.seconds) for each in answered if each.answer]
    if len(points) < LEAST:
        return {}
    mean_answer = sum(answer for answer, _ in points) / len(points)
    mean_seconds = sum(seconds for _, seconds in points) / len(points)
    spread = sum((answer - mean_answer) ** 2 for answer, _ in points)
    together = sum((answer - mean_answer) * (seconds - mean_seconds) for answer, seconds in points)
    each_token = max(0.0, together / spread) if spread else 0.0
    firsts = [max(0.0, seconds - answer * each_token) for answer, seconds in points]
    return {
        "first_token": one_of(_some(firsts)),
        "tokens_per_second": Always(1 / each_token if each_token else 0.0),
    }


def _some(values: list[float]) -> list[float]:
    """At most so many of them that a spread is not large, each quantile among them."""
    ordered = sorted(values)
    if len(ordered) <= _MOST:
        return ordered
    return [ordered[n * (len(ordered) - 1) // (_MOST - 1)] for n in range(_MOST)]


# ── what went wrong ──────────────────────────────────────────────────────────────────────────────────


def _faults(
    upstream: str, attempts: Sequence[tuple[float, RecordedAttempt]], seconds: float
) -> Iterator[FaultSettings]:
    """The errors of a deployment, window by window, each as often as it was among the attempts there.

    While nobody asked it (its breaker was open), it is taken to be as it was before.
    """
    window = max(_SHORTEST_WINDOW, seconds / _WINDOWS)
    count = int(seconds / window) + 1
    seen: list[Counter[tuple[str, int | None]]] = [Counter() for _ in range(count)]
    for at, each in attempts:
        wrong = each.outcome in ("upstream_fault", "overload")
        seen[min(count - 1, max(0, int(at / window)))][
            (each.error, each.status) if wrong else ("", None)
        ] += 1
    before: Counter[tuple[str, int | None]] = Counter()
    for n, here in enumerate(seen):
        before = here or before
        left = 1.0
        for (code, status), times in sorted(before.items(), key=str):
            share = times / before.total()
            if code:
                # Those before it in the list have had their part of the calls.
                trouble = _trouble(code, status, min(1.0, share / max(share, left)))
                yield FaultSettings.model_construct(
                    upstream=upstream, fault=trouble, at=n * window, last=window
                )
                left -= share


def _trouble(code: str, status: int | None, share: float) -> Trouble:
    if code in ("timeout", "first_token_timeout"):
        return Trouble(Fault.stall(), share)
    if code == "idle_timeout":
        return Trouble(Fault.stall_after(1), share)
    if code == "truncated":
        return Trouble(Fault.cut_after(1), share)
    if code == "connection_failed":
        return Trouble(None, share)
    kind = _BY_CODE.get(code, errors.Unavailable)
    return FittedTrouble(Fault.status(status or 500), share, kind=kind, status=status)


_BY_CODE: Mapping[str, type[CallError]] = {
    each.code: each
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, errors.ProviderError)
}
