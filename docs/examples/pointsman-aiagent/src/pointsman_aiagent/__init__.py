"""The provider type `aiagent`: agents that are asked over gRPC."""

from collections.abc import Sequence

from pointsman.plugin import PointsmanSpec, ProviderFactory, hookimpl
from pointsman_aiagent.provider import AgentProvider, AgentSettings


class AgentPlugin(PointsmanSpec):
    """What this package offers."""

    @hookimpl
    def pointsman_providers(self) -> Sequence[ProviderFactory]:
        return [
            ProviderFactory(
                "aiagent", AgentSettings, AgentProvider, default_base_url="http://127.0.0.1:50051"
            )
        ]


plugin = AgentPlugin()
