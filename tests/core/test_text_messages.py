"""A conversation of plain text is the tuple of its messages, whoever looks, and holds nothing of its caller."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman import replace
from pointsman.requests.messages import as_messages
from pointsman.requests.parsing import chat_request, checked_request
from pointsman.text_messages import TextMessages
from pointsman.types import ChatRequest, Message

plain_messages = st.builds(Message, st.sampled_from(["system", "user", "assistant"]), st.text())
conversations = st.lists(plain_messages, min_size=1, max_size=5).map(tuple)


def turns_of(messages: Sequence[Message]) -> TextMessages:
    """As the mappings of `messages` are read."""
    turns = as_messages([{"role": each.role, "content": each.content} for each in messages])
    assert type(turns) is TextMessages
    return turns


@settings(deadline=None)
@given(conversations, conversations)
def test_it_is_the_tuple_of_its_messages_to_whoever_looks(
    messages: tuple[Message, ...], others: tuple[Message, ...]
) -> None:
    def turns() -> TextMessages:
        return turns_of(messages)  # a new one for each look: none of them may rest on an earlier one

    assert turns() == messages
    assert messages == turns()
    assert hash(turns()) == hash(messages)
    assert repr(turns()) == repr(messages)
    assert len(turns()) == len(messages)
    assert [*turns()] == [*messages]
    assert [*reversed(turns())] == [*reversed(messages)]
    assert (turns()[0], turns()[-1], turns()[1:], turns()[::-1]) == (
        messages[0], messages[-1], messages[1:], messages[::-1],
    )  # fmt: skip
    assert (turns() + others, others + turns(), turns() + turns()) == (
        messages + others, others + messages, messages + messages,
    )  # fmt: skip
    assert (turns() == others, others == turns()) == (messages == others, messages == others)
    assert (turns() == turns_of(others)) == (messages == others)
    assert (others[0] in turns(), turns().count(others[0])) == (
        others[0] in messages, messages.count(others[0]),
    )  # fmt: skip
    match turns():
        case [first, *rest]:
            assert (first, *rest) == messages


def test_it_is_no_list_and_no_text() -> None:
    listed = [Message.user("x")]
    turns: Any = turns_of(listed)

    assert turns != listed
    assert turns != "x"
    with pytest.raises(TypeError):
        turns + listed
    with pytest.raises(TypeError):
        listed + turns
    with pytest.raises(IndexError):
        turns[1]


def test_messages_that_differ_in_what_a_turn_does_not_show_are_not_equal() -> None:
    usual, failed = Message("user", "x"), Message("user", "x", is_error=True)

    assert as_messages([failed]) != as_messages([usual])
    assert as_messages([failed]) != as_messages([{"role": "user", "content": "x"}])
    assert as_messages([usual]) == as_messages([{"role": "user", "content": "x"}])


@pytest.mark.parametrize("looked_at", [False, True])
def test_it_survives_pickling_and_copying(looked_at: bool) -> None:
    turns = turns_of([Message.system("s"), Message.user("u")])
    if looked_at:
        list(turns)

    for other in (pickle.loads(pickle.dumps(turns)), copy.copy(turns), copy.deepcopy(turns)):
        assert type(other) is TextMessages
        assert (other.roles, other.texts) == (turns.roles, turns.texts)
        assert other == turns


def test_a_request_that_holds_it_can_be_changed_printed_and_compared() -> None:
    request = chat_request("m", [{"role": "user", "content": "x"}], {})

    changed = replace(request, temperature=0.5)

    assert changed.messages is request.messages
    assert replace(changed, temperature=None) == request == ChatRequest("m", (Message.user("x"),))
    assert repr(request) == repr(ChatRequest("m", (Message.user("x"),)))
    assert checked_request(request) is request


@pytest.mark.parametrize("name", ["roles", "texts", "anything"])
def test_it_cannot_be_changed(name: str) -> None:
    turns = turns_of([Message.user("x")])

    with pytest.raises(AttributeError, match="immutable"):
        setattr(turns, name, ())
    with pytest.raises(AttributeError, match="immutable"):
        delattr(turns, name)
    assert not hasattr(turns, "__dict__")


def test_what_the_caller_changes_later_is_not_seen() -> None:
    mappings: list[dict[str, Any]] = [{"role": "user", "content": "x"}, {"role": "user", "content": "y"}]
    own = [Message.user("x"), Message.user("y")]
    taken = (as_messages(mappings), as_messages(own))

    mappings[0]["content"] = "changed"
    del mappings[1], own[1]

    for each in taken:
        assert each == (Message.user("x"), Message.user("y"))


def test_its_mappings_are_new_ones_each_time() -> None:
    turns = turns_of([Message.system("s"), Message.user("u")])

    turns.mappings()[0]["content"] = "changed"

    assert turns.mappings() == [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    assert turns.mappings(system="developer")[0] == {"role": "developer", "content": "s"}


@settings(deadline=None)
@given(conversations)
def test_its_mappings_are_read_as_what_they_came_from(messages: tuple[Message, ...]) -> None:
    assert as_messages(turns_of(messages).mappings(system="developer")) == messages


def test_messages_that_can_be_read_only_once_are_plain_text_as_well() -> None:
    mappings = [{"role": "user", "content": "x"}, {"role": "user", "content": "y"}]

    for once in (iter(mappings), (each for each in mappings), iter([Message.user("x")])):
        assert type(as_messages(once)) is TextMessages


def test_a_result_of_a_tool_is_no_turn() -> None:
    with_result = [{"role": "user", "content": "x"}, {"role": "tool", "content": "y"}]

    assert type(as_messages(with_result)) is tuple
    assert type(as_messages([Message.user("x"), Message("tool", "y")])) is tuple


def test_its_roles_and_texts_are_had_where_it_was_read_as_plain_text_and_nowhere_else() -> None:
    plain = as_messages([{"role": "developer", "content": "s"}, {"role": "user", "content": "u"}])
    beside = as_messages([*plain, Message("user", "x", name="Ann")])

    assert isinstance(plain, TextMessages)
    assert (plain.roles, plain.texts) == (("system", "user"), ("s", "u"))
    assert not isinstance(beside, TextMessages)
