"""Claude (Anthropic Messages) upstreams for pointsman."""

from __future__ import annotations

from collections.abc import Sequence

from pointsman.plugin import PointsmanSpec, ProviderFactory, hookimpl
from pointsman_claude.provider import ClaudeOptions, ClaudeProvider, ClaudeSettings

__all__ = ["ClaudePlugin", "ClaudeProvider", "ClaudeSettings", "plugin"]


class ClaudePlugin(PointsmanSpec):
    """Offers the provider type `claude`."""

    @hookimpl
    def pointsman_providers(self) -> Sequence[ProviderFactory]:
        return [
            ProviderFactory(
                "claude",
                ClaudeSettings,
                ClaudeProvider,
                options=ClaudeOptions,
                default_base_url=ClaudeProvider.default_base_url,
                needs_key=True,
                key_variable="ANTHROPIC_API_KEY",
            )
        ]


plugin = ClaudePlugin()
