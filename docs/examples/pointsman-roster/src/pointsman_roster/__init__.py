"""The discovery `roster`: the servers of a provider stand in a file of JSON, which somebody else writes."""

from collections.abc import Sequence

from pointsman.plugin import DiscoveryFactory, PointsmanSpec, hookimpl
from pointsman_roster.roster import Roster, RosterSettings


class RosterPlugin(PointsmanSpec):
    """What this package offers."""

    @hookimpl
    def pointsman_discovery(self) -> Sequence[DiscoveryFactory]:
        return [DiscoveryFactory("roster", RosterSettings, Roster.made)]


plugin = RosterPlugin()
