"""What every balancing strategy owes the router."""

from __future__ import annotations

import gc
import inspect
import json
import random
import time
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf

import pytest

from pointsman.clock import Rng
from pointsman.errors import Outcome
from pointsman.strategy import Learned, Member, Placing, Sample, Strategy, follows, observes, shares
from pointsman.testing.contract.enforcement import Contract, check_made
from pointsman.testing.contract.rules import rule
from pointsman.testing.contract.watching import Quiet, blocks_kept_by, least_seconds, quick_collections
from pointsman.types import ChatRequest, EmbedRequest, GenerateRequest, Image, Message

_REQUEST = ChatRequest("public", (Message.user("hello"),))
_NAME, _SAID = "alice-8f2c", "a diary of 1977"
_TOLD = ChatRequest("public", (Message.system("You help. " * 400), Message.user(_SAID)))
"""A request that tells who asks and what; its prompt is long enough for whoever goes by prompts."""
_LONGEST_PICK = 0.002
_SEEDS = range(20)
_NO_STATES: tuple[object, ...] = (
    *(None, True, -1, 0, 0.5, "x", [], [None], {}),
    *({"x": None}, {"x": "y"}, {"x": []}, {"gpu0/model": -7}),
)

_NO_LESSONS = (
    "",
    "{}",
    "[]",
    "null",
    "1e999",
    "{",
    "\ud800",
    '{"key": 1}',
    '{"bindings": [[0]]}',
    "x" * 9_999,
)


@dataclass(eq=False)
class FakeMember:
    """What a strategy may know of a deployment."""

    id: str
    weight: int = 1
    in_flight: int = 0


class StrategyContract(Contract, terms=True):
    """What every balancing strategy owes the router. Write `make`."""

    def make(self, rng: Rng | None) -> Strategy:
        """A fresh strategy with `rng` as its source of chance; None: it does the same every time."""
        raise NotImplementedError("write `make`, which returns a strategy")

    @rule(
        "STRATEGY-01",
        "The choice is made within one step of the loop; while one waits, the members that it "
        "chooses from change.",
    )
    def test_picking_is_synchronous_and_needs_no_loop(self) -> None:
        strategy, everyone = self._fresh(3)
        picked = strategy.pick(tuple(everyone), _REQUEST)
        assert not inspect.isawaitable(picked), "`pick` is an async function; it must be a plain one"

    @rule("STRATEGY-02", "A model with one deployment left would answer nothing, though that one works.")
    def test_the_only_one_that_is_ready_is_picked(self) -> None:
        for size in (1, 5):
            strategy, everyone = self._fresh(size)
            for member in everyone * 3:
                picked = strategy.pick((member,), _REQUEST)
                assert picked is member, f"{member} was ready alone, and {picked} was picked"

    @rule("STRATEGY-03", "A call would go to a deployment that is down, full or no longer configured.")
    def test_what_is_picked_was_ready_whoever_joins_or_leaves(self) -> None:
        for seed in _SEEDS:
            for ready, picked in _history(self.make(random.Random(seed)), seed):  # noqa: S311
                found = [each for each in ready if each is picked]
                assert found, f"seed {seed}: {picked!r} was picked, which is not one of {ready!r}"

    @rule("STRATEGY-04", "Some combination of deployments that are down would make every request fail.")
    def test_every_choice_of_ready_members_can_be_picked_from(self) -> None:
        strategy, everyone = self._fresh(6)
        for bits in [*range(1, 64), *reversed(range(1, 64))]:
            ready = tuple(member for n, member in enumerate(everyone) if bits >> n & 1)
            for member in everyone:
                member.in_flight = bits * (member.weight + 1) % 5
            assert strategy.pick(ready, _REQUEST) in ready

    @rule(
        "STRATEGY-05",
        "What hangs on a hidden clock or dice can be neither tested nor explained after the fact.",
    )
    def test_the_same_chance_gives_the_same_picks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        before = random.getstate()
        try:
            for seed in _SEEDS:
                random.seed(1)
                first = self._picks(random.Random(seed), seed)  # noqa: S311 - a test's chance
                random.seed(2)
                with monkeypatch.context() as patch:
                    for name in ("time", "monotonic", "perf_counter"):
                        patch.setattr(time, name, lambda: 4e9)
                    second = self._picks(random.Random(seed), seed)  # noqa: S311
                assert first == second, f"seed {seed}: other picks from the same chance"
        finally:
            random.setstate(before)

    @rule("STRATEGY-06", "A dry run would show another choice than the one that is made.")
    def test_without_a_source_of_chance_every_instance_does_the_same(self) -> None:
        for seed in _SEEDS:
            assert self._picks(None, seed) == self._picks(None, seed), f"seed {seed}: other picks"

    @rule(
        "STRATEGY-07",
        "With every reload the shares would begin anew, and those first in the list get more than theirs.",
    )
    def test_a_successor_goes_on_where_its_predecessor_was(self) -> None:
        for seed in _SEEDS:
            rng = random.Random(seed)  # noqa: S311 - a test's chance
            strategy, everyone = self._fresh(5, rng)
            for _ in _rounds(strategy, everyone, seed, 50):
                pass
            state = strategy.state()
            told = json.dumps(state, allow_nan=False)
            strategy.members(tuple(everyone))

            their_rng = random.Random(0)  # noqa: S311
            successor = self.make(their_rng)
            successor.restore(json.loads(told))
            successor.members(tuple(everyone))
            their_rng.setstate(rng.getstate())

            if not state:
                continue  # it says that there is nothing to know
            ours = [picked.id for _, picked in _rounds(strategy, everyone, seed, 40)]
            theirs = [picked.id for _, picked in _rounds(successor, everyone, seed, 40)]
            assert theirs == ours, f"seed {seed}: the successor picks otherwise"

    @rule(
        "STRATEGY-08",
        "State comes from an older version or from disk, and a router that cannot take it would not start.",
    )
    def test_a_state_that_is_none_is_refused_as_a_value_error_or_ignored(self) -> None:
        state = _after_some_picks(self.make(None))
        spoiled = [{**state, key: value} for key in (*state, "other") for value in _NO_STATES]
        spoiled += [{name: state[name] for name in state if name != key} for key in state]
        for each in spoiled:
            strategy = self.make(None)
            try:
                strategy.restore(each)
            except ValueError:
                continue
            everyone = tuple(_members(3, seed=1))
            strategy.members(everyone)
            assert strategy.pick(everyone, _REQUEST) in everyone, f"picked a stranger after {each!r}"

    @rule("STRATEGY-09", "The first call to the model would fail in place of the start.")
    def test_it_has_the_interface_of_its_kind(self) -> None:
        check_made("strategy", self.make(None))

    @rule("STRATEGY-10", "Every call of the process waits for each pick.")
    def test_a_pick_takes_no_time(self) -> None:
        strategy, everyone = self._fresh(50)
        ready = tuple(everyone)
        took = least_seconds(lambda: strategy.pick(ready, _REQUEST), limit=_LONGEST_PICK)
        assert took < _LONGEST_PICK, f"a pick of {len(ready)} takes {took * 1000:.1f} ms, and may take 2"
        if observes(strategy):
            sample = Sample(Outcome.OK, 0.2, 0.1, None, 1.0)
            took = least_seconds(lambda: strategy.observed(everyone[0], sample), limit=_LONGEST_PICK)
            assert took < _LONGEST_PICK, f"observed() takes {took * 1000:.1f} ms, and may take 2"

    @rule("STRATEGY-11", "The process grows with each call until it is ended.")
    def test_picks_leave_nothing_behind_in_memory(self) -> None:
        strategy, everyone = self._fresh(3)
        ready, tell = tuple(everyone), observes(strategy)

        def pick(turn: int) -> None:
            said = ChatRequest("public", (Message.user(f"question {turn}"),))
            picked = strategy.pick(ready, said)
            if tell:
                sample = Sample(Outcome.OK, 0.2, 0.1, None, float(turn))
                strategy.observed(picked, sample)

        kept = blocks_kept_by(pick)
        assert kept < 0.5, f"each pick leaves {kept:.1f} blocks of memory behind"

    @rule("STRATEGY-12", "Who is ready, and how busy, is the router's to say: its counts would be wrong.")
    def test_picking_changes_nothing_that_it_is_given(self) -> None:
        strategy, everyone = self._fresh(5)
        for _ in range(20):
            ready = list(everyone)
            before = [(each.id, each.weight, each.in_flight, len(vars(each))) for each in everyone]
            strategy.pick(ready, _REQUEST)
            assert ready == everyone, "it changes the sequence of those that are ready; sort a copy"
            after = [(each.id, each.weight, each.in_flight, len(vars(each))) for each in everyone]
            assert after == before, "it writes on the members; keep what you need by their ids"

    @rule("STRATEGY-13", "Deployments that a reload removed stay in memory, with their connections.")
    def test_members_that_have_left_are_not_kept(self) -> None:
        with quick_collections():
            strategy, everyone = self._fresh(3)
            for _ in range(10):
                strategy.pick(tuple(everyone), _REQUEST)
            gone = [weakref.ref(each) for each in everyone]
            del everyone
            others = _members(4, seed=9)
            strategy.members(tuple(others))
            for _ in range(10):
                strategy.pick(tuple(others), _REQUEST)
            gc.collect()
        left = sum(each() is not None for each in gone)
        assert not left, (
            f"it holds {left} of {len(gone)} members that have left; `members` names all there are"
        )

    @rule("STRATEGY-14", "The model answers chats, and fails every other kind of request.")
    def test_it_picks_for_every_kind_of_request(self) -> None:
        strategy, everyone = self._fresh(3)
        for request in (
            ChatRequest("public", ()),
            ChatRequest("public", (Message.user((Image(b"x"),)),), extra={"a": 1}),
            GenerateRequest("public", ""),
            EmbedRequest("public", ("a", "b")),
        ):
            assert strategy.pick(tuple(everyone), request) in everyone

    @rule("STRATEGY-15", "What a choice needs from elsewhere makes every call depend on it.")
    def test_choosing_starts_nothing_and_asks_nobody(self, capsys: pytest.CaptureFixture[str]) -> None:
        capsys.readouterr()
        with Quiet() as quiet:
            strategy, everyone = self._fresh(3)
            for _ in range(5):
                strategy.pick(tuple(everyone), _REQUEST)
            quiet.check()
        assert not (said := capsys.readouterr().out), f"it prints {said[:80]!r}"

    @rule("STRATEGY-16", "A request that belongs to a conversation would go to a deployment that is down.")
    def test_what_is_placed_was_ready_whoever_joins_or_leaves(self) -> None:
        for seed in _SEEDS:
            strategy = self.make(random.Random(seed))  # noqa: S311 - a test's chance
            if not follows(strategy):
                return
            for ready, placed in _history(strategy, seed, follow=True):
                found = [each for each in ready if each is placed]
                assert found, f"seed {seed}: {placed!r} was placed, which is not one of {ready!r}"

    @rule("STRATEGY-17", "Every call waits for what it learns of answers, and memory fills with them.")
    def test_what_is_placed_and_answered_takes_no_time_and_leaves_nothing_behind(self) -> None:
        strategy, everyone = self._fresh(50)
        if not follows(strategy):
            return
        ready = tuple(everyone)

        def turn(number: int = 0) -> None:
            placing = Placing(_TOLD, _NAME)
            strategy.answered(strategy.place(ready, placing), placing, float(number))

        took = least_seconds(turn, limit=_LONGEST_PICK)
        assert took < _LONGEST_PICK, f"place() and answered() take {took * 1000:.1f} ms, and may take 2"
        kept = blocks_kept_by(turn)
        assert kept < 0.5, f"each turn of one conversation leaves {kept:.1f} blocks of memory behind"

    @rule(
        "STRATEGY-18", "Attempts fail, are made twice, and end after a reload: it would choose wrongly then."
    )
    def test_an_answer_is_told_once_twice_or_never_and_of_members_that_have_left(self) -> None:
        strategy, everyone = self._fresh(4)
        if not follows(strategy):
            return
        ready, others = tuple(everyone), (FakeMember("new0/model"), FakeMember("new1/model"))
        for number in range(30):
            placing = Placing(_TOLD, _NAME if number % 3 else "")
            placed = strategy.place(ready, placing)
            if number == 16:
                strategy.members(others)
                ready = others
            for _ in range(number % 3):
                strategy.answered(placed, placing, float(number))
            # A hedge was never placed, and its answer is told all the same.
            strategy.answered(ready[0], Placing(_TOLD, _NAME), float(number))
            assert strategy.pick(ready, _TOLD) in ready

    @rule("STRATEGY-19", "The status fails when it is looked at, or does not say what is wrong.")
    def test_it_says_in_one_line_of_text_why_it_is_degraded(self) -> None:
        strategy, everyone = self._fresh(3)
        for request in (None, _REQUEST, _TOLD):
            if request is not None:
                strategy.pick(tuple(everyone), request)
            said: object = strategy.degraded()
            assert isinstance(said, str), f"degraded() returns a {type(said).__name__}; return a text"
            assert said == " ".join(said.split()), f"{said!r} is no single line"
            assert len(said) <= 200, f"{len(said)} characters are too many for a table"

    @rule(
        "STRATEGY-20", "Who asks, and what, would stand in status, on disk and in the store of all routers."
    )
    def test_nothing_that_it_says_names_a_conversation_or_a_prompt(self) -> None:
        strategy, everyone = self._fresh(3)
        ready, said = tuple(everyone), list[object]()
        for number in range(5):
            said += [each.text for each in strategy.learned()] if shares(strategy) else []
            if follows(strategy):
                placing = Placing(_TOLD, _NAME)
                strategy.answered(strategy.place(ready, placing), placing, float(number))
            strategy.pick(ready, _TOLD)
            said += [strategy.degraded(), json.dumps(strategy.state()), repr(strategy)]
        for told in map(str, said):
            assert _NAME not in told, f"it tells the name of a conversation: {told[:80]!r}"
            assert _SAID not in told, f"it tells the prompt: {told[:80]!r}"

    @rule("STRATEGY-21", "What one router learned stops another one, or has it choose what is not there.")
    def test_what_it_learned_another_one_can_hear_and_what_is_none_of_that_does_no_harm(self) -> None:
        strategy, everyone = self._fresh(3)
        if not shares(strategy):
            return
        ready, told = tuple(everyone), list[Learned]()
        for number in range(5):
            told += _checked(strategy.learned())
            placing = Placing(_TOLD, _NAME)
            placed = strategy.place(ready, placing) if follows(strategy) else strategy.pick(ready, _TOLD)
            if follows(strategy):
                strategy.answered(placed, placing, float(number))
            if observes(strategy):
                strategy.observed(placed, Sample(Outcome.OK, 0.2, 0.1, None, float(number)))
        told += _checked(strategy.learned())
        other, few = self._fresh(2)
        for each in (*told, *(Learned(text, 5.0, by="1") for text in _NO_LESSONS)):
            try:
                other.heard(Learned(each.text, each.seconds / 2, by="1"))
            except ValueError:
                assert each not in told, f"it cannot hear what it learned: {each.text[:80]!r}"
            assert other.pick(tuple(few), _TOLD) in few, f"picked a stranger after {each.text[:80]!r}"

    @rule("STRATEGY-22", "An operator who asks why a call goes somewhere would have changed where it goes.")
    def test_its_scores_are_numbers_of_members_and_asking_for_them_changes_no_pick(self) -> None:
        for seed in _SEEDS:
            asked, everyone = self._fresh(4, random.Random(seed))  # noqa: S311 - a test's chance
            if getattr(type(asked), "scores", None) in (None, Strategy.scores):
                return  # it has none
            left_alone, _ = self._fresh(4, random.Random(seed))  # noqa: S311
            ready = tuple(everyone)
            for _ in range(8):
                scores = asked.scores(ready, Placing(_TOLD, _NAME))
                strangers = {*scores} - {each.id for each in ready}
                assert not strangers, f"scores() has {strangers}, who are not ready"
                told: object = getattr(asked, "scored_by", "")
                assert not scores or (isinstance(told, str) and told), (
                    "`scored_by` does not say what they are"
                )
                assert all(isinstance(each, int | float) for each in scores.values()), (
                    f"{scores} are no numbers"
                )
                assert asked.pick(ready, _TOLD).id == left_alone.pick(ready, _TOLD).id, "it picks otherwise"

    def _fresh(self, size: int, rng: Rng | None = None) -> tuple[Strategy, list[FakeMember]]:
        strategy, everyone = self.make(rng), _members(size, seed=size)
        strategy.members(tuple(everyone))
        return strategy, everyone

    def _picks(self, rng: Rng | None, seed: int) -> list[str]:
        return [picked.id for _, picked in _history(self.make(rng), seed)]


def _members(size: int, seed: int) -> list[FakeMember]:
    rng = random.Random(seed)  # noqa: S311 - a test's chance
    return [FakeMember(f"gpu{n}/model", rng.randint(1, 9)) for n in range(size)]


def _checked(learned: object) -> Sequence[Learned]:
    assert isinstance(learned, Sequence), f"learned() returns a {type(learned).__name__}; return a list"
    for each in learned:
        assert isinstance(each, Learned), f"learned() has a {type(each).__name__} in it; expected Learned"
        assert 0 < each.seconds < inf, f"what it learned is of use for {each.seconds} s"
    return learned


def _history(
    strategy: Strategy, seed: int, *, follow: bool = False
) -> Iterator[tuple[Sequence[Member], Member]]:
    """Reloads in which members join, leave and change their weights, with picks between them."""
    rng = random.Random(seed)  # noqa: S311 - a test's chance
    known = _members(12, seed)
    everyone = rng.sample(known, rng.randint(1, 12))
    for _ in range(8):
        strategy.members(tuple(everyone))
        yield from (_turns if follow else _rounds)(strategy, everyone, rng.random(), 15)
        if rng.random() < 0.5:
            everyone = rng.sample(known, rng.randint(1, 12))
        weights = {each.id: rng.choice((each.weight, rng.randint(1, 99))) for each in everyone}
        everyone = [FakeMember(each.id, weights[each.id], each.in_flight) for each in everyone]


def _rounds(
    strategy: Strategy, everyone: Sequence[FakeMember], seed: float, count: int
) -> Iterator[tuple[Sequence[Member], Member]]:
    """Picks from some of the members, in configuration order; calls begin and end meanwhile, or fail."""
    rng = random.Random(seed)  # noqa: S311 - a test's chance
    for member in everyone:
        member.in_flight = 0
    tell, now = observes(strategy), 0.0
    for _ in range(count):
        ready: Sequence[Member] = tuple(each for each in everyone if rng.random() < 0.7) or tuple(everyone)
        picked = strategy.pick(ready, _REQUEST)
        yield ready, picked
        now += rng.choice((-0.1, 0.0, 0.5, 100.0))
        for member in everyone:
            ends = rng.random() < 0.3
            member.in_flight = max(0, member.in_flight + (member is picked) - ends)
            if ends and tell:
                outcome, seconds, hint = (
                    rng.choice((*Outcome,)),
                    rng.choice((0.0, 0.2, 60.0)),
                    rng.choice((None, 5.0)),
                )
                strategy.observed(member, Sample(outcome, seconds, seconds / 2 or None, hint, now))


def _turns(
    strategy: Strategy, everyone: Sequence[FakeMember], seed: float, count: int
) -> Iterator[tuple[Sequence[Member], Member]]:
    """As `_rounds`, of some conversations: each request is placed, and most are answered."""
    rng = random.Random(seed)  # noqa: S311 - a test's chance
    for number in range(count):
        ready: Sequence[Member] = tuple(each for each in everyone if rng.random() < 0.7) or tuple(everyone)
        placing = Placing(rng.choice((_TOLD, _REQUEST)), rng.choice(("", "a", "b", "c")))
        placed = strategy.place(ready, placing)
        yield ready, placed
        for member in everyone:
            member.in_flight = rng.randint(0, 3)
        for _ in range(rng.randint(0, 2)):
            strategy.answered(placed, placing, float(number))


def _after_some_picks(strategy: Strategy) -> dict[str, object]:
    everyone = _members(3, seed=1)
    strategy.members(tuple(everyone))
    for _ in _rounds(strategy, everyone, 1, 5):
        pass
    return dict(strategy.state())
