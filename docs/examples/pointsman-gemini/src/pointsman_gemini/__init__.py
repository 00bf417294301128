"""The surface `gemini`."""

from collections.abc import Sequence

from pointsman.plugin import PointsmanSpec, SurfaceFactory, hookimpl
from pointsman_gemini.surface import Gemini


class GeminiPlugin(PointsmanSpec):
    """What this package offers."""

    @hookimpl
    def pointsman_surfaces(self) -> Sequence[SurfaceFactory]:
        return [SurfaceFactory("gemini", None, Gemini)]


plugin = GeminiPlugin()
