"""More strategies for pointsman: `power_of_two`, `peak_ewma`, `affinity`, `cheapest` and `warm`."""

from __future__ import annotations

from pointsman.plugin import PointsmanSpec, StrategyFactory, hookimpl
from pointsman_strategies import affinity, cheapest, peak_ewma, power_of_two, warm
from pointsman_strategies.affinity import Affinity, AffinitySettings
from pointsman_strategies.cheapest import Cheapest, CheapestSettings
from pointsman_strategies.peak_ewma import PeakEwma, PeakEwmaSettings
from pointsman_strategies.power_of_two import PowerOfTwo
from pointsman_strategies.warm import Warm, WarmSettings

__all__ = [
    "Affinity",
    "AffinitySettings",
    "Cheapest",
    "CheapestSettings",
    "PeakEwma",
    "PeakEwmaSettings",
    "PowerOfTwo",
    "StrategiesPlugin",
    "Warm",
    "WarmSettings",
    "plugin",
]


class StrategiesPlugin(PointsmanSpec):
    """Offers the five strategies."""

    @hookimpl
    def pointsman_strategies(self) -> list[StrategyFactory]:
        """One factory for each name."""
        return [affinity.FACTORY, cheapest.FACTORY, peak_ewma.FACTORY, power_of_two.FACTORY, warm.FACTORY]


plugin = StrategiesPlugin()
