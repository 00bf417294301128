"""The contract that is kept here, for `pointsman plugins check pointsman-prices`."""

from __future__ import annotations

from typing import ClassVar

from pointsman.plugin import PriceSource, system_rng
from pointsman.testing import Contexts, SystemClock
from pointsman.testing.contract import PricesContract
from pointsman_prices.genai import Genai


class OfGenai(PricesContract):
    """With models of three providers."""

    known: ClassVar = (
        ("openai", "gpt-5-mini", "https://api.openai.com/v1"),
        ("claude", "claude-sonnet-4-5", "https://api.anthropic.com"),
        ("openai", "mistral-large-latest", "https://api.mistral.ai/v1"),
    )

    def make(self) -> PriceSource:
        return Genai(Contexts(SystemClock(), system_rng()).prices("genai"))
