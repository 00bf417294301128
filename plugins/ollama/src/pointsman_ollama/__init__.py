"""Ollama upstreams (native API) for pointsman."""

from __future__ import annotations

from pointsman.plugin import PointsmanSpec, ProviderFactory, hookimpl
from pointsman_ollama.environment import environment
from pointsman_ollama.provider import OllamaProvider
from pointsman_ollama.settings import OllamaSettings

__all__ = ["OllamaPlugin", "plugin"]


class OllamaPlugin(PointsmanSpec):
    """Offers the provider type `ollama`."""

    @hookimpl
    def pointsman_providers(self) -> list[ProviderFactory]:
        """The one factory; it needs no key, because only ollama.com asks for one."""
        return [
            ProviderFactory(
                "ollama",
                OllamaSettings,
                OllamaProvider,
                default_base_url=OllamaProvider.default_base_url,
                key_variable="OLLAMA_API_KEY",
                environment=environment,
            )
        ]


plugin = OllamaPlugin()
