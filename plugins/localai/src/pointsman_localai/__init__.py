"""LocalAI upstreams for pointsman."""

from __future__ import annotations

from collections.abc import Sequence

from pointsman.plugin import PointsmanSpec, ProviderFactory, hookimpl
from pointsman_localai.management import Job, LoadedModel
from pointsman_localai.provider import LocalAIProvider
from pointsman_localai.settings import LocalAIOptions, LocalAISettings

__all__ = ["Job", "LoadedModel", "LocalAIPlugin", "LocalAIProvider", "LocalAISettings", "plugin"]


class LocalAIPlugin(PointsmanSpec):
    """The provider type `localai`."""

    @hookimpl
    def pointsman_providers(self) -> Sequence[ProviderFactory]:
        return [
            ProviderFactory(
                "localai",
                LocalAISettings,
                LocalAIProvider,
                default_base_url=LocalAIProvider.default_base_url,
                key_variable="LOCALAI_API_KEY",
                options=LocalAIOptions,
            )
        ]


plugin = LocalAIPlugin()
