"""The table of prices that comes with the core, and what it is asked for."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any, ClassVar

import pytest

from pointsman.builtin import shipped_prices
from pointsman.builtin.shipped_prices import FREE, Shipped, as_of, listed
from pointsman.plugin import KnownModel, PriceSource
from pointsman.prices import Price
from pointsman.testing.contract import PricesContract

OPENAI, CLAUDE = "https://api.openai.com/v1", "https://api.anthropic.com"
PAGE = Path(__file__).resolve().parents[3] / "docs" / "prices.md"
HOSTS = ("api.openai.com", "api.anthropic.com")
ROWS = [(host, name) for host in HOSTS for name in listed(host)]
PARTS = ("input", "output", "cached", "cache_write", "cache_write_hour")
NAMES = {*PARTS, "tiers", "context_window", "capabilities"}


class TestShipped(PricesContract):
    known: ClassVar = [
        ("openai", "gpt-5-mini", OPENAI),
        ("claude", "claude-sonnet-4-5", CLAUDE),
        ("ollama", "llama3.2", "http://gpu1:11434"),
    ]

    def make(self) -> PriceSource:
        return Shipped()


def price(model: str, base_url: str | None, type: str = "openai") -> Price | None:
    found = Shipped().look(type, model, base_url)
    return None if found is None else found.price


# ── the table ────────────────────────────────────────────────────────────────────────────────────────


def test_it_says_on_which_day_it_was_so_and_the_page_says_the_same() -> None:
    assert date.fromisoformat(as_of()) >= date(2026, 11, 30)
    assert f"as of {as_of()}" in PAGE.read_text("utf-8")


@pytest.mark.parametrize(("host", "name"), ROWS)
def test_each_row_is_well_formed(host: str, name: str) -> None:
    row = listed(host)[name]

    assert {"input", "output", "capabilities"} <= row.keys() <= NAMES
    assert all(isinstance(row[part], float) and row[part] >= 0 for part in PARTS if part in row)
    assert row["input"] > 0
    assert set(row["capabilities"]) <= {"completion", "tools", "vision", "thinking", "embedding"}
    assert row["output"] > 0 or row["capabilities"] == ["embedding"]
    assert isinstance(row.get("context_window", 1), int)
    assert row.get("cached", 0) < row["input"] < row.get("cache_write", float("inf"))
    assert ("cache_write_hour" in row) == (host == "api.anthropic.com")
    assert row.get("cache_write_hour", 2 * row["input"]) == 2 * row["input"]


@pytest.mark.parametrize(("host", "name"), [each for each in ROWS if "tiers" in listed(each[0])[each[1]]])
def test_a_tier_says_all_that_its_row_does_and_each_is_dearer_than_the_one_before(
    host: str, name: str
) -> None:
    row = listed(host)[name]
    steps: list[dict[str, Any]] = [{**row, "above": 0}, *row["tiers"]]

    for one, next_ in zip(steps, steps[1:], strict=False):
        assert next_.keys() == {"above", *(part for part in PARTS if part in row)}
        assert isinstance(next_["above"], int)
        assert all(one[part] < next_[part] for part in next_)


def test_a_look_takes_all_from_the_row_that_a_price_can_hold() -> None:
    row = listed("api.openai.com")["gpt-5-mini"]

    found = Shipped().look("openai", "gpt-5-mini", OPENAI)

    assert found is not None
    said = {name: value for name, value in row.items() if name in Price.model_fields}
    assert found.price == Price(**said, service_tiers={"batch": 0.5, "flex": 0.5})
    assert (found.context_window, found.capabilities) == (row["context_window"], row["capabilities"])


# ── names ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("model", "base_url", "row"),
    [
        ("gpt-5-mini-2025-08-07", OPENAI, "gpt-5-mini"),
        ("gpt-4-0613", OPENAI, "gpt-4"),
        ("claude-opus-4-5-20251101", CLAUDE, "claude-opus-4-5"),
        ("claude-opus-4-20250514", CLAUDE, "claude-opus-4"),
        ("claude-3-5-haiku-latest", CLAUDE, "claude-3-5-haiku"),
    ],
)
def test_a_name_with_a_date_is_that_without_it(model: str, base_url: str, row: str) -> None:
    assert price(model, base_url) is not None
    assert price(model, base_url) == price(row, base_url)


def test_a_date_that_costs_something_else_has_a_row_of_its_own() -> None:
    half = {"batch": 0.5, "flex": 0.5}
    assert price("gpt-4o-2024-05-13", OPENAI) == Price(input=5, output=15, service_tiers=half)
    assert (
        price("gpt-4o-2024-08-06", OPENAI)
        == price("gpt-4o", OPENAI)
        == Price(input=2.5, output=10, cached=1.25, service_tiers=half)
    )


@pytest.mark.parametrize(
    "model",
    [
        "gpt-4o-audio-preview",
        "gpt-4o-mini-realtime-preview-2024-12-17",
        "ft:gpt-4o-mini-2024-07-18:acme::id",
        "gpt-5-minor",
        "gpt-5-mini-",
        "GPT-5-mini",
        "openai/gpt-5-mini",
        "gpt-99",
    ],
)
def test_of_what_only_begins_alike_nothing_is_known(model: str) -> None:
    assert Shipped().look("openai", model, OPENAI) is None


# ── addresses ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "base_url",
    [
        "https://openrouter.ai/api/v1",
        "https://acme.openai.azure.com/openai/v1",
        "https://api.openai.com.evil.test/v1",
        "https://eu.api.openai.com/v1",
        "http://127.0.0.1.evil.test/v1",
        "http://10.0.0.7:8000/v1",
        "http://[",
        "",
        None,
    ],
)
def test_another_address_is_not_openai_whatever_it_speaks(base_url: str | None) -> None:
    assert Shipped().look("openai", "gpt-5-mini", base_url) is None


def test_the_address_counts_and_not_the_type() -> None:
    found = price("gpt-5-mini", "https://API.openai.com:443/v1/", type="acme")

    assert found is not None
    assert found == price("gpt-5-mini", OPENAI)


@pytest.mark.parametrize(
    ("type", "base_url"),
    [
        ("ollama", "http://gpu1:11434"),
        ("ollama", None),
        ("localai", "https://models.internal"),
        ("openai", "http://127.0.0.1:8000/v1"),
        ("openai", "http://127.8.0.1/v1"),
        ("openai", "http://localhost:1234/v1"),
        ("claude", "http://[::1]:8000"),
        ("acme", "http://here.localhost"),
    ],
)
def test_ones_own_server_is_free_of_charge(type: str, base_url: str | None) -> None:
    assert Shipped().look(type, "llama3.2", base_url) is FREE
    assert KnownModel(Price(input=0, output=0)) == FREE


@pytest.mark.parametrize(
    ("model", "base_url"),
    [
        ("gpt-oss:120b-cloud", "http://127.0.0.1:11434"),
        ("qwen3-coder:cloud", "http://gpu1:11434"),
        ("gpt-oss:120b", "https://ollama.com"),
    ],
)
def test_what_ollama_runs_for_others_is_not_free(model: str, base_url: str) -> None:
    assert Shipped().look("ollama", model, base_url) is None


# ── the start ────────────────────────────────────────────────────────────────────────────────────────


def test_the_table_is_not_read_for_other_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    def read() -> Any:
        raise AssertionError("it was read")

    monkeypatch.setattr(shipped_prices, "_table", read)

    assert price("gpt-5-mini", "http://127.0.0.1:1/v1") is not None
    assert price("gpt-5-mini", "https://openrouter.ai/api/v1") is None
    with pytest.raises(AssertionError, match="it was read"):
        price("gpt-5-mini", OPENAI)


def test_the_file_is_small_and_has_a_row_in_each_line() -> None:
    text = Path(shipped_prices.__file__).with_suffix(".json").read_text("utf-8")

    assert len(text) < 20_000
    assert len(re.findall(r'^ {6}"', text, re.MULTILINE)) == len(ROWS)
