"""Prices: what a deployment charges for tokens."""

from __future__ import annotations

from pointsman._internal.settings import Number, Section, setting


class Price(Section):
    """What a deployment charges, in one currency for all, per 1,000,000 tokens."""

    input: Number = setting(ge=0, description="for the prompt")
    output: Number = setting(ge=0, description="for the answer")
    cached: Number | None = setting(
        default=None,
        ge=0,
        description="for what the upstream had in its cache, which `cheapest` cannot foresee and leaves out",
    )
