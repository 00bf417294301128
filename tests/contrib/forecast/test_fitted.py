"""An audit log as traffic and upstreams: what is recorded is what a forecast assumes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from random import Random
from typing import Any

import pytest

from pointsman import Config
from pointsman_forecast.fitted import Fitted, fitted
from pointsman_forecast.outcome import Forecast
from pointsman_forecast.records import Log, RecordedAttempt, RecordedRequest
from pointsman_forecast.running import forecast
from pointsman_forecast.settings import UpstreamSettings, settings_for

CONFIG = Config.from_mapping(
    {
        "providers": {"a": {"type": "openai", "api_key": "sk-none"}, "b": {"type": "ollama"}},
        "models": {"m": {"deployments": ["a/x"]}, "n": {"deployments": ["b/x"]}},
        "retry": "none",
        "circuit_breaker": {"enabled": False},
        "overload": {"base": "1ms", "max": "1ms"},
    }
)
_NUMBERS = count()


def attempt(deployment: str = "a/x", error: str = "", **more: Any) -> RecordedAttempt:
    """One that took a second to the first token, and 0.1 s for each of ten more; or one that failed."""
    known = {
        "outcome": "upstream_fault" if error else "ok",
        "status": None,
        "seconds": 0.1 if error else 2.0,
        "first_token": None if error else 1.0,
        "prompt": None if error else 50,
        "answer": None if error else 11,
        "cost_microcents": None,
    }
    return RecordedAttempt(deployment=deployment, error=error, **{**known, **more})


def request(
    at: float, *attempts: RecordedAttempt, model: str = "m", operation: str = "stream"
) -> RecordedRequest:
    """One that ended as the last of its attempts."""
    last = attempts[-1]
    return RecordedRequest(
        id=f"req_{next(_NUMBERS)}",
        began=1_700_000_000 + at,
        seconds=last.seconds,
        operation=operation,
        model=model,
        deployment=last.deployment,
        result="error" if last.error else "ok",
        error=last.error,
        prompt=last.prompt,
        answer=last.answer,
        caller="",
        cost_microcents=None,
        attempts=attempts,
    )


def fit(*requests: RecordedRequest, **said: UpstreamSettings) -> Fitted:
    """What a log of these says."""
    return fitted(Log(requests, (), 0, ()), [CONFIG], said)


def ran(found: Fitted) -> Forecast:
    """What comes of it."""
    return forecast(
        "as recorded",
        CONFIG,
        found.arrivals,
        seconds=found.seconds,
        upstreams=found.upstreams,
        faults=found.faults,
    )


def test_requests_come_when_they_came_and_take_as_long_as_they_took() -> None:
    found = fit(*(request(at, attempt()) for at in (0, 1, 5, 7.5, 9, 20)))

    again = ran(found)

    assert [each.at for each in found.arrivals] == [0, 1, 5, 7.5, 9, 20]
    assert (again.requests, again.answered, found.seconds) == (6, 6, 20)
    assert again.first_token.p50 == pytest.approx(1.0, abs=0.01)
    assert again.total.p95 == pytest.approx(2.0, abs=0.01)


def test_the_spread_of_what_is_recorded_comes_back() -> None:
    rng = Random(4)
    firsts = [rng.lognormvariate(0, 0.5) for _ in range(2_000)]
    found = fit(
        *(request(n, attempt(first_token=first, seconds=first + 10 / 20)) for n, first in enumerate(firsts))
    )

    again = ran(found)

    ordered = sorted(firsts)
    assert again.first_token.p50 == pytest.approx(ordered[1_000], rel=0.05)
    assert again.first_token.p95 == pytest.approx(ordered[1_900], rel=0.08)


def test_of_whole_answers_speed_and_first_token_are_told_apart_by_their_lengths() -> None:
    def whole() -> Iterator[RecordedRequest]:
        for n in range(40):
            answer = 10 + 5 * (n % 8)
            yield request(
                n, attempt(answer=answer, seconds=0.5 + answer / 25, first_token=None), operation="chat"
            )

    settings = settings_for(fit(*whole()).upstreams, type="openai", provider="a", model="x")

    assert settings.first_token.middle == pytest.approx(0.5, abs=0.01)
    assert settings.tokens_per_second.middle == pytest.approx(25, rel=0.01)


def test_an_outage_is_where_it_was_and_what_went_wrong_is_what_goes_wrong() -> None:
    bad = attempt(error="unavailable", status=500)
    found = fit(*(request(n, bad if 1_000 <= n < 2_000 else attempt()) for n in range(3_000)))

    again = ran(found)

    failed = [each.at for each in again.course if each.errors]
    assert again.errors == {"unavailable": pytest.approx(1_000, rel=0.08)}
    assert (min(failed), max(failed)) == (pytest.approx(1_000, abs=100), pytest.approx(2_000, abs=100))


def test_errors_that_mix_come_back_in_their_shares() -> None:
    kinds = [
        attempt(error="rate_limited", outcome="overload", status=429),
        attempt(error="connection_failed"),
    ]
    rng = Random(1)
    found = fit(*(request(n, rng.choice([*kinds, attempt(), attempt()])) for n in range(2_000)))

    again = ran(found)

    assert again.errors["rate_limited"] == pytest.approx(500, rel=0.2)
    assert again.errors["connection_failed"] == pytest.approx(500, rel=0.2)


def test_while_nobody_asked_an_upstream_is_as_it_was_before() -> None:
    bad = attempt(error="unavailable", status=500)
    found = fit(request(0, bad), request(600, attempt("b/x"), model="n"), request(1_200, attempt()))

    assert [(each.at, each.last) for each in found.faults] == [(60.0 * n, 60.0) for n in range(20)]


def test_what_somebody_says_wins_over_what_is_recorded() -> None:
    slow = UpstreamSettings.model_validate({"first_token": "9s", "parallel": 2})

    found = fit(*(request(n, attempt()) for n in range(10)), a=slow)

    settings = settings_for(found.upstreams, type="openai", provider="a", model="x")
    assert (settings.first_token.middle, settings.parallel) == (9, 2)
    assert settings.tokens_per_second.middle == pytest.approx(10)


def test_a_server_that_loads_models_has_that_in_its_recorded_times() -> None:
    found = fit(*(request(n, attempt("b/x"), model="n") for n in range(10)))

    settings = settings_for(found.upstreams, type="ollama", provider="b")
    assert (settings.parallel, settings.memory) == (None, None)


def test_what_cannot_be_asked_is_left_out_and_told() -> None:
    found = fit(
        request(0, attempt()),
        request(1, attempt(), model="gone"),
        request(2, attempt(), operation="embed"),
        request(3, attempt(), model="a/another"),
    )

    assert len(found.arrivals) == 2
    assert found.left_out == {"for 'gone', which a configuration has not": 1, "of the kind 'embed'": 1}


def test_a_question_whose_length_nobody_counted_is_as_long_as_half_of_the_others() -> None:
    unknown = attempt(error="unavailable")

    found = fit(request(0, attempt(prompt=10)), request(1, attempt(prompt=90)), request(2, unknown))

    assert found.arrivals[-1].question.size.prompt == 50
