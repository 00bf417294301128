"""What an upstream does when nothing is scripted, said at a command line."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman_simulator import Fault, Habit, RequestRecord, Simulator, fault_of
from pointsman_simulator.habit import WORDS

TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]


def asked(body: Any) -> RequestRecord:
    return RequestRecord("POST", "/", {}, body, 0.0, 1)


@pytest.mark.parametrize(
    ("said", "meant"),
    {
        "503": (Fault.status(503), 1.0),
        "429:5": (Fault.status(429, retry_after=5.0), 1.0),
        "400/context_length": (Fault.status(400, kind="context_length"), 1.0),
        "429/quota:5@50%": (Fault.status(429, retry_after=5.0, kind="quota"), 0.5),
        "stall": (Fault.stall(), 1.0),
        "cut_after:3@0.2": (Fault.cut_after(3), 0.2),
        "loading:1.5": (Fault.loading(1.5), 1.0),
    }.items(),
)
def test_a_fault_is_said_in_a_word(said: str, meant: tuple[Fault, float]) -> None:
    assert fault_of(said) == meant


@pytest.mark.parametrize(
    "said",
    [
        *("", "99", "600", "5o3", "²00", "no_such", "503@0", "503@1.5", "503@", "429:nan", "429:-1"),
        *("cut_after", "cut_after:x", "stall:3", "loading", "drip:0"),
    ],
)
def test_what_is_no_fault_is_refused_with_what_was_said(said: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        fault_of(said)


@given(st.text(max_size=20))
def test_any_word_is_a_fault_or_refused(said: str) -> None:
    try:
        fault, share = fault_of(said)
    except ValueError:
        return
    assert fault.name in {"status", *(each.partition("_after")[0] for each in WORDS)}
    assert 0 < share <= 1


def test_a_share_of_the_requests_is_befallen() -> None:
    habit, rng = Habit(faults=((Fault.status(503), 0.2),)), Random(1)

    befallen = sum(habit.reply(asked(None), rng).fault is not None for _ in range(2000))

    assert 320 < befallen < 480


def test_the_first_fault_that_befalls_a_request_counts() -> None:
    habit = Habit(faults=((Fault.stall(), 1.0), (Fault.reset(), 1.0)))

    assert habit.reply(asked(None), Random(1)).fault == Fault.stall()


@pytest.mark.parametrize(
    "result",
    [
        {"role": "tool", "tool_call_id": "c1", "content": "rain"},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "rain"}]},
    ],
)
def test_a_tool_is_called_until_it_gave_something(result: dict[str, Any]) -> None:
    habit = Habit(text="It rains.", calls_tools=True)
    question = {"role": "user", "content": "How is the weather?"}

    first = habit.reply(asked({"tools": TOOLS, "messages": [question]}), Random(1))
    then = habit.reply(asked({"tools": TOOLS, "messages": [question, result]}), Random(1))

    assert (first.call_first_tool, first.text) == (True, None)
    assert (then.call_first_tool, then.text) == (False, "It rains.")


def test_a_request_without_tools_is_answered_with_the_text() -> None:
    reply = Habit(text="It rains.", calls_tools=True).reply(asked({"messages": []}), Random(1))

    assert reply.text == "It rains."


async def test_an_upstream_keeps_to_its_habit_where_nothing_is_scripted(
    simulator: Simulator, client: Any
) -> None:
    up = await simulator.add("ollama")
    up.respond = Habit(text="as ever").reply

    assert (await client.ask(up)).json["message"]["content"] == "as ever"
