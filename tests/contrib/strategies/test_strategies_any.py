"""What all strategies of the package owe the router, and what the page says about them."""

from __future__ import annotations

import copy
import json
import random
import re
import tomllib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from routers import built
from ruamel.yaml import YAML
from strategy_members import Clock, Member

from pointsman import Config, Router
from pointsman.build.contexts import Contexts
from pointsman.builtin.strategies import BUILT_IN
from pointsman.errors import Outcome
from pointsman.plugin import PointsmanSpec
from pointsman.plugins.registry import Plugins
from pointsman.prices import Price
from pointsman.strategy import Residency, Sample, Strategy, StrategyFactory, observes
from pointsman.testing import Scripted, run
from pointsman.types import ChatRequest, Message
from pointsman.units import format_duration, format_percent
from pointsman_strategies import plugin
from strategy_pictures import pictures

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "strategies.md"
FACTORIES = plugin.pointsman_strategies()
names = st.sampled_from([each.name for each in FACTORIES])


def made(name: str, clock: Clock, rng: random.Random) -> Strategy:
    factory = next(each for each in FACTORIES if each.name == name)
    settings = None if factory.settings is None else factory.settings()
    return factory.make(Contexts(clock, rng).strategy(name, settings))


def crowd(rng: random.Random, n: int) -> list[Member]:
    return [
        Member(
            f"d{i}",
            weight=rng.randint(1, 4),
            model="AB"[i % 2],
            provider_name=f"h{i % 3}",
            price=rng.choice([None, Price(input=rng.randint(0, 3), output=2)]),
        )
        for i in range(n)
    ]


class Life:
    """Members that come, go, answer and are polled at random, the same for the same seed."""

    def __init__(self, name: str, seed: int) -> None:
        self.rng, self.clock = random.Random(seed), Clock()
        self.everyone = crowd(self.rng, 7)
        self.strategy = made(name, self.clock, random.Random(seed))
        self.strategy.members(tuple(self.everyone))

    def step(self) -> str:
        """One pick among some of the members; its id."""
        rng = self.rng
        self.clock.time += rng.random() * 3
        for each in rng.sample(self.everyone, 2):
            loaded = tuple(rng.sample("ABC", rng.randint(0, 2)))
            seen = Residency(each.model in loaded, loaded, rng.choice([None, 1, 2]), 4.0, 1, self.clock.time)
            each.residency = rng.choice([None, seen])
        ready = tuple(each for each in self.everyone if rng.random() < 0.7) or tuple(self.everyone[:1])
        user = rng.choice([None, "x", "y"])
        picked = self.strategy.pick(ready, ChatRequest("m", [Message.user("hi")], user=user))
        assert any(picked is each for each in ready)
        assert isinstance(picked, Member)
        picked.in_flight += 1
        done = rng.choice(self.everyone)
        if done.in_flight:
            done.in_flight -= 1
            if observes(self.strategy):
                sample = Sample(
                    rng.choice(list(Outcome)), rng.random() * 9, None, None, self.clock.time - rng.random()
                )
                self.strategy.observed(done, sample)
        return picked.id


@given(names, st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_a_pick_is_always_one_of_the_ready_while_members_join_and_leave(name: str, seed: int) -> None:
    life = Life(name, seed)
    for n in range(60):
        life.step()
        if n % 10 == 9:  # a reload: some leave, some join, some are other objects with the same id
            kept = life.rng.sample(life.everyone, 5)
            new = Member(f"n{n}", model="A", provider_name="h9")
            again = Member(kept[0].id, 3, kept[0].in_flight, kept[0].model, kept[0].provider_name)
            life.everyone = [again, *kept[1:], new]
            successor = made(name, life.clock, life.rng)
            successor.restore(json.loads(json.dumps(life.strategy.state())))
            successor.members(tuple(life.everyone))
            life.strategy = successor


@given(names, st.integers(0, 2**32), st.integers(0, 30))
@settings(max_examples=40, deadline=None)
def test_a_restored_strategy_goes_on_like_the_one_it_replaces(name: str, seed: int, before: int) -> None:
    one, two = Life(name, seed), Life(name, seed)
    for _ in range(before):
        assert one.step() == two.step()

    successor = made(name, two.clock, random.Random())
    successor.restore(json.loads(json.dumps(two.strategy.state())))
    successor.members(tuple(two.everyone))
    if hasattr(successor, "_rng"):
        successor._rng = two.strategy._rng  # type: ignore[attr-defined]
    two.strategy = successor

    assert [one.step() for _ in range(30)] == [two.step() for _ in range(30)]


@given(names, st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_a_preview_says_what_comes_and_changes_nothing(name: str, seed: int) -> None:
    life = Life(name, seed)
    for _ in range(20):
        life.step()
    ready, request = tuple(life.everyone), ChatRequest("m", [Message.user("hi")])

    def preview() -> object:
        twin = copy.deepcopy(life.strategy, {id(each): each for each in ready})
        return twin.pick(ready, request)

    first, second = preview(), preview()

    assert first is second is life.strategy.pick(ready, request)


@pytest.mark.parametrize("name", [each.name for each in FACTORIES])
@pytest.mark.parametrize(
    "state", [{}, {"estimates": 1}, {"estimates": {"a": 1}}, {"hosts": {"h": 1}, "ties": {}}]
)
def test_a_foreign_state_is_refused_or_means_nothing(name: str, state: dict[str, object]) -> None:
    strategy = made(name, Clock(), random.Random(1))
    if name == "power_of_two":
        strategy.restore(state)
        return

    with pytest.raises(ValueError):
        strategy.restore(state)


@pytest.mark.parametrize("factory", FACTORIES, ids=lambda each: each.name)
def test_a_strategy_copes_with_members_that_tell_only_the_least(factory: StrategyFactory) -> None:
    class Bare:
        weight, in_flight = 1, 0

        def __init__(self, id: str) -> None:
            self.id = id

    members = (Bare("a"), Bare("b"), Bare("c"))
    strategy = made(factory.name, Clock(), random.Random(1))
    strategy.members(members)

    for _ in range(5):
        assert strategy.pick(members, object()) in members


# ── packaging and page ───────────────────────────────────────────────────────────────────────────────


def test_the_entry_points_are_the_names_of_the_factories() -> None:
    project = tomllib.loads((ROOT / "contrib/strategies/pyproject.toml").read_text("utf-8"))["project"]

    declared = project["entry-points"]["pointsman.strategies"]

    assert declared == {each.name: "pointsman_strategies:plugin" for each in FACTORIES}
    assert isinstance(plugin, PointsmanSpec)


def test_the_router_finds_every_strategy_of_the_plugin() -> None:
    found = Plugins([plugin])

    assert {found.strategy(each.name).name for each in FACTORIES} == {each.name for each in FACTORIES}


@pytest.mark.parametrize("name", [each.name for each in FACTORIES])
async def test_a_pool_as_the_router_builds_it_picks_what_it_previews_with_every_strategy(name: str) -> None:
    providers = {each: {"type": "scripted"} for each in ("a", "b", "c")}
    models = {"m": {"strategy": name, "deployments": ["a/x", "b/x", "c/x"]}}

    request = ChatRequest("m", [Message.user("hi")], user="u")

    pool = built({"providers": providers, "models": models}, plugin, Scripted()).pools["m"]

    for _ in range(4):
        expected, _ = pool.preview(pool.deployments, request)
        assert pool.strategy.pick(pool.deployments, request) is expected


@pytest.mark.parametrize(
    "name", ["round_robin", "weighted", "least_connections", *(f.name for f in FACTORIES)]
)
def test_calls_go_where_they_go_whether_somebody_asks_before_each_of_them_or_not(name: str) -> None:
    deployments = [
        {"provider": each, "model": "x", "weight": n + 1, "price": {"input": n, "output": 1}}
        for n, each in enumerate("abc")
    ]
    setup = {
        "providers": {each: {"type": "scripted"} for each in "abc"},
        "models": {"m": {"strategy": name, "deployments": deployments}},
    }

    async def picks(*, asks: bool) -> list[str]:
        found = []
        upstream = Scripted()
        async with Router.from_config(setup, plugins=[plugin, upstream], rng=random.Random(3)) as router:
            for number in range(12):
                # With an id of its own, for one of ours is drawn before the choice is made.
                said: dict[str, Any] = {
                    "affinity": f"talk {number % 4}",
                    "user": "u",
                    "request_id": f"r{number}",
                }
                if asks:
                    before = router.status().to_dict()
                    explained = router.explain("m", "hi " * number or "hi", **said)
                    assert router.status().to_dict() == before
                reply = await router.chat("m", "hi " * number or "hi", **said)
                assert not asks or explained.pick == reply.deployment
                found.append(reply.deployment)
        return found

    assert run(picks(asks=True)) == run(picks(asks=False))


def test_a_setting_that_does_not_exist_is_refused_and_every_one_is_described() -> None:
    for factory in FACTORIES:
        if factory.settings is None:
            continue
        model: type[BaseModel] = factory.settings
        assert all(field.description for field in model.model_fields.values())
        with pytest.raises(ValueError, match="extra_forbidden|Extra inputs"):
            model.model_validate({"nonsense": 1})


def table(model: type[BaseModel]) -> str:
    """The settings of a strategy as its section of the page holds them."""
    lines = ["| key | default | unit | meaning |", "| --- | --- | --- | --- |"]
    for name, schema in model.model_json_schema()["properties"].items():
        unit, default = schema.get("unit", ""), schema["default"]
        if unit == "seconds":
            default = format_duration(default)
        elif unit == "fraction":
            default = format_percent(default)
        shown = "" if schema.get("format") == "password" else f"`{default}`"
        lines.append(f"| `{name}` | {shown} | {unit} | {schema['description']} |")
    return "\n".join(lines)


@pytest.mark.parametrize("factory", [each for each in FACTORIES if each.settings], ids=lambda each: each.name)
def test_the_page_holds_the_table_of_settings(factory: StrategyFactory) -> None:
    assert factory.settings is not None
    expected = table(factory.settings)

    assert expected in PAGE.read_text("utf-8"), f"docs/strategies.md should hold:\n{expected}"


def test_the_page_has_a_section_a_line_of_configuration_and_a_picture_for_each() -> None:
    page = PAGE.read_text("utf-8")
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## )", page, re.DOTALL | re.MULTILINE))

    for factory in (*BUILT_IN, *FACTORIES):
        section = sections[factory.name]
        assert re.search(rf"```yaml\nstrategy: .*\b{factory.name}\b.*\n```", section)
        assert f"images/strategy-{factory.name}.svg" in section
        assert "**Limits.**" in section


def test_the_lines_of_configuration_are_valid() -> None:
    page = PAGE.read_text("utf-8")
    for line in re.findall(r"```yaml\n(strategy: .*)\n```", page):
        text = line.replace("${AFFINITY_KEY}", "secret")
        config = Config.from_mapping({"providers": {"a": {"type": "ollama"}}, **YAML(typ="safe").load(text)})
        factory = next(each for each in (*BUILT_IN, *FACTORIES) if each.name == config.strategy.type)
        if factory.settings is not None:
            factory.settings.model_validate(config.strategy.settings)


def test_the_complete_example_makes_a_router() -> None:
    example = re.search(r"```yaml\n(providers:.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert example is not None
    config = Config.from_mapping(YAML(typ="safe").load(example[1]))

    router = Router.from_config(config, plugins=[plugin])

    assert set(config.public_models()) == {"small", "large", "notes"}
    assert router is not None


def test_the_pictures_are_what_the_strategies_do() -> None:
    for name, picture in pictures().items():
        ElementTree.fromstring(picture)
        committed = (ROOT / "docs" / "images" / name).read_text("utf-8")
        assert committed == picture, "refresh with: python benchmarks/strategy_pictures.py"
