"""The memory of a simulated server: who is loaded, who runs, who waits."""

import math
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman_simulator import Vram
from pointsman_simulator.vram import Busy, Memory


def test_a_model_that_is_not_in_memory_is_ready_after_the_load_time() -> None:
    memory = Memory(Vram(load_time=2))

    ticket, grants = memory.submit("a", now=0)

    assert grants == []
    assert memory.next_change(now=0) == 2
    assert memory.advance(now=1.9) == []
    assert [(g.ticket, g.load_time) for g in memory.advance(now=2)] == [(ticket, 2)]
    assert memory.cold_loads == 1


def test_a_second_request_for_a_loaded_model_starts_at_once_when_there_is_a_place() -> None:
    memory = Memory(Vram(load_time=2, parallel=2))
    memory.submit("a", now=0)
    memory.advance(now=2)

    _, grants = memory.submit("a", now=3)

    assert [g.load_time for g in grants] == [0]
    assert memory.cold_loads == 1


def test_the_least_recently_used_idle_model_is_evicted() -> None:
    memory = Memory(Vram(max_loaded=2, load_time=0))
    for now, model in enumerate(["a", "b", "a"]):
        ticket, _ = memory.submit(model, now=now)
        memory.release(ticket, now=now)

    memory.submit("c", now=3)

    assert {entry.model for entry in memory.loaded(now=3)} == {"a", "c"}


def test_a_busy_model_is_not_evicted() -> None:
    memory = Memory(Vram(max_loaded=1, load_time=0))
    first, _ = memory.submit("a", now=0)
    second, waiting = memory.submit("b", now=1)

    assert waiting == []
    assert [g.ticket for g in memory.release(first, now=5)] == [second]


def test_nobody_passes_a_request_that_waits_for_memory() -> None:
    memory = Memory(Vram(max_loaded=1, load_time=0, parallel=4))
    first, _ = memory.submit("a", now=0)
    memory.submit("b", now=1)

    late, grants = memory.submit("a", now=2)

    assert grants == []
    assert late not in [g.ticket for g in memory.release(first, now=3)]


def test_keep_alive_zero_unloads_when_idle() -> None:
    memory = Memory(Vram(load_time=0))
    ticket, _ = memory.submit("a", now=0)

    memory.release(ticket, now=1, keep_alive=0)

    assert memory.loaded(now=1) == []


def test_an_idle_model_leaves_after_its_time_and_never_when_that_is_negative() -> None:
    memory = Memory(Vram(max_loaded=2, load_time=0, unload_after=10))
    for model, keep_alive in (("short", None), ("ever", -1.0)):
        ticket, _ = memory.submit(model, now=0)
        memory.release(ticket, now=0, keep_alive=keep_alive)

    assert [(e.model, e.expires_at) for e in memory.loaded(now=9)] == [("ever", math.inf), ("short", 10)]
    assert [e.model for e in memory.loaded(now=10)] == ["ever"]


def test_one_request_too_many_is_refused() -> None:
    memory = Memory(Vram(load_time=5, max_queue=2))
    memory.submit("a", now=0)
    memory.submit("a", now=0)

    with pytest.raises(Busy):
        memory.submit("a", now=0)

    assert memory.waiting == 2


def test_unloading_a_busy_model_happens_when_it_is_idle() -> None:
    memory = Memory(Vram(load_time=0))
    ticket, _ = memory.submit("a", now=0)

    memory.unload("a", now=1)
    assert [e.model for e in memory.loaded(now=1)] == ["a"]
    memory.release(ticket, now=2)

    assert memory.loaded(now=2) == []


steps = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.sampled_from("abcd")),
        st.tuples(st.just("end"), st.integers(0, 20)),
        st.tuples(st.just("leave"), st.integers(0, 20)),
        st.tuples(st.just("pass"), st.floats(0, 5)),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(steps, st.integers(1, 3), st.integers(1, 3), st.floats(0, 3), st.sampled_from([0.0, 2.0, -1.0]))
def test_memory_holds_its_limits_keeps_the_order_and_starves_nobody(
    history: list[tuple[str, object]], max_loaded: int, parallel: int, load_time: float, stay: float
) -> None:
    vram = Vram(max_loaded, load_time, unload_after=stay, parallel=parallel, max_queue=1000)
    memory, now = Memory(vram), 0.0
    model_of: dict[int, str] = {}
    running: list[int] = []
    waiting: list[int] = []
    turns: dict[str, list[int]] = defaultdict(list)

    def note(grants: list) -> None:
        for grant in grants:
            waiting.remove(grant.ticket)
            running.append(grant.ticket)
            turns[model_of[grant.ticket]].append(grant.ticket)
        assert memory.in_memory <= max_loaded
        for model in "abcd":
            assert memory.active(model) <= parallel
            assert memory.active(model) == sum(model_of[t] == model for t in running)

    for what, value in history:
        if what == "ask":
            ticket, grants = memory.submit(str(value), now)
            model_of[ticket] = str(value)
            waiting.append(ticket)
            note(grants)
        elif what == "end" and running:
            note(memory.release(running.pop(int(value) % len(running)), now))  # type: ignore[call-overload]
        elif what == "leave" and waiting:
            gone = waiting.pop(int(value) % len(waiting))  # type: ignore[call-overload]
            note(memory.release(gone, now))
        elif what == "pass":
            now += float(value)  # type: ignore[arg-type]
            note(memory.advance(now))

    for _ in range(4 * len(history) + 4):  # let all of them end: everybody gets a turn
        if running:
            note(memory.release(running.pop(0), now))
        now = memory.next_change(now) or now
        note(memory.advance(now))

    assert (waiting, running, memory.waiting) == ([], [], 0)
    assert all(tickets == sorted(tickets) for tickets in turns.values())
