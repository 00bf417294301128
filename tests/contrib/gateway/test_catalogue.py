"""The catalogue knows every public name, from memory, and says no more than holds wherever a call goes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from gateways import configuration
from hypothesis import given
from hypothesis import strategies as st

from pointsman import Router
from pointsman.builtin import shipped_prices
from pointsman.plugin import (
    Caller,
    CatalogueEntry,
    KnownModel,
    ModelInfo,
    PointsmanSpec,
    PriceFactory,
    Unavailable,
    hookimpl,
)
from pointsman.testing import Scripted, SystemClock
from pointsman_gateway.models.catalogue import STALE, Facts, GatewayCatalogue, common, facts_of
from pointsman_gateway.models.well_known import known_model
from pointsman_simulator import Simulator

ANYBODY = Caller()


class Still:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> float:
        return self.at

    def wall(self) -> float:
        return 1_700_000_000.0 + self.at

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


def scripted(models: Mapping[str, Any]) -> dict[str, Any]:
    providers = {"here": {"type": "scripted"}, "there": {"type": "scripted", "models": ["listed"]}}
    return {"providers": providers, "models": dict(models)}


async def entry(name: str, models: Mapping[str, Any]) -> CatalogueEntry | None:
    async with Router.from_config(scripted(models), plugins=[Scripted()]) as router:
        catalogue = GatewayCatalogue(router, Still())
        found = catalogue.entry(name, ANYBODY)
        await catalogue.aclose()
        return found


async def test_a_model_of_which_nobody_knows_anything_is_one_that_completes() -> None:
    found = await entry("m", {"m": {"deployments": ["here/nobody-knows-it"]}})

    assert found is not None
    assert (found.capabilities.can, found.capabilities.context_length) == (("completion",), 8192)
    assert found.created == 1_700_000_000


async def test_what_the_configuration_says_counts_before_what_is_well_known() -> None:
    said = {"can": ["completion"], "context_length": 4096}
    found = await entry("m", {"m": {"deployments": ["here/gpt-4o"], "capabilities": said}})

    assert found is not None
    assert (list(found.capabilities.can), found.capabilities.context_length) == (["completion"], 4096)
    assert found.capabilities.family == "gpt"  # which it does not say


async def test_a_model_promises_what_all_of_its_deployments_can_do() -> None:
    found = await entry("m", {"m": {"deployments": ["here/gpt-4o", "there/llama3.2:3b"]}})

    assert found is not None
    assert list(found.capabilities.can) == ["completion", "tools"]
    assert found.capabilities.context_length == 128_000
    assert found.capabilities.family == ""


async def test_what_a_deployment_says_and_the_router_knows_counts_before_what_is_well_known() -> None:
    here = {"provider": "here", "model": "gpt-4o"}
    given = scripted(
        {
            "said": {"deployments": [{**here, "name": "own", "context_window": 9000}]},
            "known": {"deployments": [here]},
        }
    )
    async with Router.from_config({**given, "prices": ["wide"]}, plugins=[Scripted(), Wide()]) as router:
        catalogue = GatewayCatalogue(router, Still())
        catalogue.look()
        await looked()
        said, known = (catalogue.entry(name, ANYBODY) for name in ("said", "known"))
        await catalogue.aclose()

    assert said is not None
    assert known is not None
    assert said.capabilities.context_length == 9000
    assert (list(known.capabilities.can), known.capabilities.context_length) == (["completion"], 500_000)
    assert known.capabilities.family == "gpt"  # which no source of prices says


class Wide(PointsmanSpec):
    """A source of prices that knows one window of all models."""

    @hookimpl
    def pointsman_prices(self) -> list[PriceFactory]:
        return [PriceFactory("wide", None, lambda _context: self)]

    def look(self, _type: str, _model: str, _base_url: str | None, /) -> KnownModel:
        return KnownModel(None, 500_000, ("completion",))


async def test_a_model_with_a_selector_promises_what_all_can_do_that_it_picks() -> None:
    models = {
        "big": {"deployments": ["here/gpt-5"]},
        "small": {"deployments": ["here/gemma3"]},
        "auto": {
            "selector": {"type": "rules", "rules": [{"use": "big", "tools": True}]},
            "of": ["big", "small"],
        },
    }
    found = await entry("auto", models)

    assert found is not None
    assert list(found.capabilities.can) == ["completion", "vision"]
    assert found.capabilities.context_length == 131_072


async def test_what_a_provider_lists_in_the_configuration_and_full_names_are_known_too() -> None:
    async with Router.from_config(
        scripted({"m": {"deployments": ["here/x"]}}), plugins=[Scripted()]
    ) as router:
        catalogue = GatewayCatalogue(router, Still())

        assert [each.name for each in catalogue.listed(ANYBODY)] == ["m", "listed"]
        assert catalogue.entry("here/claude-sonnet-4-5", ANYBODY) is not None
        assert catalogue.entry("elsewhere/claude-sonnet-4-5", ANYBODY) is None
        assert catalogue.entry("unknown", ANYBODY) is None
        await catalogue.aclose()


async def test_a_caller_learns_only_of_models_that_it_may_use() -> None:
    async with Router.from_config(
        scripted({"m": {"deployments": ["here/x"]}}), plugins=[Scripted()]
    ) as router:
        catalogue = GatewayCatalogue(router, Still())
        caller = Caller("somebody", frozenset(["listed"]))

        assert [each.name for each in catalogue.listed(caller)] == ["listed"]
        assert catalogue.entry("m", caller) is None
        assert catalogue.entry("here/x", caller) is None
        await catalogue.aclose()


async def test_what_an_upstream_lists_is_known_a_little_later_and_asked_for_again_when_it_is_old(
    simulator: Simulator,
) -> None:
    upstream = await simulator.add("ollama", models=["llama3.2"], capabilities=["completion", "vision"])
    clock = Still()
    async with Router.from_config(configuration(upstream)) as router:
        catalogue = GatewayCatalogue(router, clock)
        at_first = catalogue.entry("assistant", ANYBODY)
        assert upstream.requests == []
        catalogue.look()
        await looked()
        then = catalogue.entry("assistant", ANYBODY)
        clock.at = STALE - 1
        catalogue.listed(ANYBODY)
        assert looking() == []
        clock.at = STALE
        catalogue.listed(ANYBODY)
        assert len(looking()) == 1
        await catalogue.aclose()

    assert at_first is not None
    assert then is not None
    assert list(at_first.capabilities.can) == ["completion", "tools"]
    assert list(then.capabilities.can) == ["completion", "vision"]
    assert then.capabilities.family != ""
    assert then.size_bytes > 0


async def test_an_upstream_that_does_not_answer_takes_nothing_away() -> None:
    upstream = Scripted()
    async with Router.from_config(scripted({"m": {"deployments": ["here/x"]}}), plugins=[upstream]) as router:
        upstream.default("here", Unavailable("down"))
        catalogue = GatewayCatalogue(router, Still())
        catalogue.look()
        await looked()

        assert [each.name for each in catalogue.listed(ANYBODY)] == ["m", "listed"]
        await catalogue.aclose()


async def looked() -> None:
    (task,) = looking()
    await task


def looking() -> list[asyncio.Task[Any]]:
    return [each for each in asyncio.all_tasks() if each.get_name() == "pointsman.gateway.catalogue"]


async def test_a_reload_brings_other_models_at_once(tmp_path: Any) -> None:
    async with Router.from_config(
        scripted({"m": {"deployments": ["here/x"]}}), plugins=[Scripted()]
    ) as router:
        catalogue = GatewayCatalogue(router, Still())
        assert catalogue.entry("n", ANYBODY) is None
        await router.reload(scripted({"n": {"deployments": ["here/x"]}}))

        assert [each.name for each in catalogue.listed(ANYBODY)] == ["n", "listed"]
        await catalogue.aclose()


async def test_a_list_of_two_hundred_models_takes_a_millisecond() -> None:
    models = {f"m{n}": {"deployments": [f"here/gpt-4o-{n}"]} for n in range(200)}
    async with Router.from_config(scripted(models), plugins=[Scripted()]) as router:
        catalogue = GatewayCatalogue(router, SystemClock())
        catalogue.listed(ANYBODY)
        took = []
        for _ in range(20):
            began = time.thread_time()
            assert len(catalogue.listed(ANYBODY)) == 201
            took.append(time.thread_time() - began)
        await catalogue.aclose()

    assert min(took) < 0.001


# ── what upstreams say ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("said", "can"),
    [
        (["chat", "embeddings"], {"completion", "embedding"}),
        (["image_input", "thinking", "batch"], {"vision", "thinking"}),
        (["image"], None),  # that it draws pictures
        ([], None),
    ],
)
def test_what_upstreams_say_in_their_words_is_understood(said: Sequence[str], can: set[str] | None) -> None:
    assert facts_of(ModelInfo("m", "here", capabilities=said)).can == can


@pytest.mark.parametrize("raw", [None, [], {"details": None}, {"details": {"family": 3}}, {"details": ["x"]}])
def test_details_of_another_shape_are_none(raw: Any) -> None:
    found = facts_of(ModelInfo("m", "here", raw=raw))

    assert (found.family, found.parameter_size) == (None, "")


FACTS = st.builds(
    Facts,
    st.none() | st.frozensets(st.sampled_from(["completion", "tools", "vision"]), min_size=1),
    st.none() | st.integers(1, 10**6),
    st.none() | st.sampled_from(["llama", "gpt"]),
)


@given(st.lists(FACTS, max_size=4))
def test_what_is_common_holds_of_each_member_that_says_anything(members: list[Facts]) -> None:
    found = common(members)

    able = [each.can for each in members if each.can is not None]
    if able and frozenset.intersection(*able):
        assert all(found.can <= each for each in able)  # type: ignore[operator]
    for each in members:
        if each.context_length is not None:
            assert found.context_length is not None
            assert found.context_length <= each.context_length
        if found.family and each.family:
            assert found.family == each.family


@pytest.mark.parametrize(
    ("name", "can", "length"),
    [
        ("gpt-4o-mini-2024-07-18", "completion tools vision", 128_000),
        ("openai/gpt-5-mini", "completion tools vision thinking", 400_000),
        ("gpt-4-0613", "completion tools", 8192),
        ("o1-pro", "completion tools vision thinking", 200_000),
        ("claude-3-haiku-20240307", "completion tools vision", 200_000),
        ("claude-sonnet-4-5", "completion tools vision thinking", 200_000),
        ("llama3.2:1b", "completion tools", 131_072),
        ("llama3.2-vision:11b", "completion vision", 131_072),
        ("library/qwen2.5-coder:7b-instruct-q4_K_M", "completion tools insert", 32_768),
        ("nomic-embed-text", "embedding", 2048),
        ("text-embedding-3-small", "embedding", 8191),
    ],
)
def test_well_known_models_are_known_by_the_names_that_upstreams_give_them(
    name: str, can: str, length: int
) -> None:
    found = known_model(name)

    assert found is not None
    assert (" ".join(found.can), found.context_length) == (can, length)


@pytest.mark.parametrize(
    "name", ["", "o10", "gpt-4omni", "my-model", "llamaindex", "llama32", "phi", "/", ":"]
)
def test_a_name_that_only_looks_like_one_is_not_known(name: str) -> None:
    assert known_model(name) is None


@pytest.mark.parametrize("host", ["api.openai.com", "api.anthropic.com"])
def test_what_the_shipped_prices_say_of_a_model_is_what_is_well_known_of_it(host: str) -> None:
    for name, row in shipped_prices.listed(host).items():
        known = known_model(name)

        assert known is not None, name
        assert (known.context_length, {*known.can}) == (row["context_window"], {*row["capabilities"]}), name
