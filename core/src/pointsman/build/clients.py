"""The HTTP clients of providers and deployments, each with a transport of its own; none opens anything."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Any

from msgspec.structs import replace

from pointsman.auth import Auth
from pointsman.build.draft import Draft
from pointsman.build.factories import Factories
from pointsman.build.transports import Transports
from pointsman.config import DeploymentConfig, Named, ProviderConfig, codes
from pointsman.config.problems import KeyPath
from pointsman.http.client import Client, Endpoint
from pointsman.http.failures import Used
from pointsman.transports.options import TransportOptions, TransportUnavailable


class Clients:
    """Makes clients of what a provider's configuration says of its connections."""

    def __init__(self, draft: Draft, factories: Factories) -> None:
        self._draft = draft
        self._factories = factories
        self._transports = Transports(draft.plugins, draft.contexts, draft.scrubber, draft.trace)
        self._configured: dict[int, tuple[Any, Any] | None] = {}
        """Transports' factories and settings, by the identity of the `Named`, which the draft keeps."""

    def client(
        self,
        config: ProviderConfig,
        endpoint: Endpoint,
        auth: Auth,
        deployment: DeploymentConfig | None = None,
        *,
        headers: bool = True,
    ) -> Client:
        """A client of a provider, with the limits of one `deployment`. Raises TransportUnavailable.

        `headers`: its requests go to the provider itself, with its own headers, and to its `address`.
        """
        own = config.headers.items() if headers else ()
        more = {name: value.reveal() for name, value in own}
        address = config.address if headers else None
        return Client(
            replace(endpoint, headers={**endpoint.headers, **more}, address=address or endpoint.address),
            self._transport(config, deployment),
            auth=auth,
            clock=self._draft.clock,
            connect_timeout=self.connect_timeout(config, deployment),
            scrubber=self._draft.scrubber,
            plugins=Used(
                auth=config.credentials[0].type if config.credentials else "",
                transport=self._named(config).type,
            ),
        )

    def _transport(self, config: ProviderConfig, deployment: DeploymentConfig | None) -> Any:
        """A transport, which opens nothing yet. Raises TransportUnavailable."""
        named = self._named(config)
        configured = self._settings_of(named)
        assert configured is not None, "`can_be_made` said that it is sound"
        options, place = self.options(config, deployment), self._place(config)
        return self._transports.open(named.type, options, configured[1], place=place)

    def _place(self, config: ProviderConfig) -> KeyPath:
        """Where a provider stands, for whoever traces what is made."""
        if self._draft.trace is None:
            return ()
        providers = self._draft.config.providers.items()
        return next((("providers", name) for name, each in providers if each is config), ())

    def _named(self, config: ProviderConfig) -> Named:
        return config.transport or self._draft.config.transport

    def _settings_of(self, named: Named, path: KeyPath = ("transport",)) -> tuple[Any, Any] | None:
        """The factory of a transport and its settings; None with problems, the first time."""
        if id(named) not in self._configured:
            self._configured[id(named)] = self._factories.transport(named, path)
        return self._configured[id(named)]

    def can_be_made(self, config: ProviderConfig, path: KeyPath) -> bool:
        """Whether a transport can: one is made for nothing, and what is wrong with it is a problem."""
        before, options = len(self._draft.found), self.options(config, None)
        place: KeyPath = ("transport",) if config.transport is None else (*path, "transport")
        configured = self._settings_of(self._named(config), place)
        if config.ca_file is not None:
            self._opens(replace(options, client_cert=None).ssl_context, (*path, "ca_file"))
        if config.client_cert is not None:
            self._opens(replace(options, ca_file=None).ssl_context, (*path, "client_cert"))
        if configured is not None and len(self._draft.found) == before:
            self._opens(lambda: self._transport(config, None), place)
        return configured is not None and len(self._draft.found) == before

    def options(self, config: ProviderConfig, deployment: DeploymentConfig | None) -> TransportOptions:
        """What is asked of a transport of that provider."""
        max_in_flight = None if deployment is None else deployment.max_in_flight
        return TransportOptions(
            # A tenth above the limit, so that a connection that is being closed holds up nobody.
            max_connections=None if max_in_flight is None else ceil(max_in_flight * 1.1) + 1,
            connect_timeout=self.connect_timeout(config, deployment),
            keepalive_expiry=config.keepalive,
            http2=config.http2,
            proxy=None if config.proxy is None else config.proxy.reveal(),
            ca_file=config.ca_file,
            client_cert=None if config.client_cert is None else (config.client_cert, config.client_key),
            trust_env=config.trust_env,
            client_key_password=config.client_key_password,
            min_tls=config.min_tls,
        )

    def connect_timeout(self, config: ProviderConfig, deployment: DeploymentConfig | None = None) -> float:
        """Seconds that a connection may take to open: the most specific that is said."""
        own = None if deployment is None else deployment.timeouts.connect
        return own or config.timeouts.connect or self._draft.config.timeouts.connect

    def _opens(self, make: Callable[[], object], path: KeyPath) -> None:
        try:
            make()
        except TransportUnavailable as error:
            self._draft.problem(path, str(error), code=codes.CANNOT_BE_DONE)
