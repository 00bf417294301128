"""Affinity: who moves when the set changes, how far load may lean, and what a key is made of."""

from __future__ import annotations

import random
from collections import Counter
from math import ceil
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from strategy_members import Member

from pointsman.types import ChatRequest, EmbedRequest, GenerateRequest, Image, Message, Text
from pointsman_strategies import Affinity, AffinitySettings

weights = st.lists(st.integers(1, 9), min_size=2, max_size=8)


def asked(session: str) -> ChatRequest:
    return ChatRequest("m", [Message.user("hello")], user=session)


SESSIONS = [asked(f"s{i}") for i in range(300)]


def placed(members: tuple[Member, ...], **changes: Any) -> list[str]:
    strategy = Affinity(AffinitySettings(**changes))
    strategy.members(members)
    return [strategy.pick(members, request).id for request in SESSIONS]


@given(weights, st.data())
@settings(max_examples=40, deadline=None)
def test_removing_a_member_moves_only_its_sessions(given: list[int], data: st.DataObject) -> None:
    members = tuple(Member(f"d{i}", w) for i, w in enumerate(given))
    gone = data.draw(st.sampled_from(members))

    before, after = placed(members), placed(tuple(each for each in members if each is not gone))

    assert all(b == a for b, a in zip(before, after, strict=True) if b != gone.id)


@given(weights, st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_adding_a_member_only_attracts_sessions(given: list[int], weight: int) -> None:
    members = tuple(Member(f"d{i}", w) for i, w in enumerate(given))

    before, after = placed(members), placed((Member("new", weight), *members))

    assert all(a in (b, "new") for b, a in zip(before, after, strict=True))


@given(weights, st.data())
@settings(max_examples=40, deadline=None)
def test_raising_a_weight_moves_sessions_only_there(given: list[int], data: st.DataObject) -> None:
    raised = data.draw(st.integers(0, len(given) - 1))
    members = tuple(Member(f"d{i}", w) for i, w in enumerate(given))
    heavier = tuple(Member(f"d{i}", w + 5 * (i == raised)) for i, w in enumerate(given))

    before, after = placed(members), placed(heavier)

    assert all(a in (b, f"d{raised}") for b, a in zip(before, after, strict=True))


def test_sessions_spread_in_proportion_to_the_weights() -> None:
    members = tuple(Member(f"d{i}", w) for i, w in enumerate((1, 2, 3, 4)))
    strategy = Affinity()
    strategy.members(members)

    picks = Counter(strategy.pick(members, asked(f"x{i}")).id for i in range(10_000))

    assert [picks[f"d{i}"] / 10_000 for i in range(4)] == pytest.approx([0.1, 0.2, 0.3, 0.4], abs=0.02)


@given(weights, st.integers(0, 2**32), st.floats(1.01, 3))
@settings(max_examples=60, deadline=None)
def test_nobody_is_ever_above_its_bound_whatever_comes_and_goes(
    given: list[int], seed: int, max_load: float
) -> None:
    rng = random.Random(seed)
    members = tuple(Member(f"d{i}", w) for i, w in enumerate(given))
    strategy = Affinity(AffinitySettings(max_load=max_load))
    strategy.members(members)

    for _ in range(150):
        total = sum(each.in_flight for each in members)
        if total and rng.random() < 0.3:
            rng.choice([each for each in members if each.in_flight]).in_flight -= 1
            continue
        member = strategy.pick(members, asked(f"s{int(rng.random() ** 3 * 6)}"))  # one session is most of it
        assert isinstance(member, Member)
        member.in_flight += 1
        share = member.weight / sum(given)
        assert member.in_flight <= ceil(max_load * 1.001 * (total + 1) * share)


def test_a_session_that_is_too_busy_goes_to_its_next_best_and_comes_back() -> None:
    members = tuple(Member(f"d{i}") for i in range(4))
    strategy, request = Affinity(), asked("one")
    home = strategy.pick(members, request)
    assert isinstance(home, Member)
    home.in_flight = 5

    refuge = strategy.pick(members, request)
    without_home = strategy.pick(tuple(each for each in members if each is not home), request)
    home.in_flight = 0

    assert refuge is without_home is not home
    assert strategy.pick(members, request) is home


def chat(*messages: Message, model: str = "m") -> ChatRequest:
    return ChatRequest(model, messages)


SYSTEM, ONE, TWO, THREE = (
    Message.system("s"),
    Message.user("1"),
    Message.assistant("2"),
    Message.user("3"),
)


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (chat(SYSTEM, ONE, TWO, THREE), chat(SYSTEM, ONE, TWO, Message.user("else")), True),
        (chat(SYSTEM, ONE, TWO), chat(SYSTEM, ONE, TWO, THREE), True),
        (chat(SYSTEM, ONE), chat(SYSTEM, Message.user("other")), False),
        (chat(SYSTEM, ONE), chat(Message.system("other"), ONE), False),
        (chat(ONE), chat(ONE, model="n"), False),
        (chat(Message.user("ab"), TWO), chat(Message.user("a"), Message.assistant("b2")), False),
        (chat(Message.user("a")), chat(Message.assistant("a")), False),
        (chat(Message.user([Image(b"x")])), chat(Message.user([Image(b"y")])), False),
        (chat(Message.user([Text("x")])), chat(Message.user([Text("x")])), True),
        (GenerateRequest("m", "p"), GenerateRequest("m", "p", temperature=0.5), True),
        (GenerateRequest("m", "p"), GenerateRequest("m", "q"), False),
    ],
)
def test_the_beginning_is_model_system_prompt_and_two_messages(a: object, b: object, same: bool) -> None:
    strategy = Affinity(AffinitySettings(by="prefix"))

    assert (strategy.fingerprint(a) == strategy.fingerprint(b)) is same


def test_a_session_is_named_in_metadata_or_by_the_user() -> None:
    strategy = Affinity(AffinitySettings(metadata="thread"))
    named = ChatRequest("m", [ONE], metadata={"thread": "t"}, user="u")

    assert strategy.fingerprint(named) == strategy.fingerprint(asked("t"))
    assert strategy.fingerprint(chat(ONE)) is None


def test_calls_without_a_key_go_where_the_fewest_are() -> None:
    members = (Member("a", in_flight=2), Member("b"))

    assert Affinity().pick(members, EmbedRequest("m", ["t"])).id == "b"


def test_another_secret_is_another_placement_and_the_same_secret_the_same() -> None:
    members = tuple(Member(f"d{i}") for i in range(4))

    assert (
        placed(members, key=SecretStr("k" * 64))
        == placed(members, key=SecretStr("k" * 64))
        != placed(members)
    )


def test_neither_session_nor_secret_is_kept_or_shown() -> None:
    members = (Member("a"), Member("b"))
    strategy = Affinity(AffinitySettings(key=SecretStr("open-sesame")))
    strategy.members(members)
    strategy.pick(members, asked("alice@example.org"))

    shown = repr((strategy.__dict__, strategy.state(), strategy._settings))

    assert "alice" not in shown
    assert "open-sesame" not in repr(strategy._settings)
    assert strategy.fingerprint(asked("alice@example.org")) not in (None, "alice@ex")
