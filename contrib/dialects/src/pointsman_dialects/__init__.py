"""Configuration files of other programs, read as they are."""

from __future__ import annotations

from collections.abc import Sequence

from pointsman.plugin import DialectFactory, PointsmanSpec, hookimpl


class DialectsPlugin(PointsmanSpec):
    """The dialects `ai_services`, `load_balancer` and `litellm`."""

    @hookimpl
    def pointsman_config_dialects(self) -> Sequence[DialectFactory]:
        from pointsman_dialects.ai_services import DIALECTS  # only for what is no configuration of ours
        from pointsman_dialects.litellm import LITELLM

        return (*DIALECTS, LITELLM)


plugin = DialectsPlugin()

__all__ = ["DialectsPlugin", "plugin"]
