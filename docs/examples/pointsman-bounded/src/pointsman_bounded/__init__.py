"""The strategy `cheapest_within`: the cheapest deployment that answers fast enough."""

from collections.abc import Sequence

from pointsman.plugin import PointsmanSpec, StrategyFactory, hookimpl
from pointsman_bounded.strategy import BoundedSettings, CheapestWithin


class BoundedPlugin(PointsmanSpec):
    """What this package offers."""

    @hookimpl
    def pointsman_strategies(self) -> Sequence[StrategyFactory]:
        return [StrategyFactory("cheapest_within", BoundedSettings, CheapestWithin.made)]


plugin = BoundedPlugin()
