"""How often each caller may ask."""

from __future__ import annotations

import pytest

from pointsman_gateway.access import limits as of_callers
from pointsman_gateway.access.admission import Denied
from pointsman_gateway.access.limits import Limits
from pointsman_gateway.access.settings import CallerLimits


def test_a_caller_has_its_share_and_hears_when_there_is_more() -> None:
    limits, settings = Limits(), CallerLimits.model_validate({"requests": "60/min", "burst_requests": 2})
    limits.take("key:ci", settings, 100.0)
    limits.take("key:ci", settings, 100.0)

    with pytest.raises(Denied) as refused:
        limits.take("key:ci", settings, 100.0)

    assert refused.value.problem.kind == "rate_limit"
    assert refused.value.problem.retry_after == pytest.approx(1.0)
    limits.take("key:other", settings, 100.0)
    limits.take("key:ci", settings, 101.0)


def test_tokens_above_the_share_are_waited_off() -> None:
    limits, settings = Limits(), CallerLimits.model_validate({"tokens": "600/min"})
    limits.take("key:ci", settings, 0.0)
    limits.used("key:ci", 900, 0.0)

    with pytest.raises(Denied, match="tokens"):
        limits.take("key:ci", settings, 29.0)

    limits.take("key:ci", settings, 31.0)


def test_a_refusal_takes_nothing() -> None:
    limits = Limits()
    settings = CallerLimits.model_validate({"requests": "60/min", "burst_requests": 1, "tokens": "60/min"})
    limits.take("a", settings, 0.0)
    limits.used("a", 60, 0.0)
    with pytest.raises(Denied):
        limits.take("a", settings, 0.5)

    limits.take("a", settings, 2.0)


def test_other_limits_of_a_reload_hold_at_once() -> None:
    limits = Limits()
    limits.take("a", CallerLimits.model_validate({"requests": "1/h"}), 0.0)

    limits.take("a", CallerLimits.model_validate({"requests": "2/h"}), 0.0)


def test_beyond_so_many_callers_it_is_who_was_away_longest_that_begins_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(of_callers, "_MOST", 2)
    limits, twice = Limits(), CallerLimits.model_validate({"requests": "2/h"})
    for each in ("busy", "away", "busy", "new"):
        limits.take(each, twice, 0.0)

    with pytest.raises(Denied):
        limits.take("busy", twice, 0.0)

    limits.take("away", twice, 0.0)
    limits.take("away", twice, 0.0)
