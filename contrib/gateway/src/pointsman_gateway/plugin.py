"""What the gateway offers to a router and to the command line."""

from __future__ import annotations

from collections.abc import Sequence

from pointsman.plugin import PointsmanSpec, SectionFactory, hookimpl
from pointsman_gateway.settings import GatewaySettings

SECTION = SectionFactory("gateway", GatewaySettings)


class GatewayPlugin(PointsmanSpec):
    """Offers the section `gateway`."""

    @hookimpl
    def pointsman_sections(self) -> Sequence[SectionFactory]:
        """The one that `pointsman serve` reads."""
        return [SECTION]
