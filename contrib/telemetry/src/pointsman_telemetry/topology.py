"""What a configuration says of its deployments, for labels; made anew after each reload."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct

from pointsman import Router
from pointsman_telemetry.names import provider_name

OTHER = "other"
"""The label of what stands in no configuration: whoever asks must not be able to make series."""


class Deployed(Struct, frozen=True):
    """One deployment.

    Attributes:
        provider: as `gen_ai.provider.name` has it.
        model: the upstream's own name of the model.
    """

    provider: str
    model: str


class Topology(Struct, frozen=True):
    """The names that labels may have.

    Attributes:
        models: the public names, aliases too.
        deployments: by id.
        strategies: of each public name, the type of its strategy.
        described_as: the pattern that a name is one of, where it is.
        target: the name that one is an alias of, else itself.
    """

    models: frozenset[str]
    deployments: Mapping[str, Deployed]
    strategies: Mapping[str, str]
    described_as: Callable[[str], str | None]
    target: Callable[[str], str]

    def model(self, name: str) -> str:
        """`name` where it is a public one, the pattern where it is one of that, else `other`."""
        return name if name in self.models else self.described_as(name) or OTHER

    def strategy(self, pool: str) -> str | None:
        """The type of the strategy that chose in `pool`; None for a `provider/model` that stands nowhere."""
        return self.strategies.get(pool) or self.strategies.get(self.described_as(pool) or "")

    def is_other(self, pool: str, asked: str) -> bool:
        """Whether `pool` is that of another model than was asked for, and not the one that `asked` means."""
        return pool != asked and pool != self.target(asked)

    def deployment(self, id: str) -> str:
        """`id` where there is such a deployment, "" for none, else `other`: `provider/model` of a call by its
        full name.
        """
        return id if not id or id in self.deployments else OTHER

    def upstream(self, deployment: str) -> tuple[str, str]:
        """Who is behind a deployment, and the upstream's own name of its model."""
        known = self.deployments.get(deployment)
        return (OTHER, OTHER) if known is None else (known.provider, known.model)


def topology_of(router: Router) -> Topology:
    """That of the configuration which `router` runs on now."""
    config = router.config
    status = router.status()
    deployments: dict[str, Deployed] = {}
    for pool in status.models.values():
        for id, each in pool.deployments.items():
            provider = config.providers.get(each.provider)
            kind = each.provider if provider is None else provider.type
            deployments[id] = Deployed(provider_name(kind), each.model)
    strategies = {name: pool.strategy for name, pool in status.models.items()}
    strategies |= {name: each.strategy for name, each in status.patterns.items()}
    names = config.names()
    return Topology(frozenset(names), deployments, strategies, names.described_as, names.target)
