"""Traffic that is made up: how often, how long, of what, and the same each time."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from pointsman_forecast.spreads import Lognormal, one_of, parse_spread
from pointsman_forecast.traffic import Arrival, TrafficSettings, made_up


def arrivals(seed: int = 1, **said: Any) -> list[Arrival]:
    """What comes of some settings, with the default model `m`."""
    return [*made_up(TrafficSettings.model_validate(said), seed=seed, default_model="m")]


def between(found: list[Arrival], begin: float, end: float) -> int:
    """How many come in a part of the time."""
    return sum(begin <= each.at < end for each in found)


def test_steady_traffic_comes_evenly_and_poisson_traffic_at_random_as_often() -> None:
    steady = arrivals(rate="2/s", duration="100s", shape="steady")
    random = arrivals(rate="2/s", duration="1h")

    assert [each.at for each in steady[:4]] == [0, 0.5, 1, 1.5]
    assert len(steady) == 200
    assert 6_900 < len(random) < 7_500
    assert [each.at for each in random] == sorted(each.at for each in random)


@pytest.mark.parametrize(
    ("shape", "low", "high"),
    [("ramp", (0, 100), (900, 1000)), ("bursts", (50, 150), (0, 50)), ("wave", (0, 25), (225, 275))],
)
def test_traffic_with_a_peak_has_more_there(shape: str, low: Any, high: Any) -> None:
    found = arrivals(rate="1/s", peak="10/s", period="500s", duration="1000s", shape=shape)

    few, many = (between(found, *each) / (each[1] - each[0]) for each in (low, high))
    assert few < 2
    assert many > 7


def test_lengths_and_models_are_spread_as_was_said() -> None:
    found = arrivals(
        rate="10/s",
        duration="1000s",
        prompt={"median": 300, "p95": 900},
        answer={"from": 10, "to": 20},
        models={"a": 3, "b": 1},
        streamed="25%",
        conversations=5,
    )
    prompts = sorted(each.question.size.prompt for each in found)
    models = Counter(each.question.model for each in found)

    assert abs(prompts[len(prompts) // 2] - 300) < 15
    assert abs(prompts[len(prompts) * 95 // 100] - 900) < 60
    assert {each.question.size.answer for each in found} == set(range(10, 21))
    assert abs(models["a"] / len(found) - 0.75) < 0.02
    assert abs(sum(each.question.streamed for each in found) / len(found) - 0.25) < 0.02
    assert len({each.question.options.affinity for each in found}) == 5


def test_the_same_seed_asks_the_same_and_each_question_has_a_name_of_its_own() -> None:
    first, again, other = (arrivals(seed, duration="100s") for seed in (3, 3, 4))

    assert first == again
    assert first != other
    assert len({each.question.id for each in first}) == len(first)


@pytest.mark.parametrize(
    "wrong",
    [
        {"median": 0, "p95": 1},
        {"median": 2, "p95": 1},
        {"from": 2, "to": 1},
        {"mean": 1},
        [],
        "many",
        True,
        -1,
    ],
)
def test_a_spread_that_is_none_is_refused(wrong: object) -> None:
    def number(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise ValueError("expected a number")
        return float(value)

    with pytest.raises(ValueError, match="expected"):
        parse_spread(wrong, number, "1")


def test_the_middle_of_a_spread_is_what_half_of_it_does_not_exceed() -> None:
    assert Lognormal(2.0, 9.0).middle == 2
    assert one_of([5.0, 1.0, 3.0]).middle == 3
    assert one_of([4.0, 4.0]).middle == 4
