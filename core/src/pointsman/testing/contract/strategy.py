"""What every balancing strategy owes the router."""

from __future__ import annotations

import inspect
import json
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

from pointsman.clock import Rng
from pointsman.errors import Outcome
from pointsman.strategy import Member, Sample, Strategy, observes
from pointsman.testing.contract.enforcement import Contract
from pointsman.testing.contract.rules import rule
from pointsman.types import ChatRequest, Message

_REQUEST = ChatRequest("public", (Message.user("hello"),))
_SEEDS = range(20)
_NO_STATES: tuple[object, ...] = (
    *(None, True, -1, 0, 0.5, "x", [], [None], {}),
    *({"x": None}, {"x": "y"}, {"x": []}, {"gpu0/model": -7}),
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

    def _fresh(self, size: int, rng: Rng | None = None) -> tuple[Strategy, list[FakeMember]]:
        strategy, everyone = self.make(rng), _members(size, seed=size)
        strategy.members(tuple(everyone))
        return strategy, everyone

    def _picks(self, rng: Rng | None, seed: int) -> list[str]:
        return [picked.id for _, picked in _history(self.make(rng), seed)]


def _members(size: int, seed: int) -> list[FakeMember]:
    rng = random.Random(seed)  # noqa: S311 - a test's chance
    return [FakeMember(f"gpu{n}/model", rng.randint(1, 9)) for n in range(size)]


def _history(strategy: Strategy, seed: int) -> Iterator[tuple[Sequence[Member], Member]]:
    """Reloads in which members join, leave and change their weights, with picks between them."""
    rng = random.Random(seed)  # noqa: S311 - a test's chance
    known = _members(12, seed)
    everyone = rng.sample(known, rng.randint(1, 12))
    for _ in range(8):
        strategy.members(tuple(everyone))
        yield from _rounds(strategy, everyone, rng.random(), 15)
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


def _after_some_picks(strategy: Strategy) -> dict[str, object]:
    everyone = _members(3, seed=1)
    strategy.members(tuple(everyone))
    for _ in _rounds(strategy, everyone, 1, 5):
        pass
    return dict(strategy.state())
