"""What the gateway offers to a router and to the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from pointsman.plugin import PointsmanSpec, SectionFactory, SurfaceFactory, hookimpl
from pointsman_gateway.checking import check_gateway
from pointsman_gateway.settings import GatewaySettings

if TYPE_CHECKING:
    from pydantic import BaseModel

# Not a pydantic model, and stands in for one: as many of them take a tenth of the start.
SECTION = SectionFactory("gateway", cast("type[BaseModel]", GatewaySettings), check=check_gateway)


class GatewayPlugin(PointsmanSpec):
    """Offers the section `gateway`, and the command that serves it."""

    @hookimpl
    def pointsman_sections(self) -> Sequence[SectionFactory]:
        """The one that `pointsman serve` reads."""
        return [SECTION]

    @hookimpl
    def pointsman_surfaces(self) -> Sequence[SurfaceFactory]:
        """The APIs that callers speak."""
        from pointsman_gateway import surfaces  # with all wires: for nothing but a gateway

        return surfaces.built_in()

    @hookimpl
    def pointsman_commands(self) -> Sequence[Any]:
        """`pointsman serve`, and `pointsman env` for its callers."""
        from pointsman_gateway.commands import env, serve  # only the command line has click

        return [serve.command, env.command]
