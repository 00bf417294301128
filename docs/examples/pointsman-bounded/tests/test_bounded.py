"""What it chooses, as laws and by a simulation."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pointsman.plugin import Outcome, Price, Sample
from pointsman_bounded.strategy import BoundedSettings, CheapestWithin

SETTINGS = BoundedSettings(bound=1.0, forgive=60.0)


class Clock:
    """Time that the tests move."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    wall = now

    async def sleep(self, seconds: float) -> None:
        self.time += seconds


@dataclass(eq=False)
class Deployment:
    """A member that answers in `seconds`."""

    id: str
    cost: float
    seconds: float
    in_flight: int = 0
    weight: int = 1

    @property
    def price(self) -> Price:
        return Price(input=self.cost, output=self.cost)


class Traffic:
    """Calls one after the other, each as long as the deployment that was picked takes."""

    def __init__(self, strategy: CheapestWithin, clock: Clock, everyone: Sequence[Deployment]) -> None:
        self.strategy, self.clock, self.everyone = strategy, clock, everyone

    def call(self, seconds: Callable[[Deployment], float] = lambda each: each.seconds) -> Deployment:
        picked = self.strategy.pick(tuple(self.everyone), None)
        assert isinstance(picked, Deployment)
        took = seconds(picked)
        self.clock.time += took
        self.strategy.observed(picked, Sample(Outcome.OK, took, None, None, self.clock.time))
        return picked


def traffic(everyone: Sequence[Deployment], settings: BoundedSettings = SETTINGS) -> Traffic:
    clock = Clock()
    strategy = CheapestWithin(settings, clock)
    strategy.members(everyone)
    return Traffic(strategy, clock, everyone)


def best(everyone: Sequence[Deployment], bound: float) -> Deployment:
    """What somebody would choose who knew everything."""
    within = [each for each in everyone if each.seconds <= bound]
    return min(within, key=lambda each: each.cost) if within else min(everyone, key=lambda each: each.seconds)


deployments = st.lists(
    st.tuples(st.floats(0.0, 100.0), st.floats(0.01, 5.0)),
    min_size=1,
    max_size=8,
    unique_by=(lambda each: each[0], lambda each: each[1]),
).map(lambda given: [Deployment(f"d{n}", cost, seconds) for n, (cost, seconds) in enumerate(given)])


@settings(deadline=None)
@given(deployments)
def test_when_nothing_changes_every_one_is_tried_once_at_most_and_then_the_best_is_taken(
    everyone: list[Deployment],
) -> None:
    running = traffic(everyone, BoundedSettings(bound=1.0, forgive=1e9))

    tries = Counter(running.call().id for _ in everyone)

    assert {running.call().id for _ in range(20)} == {best(everyone, 1.0).id}
    assert all(tries[each.id] <= 1 for each in everyone if each.seconds > 1.0)


@settings(deadline=None)
@given(deployments, st.lists(st.integers(0, 3), min_size=8, max_size=8))
def test_none_that_is_known_to_be_too_slow_is_picked_while_one_within_the_bound_is_ready(
    everyone: list[Deployment], in_flight: list[int]
) -> None:
    running = traffic(everyone)
    for each in everyone:
        running.strategy.observed(each, Sample(Outcome.OK, each.seconds, None, None, 0.0))
    for each, count in zip(everyone, in_flight, strict=False):
        each.in_flight = count

    picked = running.strategy.pick(everyone, None)

    assert picked is best(everyone, 1.0)


@settings(deadline=None)
@given(deployments, st.integers(0, 40))
def test_a_successor_picks_as_its_predecessor_would(everyone: list[Deployment], calls: int) -> None:
    running = traffic(everyone)
    for _ in range(calls):
        running.call()

    successor = CheapestWithin(SETTINGS, running.clock)
    successor.restore(running.strategy.state())
    successor.members(everyone)

    assert successor.pick(everyone, None) is running.strategy.pick(everyone, None)


def test_it_converges_though_latencies_vary_and_follows_when_they_change() -> None:
    """A simulated hour: the cheapest within the bound gets its calls, through a slow time and after it."""
    cheap, middle, dear = (
        Deployment("cheap", 1, 3.0),
        Deployment("middle", 5, 0.5),
        Deployment("dear", 9, 0.2),
    )
    chance = random.Random(7)
    running = traffic([cheap, middle, dear])

    def minutes(count: int) -> Counter[str]:
        end, picks = running.clock.time + 60 * count, Counter[str]()
        while running.clock.time < end:
            picks[running.call(lambda each: each.seconds * chance.lognormvariate(0, 0.2)).id] += 1
        return picks

    usual = minutes(20)
    assert usual["middle"] > 0.95 * usual.total(), usual
    assert usual["cheap"] <= 20, "one that is too slow is tried once a minute at most"

    middle.seconds = 4.0
    ill = minutes(20)
    assert ill["dear"] > 0.95 * ill.total(), ill

    middle.seconds, cheap.seconds = 0.5, 0.4
    minutes(2)
    well = minutes(18)
    assert well["cheap"] > 0.95 * well.total(), well


def test_while_one_call_finds_out_the_others_go_where_it_is_known_to_be_fast() -> None:
    cheap, dear = Deployment("cheap", 1, 3.0), Deployment("dear", 9, 0.2)
    running = traffic([cheap, dear])
    running.strategy.observed(dear, Sample(Outcome.OK, 0.2, None, None, 0.0))

    first = running.strategy.pick([cheap, dear], None)
    cheap.in_flight = 1

    assert first is cheap
    assert running.strategy.pick([cheap, dear], None) is dear


def test_what_fails_fast_is_not_fast_and_what_was_cancelled_says_nothing() -> None:
    cheap, dear = Deployment("cheap", 1, 0.1), Deployment("dear", 9, 0.2)
    running = traffic([cheap, dear])
    running.strategy.observed(cheap, Sample(Outcome.UPSTREAM_FAULT, 0.001, None, None, 0.0))
    running.strategy.observed(dear, Sample(Outcome.NEUTRAL, 9.0, None, None, 0.0))

    assert running.strategy.pick([cheap, dear], None) is dear


def test_a_stream_is_judged_by_its_first_token() -> None:
    cheap, dear = Deployment("cheap", 1, 30.0), Deployment("dear", 9, 0.2)
    running = traffic([cheap, dear])
    running.strategy.observed(cheap, Sample(Outcome.OK, 30.0, 0.1, None, 0.0))

    assert running.strategy.pick([cheap, dear], None) is cheap


@pytest.mark.parametrize(
    "state", [{}, {"expected": []}, {"expected": {"d0": [1]}}, {"expected": {"d0": "12"}}]
)
def test_a_state_that_is_none_is_refused(state: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        CheapestWithin(SETTINGS, Clock()).restore(state)


def test_a_bound_must_be_said() -> None:
    with pytest.raises(ValidationError):
        BoundedSettings.model_validate({})
