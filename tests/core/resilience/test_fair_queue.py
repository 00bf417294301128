"""The waiting line: whose turn it is, who is refused, who is shed; the room: no wake-up is lost."""

from __future__ import annotations

import asyncio
import math
import os
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from fractions import Fraction

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st
from reference_models.queue import Caller, QueueModel

from pointsman.errors import DeadlineExceeded, QueueFull
from pointsman.resilience.admission_queue import AdmissionQueue, Attempt, NotYet
from pointsman.resilience.fair_queue import FairQueue, QueuePriority, QueueSettings, Waiter
from pointsman.testing import VirtualLoop, run

SEED = int(os.environ.get("POINTSMAN_WAITING_SEED", "0"))
INTERLEAVINGS = int(os.environ.get("POINTSMAN_WAITING_INTERLEAVINGS", "1500"))

HIGH, NORMAL, LOW = QueuePriority


def line(**settings: object) -> FairQueue:
    return FairQueue(QueueSettings(**settings))


def enter(it: FairQueue, *keys: str, priority: int = NORMAL, now: float = 0.0) -> list[Waiter]:
    return [it.enter(key, now, priority=priority)[0] for key in keys]


def serve(it: FairQueue, now: float = 0.0) -> Waiter:
    waiter = it.wake()
    assert waiter is not None
    it.served(waiter, now)
    return waiter


def serve_all(it: FairQueue) -> list[Waiter]:
    return [serve(it) for _ in range(len(it))]


def keys(waiters: list[Waiter]) -> str:
    return "".join(each.key for each in waiters)


# --- whose turn it is


def test_one_key_is_served_in_the_order_of_arrival() -> None:
    it = line()
    came = enter(it, *"aaaa")

    assert serve_all(it) == came
    assert len(it) == 0
    assert it.wake() is None


def test_keys_take_turns_however_many_callers_each_has() -> None:
    it = line()
    enter(it, *"aaaab")

    assert keys(serve_all(it)) == "abaaa"


def test_a_key_has_as_many_turns_in_a_round_as_its_weight() -> None:
    it = line(weights={"a": 3})
    enter(it, *"aaaaaaabbb")

    assert keys(serve_all(it)) == "aaabaaabab"


def test_a_key_that_left_and_comes_again_is_last_in_the_round() -> None:
    it = line()
    enter(it, *"abbcc")
    serve(it)
    enter(it, "a")

    assert keys(serve_all(it)) == "bcabc"


def test_the_highest_priority_goes_first() -> None:
    it = line()
    enter(it, "l", priority=LOW)
    enter(it, "n", priority=NORMAL)
    enter(it, "h", priority=HIGH)

    assert keys(serve_all(it)) == "hnl"


def test_the_lowest_priority_gets_its_tenth() -> None:
    it = line()
    enter(it, *"h" * 400, priority=HIGH)
    enter(it, *"l" * 100, priority=LOW)

    served = keys([serve(it) for _ in range(400)])

    for start in range(300):
        assert 9 <= served[start : start + 100].count("l") <= 11


def test_every_priority_below_the_highest_has_its_share_so_that_none_starves() -> None:
    it = line(length=2_000)
    for priority, key in zip(QueuePriority, "hnl", strict=True):
        enter(it, *key * 500, priority=priority)

    count = Counter(keys([serve(it) for _ in range(500)]))
    assert min(count["n"], count["l"]) >= 49
    assert count["h"] >= 399


def test_an_unknown_priority_is_the_nearest_that_there_is() -> None:
    it = line()

    assert it.enter("a", 0.0, priority=99)[0].priority == LOW
    assert it.enter("a", 0.0, priority=-1)[0].priority == HIGH


def test_who_goes_back_is_next_again() -> None:
    it = line()
    enter(it, *"aabb")
    first = it.wake()
    assert first is not None

    it.back(first)

    assert keys([first, *serve_all(it)]) == "aabab"


def test_two_who_are_woken_are_two_and_keep_their_turns_when_both_go_back() -> None:
    for order in (0, 1):
        it = line()
        came = enter(it, *"aab")
        woken = [it.wake(), it.wake()]
        assert woken == [came[0], came[2]]

        for each in woken[:: -1 if order else 1]:
            assert each is not None
            it.back(each)

        assert {serve(it), serve(it)} == set(woken)
        assert serve(it) is came[1]


def test_who_goes_back_after_its_round_went_on_is_still_before_the_others() -> None:
    it = line()
    came = enter(it, *"aabc")
    first, second = it.wake(), it.wake()
    assert (first, second) == (came[0], came[2])
    assert first is not None
    assert second is not None

    it.back(first)
    it.served(second, 0.0)

    assert keys(serve_all(it)) == "aca"


def test_a_turn_that_a_priority_is_owed_is_given_to_one_caller_only() -> None:
    it = line()
    enter(it, *"h" * 20, priority=HIGH)
    enter(it, *"l" * 5, priority=LOW)
    for _ in range(10):
        serve(it)

    woken = [it.wake(), it.wake(), it.wake()]

    assert [each.key for each in woken if each] == ["l", "h", "h"]


def test_within_a_key_order_is_kept_however_those_who_were_woken_come_back() -> None:
    for seed in range(200):
        rng = random.Random(seed)
        it = line(weights={"a": rng.randint(1, 4)})
        came = enter(it, *"a" * 6)
        woken = [it.wake() for _ in range(rng.randint(1, 6))]
        rng.shuffle(woken)
        for each in woken:
            assert each is not None
            it.back(each)

        assert serve_all(it) == came, f"seed {seed}"


def test_a_cancelled_caller_uses_no_turn_of_its_key() -> None:
    it = line()
    came = enter(it, *"aabb")
    assert not it.leave(came[3], 0.0)
    first = it.wake()
    assert first is came[0]

    assert it.leave(first, 0.0)

    assert serve_all(it) == [came[1], came[2]]
    assert it.gave_up == 2
    assert it.served_total == 2


def test_those_behind_can_be_served_out_of_turn_and_their_key_pays_for_it_later() -> None:
    it = line()
    enter(it, *"aabbb")
    first = it.wake()
    assert first is not None
    other = next(iter(it.behind(first)))
    while other.key != "b":
        other = next(each for each in it.behind(first) if each.key == "b")

    it.served(other, 0.0)
    it.back(first)

    assert keys(serve_all(it)) == "aabb"


def test_what_nobody_before_it_could_use_costs_a_key_no_more_than_a_round() -> None:
    it = line()
    enter(it, *"a" * 10, *"b" * 20)
    first = it.wake()
    assert first is not None
    for other in [each for each in it.behind(first) if each.key == "b"][:10]:
        it.served(other, 0.0)
    it.back(first)

    assert keys(serve_all(it)).startswith("aabab")


weights = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 6))


@settings(deadline=None)
@given(weights, st.integers(2, 6), st.integers(1, 120))
def test_shares_match_weights_within_one_quantum(weights: dict[str, int], keys_: int, turns: int) -> None:
    """While all wait all the time: in any number of turns nobody is more than one quantum off its share."""
    it = line(weights=weights)
    names = "abcdef"[:keys_]
    for name in names:
        enter(it, *[name] * 3)
    count: Counter[str] = Counter()
    for _ in range(turns):
        count[serve(it).key] += 1
        for name in names:
            while sum(each.key == name for lane in it._lanes for each in lane.arrivals.values()) < 3:
                enter(it, name)

        for one in names:
            for two in names:
                rounds = [Fraction(count[name], weights.get(name, 1)) for name in (one, two)]
                assert abs(rounds[0] - rounds[1]) <= 1


@given(
    weights,
    st.lists(
        st.tuples(st.sampled_from("abcdef"), st.sampled_from(QueuePriority), st.integers(0, 3)), max_size=120
    ),
)
def test_nobody_starves(weights: dict[str, int], moves: list[tuple[str, QueuePriority, int]]) -> None:
    """A caller with `n` of its key before it is served within a number of departures that is known before.

    Its key is visited once in every round of its priority, in which the others have at most the sum of all
    weights; and its priority has at least every tenth turn, give or take the two others' debts.
    """
    it = line(weights=weights)
    departed = 0
    due: dict[Waiter, int] = {}
    whole = sum(weights.get(key, 1) for key in "abcdef")

    def depart() -> None:
        nonlocal departed
        waiter = serve(it)
        departed += 1
        assert departed <= due.pop(waiter)
        assert all(departed < each for each in due.values())

    for key, priority, serves in moves:
        before = sum((each.key, each.priority) == (key, priority) for each in due)
        rounds = before // weights.get(key, 1) + 2
        waiter = enter(it, key, priority=priority)[0]
        due[waiter] = departed + (rounds * whole + 2) * 10
        for _ in range(min(serves, len(it))):
            depart()
    while len(it):
        depart()
    assert due == {}


# --- who is refused and who is shed


def test_a_full_line_refuses_with_a_time_to_come_back() -> None:
    it = line(length=2)
    enter(it, "a", "b")

    with pytest.raises(QueueFull, match="2 calls wait already") as raised:
        enter(it, "c")

    assert raised.value.retry_after == 5.0
    assert (len(it), it.refused) == (2, 1)


def paced(it: FairQueue, seconds: float, times: int = 40) -> float:
    """Lets `it` serve one caller each so many seconds; the time after that."""
    now = 0.0
    enter(it, "x", now=now)
    for _ in range(times):
        now += seconds
        enter(it, "x", now=now)
        serve(it, now)
    it.leave(next(each for lane in it._lanes for each in lane.arrivals.values()), now)
    return now


def test_who_would_wait_too_long_is_refused_at_once() -> None:
    it = line()
    now = paced(it, 1.0)
    assert it.pace() == pytest.approx(1.0, rel=0.15)
    enter(it, *"aaaa", now=now)

    with pytest.raises(QueueFull, match="would wait about") as raised:
        enter(it, *"aaa", now=now)

    assert raised.value.retry_after is not None
    assert 0.5 < raised.value.retry_after < 3
    assert 4 <= len(it) <= 6


def test_who_would_wait_beyond_its_deadline_is_refused_at_once() -> None:
    it = line()
    now = paced(it, 1.0)
    enter(it, *"aa", now=now)

    with pytest.raises(QueueFull):
        it.enter("a", now, deadline=now + 1.0)
    assert it.enter("a", now, deadline=now + 10.0)[0].until == now + 5.0
    assert it.enter("b", now, deadline=now + 3.0)[0].until == now + 3.0


def test_a_key_with_nobody_in_line_is_not_refused_for_the_crowd_of_another() -> None:
    it = line()
    now = paced(it, 1.0)
    with pytest.raises(QueueFull):
        enter(it, *"a" * 10, now=now)

    assert enter(it, "b", now=now)
    assert enter(it, "c", priority=HIGH, now=now)


def test_a_low_priority_with_a_guaranteed_share_is_not_refused_for_all_that_is_above() -> None:
    it = line()
    now = paced(it, 0.1, times=200)
    enter(it, *"h" * 48, priority=HIGH, now=now)
    enter(it, *"n" * 3, now=now)  # a tenth of the turns is theirs
    with pytest.raises(QueueFull):
        enter(it, *"n" * 9, now=now)

    assert enter(it, "l", priority=LOW, now=now)


def test_a_line_that_stood_still_is_forgiven_after_a_while() -> None:
    it = line()
    waiter = enter(it, "a")[0]
    with pytest.raises(QueueFull):
        enter(it, "a", now=30.0)
    it.leave(waiter, 30.0)

    assert enter(it, "a", now=45.0)


def test_a_higher_priority_takes_the_place_of_the_newest_of_the_lowest() -> None:
    it = line(length=3)
    lows = enter(it, "a", "b", priority=LOW)
    enter(it, "c")

    waiter, victim = it.enter("d", 0.0, priority=HIGH)

    assert victim is lows[1]
    assert (len(it), it.shed) == (3, 1)
    assert serve(it) is waiter


def test_equals_are_not_shed_for_each_other() -> None:
    it = line(length=3)
    enter(it, *"abc")

    with pytest.raises(QueueFull):
        enter(it, "d")


def test_in_one_priority_the_key_that_holds_most_gives_up_its_newest() -> None:
    it = line(length=5)
    came = enter(it, *"abaaa")

    assert it.enter("c", 0.0)[1] is came[4]
    assert it.enter("b", 0.0)[1] is came[3]
    with pytest.raises(QueueFull):
        enter(it, "b")


def test_whom_nobody_knows_is_shed_first_whatever_priority_they_claim() -> None:
    it = line(length=3)
    unknown = enter(it, "", priority=HIGH)[0]
    low, normal = enter(it, "a", priority=LOW)[0], enter(it, "a")[0]

    assert it.enter("b", 0.0, priority=LOW)[1] is unknown
    with pytest.raises(QueueFull):
        enter(it, "", priority=HIGH)
    assert set(serve_all(it)) >= {low, normal}


def test_those_who_are_woken_are_not_shed() -> None:
    it = line(length=1)
    enter(it, "a", priority=LOW)
    assert it.wake() is not None

    with pytest.raises(QueueFull):
        enter(it, "b", priority=HIGH)


@pytest.mark.parametrize(
    "settings",
    [
        {"length": 0},
        {"wait": 0.0},
        {"lowest_share": 0.0},
        {"lowest_share": 0.5},
        {"weights": {"a": 0}},
    ],
)
def test_settings_that_could_starve_somebody_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        line(**settings)


def test_the_status_is_plain_data() -> None:
    it = line(length=3)
    enter(it, "a", "b")
    enter(it, "a", priority=LOW)
    serve(it)

    assert it.snapshot() == {
        "waiting": 2,
        "by_priority": [0, 1, 1],
        "keys": 2,
        "pace": 0.0,
        "served": 1,
        "refused": 0,
        "shed": 0,
        "gave_up": 0,
    }


# --- random histories against the model


def history(seed: int) -> None:
    rng = random.Random(seed)
    weights = {key: rng.randint(1, 4) for key in "abc"}
    # A share with a finite binary fraction of a million parts, so that the model's fractions are the same.
    share = rng.choice([0.1, 0.25, 0.2])
    settings = QueueSettings(length=rng.choice([3, 8, 30]), lowest_share=share, weights=weights)
    real = FairQueue(settings)
    model = QueueModel(settings.length, 3, Fraction(str(share)), weights)
    pairs: dict[int, tuple[Waiter, Caller]] = {}
    number = 0
    busy = rng.random()
    for _ in range(80):
        what = rng.random()
        if what < 0.35 + 0.3 * busy:
            new = Caller(number + 1, rng.choice(["", *"abcde"]), rng.randrange(3))
            victim = model.victim(new)
            try:
                waiter, shed = real.enter(new.key, 0.0, priority=new.priority)
            except QueueFull:
                assert victim is new
                continue
            assert victim is not new
            number += 1
            assert waiter.number == number
            if victim is not None:
                assert shed is pairs.pop(victim.number)[0]
                model.leave(victim)
            else:
                assert shed is None
            model.enter(new)
            pairs[number] = waiter, new
        elif what < 0.9:
            woken, expected = real.wake(), model.next()
            assert (None if woken is None else woken.number) == (
                None if expected is None else expected.number
            )
            if woken is None or expected is None:
                continue
            end = rng.random()
            if end < 0.6:
                real.served(woken, 0.0)
                model.served(expected)
                del pairs[woken.number]
            elif end < 0.8:
                real.back(woken)
            else:
                assert real.leave(woken, 0.0)
                model.leave(expected)
                del pairs[woken.number]
        elif pairs:
            waiter, caller = pairs.pop(rng.choice(list(pairs)))
            assert not real.leave(waiter, 0.0)
            model.leave(caller)
        assert len(real) == len(model.callers) == len(pairs)


def test_random_histories_equal_the_model() -> None:
    runs = int(os.environ.get("POINTSMAN_WAITING_HISTORIES", "1500"))
    print(f"{runs} histories from seed {SEED}")
    for seed in range(SEED, SEED + runs):
        try:
            history(seed)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}") from error


# --- the room


class Places:
    """So many places; `acquire` is an attempt, `release` gives back and wakes."""

    def __init__(self, free: int, **settings: object) -> None:
        self.free = free
        self.attempts = 0
        self.given_back = 0
        self.queue: AdmissionQueue[str] = AdmissionQueue(line(**settings), self.take_back)

    def acquire(self, now: float) -> str | NotYet:
        self.attempts += 1
        if self.free == 0:
            return NotYet()
        self.free -= 1
        return "place"

    def release(self) -> None:
        self.free += 1
        self.queue.wake()

    def take_back(self, got: str) -> None:
        self.given_back += 1
        self.release()


def now() -> float:
    return asyncio.get_running_loop().time()


def test_a_caller_gets_what_is_given_back() -> None:
    async def work() -> tuple[str, int]:
        places = Places(0)
        asyncio.get_running_loop().call_later(1.0, places.release)
        got = await places.queue.wait(places.acquire)
        assert places.queue.is_empty
        return got, places.free

    assert run(work()) == ("place", 0)


def test_one_place_wakes_one_caller() -> None:
    async def work() -> None:
        places = Places(0)
        order: list[int] = []

        async def caller(n: int) -> None:
            await places.queue.wait(places.acquire)
            order.append(n)

        callers = [asyncio.create_task(caller(n)) for n in range(50)]
        await asyncio.sleep(0.1)
        before = places.attempts
        for n in range(50):
            places.release()
            await asyncio.sleep(0.01)
            assert order == list(range(n + 1))
        await asyncio.gather(*callers)
        assert places.attempts - before <= 100  # the one who is served and the next, who finds nothing

    run(work())


def test_many_places_that_are_free_at_once_are_all_taken_in_one_go() -> None:
    async def work() -> None:
        places = Places(0)
        callers = [asyncio.create_task(places.queue.wait(places.acquire)) for _ in range(20)]
        await asyncio.sleep(0.1)

        places.free = 15
        places.queue.wake()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

        assert sum(each.done() for each in callers) == 15
        places.free = 5
        places.queue.wake()
        await asyncio.gather(*callers)

    run(work())


def test_an_instant_that_is_named_is_waited_for() -> None:
    async def work() -> float:
        queue: AdmissionQueue[str] = AdmissionQueue(line(), lambda got: None)
        await queue.wait(lambda now: "place" if now >= 2.5 else NotYet(at=2.5))
        return now()

    assert run(work()) == pytest.approx(2.5, abs=0.01)


def test_an_attempt_that_says_now_and_yet_no_does_not_spin() -> None:
    async def work() -> int:
        attempts = 0

        def attempt(now: float) -> str | NotYet:
            nonlocal attempts
            attempts += 1
            return "place" if now >= 1.0 else NotYet(at=now)

        queue: AdmissionQueue[str] = AdmissionQueue(line(), lambda got: None)
        await queue.wait(attempt)
        return attempts

    assert run(work()) <= 1_010


def test_the_longest_wait_ends_with_queue_full() -> None:
    async def work() -> float:
        places = Places(0)
        with pytest.raises(QueueFull, match=r"no deployment had room for 5\.0 s") as raised:
            await places.queue.wait(places.acquire)
        assert raised.value.retry_after is not None
        assert places.queue.is_empty
        return now()

    assert run(work()) == pytest.approx(5.0, abs=0.01)


def test_a_deadline_that_comes_first_ends_the_wait_and_nothing_begins_after_it() -> None:
    async def work() -> float:
        places = Places(0)
        asyncio.get_running_loop().call_at(2.0, places.release)
        with pytest.raises(DeadlineExceeded):
            await places.queue.wait(places.acquire, deadline=2.0)
        await asyncio.sleep(1)
        assert places.free == 1
        return now()

    assert run(work()) == pytest.approx(3.0, abs=0.01)


def test_an_error_of_the_attempt_reaches_its_own_caller_and_no_other() -> None:
    async def work() -> None:
        places = Places(0)

        def broken(now: float) -> str | NotYet:
            if places.free:
                raise KeyError("strategy")
            return NotYet()

        first = asyncio.create_task(places.queue.wait(broken))
        await asyncio.sleep(0)
        second = asyncio.create_task(places.queue.wait(places.acquire))
        await asyncio.sleep(0.1)
        places.release()

        assert await second == "place"
        with pytest.raises(KeyError, match="strategy"):
            await first

    run(work())


def test_whoever_is_shed_is_refused_and_the_other_takes_the_place_in_line() -> None:
    async def work() -> None:
        places = Places(0, length=1)
        low = asyncio.create_task(places.queue.wait(places.acquire, priority=LOW))
        await asyncio.sleep(0.1)
        high = asyncio.create_task(places.queue.wait(places.acquire, priority=HIGH))
        with pytest.raises(QueueFull, match="matters more"):
            await low
        places.release()
        assert await high == "place"

    run(work())


def test_what_is_of_no_use_to_the_first_goes_to_one_with_other_needs() -> None:
    async def work() -> None:
        cloud = 0
        asked: list[str] = []
        queue: AdmissionQueue[str] = AdmissionQueue(line(), lambda got: None)

        def private(now: float) -> str | NotYet:
            asked.append("private")
            return NotYet(pass_on=True)

        def public(now: float) -> str | NotYet:
            nonlocal cloud
            asked.append("public")
            if cloud == 0:
                return NotYet()
            cloud -= 1
            return "cloud"

        stuck = [asyncio.create_task(queue.wait(private, needs="private")) for _ in range(10)]
        free = asyncio.create_task(queue.wait(public))
        await asyncio.sleep(0.1)
        asked.clear()
        cloud = 1
        queue.wake()

        assert await free == "cloud"
        assert asked == ["private", "public"]
        await asyncio.sleep(10)
        assert [type(each.exception()) for each in stuck] == [QueueFull] * 10

    run(work())


def test_in_one_pass_each_kind_of_needs_is_asked_until_it_gets_nothing() -> None:
    async def work() -> list[str]:
        asked: list[str] = []
        queue: AdmissionQueue[str] = AdmissionQueue(line(), lambda got: None)

        def waits(needs: str, answer: NotYet) -> asyncio.Task[str]:
            def attempt(now: float) -> str | NotYet:
                asked.append(needs)
                return answer

            return asyncio.create_task(queue.wait(attempt, needs=needs))

        passing, staying = NotYet(pass_on=True), NotYet()
        tasks = [waits("a", passing), waits("b", passing), waits("b", passing), waits("c", staying)]
        tasks += [waits("a", passing), waits("d", staying)]
        await asyncio.sleep(0.1)
        asked.clear()
        queue.wake()
        await asyncio.sleep(0.1)
        for each in tasks:
            each.cancel()
        return asked[:]

    assert run(work()) == ["a", "b", "c"]  # not d: c says that nobody may go before it


@pytest.mark.parametrize("how", ["cancelled", "expired", "broken"])
def test_when_the_first_gives_up_what_it_stood_in_the_way_of_goes_to_the_next(how: str) -> None:
    async def work() -> float:
        queue: AdmissionQueue[str] = AdmissionQueue(line(), lambda got: None)

        def large(now: float) -> str | NotYet:
            if how == "broken" and now >= 1:
                raise KeyError
            return NotYet(at=1.0 if how == "broken" else 100.0)

        first = asyncio.create_task(queue.wait(large, deadline=1.0 if how == "expired" else 100.0))
        await asyncio.sleep(0)
        second = asyncio.create_task(queue.wait(lambda now: "small"))
        if how == "cancelled":
            asyncio.get_running_loop().call_at(1.0, first.cancel)
        assert await second == "small"
        await asyncio.gather(first, return_exceptions=True)
        return now()

    assert run(work()) == pytest.approx(1.0, abs=0.01)


def test_nothing_begins_after_the_deadline_even_when_the_loop_was_late() -> None:
    async def work() -> int:
        places = Places(0)
        caller = asyncio.create_task(places.queue.wait(places.acquire, deadline=2.0))
        await asyncio.sleep(1.0)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.now += 10
        places.release()
        with pytest.raises(DeadlineExceeded):
            await caller
        return places.free

    assert run(work()) == 1


def test_nobody_goes_before_one_who_only_has_to_wait_longer() -> None:
    async def work() -> list[str]:
        order: list[str] = []
        queue: AdmissionQueue[str] = AdmissionQueue(line(), lambda got: None)

        async def caller(name: str, attempt: Attempt[str], needs: str) -> None:
            order.append(await queue.wait(attempt, key=name, needs=needs))

        large = caller("large", lambda now: "large" if now >= 3 else NotYet(at=3.0), "x")
        small = caller("small", lambda now: "small", "y")
        await asyncio.gather(large, small)
        return order

    assert run(work()) == ["large", "small"]


def test_all_can_be_sent_away() -> None:
    async def work() -> None:
        places = Places(0)
        callers = [asyncio.create_task(places.queue.wait(places.acquire)) for _ in range(3)]
        await asyncio.sleep(0.1)
        places.queue.refuse_all(lambda: QueueFull("closing"))
        for each in callers:
            with pytest.raises(QueueFull, match="closing"):
                await each
        assert places.queue.is_empty
        assert len(places.queue.line) == 0

    run(work())


def test_an_empty_room_may_move_to_another_loop_and_one_with_people_may_not() -> None:
    places = Places(1)
    run(places.queue.wait(places.acquire))
    places.free = 1
    run(places.queue.wait(places.acquire))

    async def work() -> None:
        waiting = asyncio.create_task(places.queue.wait(places.acquire))
        await asyncio.sleep(0.1)

        def elsewhere() -> None:
            with pytest.raises(RuntimeError, match="another event loop"):
                run(places.queue.wait(places.acquire))

        with ThreadPoolExecutor(1) as other:
            other.submit(elsewhere).result()  # without await: virtual time would run ahead
        places.release()
        await waiting

    run(work())


def test_a_caller_cancelled_in_the_tick_in_which_its_turn_comes_passes_it_on() -> None:
    async def work(order: str) -> int:
        places = Places(0)
        first, second = (asyncio.create_task(places.queue.wait(places.acquire)) for _ in range(2))
        await asyncio.sleep(0.1)

        for step in order:
            if step == "r":
                places.release()
            elif step == "c":
                first.cancel()
            else:
                await asyncio.sleep(0)

        assert await asyncio.wait_for(second, 1.0) == "place"
        assert first.cancelled()
        assert (places.free, len(places.queue.line)) == (0, 0)
        return places.given_back

    # Only a caller that already has its place gives one back; to one who is gone nothing is given.
    assert {order: run(work(order)) for order in ("rc", "cr", "r.c", "c.r")} == {
        "rc": 0,
        "cr": 0,
        "r.c": 1,
        "c.r": 0,
    }


async def interleaved(seed: int) -> None:
    """Random callers, cancellations and releases; after the last nobody may wait while a place is free."""
    rng = random.Random(seed)
    places = Places(rng.randint(0, 2), wait=1e6, weights={"a": 2})
    tasks: list[asyncio.Task[str]] = []
    for _ in range(40):
        what = rng.random()
        if what < 0.45:
            tasks.append(
                asyncio.create_task(
                    places.queue.wait(places.acquire, key=rng.choice("abc"), priority=rng.randrange(3))
                )
            )
        elif what < 0.7 and tasks:
            rng.choice(tasks).cancel()
        elif what < 0.85:
            places.release()
        elif what < 0.95:
            await asyncio.sleep(0)
        else:
            await asyncio.sleep(0.01)
    released = places.free
    await asyncio.sleep(0.01)
    waiting = [each for each in tasks if not each.done()]
    assert not (places.free and waiting), f"seed {seed}: {places.free} free while {len(waiting)} wait"
    assert len(places.queue.line) == len(waiting)
    assert places.free <= released + places.given_back
    for each in waiting:
        each.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert places.queue.is_empty
    assert len(places.queue.line) == 0
    assert places.queue._timer is None


def test_no_wake_up_is_lost_however_cancellations_and_releases_interleave() -> None:
    print(f"{INTERLEAVINGS} interleavings from seed {SEED}")

    async def all_of_them() -> None:
        for seed in range(SEED, SEED + INTERLEAVINGS):
            await interleaved(seed)

    run(all_of_them())


def test_places_are_kept_count_of_when_callers_are_cancelled_at_any_time() -> None:
    """Every place is held, free or with somebody: whoever got one and was cancelled has given it back."""

    async def work(seed: int) -> None:
        rng = random.Random(seed)
        places = Places(3, wait=1e6)
        held = 0

        async def caller() -> None:
            nonlocal held
            await places.queue.wait(places.acquire)
            held += 1
            try:
                await asyncio.sleep(rng.random() * 0.02)
            finally:
                held -= 1
                places.release()

        tasks = [asyncio.create_task(caller()) for _ in range(30)]
        while not all(each.done() for each in tasks):
            if rng.random() < 0.3:
                rng.choice(tasks).cancel()
            await asyncio.sleep(rng.choice([0, 0, 0.001]))
            assert held + places.free <= 3
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
        assert (held, places.free) == (0, 3), f"seed {seed}"

    for seed in range(SEED, SEED + 60):
        run(work(seed))


@given(st.integers(0, 2**32), st.integers(2, 30))
def test_shuffled_releases_serve_each_key_in_order(seed: int, callers: int) -> None:
    note(f"seed {seed}")

    async def work() -> None:
        rng = random.Random(seed)
        places = Places(0, wait=1e6)
        order: dict[str, list[int]] = {"a": [], "b": []}

        async def caller(n: int, key: str) -> None:
            await places.queue.wait(places.acquire, key=key)
            order[key].append(n)

        tasks = [asyncio.create_task(caller(n, rng.choice("ab"))) for n in range(callers)]
        await asyncio.sleep(0)
        left = callers
        while left:
            some = rng.randint(1, left)
            left -= some
            for _ in range(some):
                places.release()
            if rng.random() < 0.5:
                await asyncio.sleep(0)
        await asyncio.gather(*tasks)
        assert all(each == sorted(each) for each in order.values())

    run(work())


def test_the_wait_is_infinite_for_nobody() -> None:
    it = line()
    waiter, _ = it.enter("a", 7.0)

    assert waiter.until == 12.0
    assert waiter.deadline == math.inf
