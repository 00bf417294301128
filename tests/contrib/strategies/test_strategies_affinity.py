"""Affinity: where conversations are bound, who moves when the set changes, how far load may lean."""

from __future__ import annotations

import json
import logging
import random
import tracemalloc
from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b
from math import ceil
from time import process_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategy_members import Clock, Member

from affinity import Load, simulate
from pointsman import Router
from pointsman.events import Event
from pointsman.plugin import Secret
from pointsman.strategy import Learned, Placing
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


def bound(talks: Talks) -> Sequence[Sequence[Any]]:
    """The bindings that it knows of: key, member, instant, loan, end."""
    found: Any = talks.strategy.state()["bindings"]
    return found


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

    taken = Counter(talks.turn(f"k{n}", shared + f"{n}" * 1024) for n in range(9))

    assert sorted(taken.values()) == [4, 5], "with the one that nobody names five each"


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


def test_400_kb_cost_at_most_three_digests_of_them_to_place_and_remember() -> None:
    members = tuple(crowd([1] * 8))
    request = chat(Message.system("s" * 80_000), *(Message.user("u" * 3_200) for _ in range(100)))
    strategy = Affinity(clock=Clock())
    strategy.members(members)

    def took() -> float:
        began = process_time()
        placing = Placing(request, "key")
        strategy.answered(strategy.place(members, placing), placing, 1_000.0)
        return process_time() - began

    def digest() -> float:
        began = process_time()
        blake2b(all_of_it).digest()
        return process_time() - began

    # In turn, for both run as fast as the machine does just then: 1.7 of them, 0.7 ms, where it is idle.
    all_of_it = b"u" * 400_000
    times = [(took(), digest()) for _ in range(200)]
    assert min(each for each, _ in times) <= 3 * min(each for _, each in times)


# ── who is not named ─────────────────────────────────────────────────────────────────────────────────


@given(weights, st.data())
@settings(max_examples=30, deadline=None)
def test_a_conversation_that_nobody_names_is_lent_and_taken_up_again_as_one_with_a_name(
    given: list[int], data: st.DataObject
) -> None:
    talks = Talks(crowd(given))
    texts = [f"{n}{LONG}" for n in range(60)]

    def round(*, without: Sequence[str] = ()) -> list[str]:
        texts[:] = [text + LONG for text in texts]
        return [talks.turn("", text, without=without) for text in texts]

    before = round()
    out = data.draw(st.sampled_from([each.id for each in talks.members]))
    lent = round(without=[out])
    again = round(without=[out])

    assert all((now == home) == (home != out) for now, home in zip(lent, before, strict=True))
    assert again == lent
    assert round() == before


def test_many_that_begin_with_the_same_words_are_no_one_conversation() -> None:
    talks = Talks(crowd([1] * 4))

    talks.turn("", LONG)
    for _ in range(3):
        talks.turn("", LONG)

    assert len(bound(talks)) == 1
    grown = [talks.turn("", f"{LONG}{n}{LONG}") for n in range(4)]
    assert len(bound(talks)) == 4, "from where they part they are four"
    assert [talks.turn("", f"{LONG}{n}{LONG}{LONG}") for n in range(4)] == grown


@pytest.mark.parametrize(("calls", "where"), [(2, "old"), (4, "new")])
def test_who_never_had_what_all_have_in_common_is_asked_when_the_others_are_busier(
    calls: int, where: str
) -> None:
    talks = Talks([*(Member(f"old{n}") for n in range(3)), Member("new")])
    for n in range(3):
        talks.turn("", f"{LONG}{n}", without=[each.id for each in talks.members if each.id != f"old{n}"])

    for each in talks.members[:3]:
        each.in_flight = calls

    assert talks.turn("one more", LONG + "of it").startswith(where)


# ── several routers ──────────────────────────────────────────────────────────────────────────────────


class Two:
    """Two routers that share a store, and the same members."""

    def __init__(self, members: int = 5, **changes: Any) -> None:
        ids = [f"d{n}" for n in range(members)]
        self.routers = [Talks([Member(id) for id in ids], **changes) for _ in range(2)]
        self.routers[1].clock.time += 12_345  # each goes by a clock of its own
        self.carry()

    def carry(self, *, seconds: float | None = None) -> int:
        """Tell each what the other has learned, in plain text; how many pieces that was."""
        count = 0
        for one, other in (self.routers, self.routers[::-1]):
            for n, each in enumerate(one.strategy.learned()):
                left = each.seconds if seconds is None else seconds
                other.strategy.heard(Learned(each.text, left, by=f"{id(one)}"))
                count = n + 1
        return count

    def passes(self, seconds: float) -> None:
        for each in self.routers:
            each.clock.time += seconds


@pytest.mark.parametrize("named", [True, False])
def test_a_conversation_that_goes_from_router_to_router_stays_at_one_member(named: bool) -> None:
    two = Two()
    texts = [f"{n}{LONG}" for n in range(40)]
    places: list[set[str]] = [set() for _ in texts]

    for turn in range(6):
        for n, text in enumerate(texts):
            texts[n] = text + LONG
            places[n].add(two.routers[turn % 2].turn(f"k{n}" if named else "", texts[n]))
        two.carry()

    assert all(len(each) == 1 for each in places)


@pytest.mark.parametrize("named", [True, False])
def test_a_loan_is_one_loan_in_all_routers(named: bool) -> None:
    two = Two()
    texts = [f"{n}{LONG}" for n in range(40)]

    def round(turn: int, *, without: Sequence[str] = ()) -> list[str]:
        texts[:] = [text + LONG for text in texts]
        router = two.routers[turn % 2]
        found = [router.turn(f"k{n}" if named else "", text, without=without) for n, text in enumerate(texts)]
        two.carry()
        return found

    homes = round(0)
    lent = round(0, without=["d1"])

    assert [round(turn, without=["d1"]) for turn in (1, 0, 1)] == [lent] * 3
    assert [round(turn) for turn in (1, 0)] == [homes] * 2


def test_of_two_routers_that_bind_a_conversation_at_once_both_believe_the_later_answer() -> None:
    two = Two(2)
    one, other = two.routers
    one.turn("a", without=["d1"])
    two.passes(0.1)
    other.turn("a", without=["d0"])
    two.passes(0.1)

    two.carry()
    two.carry()

    assert one.turn("a") == other.turn("a") == "d1"


def test_one_that_answered_meanwhile_says_so_again() -> None:
    two = Two(2)
    one, other = two.routers
    for router, out in ((one, "d1"), (other, "d0"), (one, "d1")):
        router.turn("a", without=[out])
        two.passes(0.1)

    for _ in range(3):
        two.carry()

    assert one.turn("a") == other.turn("a") == "d0"


def test_what_goes_on_is_told_now_and_then_and_not_with_every_answer() -> None:
    two = Two(life=600)
    told = 0
    for _ in range(120):
        two.routers[0].turn("a", LONG)
        two.passes(5)
        told += two.carry()

    assert 8 <= told <= 12
    two.passes(500)
    ((_, _, last, *_),) = bound(two.routers[1])
    assert two.routers[1].clock.time - last < 600, "the other one knows that it went on"


def test_who_hears_of_it_late_forgets_it_no_later_than_the_others() -> None:
    two = Two(2, life=600)
    one, other = two.routers
    one.turn("a", without=["d0"])
    two.passes(400)
    two.carry(seconds=300)  # of 600 it was on the way

    assert bound(other) == []
    one.turn("b", without=["d0"])
    two.passes(200)
    two.carry(seconds=400)
    assert other.turn("b") == "d1"
    two.passes(300)


def test_calls_in_flight_elsewhere_count_for_as_long_as_they_are_told_of() -> None:
    two = Two(3)
    one, other = two.routers
    home = one.turn("a")
    two.carry()
    busy = next(each for each in one.members if each.id == home)
    busy.in_flight = 30

    assert other.turn("a") == home
    two.carry()
    assert other.turn("a") != home
    two.passes(3)
    assert other.turn("a") == home, "who says no more may be gone"
    busy.in_flight = 0
    two.carry()
    assert two.carry() == 0, "nothing is said again that is known"


@given(st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_what_is_no_lesson_is_refused_as_a_value_error_and_does_no_harm(seed: int) -> None:
    rng = random.Random(seed)
    talks = Talks(crowd([1, 1]))
    talks.strategy.learned()
    talks.turn("a", LONG)
    (real,) = talks.strategy.learned()
    said = json.loads(real.text)
    odd = [None, -1, "x", [], {}, [["zz", "d0", 1, None]], [["00", "d0", 1, None]], [[1]], {"d0": "x"}, 1e999]
    said[rng.choice([*said, "in_flight"])] = rng.choice(odd)
    text = rng.choice([json.dumps(said), real.text[: rng.randrange(len(real.text))]])

    try:
        Talks(crowd([1, 1])).strategy.heard(Learned(text, rng.choice([0.0, 5.0, 1e9])))
        talks.strategy.heard(Learned(text, 5.0))
    except ValueError:
        pass
    assert talks.turn("b", LONG) in ("d0", "d1")


def test_another_secret_hears_nothing_and_members_that_only_others_have_are_left_out() -> None:
    two = Two(2)
    one, other = two.routers
    one.turn("a", without=["d0"])
    other.changes = {"key": Secret("another")}
    other.reload(other.members)
    two.carry()
    assert bound(other) == []

    two = Two(2)
    one, other = two.routers
    other.now_there(crowd([1]))
    one.turn("a", without=["d0"])
    two.carry()
    assert bound(other) == []
    assert other.turn("a") == "d0"


def test_a_router_without_a_store_collects_nothing_to_tell() -> None:
    talks = Talks(crowd([1, 1]))
    talks.round()

    assert talks.strategy.learned() == [], "what was learned before the first time is not told"


def test_neither_key_nor_prompt_is_told_to_others() -> None:
    talks = Talks(crowd([1, 1]), key=Secret("open-sesame"))
    talks.strategy.learned()
    talks.turn("alice@example.org", f"a diary {LONG}")
    talks.turn("", f"a diary {LONG}")

    told = "".join(each.text for each in talks.strategy.learned())

    assert len(told) > 100
    assert not any(each in told for each in ("alice", "diary", "sesame", b"alice".hex()))


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
            bindings.ends(n.to_bytes(16), (n + 1_000_000).to_bytes(16))
        bindings.tell([n.to_bytes(16) for n in range(20_000)], 200.0)
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

    talks.changes = {"key": Secret("another")}
    talks.reload(talks.members)
    assert len(talks.strategy._index) == len(talks.strategy._bindings) == 0


# ── secrets ──────────────────────────────────────────────────────────────────────────────────────────


def test_another_secret_is_another_placement_and_the_same_secret_the_same() -> None:
    members = crowd([1] * 4)

    def homes(**changes: Any) -> dict[str, str]:
        return Talks(members, **changes).round()

    assert homes(key=Secret("k" * 64)) == homes(key=Secret("k" * 64)) != homes()


def test_neither_key_nor_prompt_nor_secret_is_kept_or_shown() -> None:
    talks = Talks(crowd([1, 1]), key=Secret("open-sesame"))
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
            heard.append(r.status().to_dict())  # type: ignore[arg-type]
            heard.append(r.explain("m", "hi", affinity="alice@example.org").to_dict())  # type: ignore[arg-type]

    run(main())
    assert "alice" not in repr(heard) + caplog.text + repr(upstream.calls)


# ── the benchmark, in short ──────────────────────────────────────────────────────────────────────────


def test_caches_stay_warm_on_eight_hosts_of_which_one_goes_down_and_comes_back() -> None:
    load = Load(seconds=240, out=70)

    kept, round_robin = simulate("affinity", load), simulate("round_robin", load)
    two = simulate("two routers, no keys", load)

    assert min(kept.share, two.share) >= 0.9
    assert max(kept.work, two.work) <= round_robin.work / 5
    assert kept.spread <= 1.25
    assert kept.most_cold <= 1
