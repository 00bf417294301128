"""OpenAI and OpenAI-compatible upstreams for pointsman."""

from __future__ import annotations

from collections.abc import Sequence

from pointsman.hookspecs import PointsmanSpec, hookimpl
from pointsman.provider import ProviderFactory
from pointsman_openai.provider import DEFAULT_BASE_URL, OpenAIProvider
from pointsman_openai.settings import OpenAISettings, WireSettings

__all__ = ["OpenAIPlugin", "OpenAIProvider", "OpenAISettings", "plugin"]


class OpenAIPlugin(PointsmanSpec):
    """The provider type `openai`."""

    @hookimpl
    def pointsman_providers(self) -> Sequence[ProviderFactory]:
        return [
            ProviderFactory(
                "openai",
                OpenAISettings,
                OpenAIProvider,
                default_base_url=DEFAULT_BASE_URL,
                needs_key=True,
                key_variable="OPENAI_API_KEY",
                options=WireSettings,
            )
        ]


plugin = OpenAIPlugin()
