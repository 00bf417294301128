"""What the package offers to the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pointsman.plugin import PointsmanSpec, hookimpl


class ForecastPlugin(PointsmanSpec):
    """Offers the command `forecast`."""

    @hookimpl
    def pointsman_commands(self) -> Sequence[Any]:
        """`pointsman forecast`."""
        from pointsman_forecast.command import command  # only the command line has click

        return [command]
