"""What a configuration comes to with what was found of its providers: what is said goes before what is found.

    what is said + what was found → the configuration that a router runs on

Each server of a provider becomes a provider of its own, `gpu@10.0.0.7`, and each deployment there one for
each server. What stays is called the same whatever comes and goes beside it, so that its state goes on.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from msgspec import Struct

from pointsman.config.names import Names, provider_and_model
from pointsman.config.problems import KeyPath
from pointsman.config.sections import (
    DeploymentConfig,
    DiscoverConfig,
    DiscoverModels,
    FallbackConfig,
    ModelConfig,
    ProviderConfig,
)
from pointsman.discovery import Found, FoundServer
from pointsman.values.model_names import callable_names

if TYPE_CHECKING:
    from pointsman.config.model import Config

AT = "@"
"""Stands between the name of a provider and that of one of its servers."""


class Source(Struct, frozen=True):
    """One thing that is to be asked what there is of a provider.

    Attributes:
        provider: the name of the provider, of one of its servers where it is that.
        path: where the configuration says so.
        type, settings: the plugin, and what it is told.
        reach: what else it goes by; with another one, what was found is no longer true.
        interval: seconds between two times that it is asked.
    """

    provider: str
    path: KeyPath
    type: str
    settings: Mapping[str, Any]
    reach: tuple[Any, ...]
    interval: float

    def asks_as(self, other: Source) -> bool:
        """Whether the answers to `other` are answers to this one."""
        return (self.provider, self.type, self.settings, self.reach) == (
            other.provider,
            other.type,
            other.settings,
            other.reach,
        )


def sources(config: Config) -> list[Source]:
    """All that is to be asked, going by `config`, be it as said or with what was found."""
    made = []
    for name, provider in config.providers.items():
        path: KeyPath = ("providers", config.family(name))
        reach = (provider.type, provider.preset, provider.base_url, provider.address)
        if isinstance(each := provider.discover, DiscoverConfig):
            made.append(Source(name, (*path, "discover"), each.type, each.settings, reach, each.interval))
        if isinstance(models := provider.models, DiscoverModels):
            settings = {"include": models.include, "exclude": models.exclude}
            made.append(Source(name, (*path, "models"), "models", settings, reach, models.interval))
    return made


def with_found(config: Config, found: Sequence[tuple[Source, Found]]) -> Config:
    """What `config`, as said, comes to with what its sources have found."""
    if not any(each.discovers for each in config.providers.values()):
        return config
    expanded = _with_servers(config, _servers(found))
    complete = _with_models(expanded, _models(found))
    complete._said, complete._followed = config.said, config.followed
    return complete


def former(
    config: Config, running: Config, known: Sequence[tuple[Source, Found]]
) -> list[tuple[Source, Found]]:
    """What goes for sources that have not answered yet: the models that there were before.

    So a list may become `discover`, and a provider its servers, and no call misses its model meanwhile.
    """
    former: list[tuple[Source, Found]] = []
    for source in sources(config):
        own, family = (
            running.providers.get(each) for each in (source.provider, config.family(source.provider))
        )
        was, now = own or family, config.providers[source.provider]
        waits = source.path[-1] == "models" and not any(each.asks_as(source) for each, _found in known)
        if waits and was is not None and was.listed and (was.type, was.preset) == (now.type, now.preset):
            former.append((source, Found(models=was.listed)))
    return former


def _servers(found: Sequence[tuple[Source, Found]]) -> Mapping[str, Mapping[str, FoundServer]]:
    """The servers of each provider by what they are called."""
    return {
        source.provider: {server_name(server): server for server in each.servers}
        for source, each in found
        if each.servers
    }


def server_name(server: FoundServer) -> str:
    """What a server is called beside the others of its provider: its address, or host and port."""
    return server.address or urlsplit(server.base_url or "").netloc


def _models(found: Sequence[tuple[Source, Found]]) -> Mapping[str, Sequence[str]]:
    made: dict[str, Sequence[str]] = {}
    for source, each in found:
        if each.models:
            made[source.provider] = (*made.get(source.provider, ()), *each.models)
    return made


# ── servers ──────────────────────────────────────────────────────────────────────────────────────────


def _with_servers(config: Config, found: Mapping[str, Mapping[str, FoundServer]]) -> Config:
    providers: dict[str, ProviderConfig] = {}
    replicas: dict[str, dict[str, FoundServer]] = {}
    for name, provider in config.providers.items():
        providers[name] = provider
        servers = found.get(name) if provider.discover is not None else None
        for called, server in (servers or {}).items():
            own = f"{name}{AT}{called}"
            if own not in config.providers:
                replicas.setdefault(name, {})[own] = server
                providers[own] = _replica(provider, server)
        if name in replicas:
            # It is still there for what only one can be asked, and its servers answer for it else.
            providers[name] = provider.model_copy(update={"models": [], "health": False})
    if not replicas:
        return config
    models = {name: _with_replicas(each, replicas) for name, each in config.models.items()}
    made = config.model_copy(update={"providers": providers, "models": models})
    made._families = {own: name for name, some in replicas.items() for own in some}
    return made


def _replica(provider: ProviderConfig, server: FoundServer) -> ProviderConfig:
    said: dict[str, Any] = {"discover": None, "labels": {**provider.labels, **server.labels}}
    if server.address is not None:
        said["address"] = server.address
    else:
        said |= {"base_url": (server.base_url or "").rstrip("/"), "address": None}
    return provider.model_copy(update=said)


def _with_replicas(model: ModelConfig, replicas: Mapping[str, Mapping[str, FoundServer]]) -> ModelConfig:
    if not any(each.provider in replicas for each in model.deployments):
        return model
    members: list[DeploymentConfig] = []
    for each in model.deployments:
        servers = replicas.get(each.provider)
        members += [each] if servers is None else [at_server(each, *server) for server in servers.items()]
    return model.model_copy(update={"deployments": members})


def at_server(
    deployment: DeploymentConfig, replica: str, server: FoundServer | None = None
) -> DeploymentConfig:
    """That of `deployment` at one server of its provider."""
    named = deployment.name and deployment.name + replica.removeprefix(deployment.provider)
    weight = deployment.weight * (1 if server is None else server.weight)
    return deployment.model_copy(update={"provider": replica, "name": named, "weight": weight})


# ── models ───────────────────────────────────────────────────────────────────────────────────────────


def _with_models(config: Config, found: Mapping[str, Sequence[str]]) -> Config:
    said = config.names()  # of `config` as it is: what it lists and describes
    providers = dict(config.providers)
    for name, provider in config.providers.items():
        more = [each for where in {name: 0, config.family(name): 0} for each in found.get(where, ())]
        usable = [each for each in callable_names(more) if _is_free(each, said, config.providers)]
        if isinstance(provider.models, DiscoverModels):
            providers[name] = provider.model_copy(update={"models": provider.models.having(usable)})
        elif usable and not config.servers_of(name):
            listed = list(dict.fromkeys((*provider.models, *usable)))
            providers[name] = provider.model_copy(update={"models": listed})
    made = config.model_copy(update={"providers": providers})
    return _without_unknown(made)


def _is_free(name: str, said: Names, providers: Collection[str]) -> bool:
    """Whether nothing that is said has this name: that goes before what is found."""
    provider, _model = provider_and_model(name)
    return provider not in providers and name not in said.aliases and not said.is_described(name)


def _without_unknown(config: Config) -> Config:
    """Without fallbacks on models that are not there now, for a call must not fail for one of these."""
    names = config.names()

    def known(fallbacks: Sequence[FallbackConfig]) -> list[FallbackConfig]:
        return [each for each in fallbacks if each.to in names]

    models = {
        name: each.model_copy(update={"fallback": known(each.fallback)})
        if each.fallback and len(known(each.fallback)) < len(each.fallback)
        else each
        for name, each in config.models.items()
    }
    return config.model_copy(update={"models": models, "fallback": known(config.fallback)})
