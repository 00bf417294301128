"""Listeners: told in order, and unable to hurt what they listen to."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from pointsman.events import (
    EVENTS,
    PROGRESS,
    AttemptStarted,
    BreakerChanged,
    Event,
    Events,
    Progress,
    Reloaded,
    RequestEnded,
)

EVENT = Reloaded(kept=1, added=2, removed=3)


def test_listeners_are_told_in_the_order_in_which_they_were_added() -> None:
    events, told = Events(scrub=str), []
    events.add(lambda _event: told.append("first"))
    events.add(lambda _event: told.append("second"))

    events.emit(EVENT)

    assert told == ["first", "second"]


def test_a_listener_that_raises_hurts_nobody_and_is_counted_but_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    events = Events(scrub=str)
    told: list[Event] = []

    def broken(_event: Event) -> None:
        raise ValueError("broken listener")

    events.add(broken)
    events.add(told.append)
    with caplog.at_level(logging.ERROR, "pointsman"):
        for _ in range(3):
            events.emit(EVENT)

    assert told == [EVENT] * 3
    assert events.failures == 3
    assert len(caplog.records) == 1
    assert "broken listener" in caplog.text


def test_an_interrupt_passes_through() -> None:
    events = Events(scrub=str)

    def interrupted(_event: Event) -> None:
        raise KeyboardInterrupt

    events.add(interrupted)

    with pytest.raises(KeyboardInterrupt):
        events.emit(EVENT)


def test_a_listener_that_was_removed_hears_nothing_more() -> None:
    events = Events(scrub=str)
    one: list[Event] = []
    two: list[Event] = []
    remove = events.add(one.append)
    events.add(two.append)

    events.emit(EVENT)
    remove()
    remove()
    events.emit(EVENT)

    assert (len(one), len(two)) == (1, 2)


def test_a_listener_added_twice_loses_one_of_its_places_at_a_time() -> None:
    events = Events(scrub=str)
    told: list[Event] = []
    listener = told.append
    remove_first, remove_second = events.add(listener), events.add(listener)

    remove_first()
    remove_first()
    events.emit(EVENT)
    assert len(told) == 1

    remove_second()
    events.emit(EVENT)
    assert len(told) == 1


def test_a_listener_may_leave_and_others_may_come_while_an_event_is_told() -> None:
    events = Events(scrub=str)
    told: list[str] = []

    def once(_event: Event) -> None:
        told.append("once")
        remove()
        events.add(lambda _event: told.append("late"))

    remove = events.add(once)
    events.add(lambda _event: told.append("always"))

    events.emit(EVENT)
    events.emit(EVENT)

    assert told == ["once", "always", "always", "late"]


# ── kinds ────────────────────────────────────────────────────────────────────────────────────────────

OPENED = BreakerChanged("a/x", "closed", "open", "5 failures")
STARTED = AttemptStarted("req_1", "m", "a/x", 1)


def test_a_listener_hears_the_kinds_that_it_asks_for_and_no_others() -> None:
    events = Events(scrub=str)
    some: list[Reloaded | AttemptStarted] = []
    events.add(some.append, (Reloaded, AttemptStarted))

    for each in (EVENT, OPENED):
        events.emit(each)
    events.emit(STARTED)

    assert some == [EVENT, STARTED]


def test_a_listener_that_names_no_kinds_hears_of_ends_and_changes_and_of_no_progress() -> None:
    events = Events(scrub=str)
    told: list[Event] = []
    events.add(told.append)

    events.emit(STARTED)
    events.emit(OPENED)

    assert told == [OPENED]
    assert {kind for kind in (*EVENTS, *PROGRESS) if events.wants(kind)} == set(EVENTS)
    assert not events.detailed


@pytest.mark.parametrize("kind", [*EVENTS, *PROGRESS])
def test_a_kind_is_wanted_for_as_long_as_somebody_listens_to_it(kind: type[Event | Progress]) -> None:
    events = Events(scrub=str)
    told: list[Event | Progress] = []
    end_one, end_two = events.add(told.append, [kind]), events.add(told.append, [kind])

    end_one()
    end_one()
    wanted = events.wants(kind), events.detailed
    end_two()

    assert wanted == (True, kind in PROGRESS)
    assert not events.wants(kind)
    assert (events.attempt_ended, events.request_ended, events.detailed) == (False, False, False)


def test_one_kind_that_is_not_in_a_list_is_refused_in_words_that_say_how_it_is_written() -> None:
    events = Events(scrub=str)

    with pytest.raises(TypeError, match=r"^kinds is a list of events: write kinds=\[RequestEnded\]$"):
        events.add(print, RequestEnded)  # type: ignore[call-overload]

    assert not events.request_ended


def test_what_is_no_kind_of_event_is_refused_and_nothing_is_heard_of_the_others() -> None:
    events = Events(scrub=str)

    with pytest.raises(TypeError, match=r"<class 'int'> is no kind of event; there are AttemptEnded, "):
        events.add(print, [RequestEnded, int])  # type: ignore[list-item]

    assert not events.request_ended


class _Late:
    async def __call__(self, event: Any) -> None: ...


async def _late(event: Any) -> None: ...


@pytest.mark.parametrize(
    ("listener", "said"),
    [(None, "None cannot be"), (3, "3 cannot be"), (_late, "nobody awaits"), (_Late(), "nobody awaits")],
)
def test_what_cannot_listen_is_refused_when_it_begins_to(listener: Any, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        Events(scrub=str).add(listener)
