"""The circuit breaker: each cell of its table, and random histories against a model."""

from __future__ import annotations

import json
import math
import os
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference_models.breaker import BreakerModel

from pointsman.resilience.circuit_breaker import Breaker, BreakerSettings, BreakerState, Permit

CLOSED, OPEN, HALF_OPEN, FORCED_OPEN, DISABLED = BreakerState


class FixedRng:
    """Chance that always says the same: 0 is the shortest open duration."""

    def __init__(self, value: float = 0.0) -> None:
        self.value = value

    def random(self) -> float:
        return self.value

    def getrandbits(self, k: int, /) -> int:
        return 0


def breaker(**settings: object) -> Breaker:
    return Breaker(BreakerSettings(**settings), FixedRng())


def taken(it: Breaker, now: float, expires: float | None = None) -> Permit:
    permit = it.acquire(now, expires)
    assert permit is not None
    return permit


def fail(it: Breaker, now: float, times: int = 1) -> None:
    for _ in range(times):
        it.failed(taken(it, now), now)


def succeed(it: Breaker, now: float, times: int = 1, *, slow: bool = False) -> None:
    for _ in range(times):
        it.ok(taken(it, now), now, late=slow)


def opened(now: float = 0.0, **settings: object) -> Breaker:
    """Open since `now`, for 15 s."""
    it = breaker(**settings)
    fail(it, now, it.settings.failure_threshold)
    assert it.state is OPEN
    return it


# --- closed


def test_it_opens_at_the_fifth_failure_in_a_row() -> None:
    it = breaker()
    fail(it, 0, 4)
    assert it.state is CLOSED

    fail(it, 0)

    assert it.state is OPEN
    assert it.acquire(0) is None


def test_a_success_ends_the_row() -> None:
    it = breaker()
    fail(it, 0, 4)
    succeed(it, 0)
    fail(it, 0, 4)

    assert it.state is CLOSED


def test_neither_neutral_nor_overload_ends_or_lengthens_the_row() -> None:
    it = breaker()
    fail(it, 0, 4)
    for _ in range(50):
        it.neutral(taken(it, 0), 0)
        it.overloaded(taken(it, 0), 0)
    assert it.state is CLOSED

    fail(it, 0)

    assert it.state is OPEN


def test_an_overload_is_a_failure_when_configured() -> None:
    it = breaker(count_overload=True)
    for _ in range(5):
        it.overloaded(taken(it, 0), 0)

    assert it.state is OPEN


def test_half_of_twenty_calls_failing_opens_it_without_a_row() -> None:
    it = breaker()
    for _ in range(9):
        fail(it, 0)
        succeed(it, 0)
    succeed(it, 0)
    assert it.state is CLOSED  # 9 of 19

    fail(it, 0)

    assert it.state is OPEN


def test_under_twenty_calls_the_rate_says_nothing() -> None:
    it = breaker(failure_threshold=100)
    fail(it, 0, 19)

    assert it.state is CLOSED


def test_slow_successes_open_it_at_their_rate() -> None:
    it = breaker()
    succeed(it, 0, 4)
    succeed(it, 0, 15, slow=True)
    assert it.state is CLOSED

    succeed(it, 0, slow=True)

    assert it.state is OPEN


def test_a_fast_success_never_opens_it() -> None:
    it = breaker(failure_threshold=100)
    fail(it, 0, 19)
    succeed(it, 0)  # now 20 calls, 19 of them failed: the next failure will tell

    assert it.state is CLOSED


def test_counts_leave_the_window_bucket_by_bucket() -> None:
    it = breaker(failure_threshold=100)
    fail(it, 0, 10)  # bucket 0 to 3 s
    fail(it, 3, 9)

    assert it.snapshot(now=29.99)["calls"] == 19
    assert it.snapshot(now=30)["calls"] == 9
    assert it.snapshot(now=33)["calls"] == 0
    fail(it, 30)
    assert it.snapshot()["calls"] == 10
    fail(it, 1e9)
    assert it.snapshot()["calls"] == 1


def test_a_rate_of_exactly_one_tenth_is_reached_by_one_in_ten_at_any_count() -> None:
    for calls in (10, 30, 70, 190):
        it = breaker(failure_threshold=1000, failure_rate=0.1, minimum_calls=calls)
        succeed(it, 0, calls - calls // 10)
        fail(it, 0, calls // 10)
        assert it.state is OPEN


def test_all_closed_permits_of_an_epoch_are_one_object() -> None:
    it = breaker()

    assert it.acquire(0) is it.acquire(1)


def test_a_closed_breaker_does_not_care_how_many_are_in_flight() -> None:
    it = breaker()

    assert all(it.acquire(0) for _ in range(1000))


# --- open


def test_open_admits_nobody_until_its_time_and_says_when() -> None:
    it = opened(now=100)

    assert it.retry_at(100) == 115
    assert not it.admits(114.9)
    assert it.acquire(114.9) is None
    assert it.refused == 1
    assert it.admits(115)
    assert it.retry_at(120) == 120


def test_asking_changes_nothing() -> None:
    it = opened()
    before = it.snapshot()

    assert it.admits(15)
    it.retry_at(15)

    assert it.snapshot() == before
    assert it.state is OPEN


@pytest.mark.parametrize(("chance", "seconds"), [(0.0, 15), (0.5, 16.5), (1 - 2**-53, 18)])
def test_the_open_time_is_up_to_a_fifth_longer(chance: float, seconds: float) -> None:
    it = Breaker(BreakerSettings(), FixedRng(chance))
    fail(it, 0, 5)

    assert it.retry_at(0) == pytest.approx(seconds)


def test_the_open_time_doubles_with_each_failed_probe_up_to_five_minutes() -> None:
    it = opened()
    durations = []
    for _ in range(2000):  # far beyond where 2.0**k overflows
        now = it.retry_at(0)
        it.failed(taken(it, now), now)
        durations.append(it.retry_at(now) - now)

    assert durations[:6] == [30, 60, 120, 240, 300, 300]
    assert durations[-1] == 300
    assert it.opens_in_row == 2000


def test_late_results_of_the_closed_period_change_nothing_but_a_counter() -> None:
    it = breaker()
    early = taken(it, 0)
    fail(it, 0, 5)
    before = {**it.snapshot(), "late_results": 4}

    it.ok(early, 1)
    it.failed(early, 1)
    it.neutral(early, 1)
    it.overloaded(early, 1)

    assert it.snapshot() == before


# --- half open


def test_two_probes_are_let_through_and_no_more() -> None:
    it = opened()

    assert it.acquire(15) is not None
    assert it.state is HALF_OPEN
    assert it.acquire(15) is not None
    assert not it.admits(15)
    assert it.acquire(15) is None


def test_two_successful_probes_close_it_with_empty_counts() -> None:
    it = opened()
    first, second = taken(it, 15), taken(it, 15)
    it.ok(first, 16)
    assert it.state is HALF_OPEN
    assert not it.admits(16)  # one passed, one in flight

    it.ok(second, 16)

    assert it.state is CLOSED
    assert it.opens_in_row == 0
    assert it.snapshot(16)["calls"] == 0
    fail(it, 16, 4)
    assert it.state is CLOSED


def test_a_failed_probe_opens_it_again_for_longer() -> None:
    it = opened()
    first, second = taken(it, 15), taken(it, 15)
    it.ok(first, 16)

    it.failed(second, 17)

    assert it.state is OPEN
    assert it.retry_at(17) == 17 + 30


def test_the_other_probe_is_late_once_one_has_failed() -> None:
    it = opened()
    first, second = taken(it, 15), taken(it, 15)
    it.failed(first, 16)

    it.ok(second, 17)

    assert it.late_results == 1
    assert it.state is OPEN


def test_an_answer_of_the_closed_period_cannot_decide_about_the_probes() -> None:
    it = breaker()
    early = taken(it, 0)
    fail(it, 0, 5)
    taken(it, 15)

    it.failed(early, 16)
    it.ok(early, 16)
    it.ok(early, 16)

    assert it.state is HALF_OPEN
    assert it.acquire(16) is not None
    assert it.acquire(16) is None


@pytest.mark.parametrize("word", ["neutral", "overloaded"])
def test_an_abandoned_probe_leaves_its_slot_to_the_next(word: str) -> None:
    it = opened()
    first, _ = taken(it, 15), taken(it, 15)

    getattr(it, word)(first, 16)

    assert it.state is HALF_OPEN
    assert it.acquire(16) is not None
    assert it.acquire(16) is None


def test_an_overloaded_probe_opens_it_again_when_configured() -> None:
    it = opened(count_overload=True)

    it.overloaded(taken(it, 15), 16)

    assert it.state is OPEN


def test_a_second_report_of_a_probe_is_ignored() -> None:
    it = opened(half_open_max_calls=3)
    first = taken(it, 15)
    it.ok(first, 16)

    for _ in range(5):
        it.ok(first, 16)
        it.failed(first, 16)
        it.neutral(first, 16)

    assert it.state is HALF_OPEN
    assert it.snapshot()["probe_successes"] == 1


def test_a_permit_that_nobody_gave_is_ignored() -> None:
    it = opened()
    it.ok(Permit(it.epoch, 0), 1)
    it.failed(Permit(it.epoch, 0), 1)
    taken(it, 15)

    it.failed(Permit(it.epoch, 999), 16)

    assert it.state is HALF_OPEN


def test_a_lost_probe_frees_its_slot_five_seconds_after_its_deadline() -> None:
    it = opened()
    lost = taken(it, 15, expires=20)
    taken(it, 15, expires=40)

    assert it.retry_at(16) == 25
    assert not it.admits(24.9)
    assert it.acquire(25) is not None
    assert it.lost_leases == 1
    assert it.state is HALF_OPEN

    it.failed(lost, 26)  # given up: no longer anybody's business

    assert it.state is HALF_OPEN


def test_a_report_after_the_deadline_is_ignored_even_if_nobody_took_the_slot() -> None:
    it = opened()
    lost = taken(it, 15, expires=20)

    it.failed(lost, 25)

    assert it.state is HALF_OPEN
    assert it.lost_leases == 1


def test_a_probe_without_a_deadline_is_given_up_after_ten_minutes() -> None:
    it = opened(half_open_max_calls=1)
    taken(it, 15)

    assert it.retry_at(15) == 15 + 600 + 5
    assert it.acquire(620) is not None


def test_one_success_is_enough_when_configured() -> None:
    it = opened(success_threshold=1)
    succeed(it, 15)

    assert it.state is CLOSED


def test_time_that_stands_still_hurts_nobody() -> None:
    it = breaker()
    for _ in range(3):
        fail(it, 0, 5)
        assert it.acquire(0) is None
        it.reset(0)

    assert it.state is CLOSED


# --- the operator


@pytest.mark.parametrize("state", [CLOSED, OPEN, HALF_OPEN, DISABLED])
def test_forced_open_refuses_everything_until_reset(state: BreakerState) -> None:
    it = in_state(state)

    it.force_open(20)
    it.enable(20)

    assert it.state is FORCED_OPEN
    assert it.acquire(1e9) is None
    assert not it.admits(1e9)
    assert it.retry_at(20) == math.inf
    it.reset(21)
    assert it.state is CLOSED


@pytest.mark.parametrize("state", [CLOSED, OPEN, HALF_OPEN, FORCED_OPEN])
def test_disabled_admits_everything_and_only_counts(state: BreakerState) -> None:
    it = in_state(state)

    it.disable(20)
    fail(it, 20, 100)
    it.reset(20)

    assert it.state is DISABLED
    assert it.snapshot()["failures"] >= 100
    it.enable(21)
    assert it.state is CLOSED
    assert it.snapshot(21)["failures"] == 0


@pytest.mark.parametrize("state", [OPEN, HALF_OPEN, FORCED_OPEN])
def test_reset_closes_it(state: BreakerState) -> None:
    it = in_state(state)
    late = Permit(it.epoch, 1)

    it.reset(20)
    it.failed(late, 20)

    assert it.state is CLOSED
    assert it.late_results == 1


def test_reset_of_a_closed_one_forgets_its_failures() -> None:
    it = breaker()
    permit = taken(it, 0)
    fail(it, 0, 4)

    it.reset(1)
    it.failed(permit, 1)  # still its epoch

    assert it.state is CLOSED
    assert it.snapshot()["failures"] == 1


def test_a_switched_off_breaker_begins_disabled() -> None:
    it = breaker(enabled=False)
    fail(it, 0, 100)

    assert it.state is DISABLED


def test_each_word_said_twice_is_one_transition() -> None:
    it = breaker()
    for word in ("force_open", "reset", "disable", "enable"):
        getattr(it, word)(1)
        epoch = it.epoch
        getattr(it, word)(2)
        assert it.epoch == epoch


def in_state(state: BreakerState) -> Breaker:
    it = opened()
    if state is HALF_OPEN:
        taken(it, 15)
    elif state is CLOSED:
        it.reset(15)
    elif state is FORCED_OPEN:
        it.force_open(15)
    elif state is DISABLED:
        it.disable(15)
    assert it.state is state
    return it


# --- listeners


def test_each_transition_is_told_once_with_its_reason() -> None:
    it = breaker()
    told = []
    it.on_change = lambda *change: told.append(change)

    fail(it, 0, 5)
    it.failed(taken(it, 15), 16)
    succeed(it, 46, 2)
    it.force_open(50)
    it.reset(51)
    it.disable(52)
    it.enable(53)

    assert told == [
        (CLOSED, OPEN, 0, "5 failures in a row"),
        (OPEN, HALF_OPEN, 15, "time to probe"),
        (HALF_OPEN, OPEN, 16, "a probe failed"),
        (OPEN, HALF_OPEN, 46, "time to probe"),
        (HALF_OPEN, CLOSED, 46, "2 probes succeeded"),
        (CLOSED, FORCED_OPEN, 50, "forced open by the operator"),
        (FORCED_OPEN, CLOSED, 51, "reset by the operator"),
        (CLOSED, DISABLED, 52, "disabled by the operator"),
        (DISABLED, CLOSED, 53, "enabled by the operator"),
    ]


def test_what_a_configuration_changes_is_told_as_its_doing() -> None:
    it = breaker()
    told = []
    it.on_change = lambda *change: told.append(change)

    it.configure(BreakerSettings(enabled=False), 1)
    it.configure(BreakerSettings(), 2)

    assert told == [
        (CLOSED, DISABLED, 1, "disabled by the configuration"),
        (DISABLED, CLOSED, 2, "enabled by the configuration"),
    ]


def test_a_listener_sees_the_probe_that_caused_the_change() -> None:
    it = opened()
    seen = []
    it.on_change = lambda *_: seen.append((it.state, it.snapshot()["probes_in_flight"]))

    taken(it, 15)

    assert seen == [(HALF_OPEN, 1)]


def test_a_listener_that_raises_is_counted_and_hurts_nobody() -> None:
    it = breaker()

    def on_change(*_: object) -> None:
        raise RuntimeError("a listener broke")

    it.on_change = on_change
    fail(it, 0, 5)

    assert it.state is OPEN
    assert it.listener_errors == 1


def test_a_call_is_slow_by_its_first_content_or_as_a_whole() -> None:
    def slow(took: float, first: float | None, **settings: object) -> bool:
        it = breaker(slow_after=10, **settings)
        first_at = None if first is None else 100 + first
        it.ok(taken(it, 100 + took), 100 + took, started=100, first_at=first_at)
        return it.snapshot()["slow"] == 1

    assert [slow(60, first) for first in (None, 10, 10.5)] == [False, False, True]
    assert [slow(took, None, slow_call_duration=20) for took in (20, 20.5)] == [False, True]
    assert slow(20.5, 1, slow_call_duration=20)
    assert slow(15, 11, slow_call_duration=20)


def test_a_listener_that_uses_the_breaker_and_raises_is_counted_each_time() -> None:
    it = breaker(failure_threshold=1)

    def broken(_old: object, new: object, now: float, _reason: str) -> None:
        if new is OPEN:
            it.reset(now)
        raise RuntimeError("a listener broke")

    it.on_change = broken
    it.failed(taken(it, 0), 0)

    assert it.state is CLOSED
    assert it.listener_errors == 2


def test_a_listener_may_use_the_breaker() -> None:
    it = breaker()
    it.on_change = lambda old, new, now, reason: it.force_open(now)

    fail(it, 0, 5)

    assert it.state is FORCED_OPEN


def test_a_snapshot_is_plain_data() -> None:
    for state in BreakerState:
        snapshot = in_state(state).snapshot(20)
        assert json.loads(json.dumps(snapshot)) == snapshot
        assert snapshot["state"] == state.value


# --- settings


@pytest.mark.parametrize(
    "wrong",
    [
        {"success_threshold": 3},
        {"success_threshold": 0},
        {"half_open_max_calls": 0},
        {"failure_threshold": 0},
        {"minimum_calls": 0},
        {"failure_rate": 0},
        {"slow_rate": 1.1},
        {"window": 0},
        {"window": math.inf},
        {"reset_timeout": math.nan},
        {"max_reset_timeout": 14},
    ],
)
def test_settings_that_cannot_be_right_are_refused_by_name(wrong: dict[str, float]) -> None:
    (name,) = wrong

    with pytest.raises(ValueError, match=name):
        Breaker(BreakerSettings(**wrong), FixedRng())


# --- laws over random histories


KINDS = ["ok", "ok", "ok", "slow", "fail", "fail", "fail", "neutral", "overload"]
OPERATOR = ["force_open", "disable", "enable", "reset", "reset"]


class History:
    """One breaker and its model, driven by the same random events."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        most = rng.randint(1, 4)
        self.settings = BreakerSettings(
            failure_threshold=rng.randint(1, 6),
            window=rng.choice([10.0, 30.0, 7.5]),
            minimum_calls=rng.randint(2, 10),
            failure_rate=rng.choice([0.1, 0.3, 0.5, 0.6, 1.0]),
            slow_rate=rng.choice([0.2, 0.8]),
            reset_timeout=rng.choice([1.0, 4.0]),
            max_reset_timeout=rng.choice([4.0, 20.0]),
            half_open_max_calls=most,
            count_overload=rng.random() < 0.3,
            **rng.choice([{}, {"success_threshold": rng.randint(1, most)}]),
        )
        seed = rng.getrandbits(32)
        self.real = Breaker(self.settings, random.Random(seed))
        self.model = BreakerModel(self.settings, random.Random(seed))
        self.permits: list[tuple[Permit, tuple[int, int]]] = []  # ours and the model's, in flight or old
        self.now = rng.choice([0.0, 1000.25])
        self.operators = rng.choice([0.0, 0.02])

    def step(self) -> None:
        rng = self.rng
        if rng.random() < 0.6:
            self.now += rng.choice([0.0, 0.25, 0.75, 1.0, 3.0, 5.0])
        elif rng.random() < 0.02:
            self.now += rng.choice([100, 700])
        draw = rng.random()
        if draw < self.operators:
            word = rng.choice(OPERATOR)
            getattr(self.real, word)(self.now)
            self.model.operator(word)
        elif self.permits and draw < 0.5:
            self.report(rng.choice(KINDS))
        else:
            self.acquire()
        self.compare()

    def acquire(self) -> None:
        expires = self.rng.choice([None, self.now + 1, self.now + 4])
        ours, theirs = self.real.acquire(self.now, expires), self.model.acquire(self.now, expires)
        assert (ours is None) == (theirs is None)
        if ours is not None and theirs is not None:
            assert ours.epoch == theirs[0]
            self.permits.append((ours, theirs))

    def report(self, kind: str) -> None:
        # Mostly recent ones, sometimes one twice, sometimes an old one.
        rng = self.rng
        index = rng.randrange(max(0, len(self.permits) - 4), len(self.permits))
        if rng.random() < 0.05:
            index = rng.randrange(len(self.permits))
        ours, theirs = self.permits[index] if rng.random() < 0.1 else self.permits.pop(index)
        before = self.real.state
        match kind:
            case "ok" | "slow":
                self.real.ok(ours, self.now, late=kind == "slow")
            case "fail":
                self.real.failed(ours, self.now)
            case "overload":
                self.real.overloaded(ours, self.now)
            case _:
                self.real.neutral(ours, self.now)
                assert self.real.state is before
        self.model.report(theirs, self.now, kind)

    def compare(self) -> None:
        real, model, now = self.real, self.model, self.now
        assert real.state == model.state
        assert real.epoch == model.epoch
        admits = real.admits(now)
        assert admits == model.would_admit(now)
        assert real.late_results == model.late
        assert real.refused == model.refused
        at = real.retry_at(now)
        assert (at == now) == admits
        if real.state is HALF_OPEN:
            live = real.snapshot(now)["probes_in_flight"]
            assert live == len(model.live(now))
            assert live <= self.settings.half_open_max_calls
            assert model.would_admit(at)
        elif real.state is OPEN:
            assert at == max(now, model.open_until)

    def is_not_stuck(self) -> None:
        """Whatever happened: with good answers from now on, it closes."""
        if self.real.state in (FORCED_OPEN, DISABLED):
            return
        for _ in range(self.settings.half_open_max_calls + 1):
            self.now = self.real.retry_at(self.now)
            self.real.ok(taken(self.real, self.now, self.now + 1), self.now)
        assert self.real.state is CLOSED


def test_random_histories_equal_the_reference_model_at_every_step() -> None:
    sequences = int(os.environ.get("POINTSMAN_BREAKER_SEQUENCES", "6000"))
    start = random.randrange(2**32)
    visited = set()
    for seed in range(start, start + sequences):
        try:
            history = History(random.Random(seed))
            for _ in range(50):
                history.step()
                visited.add(history.real.state)
            history.is_not_stuck()
        except AssertionError:
            print("seed", seed)
            raise
    if sequences >= 1000:
        assert visited == set(BreakerState)


@given(st.lists(st.sampled_from(["neutral", "overloaded"]), max_size=40), st.integers(0, 40))
def test_neutral_events_never_change_the_state(words: list[str], step: int) -> None:
    for state in BreakerState:
        it = in_state(state)
        if state is OPEN:
            continue  # acquiring would begin to probe
        for i, word in enumerate(words):
            permit = it.acquire(15 + i * step, expires=15 + i * step + 1)
            if permit is not None:
                getattr(it, word)(permit, 15 + i * step)
            assert it.state is state


@given(st.lists(st.floats(0, 1e6), max_size=60), st.sampled_from([30.0, 1.0, 0.7, 7.5]))
def test_the_window_counts_each_call_of_its_last_ten_tenths_once(times: list[float], window: float) -> None:
    times.sort()
    it = breaker(window=window, failure_threshold=1000, minimum_calls=1000)
    for now in times:
        fail(it, now)

    width = window / 10
    if times:
        current = times[-1] // width
        assert it.snapshot()["calls"] == sum(now // width > current - 10 for now in times)
