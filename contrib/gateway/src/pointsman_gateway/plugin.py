"""What the gateway offers to a router and to the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pointsman.plugin import PointsmanSpec, SectionFactory, SurfaceFactory, hookimpl
from pointsman_gateway.settings import GatewaySettings

SECTION = SectionFactory("gateway", GatewaySettings)


class GatewayPlugin(PointsmanSpec):
    """Offers the section `gateway`, the surfaces of it, and the command that serves them."""

    @hookimpl
    def pointsman_sections(self) -> Sequence[SectionFactory]:
        """The one that `pointsman serve` reads."""
        return [SECTION]

    @hookimpl
    def pointsman_surfaces(self) -> Sequence[SurfaceFactory]:
        """The APIs that come with it."""
        from pointsman_gateway.surfaces import openai  # a router that embeds itself needs none

        return [openai.FACTORY]

    @hookimpl
    def pointsman_commands(self) -> Sequence[Any]:
        """`pointsman serve`."""
        from pointsman_gateway.commands.serve import command  # only the command line has click

        return [command]
