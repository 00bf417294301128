"""Ejection, checks, the task that makes them, and warm-up."""

from __future__ import annotations

import asyncio
import math
import os
import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference_models.health import LevelModel, MemberModel, verdict

from pointsman.clock import LoopClock
from pointsman.resilience.health_check import CheckSettings, HealthChecker, HealthState
from pointsman.resilience.outlier_detection import EjectionGroup, OutlierDetector, OutlierSettings
from pointsman.resilience.warm_up import WarmUp, WarmUpSettings, admitted, largest_ratio
from pointsman.testing import run


class FixedRng:
    """Chance that always says the same: 0.5 is the middle of every jitter."""

    def __init__(self, value: float = 0.5) -> None:
        self.value = value

    def random(self) -> float:
        return self.value

    def getrandbits(self, k: int, /) -> int:
        return 0


def level(count: int = 4, *, jitter: float = 0.5, **settings: object) -> list[OutlierDetector]:
    members = [OutlierDetector(OutlierSettings(**settings), FixedRng(jitter)) for _ in range(count)]
    EjectionGroup(members)
    return members


def fail(it: OutlierDetector, now: float, times: int = 5) -> None:
    for _ in range(times):
        it.failed(now, started=now)


# --- ejection


def test_the_fifth_fault_in_a_row_ejects_for_thirty_seconds() -> None:
    it, *_ = level()
    fail(it, 10, 4)
    assert not it.ejected(10)

    fail(it, 10, 1)

    assert it.ejected(10)
    assert it.ejected(39.999)
    assert not it.ejected(40)


def test_a_success_ends_the_row() -> None:
    it, *_ = level()
    fail(it, 0, 4)
    it.ok(0, started=0)
    fail(it, 0, 4)

    assert not it.ejected(0)


@pytest.mark.parametrize(("chance", "seconds"), [(0.0, 27.0), (0.5, 30.0), (0.75, 31.5)])
def test_the_jitter_is_a_tenth_up_or_down(chance: float, seconds: float) -> None:
    it, *_ = level(jitter=chance)
    fail(it, 100)

    assert it.ejected_until == pytest.approx(100 + seconds)


def test_each_ejection_takes_one_base_longer_than_the_last_up_to_five_minutes() -> None:
    it, *_ = level()
    took = []
    for _ in range(13):
        now = max(0.0, it.ejected_until)
        fail(it, now)
        took.append(it.ejected_until - now)

    assert took == pytest.approx([30.0 * n for n in range(1, 11)] + [300.0] * 3)


def test_ten_seconds_outside_take_one_base_back() -> None:
    it, *_ = level()
    fail(it, 0)
    fail(it, 30)
    assert it.ejected_until == 90

    assert it.multiplier(90) == it.multiplier(99.9) == 2
    assert it.multiplier(100) == 1
    assert it.multiplier(110) == it.multiplier(10_000) == 0
    fail(it, 105)
    assert it.ejected_until == 105 + 60


def test_the_way_back_from_many_ejections_is_no_longer_than_from_ten() -> None:
    it, *_ = level()
    for _ in range(50):
        fail(it, max(0.0, it.ejected_until))

    assert it.multiplier(it.ejected_until + 100) == 0


def test_what_began_before_an_ejection_does_not_count_after_it() -> None:
    it, *_ = level()
    fail(it, 10)

    for _ in range(20):
        it.failed(45, started=9)
    assert not it.ejected(45)
    fail(it, 45, 4)
    it.ok(45, started=9)  # nor does an old success excuse new faults
    fail(it, 45, 1)
    assert it.ejected(45)


def test_faults_during_an_ejection_do_not_make_it_longer() -> None:
    it, *_ = level()
    fail(it, 0)
    fail(it, 20, 50)

    assert it.ejected_until == 30
    assert it.ejections == 1


@pytest.mark.parametrize(
    ("members", "share", "most"),
    [
        (1, 0.5, 0),
        (2, 0.5, 1),
        (3, 0.5, 1),
        (4, 0.5, 2),
        (5, 0.5, 2),
        (10, 0.1, 1),
        (30, 0.1, 3),
        (4, 1.0, 3),
        (9, 0.1, 0),
    ],
)
def test_at_most_the_share_is_ejected_and_never_the_last_one(members: int, share: float, most: int) -> None:
    everyone = level(members, max_ejected=share)
    for each in everyone:
        fail(each, 0)

    assert sum(each.ejected(0) for each in everyone) == most
    assert sum(each.spared for each in everyone) == members - most


def test_one_that_was_spared_is_ejected_by_its_next_fault_once_there_is_room() -> None:
    first, second = level(2)
    fail(first, 0)
    fail(second, 0)
    assert not second.ejected(0)

    fail(second, 30, 1)

    assert second.ejected(30)


def test_one_that_fails_its_checks_is_nobody_to_be_left_over() -> None:
    checks = HealthState(CheckSettings(fall=1))
    unwell = OutlierDetector(OutlierSettings(), FixedRng(), checks=checks)
    well = OutlierDetector(OutlierSettings(), FixedRng())
    EjectionGroup([unwell, well])
    checks.failed(0)

    fail(well, 0)

    assert well.healthy(0)
    assert not unwell.healthy(0)


def test_without_a_level_it_is_never_ejected() -> None:
    it = OutlierDetector(OutlierSettings(), FixedRng())
    fail(it, 0)

    assert it.healthy(0)
    assert it.spared == 1


def test_switched_off_it_never_ejects() -> None:
    it, *_ = level()
    it.configure(None, None)
    fail(it, 0, 50)

    assert it.healthy(0)
    assert it.spared == 0


def test_a_smaller_level_takes_back_who_would_be_back_first() -> None:
    members = level(6)
    for now, each in enumerate(members[:3]):
        fail(each, now)

    EjectionGroup(members[:4], now=5)

    assert [each.ejected(5) for each in members[:3]] == [False, True, True]
    EjectionGroup(members[2:3], now=5)
    assert not members[2].ejected(5)


def test_a_level_of_one_takes_it_back_even_if_all_may_be_ejected() -> None:
    it, *_ = level(2, max_ejected=1.0)
    fail(it, 0)

    EjectionGroup([it], now=5)

    assert not it.ejected(5)


def test_a_reset_ends_the_ejection_and_forgets_the_past() -> None:
    it, *_ = level()
    fail(it, 0)
    fail(it, 30)
    it.reset(40)

    assert it.healthy(40)
    fail(it, 40)
    assert it.ejected_until == 70


def test_an_ejection_is_announced_with_its_end_and_a_listener_cannot_hurt() -> None:
    told: list[tuple[float, float, str]] = []

    def listener(until: float, now: float, reason: str) -> None:
        told.append((until, now, reason))
        raise LookupError

    it = OutlierDetector(OutlierSettings(), FixedRng(), on_eject=listener)
    EjectionGroup([it, OutlierDetector(OutlierSettings(), FixedRng())])
    fail(it, 7)

    assert told == [(37.0, 7, "5 failures in a row")]
    assert it.snapshot(7) == {
        "ejected_until": 37.0,
        "consecutive_failures": 0,
        "multiplier": 1,
        "ejections": 1,
        "spared": 0,
        "listener_errors": 1,
    }


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"failure_threshold": 0}, "failure_threshold"),
        ({"base_ejection": 0}, "base_ejection"),
        ({"max_ejection": math.inf}, "max_ejection"),
        ({"base_ejection": 40, "max_ejection": 30}, "base_ejection"),
        ({"interval": math.nan}, "interval"),
        ({"max_ejected": 0}, "max_ejected"),
        ({"max_ejected": 1.5}, "max_ejected"),
    ],
)
def test_an_outlier_setting_that_cannot_be_right_is_named(settings: dict[str, float], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        OutlierDetector(OutlierSettings(**settings), FixedRng())


def compare_ejections(seed: int) -> int:
    """A random history of one level against the model; how many ejections it had."""
    rng = random.Random(seed)
    settings = OutlierSettings(
        failure_threshold=rng.randint(1, 3),
        base_ejection=rng.choice([5, 30]),
        max_ejection=rng.choice([30, 70, 300]),
        interval=rng.choice([4, 10]),
        max_ejected=rng.choice([0.1, 0.34, 0.5, 0.75, 1.0]),
    )
    chance = rng.getrandbits(32)
    shared, modelled = random.Random(chance), random.Random(chance)
    checks = [HealthState(CheckSettings(rise=1, fall=1)) for _ in range(rng.randint(1, 7))]
    real = [OutlierDetector(settings, shared, checks=each) for each in checks]
    EjectionGroup(real)
    model = LevelModel(settings, [MemberModel() for _ in real], modelled)
    now, worst = 0.0, rng.uniform(0.3, 1)
    for _ in range(80):
        now += rng.choice([0, 0, rng.random(), 10 * rng.random(), 60 * rng.random()])
        number = rng.randrange(len(real))
        if rng.random() < 0.1:
            well = rng.random() < 0.5
            (checks[number].passed if well else checks[number].failed)(now)
            model.members[number].well = well
            continue
        started = now - rng.choice([0, rng.random(), 40 * rng.random()])
        failed = rng.random() < worst
        if failed:
            before = [each.ejected(now) for each in real]
            real[number].failed(now, started=started)
            after = [each.ejected(now) for each in real]
            assert before[:number] + before[number + 1 :] == after[:number] + after[number + 1 :]
            if after != before:
                assert any(each.healthy(now) for each in real)
        else:
            real[number].ok(now, started=started)
        model.report(number, now, started, failed)
        assert sum(each.ejected(now) for each in real) <= settings.max_ejected * len(real) + 1e-9
        for outlier, member in zip(real, model.members, strict=True):
            assert outlier.ejected(now) == member.ejected(now)
            assert outlier.multiplier(now) == (
                member.ejections[-1].multiplier
                if member.ejected(now)
                else member.multiplier(now, settings.interval)
            )
            if member.ejections:
                assert outlier.ejected_until == member.ejections[-1].ends
    return sum(each.ejections for each in real)


def test_random_histories_equal_the_reference_model_at_every_step() -> None:
    histories = int(os.environ.get("POINTSMAN_OUTLIER_HISTORIES", "150"))
    start = random.randrange(2**32)
    ejections = 0
    for seed in range(start, start + histories):
        try:
            ejections += compare_ejections(seed)
        except AssertionError:
            print("seed", seed)
            raise
    assert ejections > histories


# --- checks


def checks(**settings: object) -> HealthState:
    return HealthState(CheckSettings(**settings))


def test_it_is_well_until_three_checks_in_a_row_failed() -> None:
    it = checks()
    it.failed(1)
    it.failed(2)
    it.passed(3)
    it.failed(4)
    it.failed(5)
    assert it.healthy

    it.failed(6)

    assert not it.healthy


def test_it_is_well_again_after_two_passed_checks_in_a_row() -> None:
    it = checks(fall=1)
    it.failed(1)
    it.passed(2)
    it.failed(3)
    it.passed(4)
    assert not it.healthy

    it.passed(5)

    assert it.healthy


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 4), st.integers(1, 4))
def test_any_history_of_checks_has_the_verdict_of_its_definition(
    passed: list[bool], rise: int, fall: int
) -> None:
    it = checks(rise=rise, fall=fall)
    for n, each in enumerate(passed, 1):
        (it.passed if each else it.failed)(n)
        assert it.healthy == verdict(passed[:n], rise, fall)


def test_passing_checks_do_not_end_an_ejection_for_faults() -> None:
    asked = checks()
    it = OutlierDetector(OutlierSettings(), FixedRng(), checks=asked)
    EjectionGroup([it, OutlierDetector(OutlierSettings(), FixedRng())])
    fail(it, 0)

    for now in range(1, 20):
        asked.passed(now)

    assert it.ejected(20)
    assert not it.healthy(20)


def test_changes_of_health_are_announced_and_a_listener_cannot_hurt() -> None:
    told: list[tuple[bool, float, str]] = []

    def listener(healthy: bool, now: float, reason: str) -> None:
        told.append((healthy, now, reason))
        raise LookupError

    it = HealthState(CheckSettings(rise=1, fall=2), on_change=listener)
    it.report(None, 1)
    it.report(OSError("refused"), 2)
    it.report(TimeoutError(), 3)
    assert it.snapshot() == {
        "healthy": False,
        "row": 0,
        "last_at": 3,
        "last_error": "TimeoutError",
        "listener_errors": 1,
    }
    it.report(None, 4)

    assert told == [
        (False, 3, "2 checks failed, the last one: TimeoutError"),
        (True, 4, "1 checks passed"),
    ]
    assert it.last_error == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [("interval", 0), ("timeout", 0), ("timeout", math.inf), ("rise", 0), ("fall", 0)],
)
def test_a_check_setting_that_cannot_be_right_is_named(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        CheckSettings(**{name: value})


# --- the task


class Upstream:
    """What a probe finds: `script` says for each check in turn what happens; then all is well."""

    def __init__(self, *script: Callable[[], Awaitable[None]]) -> None:
        self.script = list(script)
        self.begun: list[float] = []
        self.now_running = 0
        self.most_running = 0

    async def probe(self) -> None:
        self.begun.append(asyncio.get_running_loop().time())
        self.now_running += 1
        self.most_running = max(self.most_running, self.now_running)
        try:
            if self.script:
                await self.script.pop(0)()
        finally:
            self.now_running -= 1


async def hang() -> None:
    await asyncio.Event().wait()


async def refuse() -> None:
    raise OSError("refused")


class Told:
    """Hears of the results."""

    def __init__(self) -> None:
        self.results: list[tuple[str, float]] = []

    def __call__(self, error: Exception | None, now: float) -> None:
        self.results.append(("" if error is None else str(error), now))


def prober(upstream: Upstream, told: Any, *, rng: Any = None, **settings: object) -> HealthChecker:
    return HealthChecker(
        "gpu1",
        upstream.probe,
        told,
        settings=CheckSettings(**settings),
        clock=LoopClock(),
        rng=rng or FixedRng(),
        scrub=str,
    )


def probing(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run `work` in virtual time; no task may be left when it returns."""

    async def checked() -> None:
        await work()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(checked())


def test_making_one_starts_nothing_and_needs_no_loop() -> None:
    upstream = Upstream()

    it = prober(upstream, Told())

    assert not it.running
    assert upstream.begun == []


def test_it_asks_every_fifteen_seconds_and_for_the_first_time_after_an_interval() -> None:
    async def work() -> None:
        upstream, told = Upstream(), Told()
        it = prober(upstream, told)
        it.start()
        await asyncio.sleep(61)
        await it.aclose()

        assert upstream.begun == pytest.approx([15, 30, 45, 60], abs=1e-3)
        assert [error for error, _ in told.results] == [""] * 4

    probing(work)


def test_every_wait_is_an_interval_more_or_less_a_fifth_the_first_one_too() -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    first = []

    async def work(seed: int) -> None:
        upstream = Upstream()
        it = prober(upstream, Told(), rng=random.Random(seed))
        it.start()
        await asyncio.sleep(3000)
        await it.aclose()
        waits = [
            later - sooner for sooner, later in zip([0.0, *upstream.begun], upstream.begun, strict=False)
        ]
        assert all(12 <= each <= 18.001 for each in waits)
        assert max(waits) - min(waits) > 4
        first.append(waits[0])

    for each in range(seed, seed + 20):
        probing(lambda each=each: work(each))
    assert max(first) - min(first) > 1


def test_a_check_that_hangs_is_cut_and_has_failed() -> None:
    async def work() -> None:
        upstream, told = Upstream(hang), Told()
        it = prober(upstream, told)
        it.start()
        await asyncio.sleep(35)
        await it.aclose()

        assert [error for error, _ in told.results] == ["no answer within 5 s", ""]
        assert [now for _, now in told.results] == pytest.approx([20, 30], abs=1e-3)
        assert upstream.now_running == 0

    probing(work)


def test_a_check_that_answers_too_late_has_failed_even_if_it_swallows_the_cut() -> None:
    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(1)

    async def work() -> None:
        upstream, told = Upstream(stubborn), Told()
        it = prober(upstream, told)
        it.start()
        await asyncio.sleep(31)
        await it.aclose()

        assert [error for error, _ in told.results] == ["no answer within 5 s", ""]

    probing(work)


def test_it_is_never_concurrent_with_itself_even_when_a_check_outlasts_the_interval() -> None:
    async def slow() -> None:
        await asyncio.sleep(40)

    async def work() -> None:
        upstream, told = Upstream(slow, slow, slow), Told()
        it = prober(upstream, told, timeout=60)
        it.start()
        it.start()
        await asyncio.sleep(200)
        await it.aclose()

        assert upstream.most_running == 1
        assert upstream.begun[:4] == pytest.approx([15, 55, 95, 135], abs=1e-3)

    probing(work)


def test_what_a_check_raises_is_told_and_the_next_one_comes() -> None:
    async def work() -> None:
        upstream, told = Upstream(refuse, refuse), Told()
        it = prober(upstream, told)
        it.start()
        await asyncio.sleep(50)
        await it.aclose()

        assert [error for error, _ in told.results] == ["refused", "refused", ""]

    probing(work)


def test_a_cancellation_inside_of_a_check_says_nothing_and_ends_nothing() -> None:
    async def cancelled_inside() -> None:
        inner = asyncio.get_running_loop().create_future()
        inner.cancel()
        await inner

    async def work() -> None:
        upstream, told = Upstream(cancelled_inside), Told()
        it = prober(upstream, told)
        it.start()
        await asyncio.sleep(31)
        await it.aclose()

        assert len(upstream.begun) == 2
        assert [error for error, _ in told.results] == [""]

    probing(work)


def test_who_hears_of_it_cannot_end_it(caplog: pytest.LogCaptureFixture) -> None:
    def deaf(error: Exception | None, now: float) -> None:
        raise LookupError("not now")

    async def work() -> None:
        upstream = Upstream()
        it = prober(upstream, deaf)
        it.start()
        await asyncio.sleep(50)
        await it.aclose()

        assert len(upstream.begun) == it.errors == 3

    probing(work)
    assert len(caplog.records) == 1


@pytest.mark.parametrize("seconds", [0, 3, 16, 22, 40])
def test_closing_leaves_no_task_and_tells_nothing_more_whenever_it_comes(seconds: float) -> None:
    async def work() -> None:
        upstream, told = Upstream(hang, hang), Told()
        it = prober(upstream, told)
        it.start()
        await asyncio.sleep(seconds)
        heard = len(told.results)
        await it.aclose()
        await it.aclose()
        assert not it.running
        assert asyncio.all_tasks() == {asyncio.current_task()}
        await asyncio.sleep(100)

        assert len(told.results) == heard
        assert upstream.now_running == 0

    probing(work)


def test_a_check_that_swallows_one_cancellation_is_closed_all_the_same() -> None:
    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.Event().wait()

    async def work() -> None:
        it = prober(Upstream(stubborn), Told())
        it.start()
        await asyncio.sleep(16)
        await it.aclose()

        assert not it.running

    probing(work)


@pytest.mark.parametrize("then", [None, OSError("refused")])
def test_a_check_that_swallows_the_closing_is_not_told_and_has_no_successor(then: Exception | None) -> None:
    async def work() -> None:
        async def stubborn() -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if then is not None:
                    raise then from None

        upstream, told = Upstream(stubborn), Told()
        it = prober(upstream, told)
        it.start()
        await asyncio.sleep(16)
        before = asyncio.get_running_loop().time()
        await it.aclose()

        assert asyncio.get_running_loop().time() - before < 0.1
        assert told.results == []
        assert len(upstream.begun) == 1

    probing(work)


def test_a_task_that_somebody_else_cancels_during_a_check_ends() -> None:
    async def work() -> None:
        it = prober(Upstream(hang), Told())
        it.start()
        await asyncio.sleep(16)
        (task,) = asyncio.all_tasks() - {asyncio.current_task()}
        assert task.get_name() == "check gpu1"

        task.cancel()
        await asyncio.wait([task])

        assert task.cancelled()
        await it.aclose()

    probing(work)


def test_one_that_nothing_can_cancel_does_not_hold_up_closing_for_ever(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def work() -> None:
        leave = asyncio.Event()

        async def immortal() -> None:
            while not leave.is_set():
                try:
                    await leave.wait()
                except asyncio.CancelledError:
                    pass

        upstream = Upstream(immortal)
        it = prober(upstream, Told())
        it.start()
        await asyncio.sleep(16)
        began = asyncio.get_running_loop().time()
        await it.aclose()

        assert asyncio.get_running_loop().time() - began < 6
        assert "does not let itself be cancelled" in caplog.text
        it.start()
        await asyncio.sleep(100)
        assert len(upstream.begun) == 1  # no second one beside it
        leave.set()
        await it.aclose()

    probing(work)


def test_it_can_be_started_again() -> None:
    async def work() -> None:
        upstream = Upstream()
        it = prober(upstream, Told())
        for _ in range(3):
            it.start()
            await asyncio.sleep(16)
            await it.aclose()

        assert len(upstream.begun) == 3

    probing(work)


def test_three_failed_checks_take_an_upstream_out_and_two_passed_ones_bring_it_back() -> None:
    async def work() -> None:
        told = checks()
        it = prober(Upstream(refuse, hang, refuse), told.report)
        it.start()
        await asyncio.sleep(44)
        assert told.healthy
        await asyncio.sleep(2)
        assert not told.healthy
        await asyncio.sleep(30)
        assert told.healthy
        await it.aclose()

    probing(work)


# --- warm-up


def warm_up(began: float = 0.0, **settings: object) -> WarmUp:
    it = WarmUp(WarmUpSettings(**settings))
    it.begin(began)
    return it


def test_it_warms_for_its_window_and_not_before_it_begins() -> None:
    it = WarmUp(WarmUpSettings())
    assert not it.active(0)

    it.begin(100)

    assert [it.active(now) for now in (99.9, 100, 129.9, 130)] == [False, True, True, False]


@pytest.mark.parametrize(("now", "cap"), [(0, 10), (3, 10), (3.1, 11), (15, 50), (29.9, 100), (30, 100)])
def test_the_cap_grows_from_a_tenth_to_all(now: float, cap: int) -> None:
    assert warm_up().cap(1, (100, 1), now) == cap


def test_the_cap_follows_the_weights() -> None:
    assert warm_up().cap(3, (20, 2), 15) == 15


def test_a_product_that_is_whole_is_not_rounded_up() -> None:
    assert warm_up().cap(1, (30, 1), 0) == 3  # 0.1 * 30 is a little more than 3 in floats


def test_the_cap_is_at_least_one_even_without_any_load() -> None:
    assert warm_up().cap(1, (0, 1), 0) == 1


def test_a_higher_aggression_grants_more_in_the_beginning() -> None:
    caps = [warm_up(aggression=each).cap(1, (1000, 1), 7.5) for each in (0.5, 1.0, 2.0)]

    assert caps == [100, 250, 500]


@given(
    st.integers(0, 40_000_000),
    st.integers(1, 1000),
    st.integers(0, 5000),
    st.integers(1, 1000),
    st.sampled_from([0.1, 0.05, 0.33, 1.0]),
)
def test_the_cap_is_its_formula_in_fractions(
    at: int, weight: int, in_flight: int, of: int, least: float
) -> None:
    began = 5
    now = began + at / 1e6
    it = warm_up(began, minimum=least)
    ramp = min(Fraction(1), max(Fraction(str(least)), Fraction(at, 30_000_000)))

    assert it.cap(weight, (in_flight, of), now) == max(1, math.ceil(ramp * weight * Fraction(in_flight, of)))


@given(st.lists(st.tuples(st.integers(0, 10**18), st.integers(1, 10**18)), max_size=8))
def test_the_largest_ratio_is_exact(pairs: list[tuple[int, int]]) -> None:
    expected = max((Fraction(*each) for each in pairs), default=Fraction(0))

    assert Fraction(*largest_ratio(pairs)) == expected


@dataclass(slots=True, eq=False)
class Member:
    weight: int
    in_flight: int
    warm_up: WarmUp | None


members = st.lists(
    st.tuples(st.integers(1, 9), st.integers(0, 30), st.sampled_from([None, -100.0, 0.0, 20.0])), max_size=6
)


@given(members, st.floats(20, 29))
def test_a_warming_member_takes_a_call_only_below_its_cap(
    rows: list[tuple[int, int, float | None]], now: float
) -> None:
    ready = [Member(weight, load, None if began is None else warm_up(began)) for weight, load, began in rows]
    steady = [each for each in ready if each.warm_up is None or not each.warm_up.active(now)]

    left = admitted(ready, now)

    if not steady or len(steady) == len(ready):
        assert left is ready
        return
    largest = max((Fraction(each.in_flight, each.weight) for each in steady), default=Fraction(0))
    pair = (largest.numerator, largest.denominator)
    expected = [
        each
        for each in ready
        if each in steady or each.warm_up is None or each.in_flight < each.warm_up.cap(each.weight, pair, now)
    ]
    assert list(left) == expected
    assert left


def test_a_recovered_member_never_gets_more_than_its_cap_under_least_connections() -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    pool = [Member(1, 20, None), Member(1, 20, None), Member(1, 0, warm_up(0))]
    fresh = pool[2]
    shares = []
    for step in range(4000):
        now = step / 100
        ready = admitted(pool, now)
        chosen = min(ready, key=lambda each: each.in_flight)
        if chosen is fresh and fresh.warm_up is not None and fresh.warm_up.active(now):
            largest = largest_ratio((each.in_flight, each.weight) for each in pool[:2])
            assert fresh.in_flight < fresh.warm_up.cap(1, largest, now)
        chosen.in_flight += 1
        ending = rng.choice([each for each in pool for _ in range(each.in_flight)])
        ending.in_flight -= 1
        shares.append(fresh.in_flight)

    assert max(shares[:300]) <= 3  # a tenth of 20 or so
    assert max(shares[3000:]) >= 11  # and a third of 40 in the end


@pytest.mark.parametrize(
    ("name", "value"),
    [("window", -1), ("window", math.inf), ("minimum", 0), ("minimum", 2), ("aggression", 0)],
)
def test_a_warm_up_setting_that_cannot_be_right_is_named(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        WarmUpSettings(**{name: value})
