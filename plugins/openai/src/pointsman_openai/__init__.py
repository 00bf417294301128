"""OpenAI and OpenAI-compatible upstreams for pointsman."""

from __future__ import annotations

from collections.abc import Sequence

from pointsman.plugin import PointsmanSpec, ProviderFactory, hookimpl
from pointsman_openai.provider import OpenAIProvider
from pointsman_openai.settings import OpenAISettings, WireSettings
from pointsman_openai.wire import Quirks

__all__ = ["OpenAIPlugin", "OpenAIProvider", "OpenAISettings", "Quirks", "WireSettings", "plugin"]


class OpenAIPlugin(PointsmanSpec):
    """The provider type `openai`."""

    @hookimpl
    def pointsman_providers(self) -> Sequence[ProviderFactory]:
        return [
            ProviderFactory(
                "openai",
                OpenAISettings,
                OpenAIProvider,
                default_base_url=OpenAIProvider.default_base_url,
                needs_key=True,
                key_variable="OPENAI_API_KEY",
                options=WireSettings,
                presets="pointsman_openai:presets",
            )
        ]


plugin = OpenAIPlugin()
