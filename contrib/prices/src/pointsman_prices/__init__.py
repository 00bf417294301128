"""What models of many providers cost, from the data of genai-prices."""

from __future__ import annotations

from collections.abc import Sequence

from pointsman.plugin import PointsmanSpec, PriceFactory, hookimpl


class PricesPlugin(PointsmanSpec):
    """The source of prices `genai`."""

    @hookimpl
    def pointsman_prices(self) -> Sequence[PriceFactory]:
        from pointsman_prices.genai import (
            GENAI,
        )  # its data, and an HTTP client of its own: only for who uses it

        return (GENAI,)


plugin = PricesPlugin()

__all__ = ["PricesPlugin", "plugin"]
