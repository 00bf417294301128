"""Power of two choices and peak-EWMA: the laws of section 3.3, one fact or one law each."""

from __future__ import annotations

import random
from collections import Counter
from itertools import permutations
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategy_members import Clock, Member

from pointsman.errors import Outcome
from pointsman.strategy import Sample, observes
from pointsman_strategies import PeakEwma, PeakEwmaSettings, PowerOfTwo
from pointsman_strategies.power_of_two import two_of


def sample(
    seconds: float,
    *,
    now: float,
    outcome: Outcome = Outcome.OK,
    first: float | None = None,
    retry_after: float | None = None,
) -> Sample:
    return Sample(outcome, seconds, first, retry_after, now)


# ── power of two ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("n", [2, 3, 5])
def test_every_ordered_pair_is_drawn_equally_often(n: int) -> None:
    members, rng, draws = [Member(str(i)) for i in range(n)], random.Random(n), 30_000

    drawn = Counter(tuple(each.id for each in two_of(members, rng)) for _ in range(draws))

    pairs = list(permutations([str(i) for i in range(n)], 2))
    expected = draws / len(pairs)
    assert set(drawn) == set(pairs)
    chi2 = sum((drawn[pair] - expected) ** 2 / expected for pair in pairs)
    assert chi2 < len(pairs) + 5 * (2 * len(pairs)) ** 0.5


@given(a=st.integers(0, 99), b=st.integers(0, 99), v=st.integers(1, 9), w=st.integers(1, 9))
def test_of_two_the_lower_load_for_its_weight_always_wins(a: int, b: int, v: int, w: int) -> None:
    x, y = Member("x", v, a), Member("y", w, b)

    picked = {PowerOfTwo(random.Random(seed)).pick((x, y), None).id for seed in range(12)}

    assert picked == ({"x"} if a * w < b * v else {"y"} if b * v < a * w else {"x", "y"})


def test_one_member_is_picked_without_chance() -> None:
    class NoChance:
        def random(self) -> float:
            raise AssertionError("nothing is drawn")

        def getrandbits(self, k: int, /) -> int:
            raise AssertionError("nothing is drawn")

    assert PowerOfTwo(NoChance()).pick((Member("only"),), None).id == "only"


def test_the_busiest_of_many_is_never_picked() -> None:
    members = tuple(Member(str(i), in_flight=i) for i in range(8))
    strategy = PowerOfTwo(random.Random(1))

    picks = Counter(strategy.pick(members, None).id for _ in range(20_000))

    assert "7" not in picks
    for i in range(7):  # P(i wins) = 2 (7 - i) / 56
        assert picks[str(i)] == pytest.approx(20_000 * 2 * (7 - i) / 56, rel=0.15)


def test_two_choices_keep_the_longest_queue_short_where_one_choice_does_not() -> None:
    members = tuple(Member(str(i)) for i in range(500))
    strategy, rng = PowerOfTwo(random.Random(3)), random.Random(4)
    one = Counter(rng.randrange(500) for _ in range(500))

    for _ in range(500):
        picked = strategy.pick(members, None)
        assert isinstance(picked, Member)
        picked.in_flight += 1

    assert max(member.in_flight for member in members) <= 3 < max(one.values())


def test_without_a_source_of_chance_the_picks_are_always_the_same() -> None:
    members = tuple(Member(str(i)) for i in range(5))

    first, second = (
        [each.pick(members, None).id for _ in range(50)] for each in (PowerOfTwo(), PowerOfTwo())
    )

    assert first == second


# ── peak-EWMA ────────────────────────────────────────────────────────────────────────────────────────


def test_a_bad_sample_is_believed_at_once_and_a_good_one_slowly(clock: Clock) -> None:
    member, strategy, at = Member("a"), PeakEwma(clock=clock, rng=None), clock.time
    strategy.observed(member, sample(1.0, now=at))

    strategy.observed(member, sample(4.0, now=at + 1))
    worse = strategy.cost(member, at + 1)
    strategy.observed(member, sample(1.0, now=at + 11))

    old = 2.718281828459045**-1
    assert worse == 4.0
    assert strategy.cost(member, at + 11) == pytest.approx(4 * old + 1 * (1 - old))


def test_an_estimate_decays_towards_nothing_while_nobody_calls(clock: Clock) -> None:
    member, strategy = Member("a"), PeakEwma(clock=clock, rng=None)
    strategy.observed(member, sample(8.0, now=clock.time))

    costs = [strategy.cost(member, clock.time + seconds) for seconds in (0, 10, 100)]

    assert costs == pytest.approx([8, 8 / 2.718281828, 8 / 2.718281828**10])


def test_a_member_without_history_gets_one_probe_at_a_time(clock: Clock) -> None:
    new, known = Member("new", weight=2), Member("known")
    strategy = PeakEwma(clock=clock, rng=random.Random(1))
    strategy.observed(known, sample(5.0, now=clock.time))
    assert strategy.cost(new, clock.time) == 0
    assert strategy.pick((new, known), None) is new

    new.in_flight = 1

    assert strategy.cost(new, clock.time) == inf
    assert {strategy.pick((new, known), None).id for _ in range(20)} == {"known"}


@pytest.mark.parametrize("quick", [1e-6, 0.02, 0.9])
@pytest.mark.parametrize("seed", range(6))
def test_whoever_was_not_heard_of_is_asked_soon_however_quick_the_others_are(
    seed: int, quick: float, clock: Clock
) -> None:
    slow, fast = Member("slow"), Member("fast")
    strategy = PeakEwma(clock=clock, rng=random.Random(seed))
    strategy.observed(slow, sample(0.5, now=clock.time))

    picks = Counter[str]()
    for _ in range(500):
        picked = strategy.pick((slow, fast), None)
        picks[picked.id] += 1
        clock.time += 0.1
        strategy.observed(picked, sample(quick if picked is fast else 1.0, now=clock.time))

    assert picks["fast"] > 250


@given(n=st.integers(2, 12), known=st.integers(0, 12), seed=st.integers(0, 1000), takes=st.integers(1, 20))
def test_all_are_heard_of_within_a_few_rounds_and_none_is_tried_twice_at_a_time(
    n: int, known: int, seed: int, takes: int
) -> None:
    """Calls take so many picks to end. One more known member always has room."""
    clock = Clock()
    members = tuple(Member(f"d{i}") for i in range(n))
    strategy = PeakEwma(clock=clock, rng=random.Random(seed))
    for each in members[: max(1, min(known, n))]:
        strategy.observed(each, sample(0.1, now=clock.time))
    heard = {each.id for each in members[: max(1, min(known, n))]}
    running: list[tuple[int, Member]] = []

    for turn in range(30 * n + takes):
        picked = strategy.pick(members, None)
        assert isinstance(picked, Member)
        assert picked.id in heard or picked.in_flight == 0
        picked.in_flight += 1
        running.append((turn + takes, picked))
        while running and running[0][0] <= turn:
            _, ended = running.pop(0)
            ended.in_flight -= 1
            heard.add(ended.id)
            strategy.observed(ended, sample(0.1, now=clock.time))

    assert heard == {each.id for each in members}


def test_the_first_token_counts_and_the_whole_time_only_without_one(clock: Clock) -> None:
    streamed, whole, strategy = Member("s"), Member("w"), PeakEwma(clock=clock, rng=None)

    strategy.observed(streamed, sample(30.0, first=0.5, now=clock.time))
    strategy.observed(whole, sample(3.0, now=clock.time))

    assert (strategy.cost(streamed, clock.time), strategy.cost(whole, clock.time)) == (0.5, 3.0)


@pytest.mark.parametrize(
    ("outcome", "seconds", "retry_after", "cost"),
    [
        (Outcome.UPSTREAM_FAULT, 0.01, None, 5.0),
        (Outcome.UPSTREAM_FAULT, 9.0, None, 9.0),
        (Outcome.OVERLOAD, 0.01, None, 5.0),
        (Outcome.OVERLOAD, 0.01, 20.0, 25.0),
        (Outcome.OVERLOAD, 0.01, 900.0, 65.0),
        (Outcome.NEUTRAL, 0.01, None, 0.0),
        (Outcome.CLIENT_FAULT, 0.01, None, 0.0),
    ],
)
def test_what_a_failure_costs(
    outcome: Outcome, seconds: float, retry_after: float | None, cost: float, clock: Clock
) -> None:
    member, strategy = Member("a"), PeakEwma(clock=clock, rng=None)

    strategy.observed(member, sample(seconds, now=clock.time, outcome=outcome, retry_after=retry_after))

    assert strategy.cost(member, clock.time) == cost


@given(
    st.lists(
        st.tuples(st.floats(0, 100), st.floats(-50, 50), st.sampled_from(Outcome)), min_size=1, max_size=30
    )
)
def test_estimates_stay_between_0_and_the_worst_sample_even_when_time_goes_backwards(
    samples: list[tuple[float, float, Outcome]],
) -> None:
    member, clock = Member("a"), Clock()
    strategy = PeakEwma(clock=clock, rng=None)

    for seconds, at, outcome in samples:
        strategy.observed(member, sample(seconds, now=clock.time + at, outcome=outcome))
        assert 0 <= strategy.cost(member, clock.time) <= max(5.0, *(each[0] for each in samples))


def test_a_slow_member_gets_few_calls_and_its_share_when_it_is_quick_again(clock: Clock) -> None:
    members = tuple(Member(f"d{i}") for i in range(4))
    strategy = PeakEwma(PeakEwmaSettings(decay=10), clock=clock, rng=random.Random(5))
    slow = {"d3": 3.0}

    def shares(calls: int) -> Counter[str]:
        picks: Counter[str] = Counter()
        for _ in range(calls):
            clock.time += 0.1
            member = strategy.pick(members, None)
            picks[member.id] += 1
            strategy.observed(member, sample(slow.get(member.id, 0.2), now=clock.time))
        return picks

    while_slow = shares(2_000)
    slow.clear()
    shares(300)
    after = shares(2_000)

    assert while_slow["d3"] < 2_000 * 0.08
    assert after["d3"] > 2_000 * 0.15


def test_only_peak_ewma_asks_for_samples(clock: Clock) -> None:
    assert observes(PeakEwma(clock=clock, rng=None))
    assert not observes(PowerOfTwo())


def test_before_anything_has_ended_it_goes_by_calls_in_flight_and_says_that_it_is_degraded() -> None:
    members = tuple(Member(f"d{n}", weight=n + 1) for n in range(3))
    strategy = PeakEwma(clock=Clock(), rng=random.Random(1))
    for _ in range(60):
        picked = strategy.pick(members, None)
        assert isinstance(picked, Member)
        picked.in_flight += 1

    assert [each.in_flight for each in members] == [10, 20, 30]
    assert strategy.degraded() == "no attempt has ended yet that says how long it takes"
    strategy.observed(members[0], sample(1.0, now=1))
    strategy.pick(members, None)
    assert strategy.degraded() == ""
