"""Prices: what a deployment charges for tokens, and the interface of what knows that of models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct
from pydantic import BaseModel

from pointsman._internal.settings import Number, Section, setting
from pointsman.context import Context


class Price(Section):
    """What a deployment charges, in one currency for all, per 1,000,000 tokens."""

    input: Number = setting(ge=0, description="for the prompt")
    output: Number = setting(ge=0, description="for the answer")
    cached: Number | None = setting(
        default=None,
        ge=0,
        description="for what the upstream had in its cache, which `cheapest` cannot foresee and leaves out",
    )


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
