"""What a call of so many tokens costs, and the interface of what knows the prices of models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct
from pydantic import BaseModel

from pointsman._internal.settings import Count, Number, Section, setting
from pointsman.context import Context

if TYPE_CHECKING:
    from pointsman.types import Usage

_PER = 1_000_000
"""Tokens that a price is for."""
_HALF = _PER // 2
_ONE = 100_000_000
"""What 1 comes to by `_microcents`."""
_UNIT = {"unit": "USD per million tokens"}


class PriceTier(Section):
    """What tokens cost in calls whose prompt is longer than `above`: all of them, not only those beyond."""

    above: Count = setting(
        ge=1,
        description="the length of a prompt, all its parts counted",
        json_schema_extra={"unit": "tokens"},
    )
    input: Number = setting(ge=0, description="as beside `tiers`", json_schema_extra=_UNIT)
    output: Number = setting(ge=0, description="as beside `tiers`", json_schema_extra=_UNIT)
    cached: Number | None = setting(
        default=None, ge=0, description="as beside `tiers`", json_schema_extra=_UNIT
    )
    cache_write: Number | None = setting(
        default=None, ge=0, description="as beside `tiers`", json_schema_extra=_UNIT
    )
    cache_write_hour: Number | None = setting(
        default=None, ge=0, description="as beside `tiers`", json_schema_extra=_UNIT
    )


class Price(Section):
    """What a deployment charges, in USD per 1,000,000 tokens."""

    input: Number = setting(ge=0, description="for the prompt", json_schema_extra=_UNIT)
    output: Number = setting(ge=0, description="for the answer, reasoning included", json_schema_extra=_UNIT)
    cached: Number | None = setting(
        default=None,
        ge=0,
        description="for what of the prompt the upstream had in its cache; without it as `input`",
        json_schema_extra=_UNIT,
    )
    cache_write: Number | None = setting(
        default=None,
        ge=0,
        description="for what of the prompt the upstream put into its cache; without it as `input`",
        json_schema_extra=_UNIT,
    )
    cache_write_hour: Number | None = setting(
        default=None,
        ge=0,
        description="for what of that it keeps for an hour; without it as `cache_write`",
        json_schema_extra=_UNIT,
    )
    tiers: tuple[PriceTier, ...] = setting(
        default=(), description="what holds in place of these for calls with a long prompt"
    )
    service_tiers: dict[str, Number] = setting(
        default_factory=dict,
        description="by how the upstream says that it served a call, such as `flex` or `priority`, how many "
        "times as much its tokens cost",
        json_schema_extra={"examples": [{"flex": 0.5, "priority": 2}]},
    )
    request: Number = setting(
        default=0,
        ge=0,
        description="for the call itself, beside its tokens",
        json_schema_extra={"unit": "USD per call"},
    )

    def check(self, context: Any) -> None:
        edges = [each.above for each in self.tiers]
        if len(set(edges)) < len(edges):
            raise ValueError("two of the `tiers` begin at the same length, so that one of them never holds")
        if any(each < 0 for each in self.service_tiers.values()):
            raise ValueError("a service tier costs 0 or more times as much")

    def at(self, prompt: float) -> Price | PriceTier:
        """Where the prices stand that hold for a prompt of so many tokens: here, or in one of the tiers."""
        over = [each for each in self.tiers if prompt > each.above]
        return max(over, key=_above) if over else self

    def microcents(self, usage: Usage) -> int | None:
        """What a call that took these tokens costs, in millionths of a US cent (10^-8 USD).

        Exact but for one rounding, half up, at the end. Counts below 0 are held for 0, and the parts of a
        prompt for no more than all of it.

        Returns: None when the upstream did not count what costs something.
        """
        prompt, completion, rates = usage.prompt, usage.completion, self._rates
        if prompt is None:
            if self.tiers or rates.charges_prompt:
                return None
            prompt = 0
        for tier in self._longest_first:
            if prompt > tier.above:
                rates = tier
                break
        if completion is None:
            if rates.output:
                return None
            completion = 0
        parts = prompt * rates.input + completion * rates.output
        if usage.cached or usage.cache_write or prompt < 0 or completion < 0:
            parts = _in_parts(prompt, completion, usage, rates)  # which most calls need not pay for
        if usage.service_tier is not None and usage.service_tier in self._times:
            parts = parts * self._times[usage.service_tier] // _ONE
        return rates.request + (parts + _HALF) // _PER

    # Made with the first call that is counted, and kept: no call pays for decimals.

    @cached_property
    def _rates(self) -> _Rates:
        return _whole(self, 0, self.request)

    @cached_property
    def _times(self) -> Mapping[str, int]:
        return {tier: _microcents(times) for tier, times in self.service_tiers.items()}

    @cached_property
    def _longest_first(self) -> Sequence[_Rates]:
        tiers = [_whole(each, each.above, self.request) for each in self.tiers]
        return tuple(sorted(tiers, key=_above, reverse=True))


class KnownModel(Struct, frozen=True):
    """What a source knows of one upstream model; None for what it does not know.

    Attributes:
        price: what tokens cost there, in USD. A price of 0 says that it is free of charge.
        context_window: tokens that question and answer may have together, 1 or more.
        capabilities: what it can do of `completion`, `tools`, `vision`, `thinking`, `embedding`, `insert`;
            what is not among them, it cannot.
    """

    price: Price | None = None
    context_window: int | None = None
    capabilities: Sequence[str] | None = None


class PriceSource(Protocol):
    """Knows what upstream models cost, and how long a prompt they take."""

    def look(self, type: str, model: str, base_url: str | None, /) -> KnownModel | None:
        """What is known of `model`; None for nothing. Who does not know guesses nothing.

        Called while a router is built, once for each deployment that does not say everything itself, and
        when a `provider/upstream-model` is first asked for: nothing is fetched, and nothing is waited for.

        Args:
            type: the provider type, as configured.
            model: the upstream's own name of it.
            base_url: where its calls go: as configured, else the usual place of the type. None where it has
                none.
        """
        ...


class PriceContext(Context, frozen=True, kw_only=True, eq=False):
    """What a source of prices is made from."""


class PriceFactory(Struct, frozen=True):
    """What a plugin with prices offers.

    Attributes:
        name: as in `prices: [name]`.
        settings: the pydantic model of what may stand beside `type`; None when nothing may.
        make: returns a `PriceSource`, and opens nothing.
    """

    name: str
    settings: type[BaseModel] | None
    make: Callable[[PriceContext], PriceSource]


class _Rates(Struct, frozen=True, gc=False):
    """Prices in millionths of a cent per 1,000,000 tokens, for prompts longer than `above`, and of a call."""

    above: int
    request: int
    input: int
    output: int
    cached: int
    cache_write: int
    cache_write_hour: int

    @property
    def charges_prompt(self) -> bool:
        """Whether a prompt of whatever parts may cost something."""
        return bool(self.input or self.cached or self.cache_write or self.cache_write_hour)


_above = attrgetter("above")


def _in_parts(prompt: int, completion: int, usage: Usage, rates: _Rates) -> int:
    """What tokens cost of several kinds, in parts of `_PER`."""
    read = max(0, min(prompt, usage.cached or 0))
    put = max(0, min(prompt - read, usage.cache_write or 0))
    hour = max(0, min(put, usage.cache_write_hour or 0))
    plain = max(0, prompt - read - put)
    of_prompt = plain * rates.input + read * rates.cached + (put - hour) * rates.cache_write
    of_prompt += hour * rates.cache_write_hour
    return of_prompt + max(0, completion) * rates.output


def _whole(price: Price | PriceTier, above: int, request: float) -> _Rates:
    cached = price.input if price.cached is None else price.cached
    written = price.input if price.cache_write is None else price.cache_write
    kept = written if price.cache_write_hour is None else price.cache_write_hour
    said = request, price.input, price.output, cached, written, kept
    return _Rates(above, *map(_microcents, said))


def _microcents(usd: float) -> int:
    """The same in millionths of a cent, by the decimal number that people write: 0.1 is a tenth."""
    import decimal  # when the first call is counted

    exact = decimal.Context(prec=50, rounding=decimal.ROUND_HALF_UP)
    return int(decimal.Decimal(repr(usd)).scaleb(8, exact).to_integral_value(context=exact))
