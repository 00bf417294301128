"""What looks for the servers and models of the providers of a configuration: made, and not begun."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from msgspec import Struct

from pointsman.auth import Fixed
from pointsman.build.clients import Clients
from pointsman.build.draft import Draft
from pointsman.build.factories import Factories
from pointsman.config import Named
from pointsman.config.discovered import Source, sources
from pointsman.discovery import Discovery
from pointsman.http.client import Client, Endpoint
from pointsman.provider import Provider
from pointsman.routing.snapshot import Upstream
from pointsman.types import ModelInfo


class ConfiguredDiscovery(Struct, frozen=True, eq=False):
    """One discovery, made and not asked yet.

    Attributes:
        source: what it is to be asked for.
        provider: whom it may ask for its models.
        opened: the clients that it has opened.
    """

    source: Source
    discovery: Discovery
    provider: Provider
    opened: list[Client]

    def goes_on(self, other: ConfiguredDiscovery) -> bool:
        """Whether `other`, which is asked already, will do in its place."""
        mine, others = self.source, other.source
        return mine.asks_as(others) and mine.interval == others.interval and self.provider is other.provider


class Discoveries:
    """Makes the discoveries of one configuration."""

    def __init__(self, draft: Draft, factories: Factories, clients: Clients) -> None:
        self._draft = draft
        self._factories = factories
        self._clients = clients

    def made(self, upstreams: Mapping[str, Upstream | None]) -> Sequence[ConfiguredDiscovery]:
        """All of them; whatever is wrong is a problem of the draft."""
        every = [(each, upstreams.get(each.provider)) for each in sources(self._draft.config)]
        made = [self._one(source, upstream) for source, upstream in every]
        return [each for each in made if each is not None]

    def _one(self, source: Source, upstream: Upstream | None) -> ConfiguredDiscovery | None:
        named = Named.model_validate({"type": source.type, **source.settings})
        configured = self._factories.configured("discovery", named, source.path)
        if configured is None or upstream is None:  # which is a problem already
            return None
        factory, settings = configured
        opened: list[Client] = []

        def open_client(endpoint: Endpoint) -> Client:
            client = self._clients.client(upstream.config, endpoint, Fixed(None), headers=False)
            opened.append(client)
            return client

        context = self._draft.contexts.discovery(
            source.type,
            settings,
            provider=source.provider,
            base_url=upstream.config.base_url or upstream.factory.default_base_url,
            http=open_client,
            models=partial(_models_of, upstream),
        )
        make = partial(factory.make, context)
        discovery = self._factories.make("discovery", source.type, source.path, make)
        if discovery is None:
            return None
        return ConfiguredDiscovery(source, discovery, upstream.provider, opened)


async def _models_of(upstream: Upstream) -> Sequence[ModelInfo]:
    return upstream.factory.models or await upstream.provider.models()
