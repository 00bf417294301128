"""Affinity: where conversations are bound, who moves when the set changes, how far load may lean."""

from __future__ import annotations

import json
import logging
import random
import tracemalloc
from collections import Counter
from collections.abc import Sequence
from math import ceil
from time import process_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from strategy_members import Clock, Member

from affinity import Load, simulate
from pointsman import Router
from pointsman.events import Event
from pointsman.strategy import Placing
from pointsman.testing import Scripted, ScriptedAnswer, run
from pointsman.types import (
    ChatRequest,
    EmbedRequest,
    GenerateRequest,
    Image,
    Message,
    Text,
    Tool,
    ToolCall,
)
from pointsman_strategies import Affinity, AffinitySettings
from pointsman_strategies.prompt_blocks import blocks_of, prompt_of
from pointsman_strategies.warm_places import BINDING_COST, BLOCK_COST, Bindings, PrefixIndex

weights = st.lists(st.integers(1, 9), min_size=2, max_size=8)
LONG = "x" * 1024
KEYS = [f"conversation {n}" for n in range(120)]


class Talks:
    """Members, and conversations that are answered at once wherever they go."""

    def __init__(self, members: Sequence[Member], **changes: Any) -> None:
        self.clock = Clock()
        self.changes = changes
        self.strategy = self.made()
        self.now_there(members)

    def made(self) -> Affinity:
        return Affinity(AffinitySettings(**self.changes), clock=self.clock, rng=random.Random(1))

    def now_there(self, members: Sequence[Member]) -> None:
        self.members = tuple(members)
        self.strategy.members(self.members)

    def reload(self, members: Sequence[Member]) -> None:
        state = json.loads(json.dumps(self.strategy.state()))
        self.strategy = self.made()
        self.strategy.restore(state)
        self.now_there(members)

    def turn(self, key: str = "", text: str = "hi", *, without: Sequence[str] = ()) -> str:
        ready = tuple(each for each in self.members if each.id not in without)
        placing = Placing(ChatRequest("m", [Message.user(text)]), key)
        member = self.strategy.place(ready, placing)
        self.strategy.answered(member, placing, self.clock.now())
        return member.id

    def round(self, *, without: Sequence[str] = ()) -> dict[str, str]:
        return {key: self.turn(key, without=without) for key in KEYS}


def crowd(given: Sequence[int]) -> list[Member]:
    return [Member(f"d{n}", weight) for n, weight in enumerate(given)]


# ── who moves ────────────────────────────────────────────────────────────────────────────────────────


@given(weights, st.data())
@settings(max_examples=30, deadline=None)
def test_removing_a_member_moves_only_what_was_bound_to_it(given: list[int], data: st.DataObject) -> None:
    talks = Talks(crowd(given))
    before = talks.round()
    gone = data.draw(st.sampled_from(talks.members))

    talks.reload([each for each in talks.members if each is not gone])

    assert all(after == before[key] for key, after in talks.round().items() if before[key] != gone.id)


@given(weights, st.integers(1, 9), st.booleans())
@settings(max_examples=30, deadline=None)
def test_adding_a_member_moves_nothing(given: list[int], weight: int, keyed: bool) -> None:
    talks = Talks(crowd(given))
    texts = [f"{n}{LONG}" for n in range(60)]

    def round() -> list[str]:
        return [talks.turn(text if keyed else "", text) for text in texts]

    before = round()
    talks.reload([Member("new", weight), *talks.members])

    assert round() == before


@given(weights, st.data())
@settings(max_examples=30, deadline=None)
def test_while_its_member_is_out_a_conversation_is_lent_to_one_other_and_then_taken_up_again(
    given: list[int], data: st.DataObject
) -> None:
    talks = Talks(crowd(given))
    before = talks.round()
    out = data.draw(st.sampled_from([each.id for each in talks.members]))

    lent = talks.round(without=[out])
    talks.clock.time += 300
    again = talks.round(without=[out])

    assert all((lent[key] == home) == (home != out) for key, home in before.items())
    assert again == lent or len(given) == 2
    assert talks.round() == before


def test_a_loan_that_lasted_longer_than_the_binding_lives_becomes_the_binding() -> None:
    talks = Talks(crowd([1] * 5), life=600)
    home = talks.turn("a", LONG)
    talks.clock.time += 300
    refuge = talks.turn("a", LONG, without=[home])
    talks.clock.time += 301
    assert talks.turn("a", LONG, without=[home]) == refuge

    talks.clock.time += 599

    assert talks.turn("a", LONG) == refuge


def test_the_recovery_of_another_member_steals_nothing() -> None:
    talks = Talks(crowd([1] * 5))
    before = talks.round(without=["d2"])

    assert talks.round() == before


@given(weights, st.data())
@settings(max_examples=20, deadline=None)
def test_raising_a_weight_moves_calls_that_were_never_answered_only_there(
    given: list[int], data: st.DataObject
) -> None:
    raised = data.draw(st.integers(0, len(given) - 1))

    def placed(members: Sequence[Member]) -> list[str]:
        strategy = Affinity(clock=Clock())
        strategy.members(tuple(members))
        return [strategy.place(members, Placing(ChatRequest("m", []), key)).id for key in KEYS]

    before = placed(crowd(given))
    after = placed(crowd([weight + 5 * (n == raised) for n, weight in enumerate(given)]))

    assert all(a in (b, f"d{raised}") for b, a in zip(before, after, strict=True))


def test_new_conversations_spread_in_proportion_to_the_weights() -> None:
    strategy, members = Affinity(clock=Clock()), tuple(crowd((1, 2, 3, 4)))
    strategy.members(members)

    picks = Counter(
        strategy.place(members, Placing(EmbedRequest("m", ["t"]), f"x{n}")).id for n in range(10_000)
    )

    assert [picks[f"d{n}"] / 10_000 for n in range(4)] == pytest.approx([0.1, 0.2, 0.3, 0.4], abs=0.02)


# ── load ─────────────────────────────────────────────────────────────────────────────────────────────


@given(weights, st.integers(0, 2**32), st.floats(1.01, 3))
@settings(max_examples=40, deadline=None)
def test_nobody_is_ever_above_its_bound_whatever_comes_and_goes(
    given: list[int], seed: int, max_load: float
) -> None:
    rng, talks = random.Random(seed), Talks(crowd(given), max_load=max_load)
    members = {each.id: each for each in talks.members}

    for _ in range(150):
        total = sum(each.in_flight for each in talks.members)
        if total and rng.random() < 0.3:
            rng.choice([each for each in talks.members if each.in_flight]).in_flight -= 1
            continue
        member = members[talks.turn(f"s{int(rng.random() ** 3 * 6)}")]  # one conversation is most of it
        member.in_flight += 1
        share = member.weight / sum(given)
        assert member.in_flight <= ceil(max_load * 1.001 * (total + 1) * share)


def test_a_conversation_whose_place_is_too_busy_goes_elsewhere_and_comes_back() -> None:
    talks = Talks(crowd([1] * 4))
    home = talks.turn("one")
    busy = next(each for each in talks.members if each.id == home)
    busy.in_flight = 5

    refuges = {talks.turn("one", LONG) for _ in range(3)}
    busy.in_flight = 0

    assert len(refuges) == 1
    assert refuges != {home}
    assert talks.turn("one") == home


# ── prompts ──────────────────────────────────────────────────────────────────────────────────────────


def chat(*messages: Message, tools: Sequence[Tool] = ()) -> ChatRequest:
    return ChatRequest("m", messages, tools=tools)


SYSTEM, ONE, TWO = Message.system("s"), Message.user("1"), Message.assistant("2")
TOOL = Tool("t", "d", {"type": "object"})


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (chat(SYSTEM, ONE), chat(SYSTEM, ONE), True),
        (chat(SYSTEM, ONE), chat(Message.system("other"), ONE), False),
        (chat(Message.user("ab"), TWO), chat(Message.user("a"), Message.assistant("b2")), False),
        (chat(Message.user("a")), chat(Message.assistant("a")), False),
        (chat(ONE, tools=[TOOL]), chat(ONE), False),
        (chat(ONE, tools=[TOOL]), chat(ONE, tools=[Tool("t", "d", {"type": "array"})]), False),
        (chat(Message.user([Image(b"x")])), chat(Message.user([Image(b"y")])), False),
        (chat(Message.user([Image(url="x")])), chat(Message.user([Image(url="y")])), False),
        (chat(Message.user([Text("x")])), chat(Message.user("x")), True),
        (
            chat(Message.assistant("", [ToolCall("1", "f", "{}")])),
            chat(Message.assistant("", [ToolCall("2", "f", "{}")])),
            True,
        ),
        (
            chat(Message.assistant("", [ToolCall("1", "f", "{}")])),
            chat(Message.assistant("", [ToolCall("1", "g", "{}")])),
            False,
        ),
        (GenerateRequest("m", "p"), GenerateRequest("m", "p", temperature=0.5), True),
        (GenerateRequest("m", "p"), GenerateRequest("m", "q"), False),
    ],
)
def test_prompts_are_the_same_where_upstreams_read_the_same(a: object, b: object, same: bool) -> None:
    assert (prompt_of(a) == prompt_of(b)) is same


@given(st.binary(max_size=300), st.binary(max_size=100), st.binary(max_size=100), st.integers(1, 64))
def test_prompts_share_as_many_hashes_as_they_share_blocks_from_the_first_one(
    beginning: bytes, one: bytes, other: bytes, size: int
) -> None:
    a, b = (blocks_of(beginning + rest, size=size, secret=b"k") for rest in (one, other))
    same = [
        (beginning + one)[: (n + 1) * size] == (beginning + other)[: (n + 1) * size]
        for n in range(min(len(a), len(b)))
    ]

    assert [x == y for x, y in zip(a, b, strict=False)] == same


def test_a_conversation_without_a_key_stays_where_most_of_its_prompt_is() -> None:
    talks = Talks(crowd([1] * 6))
    shared = "s" * 4096
    for member in talks.members:  # all have the shared prefix
        talks.turn("", shared, without=[each.id for each in talks.members if each is not member])
    homes = {}
    for n in range(20):
        homes[n] = talks.turn("", shared + f"{n}{LONG}")

    grown = {n: talks.turn("", shared + f"{n}{LONG}" + LONG * 3) for n in range(20)}

    assert grown == homes


def test_of_those_that_have_the_prefix_the_least_crowded_takes_a_new_conversation() -> None:
    talks = Talks(crowd([1] * 4))
    shared = "s" * 4096
    for without in (["d2", "d3"], ["d0", "d2", "d3"], ["d1", "d2", "d3"]):
        talks.turn("", shared, without=without)

    taken = Counter(talks.turn(f"k{n}", shared + f"{n}" * 1024) for n in range(10))

    assert taken == {"d0": 5, "d1": 5}


def test_calls_that_say_nothing_go_where_the_fewest_are_and_status_says_why() -> None:
    members = (Member("a", in_flight=2), Member("b"))
    strategy = Affinity(clock=Clock())
    strategy.members(members)

    assert strategy.pick(members, EmbedRequest("m", ["t"])).id == "b"
    assert strategy.degraded() == "the call had no key and no prompt"
    strategy.place(members, Placing(EmbedRequest("m", ["t"]), "key"))
    assert strategy.degraded() == ""


def test_a_conversation_is_named_by_the_call_or_in_the_metadata() -> None:
    strategy = Affinity(AffinitySettings(metadata="thread"), clock=Clock())
    named = ChatRequest("m", [ONE], metadata={"thread": "t"}, user="u")

    assert strategy.fingerprint(named) == strategy.fingerprint(chat(ONE), "t")
    assert strategy.fingerprint(named, "u") == strategy.fingerprint(chat(ONE), "u")
    assert strategy.fingerprint(chat(ONE)) is None


def test_400_kb_cost_at_most_a_millisecond_to_place_and_remember() -> None:
    members = tuple(crowd([1] * 8))
    request = chat(Message.system("s" * 80_000), *(Message.user("u" * 3_200) for _ in range(100)))
    strategy = Affinity(clock=Clock())
    strategy.members(members)

    def took() -> float:
        began = process_time()
        placing = Placing(request, "key")
        strategy.answered(strategy.place(members, placing), placing, 1_000.0)
        return process_time() - began

    assert min(took() for _ in range(200)) <= 1e-3


# ── memory ───────────────────────────────────────────────────────────────────────────────────────────


def test_the_memory_is_bounded_and_the_beginnings_of_prompts_are_forgotten_last() -> None:
    index = PrefixIndex(10)
    index.keep(["a", "b"])
    old, new = ([bytes([n, m]) for m in range(8)] for n in range(2))
    index.add(old, "a")
    index.add(new, "b")

    assert len(index) == 10
    assert index.longest(old[:2], ["a", "b"]) == {"a"}
    assert index.longest(old[2:], ["a", "b"]) == set()
    assert index.longest(new, ["a", "b"]) == {"b"}


def test_a_binding_and_a_block_take_no_more_than_they_are_charged() -> None:
    tracemalloc.start()
    try:
        began = tracemalloc.get_traced_memory()[0]
        index = PrefixIndex(100_000)
        index.keep(["a"])
        for n in range(20_000):
            index.add([n.to_bytes(16)], "a")
        blocks = tracemalloc.get_traced_memory()[0] - began
        bindings = Bindings(600, 100_000)
        for n in range(20_000):
            bindings.answered(n.to_bytes(16), "a", float(n) / 100)
        bound = tracemalloc.get_traced_memory()[0] - began - blocks
    finally:
        tracemalloc.stop()

    assert blocks / 20_000 <= BLOCK_COST
    assert bound / 20_000 <= BINDING_COST


def test_bindings_are_forgotten_when_they_expire_or_are_too_many() -> None:
    bindings = Bindings(10.0, 2)
    for n in range(3):
        bindings.answered(bytes([n]), "a", float(n))

    assert [bindings.home(bytes([n]), 3.0) for n in range(3)] == [None, "a", "a"]
    assert bindings.home(b"\2", 12.0) is None
    bindings.answered(b"\3", "b", 100.0)
    assert (len(bindings), bindings.at("a"), bindings.at("b")) == (1, 0, 1)


def test_a_reload_keeps_prefixes_and_loans_and_another_secret_none_of_it() -> None:
    talks = Talks(crowd([1] * 6))
    homes = [talks.turn(f"k{n}", f"{n}{LONG}") for n in range(20)]

    talks.reload(talks.members)
    assert [talks.turn("", f"{n}{LONG}{LONG}") for n in range(20)] == homes

    talks.changes = {"key": SecretStr("another")}
    talks.reload(talks.members)
    assert len(talks.strategy._index) == len(talks.strategy._bindings) == 0


# ── secrets ──────────────────────────────────────────────────────────────────────────────────────────


def test_another_secret_is_another_placement_and_the_same_secret_the_same() -> None:
    members = crowd([1] * 4)

    def homes(**changes: Any) -> dict[str, str]:
        return Talks(members, **changes).round()

    assert homes(key=SecretStr("k" * 64)) == homes(key=SecretStr("k" * 64)) != homes()


def test_neither_key_nor_prompt_nor_secret_is_kept_or_shown() -> None:
    talks = Talks(crowd([1, 1]), key=SecretStr("open-sesame"))
    talks.turn("alice@example.org", "a diary")

    shown = repr((talks.strategy.__dict__, talks.strategy.state(), talks.strategy._settings))

    assert "alice" not in shown
    assert "diary" not in shown
    assert "open-sesame" not in repr(talks.strategy._settings)
    assert "alice" not in repr(Placing(chat(ONE), "alice"))


def test_a_router_tells_nobody_the_key_of_a_call(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    upstream, heard = Scripted(), list[Event]()
    upstream.script("a", ScriptedAnswer(error=ConnectionError("x")))
    given = {
        "providers": {name: {"type": "scripted"} for name in "ab"},
        "models": {"m": {"strategy": "affinity", "deployments": ["a/x", "b/x"]}},
    }

    async def main() -> None:
        async with Router.from_config(given, plugins=[upstream]) as r:
            r.listen(heard.append)
            for _ in range(4):
                try:
                    await r.chat("m", "hi", affinity="alice@example.org")
                except Exception as error:
                    heard.append(error)  # type: ignore[arg-type]
            heard.append(r.status())  # type: ignore[arg-type]
            heard.append(r.explain("m", "hi", affinity="alice@example.org"))  # type: ignore[arg-type]

    run(main())
    assert "alice" not in repr(heard) + caplog.text + repr(upstream.calls)


# ── the benchmark, in short ──────────────────────────────────────────────────────────────────────────


def test_caches_stay_warm_on_eight_hosts_of_which_one_goes_down_and_comes_back() -> None:
    load = Load(seconds=240, out=70)

    kept, round_robin = simulate("affinity", load), simulate("round_robin", load)

    assert kept.share >= 0.9
    assert kept.work <= round_robin.work / 5
    assert kept.spread <= 1.25
    assert kept.most_cold <= 1
