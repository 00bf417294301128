"""The prices of genai-prices, as ours: what they come to, at which addresses, and at what time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from genai_prices import Usage as TheirUsage
from genai_prices import calc_price
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelPrice, Tier, TieredPrices

from pointsman.builtin.shipped_prices import Shipped, listed
from pointsman.plugin import Price, Usage, system_rng
from pointsman.testing import Contexts, SystemClock
from pointsman_prices.contracts import OfGenai
from pointsman_prices.genai import Genai, price_of, with_service_tiers

OPENAI, CLAUDE = "https://api.openai.com/v1", "https://api.anthropic.com"
PRESETS = {
    "azure": "https://acme.openai.azure.com/openai/v1",
    "cerebras": "https://api.cerebras.ai/v1",
    "deepseek": "https://api.deepseek.com",
    "fireworks": "https://api.fireworks.ai/inference/v1",
    "google": "https://generativelanguage.googleapis.com/v1beta/openai",
    "groq": "https://api.groq.com/openai/v1",
    "mistral": "https://api.mistral.ai/v1",
    "moonshotai": "https://api.moonshot.ai/v1",
    "openrouter": "https://openrouter.ai/api/v1",
    "perplexity": "https://api.perplexity.ai",
    "together": "https://api.together.xyz/v1",
    "x-ai": "https://api.x.ai/v1",
}
"""Where providers of presets are, by their names in genai-prices."""


class TestGenai(OfGenai):
    pass


class At(SystemClock):
    """A clock on which the same instant is now for ever."""

    def __init__(self, instant: datetime) -> None:
        self.wall = instant.timestamp  # type: ignore[misc]


NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


def source(instant: datetime = NOW) -> Genai:
    return Genai(Contexts(At(instant), system_rng()).prices("genai"))


def price(model: str, base_url: str, instant: datetime = NOW) -> Price:
    found = source(instant).look("openai", model, base_url)
    assert found is not None
    assert found.price is not None
    return found.price


# ── what they come to ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "usage",
    [
        Usage(prompt=12_345, completion=678),
        Usage(prompt=12_345, completion=678, cached=2_345),
        Usage(prompt=12_345, completion=0, cached=345, cache_write=10_001),
        Usage(prompt=100_000, completion=7, cached=1, cache_write=1),
        Usage(prompt=100_001, completion=7, cached=1, cache_write=1),
        Usage(prompt=300_000, completion=99_999, cached=123_457, cache_write=777),
    ],
)
@pytest.mark.parametrize(
    ("model", "base_url"),
    [
        ("gpt-6.1-sol", OPENAI),
        ("claude-haiku-5-5", CLAUDE),
        ("mistral-large-latest", PRESETS["mistral"]),
        ("gpt-4o", PRESETS["azure"]),
        ("deepseek-chat", PRESETS["deepseek"]),
    ],
)
def test_a_call_costs_what_genai_prices_makes_of_its_tokens(model: str, base_url: str, usage: Usage) -> None:
    counted = TheirUsage(
        input_tokens=usage.prompt,
        output_tokens=usage.completion,
        cache_read_tokens=usage.cached,
        cache_write_tokens=usage.cache_write,
    )
    theirs = calc_price(counted, model, provider_api_url=base_url, genai_request_timestamp=NOW).total_price

    ours = price(model, base_url).microcents(usage)

    assert ours is not None
    assert abs(ours - theirs * 10**8) <= 1


@pytest.mark.parametrize("model", ["gpt-5-mini", "gpt-4o", "gpt-4o-mini", "gpt-6-sol"])
def test_a_call_that_was_served_with_priority_costs_what_genai_prices_makes_of_it(model: str) -> None:
    counted = TheirUsage(input_tokens=300_001, output_tokens=12_345, cache_read_tokens=777)
    theirs = calc_price(
        counted,
        model,
        provider_api_url=OPENAI,
        genai_request_timestamp=NOW,
        price_context={"service_tier": "priority"},
    ).total_price

    ours = price(model, OPENAI).microcents(Usage(300_001, 12_345, 777, service_tier="priority"))

    assert ours is not None
    assert abs(ours - theirs * 10**8) <= 1


def test_what_anthropic_keeps_for_an_hour_costs_twice_its_input() -> None:
    found = price("claude-opus-4-5", CLAUDE)

    assert (found.input, found.cache_write, found.cache_write_hour) == (5, 6.25, 10)


def test_a_tier_of_which_not_all_parts_cost_as_many_times_as_much_is_left_out() -> None:
    plain = Price(input=1, output=2, cached=0.1)

    found = with_service_tiers(
        plain,
        {
            "flex": Price(input=0.5, output=1, cached=0.05),
            "half": Price(input=0.5, output=2, cached=0.1),
            "same": plain,
            "unknown": None,
        },
    )

    assert found.service_tiers == {"flex": 0.5}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"input_mtok": "0.5"}, {"input": 0.5, "output": 0}),
        ({"output_mtok": "2"}, {"input": 0, "output": 2}),
        (
            {"input_mtok": "1", "output_mtok": "2", "cache_read_mtok": "0.1", "cache_write_mtok": "1.25"},
            {"input": 1, "output": 2, "cached": 0.1, "cache_write": 1.25},
        ),
        (
            {"input_mtok": "1", "output_mtok": "1", "requests_kcount": "12"},
            {"input": 1, "output": 1, "request": 0.012},
        ),
        ({"audio_hours": "0.36"}, None),
        ({}, None),
    ],
)
def test_each_part_is_in_its_place(given: Mapping[str, str], expected: dict[str, Any] | None) -> None:
    found = price_of(ModelPrice(**{name: Decimal(each) for name, each in given.items()}))

    assert found == (None if expected is None else Price(**expected))


def test_tiers_of_its_parts_are_tiers_of_the_whole() -> None:
    prompt = TieredPrices(Decimal(1), [Tier(100, Decimal(3)), Tier(200, Decimal(9))])
    answer = TieredPrices(Decimal(2), [Tier(150, Decimal(4))])

    found = price_of(ModelPrice(input_mtok=prompt, output_mtok=answer, cache_read_mtok=Decimal("0.5")))

    tiers = [
        {"above": 100, "input": 3, "output": 2, "cached": 0.5},
        {"above": 150, "input": 3, "output": 4, "cached": 0.5},
        {"above": 200, "input": 9, "output": 4, "cached": 0.5},
    ]
    assert found == Price.model_validate({"input": 1, "output": 2, "cached": 0.5, "tiers": tiers})


# ── where and when ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("provider", PRESETS)
def test_the_addresses_of_presets_are_known(provider: str) -> None:
    assert get_snapshot().find_provider(None, None, PRESETS[provider]).id == provider


@pytest.mark.parametrize("base_url", [None, "", "http://127.0.0.1:11434", "https://llm.example.com/v1"])
def test_at_other_addresses_nothing_is_known_whatever_the_model_is_called(base_url: str | None) -> None:
    assert source().look("openai", "gpt-5-mini", base_url) is None


def test_a_price_is_that_of_the_day_on_which_it_is_looked_up() -> None:
    before = price("o3", OPENAI, datetime(2025, 6, 1, tzinfo=UTC))

    assert (before.input, price("o3", OPENAI).input) == (10.0, 2.0)


def test_a_price_by_the_time_of_day_is_that_of_the_time_when_it_is_looked_up() -> None:
    day = datetime(2025, 3, 1, tzinfo=UTC)

    noon, night = (price("deepseek-chat", PRESETS["deepseek"], day.replace(hour=hour)) for hour in (12, 20))

    assert noon.input > night.input


def test_a_context_window_comes_along() -> None:
    found = source().look("openai", "gpt-5-mini", OPENAI)

    assert found is not None
    assert (found.context_window, found.capabilities) == (400_000, None)


def test_its_data_are_read_by_nobody_who_does_not_name_it() -> None:
    script = (
        "import sys, pointsman\n"
        "given = {'providers': {'a': {'type': 'openai', 'api_key': 'k'}}, 'models': {'m': {'deployments': ['a/x']}}}\n"
        "def loaded(): return [name in sys.modules for name in ('genai_prices', 'httpx2')]\n"
        "pointsman.Router.from_config(given); print(loaded())\n"
        "pointsman.Router.from_config({**given, 'prices': ['genai']}); print(loaded())"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines() == ["[False, False]", "[True, True]"]


# ── beside the table that is built in ────────────────────────────────────────────────────────────────

DIFFERENT = {
    # It says 1,000,000; the maker's page says 1,047,576.
    "gpt-4.1": {"context_window"},
    "gpt-4.1-mini": {"context_window"},
    "gpt-4.1-nano": {"context_window"},
    # It says 8,192; the maker's page says 8,191.
    "text-embedding-3-large": {"context_window"},
    "text-embedding-3-small": {"context_window"},
    "text-embedding-ada-002": {"context_window"},
}
ONLY_OURS = {"gpt-6.2-sol"}  # newer than its data
ROWS = [(host, name) for host in ("api.openai.com", "api.anthropic.com") for name in listed(host)]


@pytest.mark.parametrize(("host", "name"), ROWS)
def test_it_agrees_with_the_table_that_is_built_in_but_for_what_is_named_here(host: str, name: str) -> None:
    ours = Shipped().look("", name, f"https://{host}")
    theirs = source().look("", name, f"https://{host}/v1")

    assert ours is not None
    assert (theirs is None) == (name in ONLY_OURS)
    if theirs is not None:
        assert ours.price is not None
        assert theirs.price is not None
        # The built-in table has what holds for all models of a maker; where both know a tier they agree.
        plain = [each.model_copy(update={"service_tiers": {}}) for each in (ours.price, theirs.price)]
        different = {"price"} if plain[0] != plain[1] else set()
        if ours.context_window != theirs.context_window:
            different.add("context_window")
        assert different == DIFFERENT.get(name, set())
        both = ours.price.service_tiers.keys() & theirs.price.service_tiers.keys()
        assert {each: ours.price.service_tiers[each] for each in both} == {
            each: theirs.price.service_tiers[each] for each in both
        }
