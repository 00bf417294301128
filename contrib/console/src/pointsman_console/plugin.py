"""What the package offers: a surface, whose only answers are files."""

from __future__ import annotations

from collections.abc import Sequence

from pointsman.plugin import PointsmanSpec, Surface, SurfaceContext, SurfaceFactory, hookimpl


class ConsolePlugin(PointsmanSpec):
    """Offers the surface `console`."""

    @hookimpl
    def pointsman_surfaces(self) -> Sequence[SurfaceFactory]:
        """The page."""
        return [SurfaceFactory("console", None, _made)]


def _made(_context: SurfaceContext) -> Surface:
    from pointsman_console.surface import ConsoleSurface  # with the files, which only a gateway needs

    return ConsoleSurface()
