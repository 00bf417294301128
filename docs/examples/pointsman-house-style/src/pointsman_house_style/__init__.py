"""The guard `house_style`."""

from collections.abc import Sequence

from pointsman.plugin import GuardFactory, PointsmanSpec, hookimpl
from pointsman_house_style.guard import HouseStyle, HouseStyleSettings


class HouseStylePlugin(PointsmanSpec):
    """What this package offers."""

    @hookimpl
    def pointsman_guards(self) -> Sequence[GuardFactory]:
        return [GuardFactory("house_style", HouseStyleSettings, HouseStyle)]


plugin = HouseStylePlugin()
