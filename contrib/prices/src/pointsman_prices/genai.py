"""The source of prices `genai`: those of genai-prices, at the time when they are looked up."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelPrice, TieredPrices

from pointsman.plugin import KnownModel, Price, PriceContext, PriceFactory, PriceSource, PriceTier

_PARTS: Mapping[str, str] = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cached": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_hour": "cache_write_1h_mtok",
}
"""What ours are called there."""


class Genai(PriceSource):
    """What genai-prices has for the address of a provider; it fetches nothing."""

    def __init__(self, context: PriceContext) -> None:
        self._clock = context.clock

    def look(self, type: str, model: str, base_url: str | None, /) -> KnownModel | None:
        if not base_url or not model:
            return None  # without an address it would go by what the name of the model resembles
        try:
            _provider, found = get_snapshot().find_provider_model(model, None, None, base_url)
        except LookupError:
            return None
        now = datetime.fromtimestamp(self._clock.wall(), UTC)
        price = price_of(found.get_prices(now))
        if price is not None and (
            tiers := {each.when.get("service_tier") for each in found.price_variants or ()}
        ):
            others = {each: price_of(found.get_prices(now, {"service_tier": each})) for each in tiers if each}
            price = with_service_tiers(price, others)
        return KnownModel(price, found.context_window)


def price_of(prices: ModelPrice) -> Price | None:
    """`prices` as ours; None where tokens have none, as those of sounds by the hour."""
    said = {part: found for part, name in _PARTS.items() if (found := getattr(prices, name)) is not None}
    if "input" not in said and "output" not in said:
        return None
    starts = sorted(
        {tier.start for each in said.values() if isinstance(each, TieredPrices) for tier in each.tiers}
    )
    ours: dict[str, Any] = _parts(said, 0)
    ours["tiers"] = [{"above": start, **_parts(said, start + 1)} for start in starts]
    if isinstance(requests := prices.requests_kcount, Decimal):
        ours["request"] = float(requests / 1000)
    return Price(**ours)


def with_service_tiers(price: Price, others: Mapping[str, Price | None]) -> Price:
    """`price` with how many times as much a call costs that was served otherwise, by the prices for that.

    Where not all of its parts cost as many times as much, nothing is said.
    """
    times = {}
    for tier, other in sorted(others.items()):
        if other is not None and price.input and other != price:
            ratio = Fraction(repr(other.input)) / Fraction(repr(price.input))
            if _numbers(other) == [each * ratio for each in _numbers(price)]:
                times[tier] = float(ratio)
    return price.model_copy(update={"service_tiers": times}) if times else price


def _numbers(price: Price) -> list[Fraction]:
    """All prices of tokens in it, but for parts of caches that are not said."""
    rows: tuple[Price | PriceTier, ...] = (price, *price.tiers)
    return [
        Fraction(repr(found))
        for each in rows
        for found in (each.input, each.output, each.cached, each.cache_write, each.cache_write_hour)
        if found is not None
    ]


def _parts(said: Mapping[str, Decimal | TieredPrices], prompt: int) -> dict[str, float]:
    """What each part costs in a call with a prompt of so many tokens."""
    return {"input": 0.0, "output": 0.0, **{part: _at(each, prompt) for part, each in said.items()}}


def _at(price: Decimal | TieredPrices, prompt: int) -> float:
    if isinstance(price, TieredPrices):
        held = [tier.price for tier in price.tiers if prompt > tier.start]
        price = held[-1] if held else price.base
    return float(price)


GENAI = PriceFactory("genai", None, Genai)
