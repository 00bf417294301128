"""The providers of a configuration: their objects with credentials and health checks."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace
from pydantic import BaseModel

from pointsman._internal.scrubber import Scrubber, userinfo
from pointsman.auth import Auth, Fixed, Secret, is_plain
from pointsman.build.clients import Clients
from pointsman.build.draft import Draft
from pointsman.build.factories import Factories
from pointsman.config import CredentialConfig, ProviderConfig, codes
from pointsman.config.problems import KeyPath
from pointsman.errors import InvalidRequest, PluginError
from pointsman.events import HealthChanged
from pointsman.http.client import Client, Endpoint
from pointsman.provider import ProviderFactory
from pointsman.resilience.health_check import CheckSettings, HealthChecker, HealthState, answered
from pointsman.routing.deployment_state import DeploymentState
from pointsman.routing.snapshot import Upstream
from pointsman.transports.options import TransportUnavailable

if TYPE_CHECKING:
    from pointsman.http.renewal import Renewal

_BESIDE = ("discover", "health", "labels", "limits", "max_in_flight", "models", "shared_limits", "timeouts")
"""What is said at a provider and not to it: neither the object nor its clients are made of these."""


class Providers:
    """Makes the providers, or takes over those that nothing has changed about.

    Attributes:
        known: the factories of those whose type is known, whatever else is wrong with them.
    """

    def __init__(self, draft: Draft, factories: Factories, clients: Clients) -> None:
        self._draft = draft
        self._factories = factories
        self._clients = clients
        self.known: dict[str, ProviderFactory] = {}

    def upstream(self, name: str, config: ProviderConfig) -> Upstream | None:
        """The provider of that name as it runs: the one there was, or a new one; None with problems."""
        previous = self._draft.previous
        old = None if previous is None else previous.upstreams.get(name)
        if old is not None and self._same_provider(old.config, config):
            self.known[name] = old.factory
            return self._checked(replace(old, config=config), old)
        new = self._new(name, config)
        return None if new is None else self._checked(new, old)

    def _new(self, name: str, config: ProviderConfig) -> Upstream | None:
        path: KeyPath = ("providers", name)
        self._know(config, path)
        for_tokens: list[Client] = []
        auth = self._auth(name, config, for_tokens)
        works = self._clients.can_be_made(config, path)
        factory = self._factory(config, path)
        if factory is None:
            return None
        self.known[name] = factory
        settings = self._factories.validated(factory.settings, config.settings, path)
        lacks = [each(config, factory, path) for each in (self._lacks_address, self._lacks_credential)]
        if any(lacks) or settings is None or auth is None or not works:
            return None
        return self._made(name, config, factory, settings, auth, for_tokens)

    def _factory(self, config: ProviderConfig, path: KeyPath) -> ProviderFactory | None:
        """The type of a provider, as its preset has it where it names one; None with problems."""
        factory: ProviderFactory | None = self._factories.offered("provider", config.type, (*path, "type"))
        if factory is None or config.preset is None:
            return factory
        from pointsman.build.presets import with_preset  # most providers name none

        try:
            return with_preset(factory, config.preset)
        except PluginError as error:
            self._draft.problem((*path, "preset"), error.message, code=codes.NO_SUCH_PRESET)
            return None

    def _lacks_address(self, config: ProviderConfig, factory: ProviderFactory, path: KeyPath) -> bool:
        if factory.base_url_form is None or config.base_url is not None:
            return False
        self._draft.problem(
            path,
            f"a provider {_of(config)} has no usual address",
            code=codes.LACKS_ADDRESS,
            hint=f"add `base_url: {factory.base_url_form}`, with what is yours in place of the capitals",
        )
        return True

    def _lacks_credential(self, config: ProviderConfig, factory: ProviderFactory, path: KeyPath) -> bool:
        # Elsewhere than at its usual address, if it has one, there may be a server of one's own.
        elsewhere = factory.base_url_form is None and config.base_url is not None
        if not factory.needs_key or elsewhere or config.credentials:
            return False
        variable = factory.key_variable or "API_KEY"
        self._draft.problem(
            path,
            f"a provider {_of(config)} needs a credential",
            code=codes.LACKS_CREDENTIAL,
            hint=f'add `auth: {{type: env, name: {variable}}}` or `api_key: "${{{variable}}}"`',
        )
        return True

    def _made(
        self,
        name: str,
        config: ProviderConfig,
        factory: ProviderFactory,
        settings: BaseModel,
        auth: Auth,
        for_tokens: list[Client],
    ) -> Upstream | None:
        """What the factory makes, with clients that it opens on demand; None with a problem."""
        path: KeyPath = ("providers", name)
        own: list[Client] = []

        def open_client(endpoint: Endpoint) -> Client:
            client = self._clients.client(config, endpoint, auth)
            own.append(client)
            return client

        base_url = config.base_url or factory.default_base_url
        overheard = _Overheard(auth, self._draft.scrubber)
        context = self._draft.contexts.provider(
            config.type,
            settings,
            name=name,
            base_url=None if base_url is None else base_url.rstrip("/"),
            auth=overheard,
            open=open_client,
            credential=overheard.secret,
        )
        provider = self._factories.make("provider", config.type, path, lambda: factory.make(context))
        if provider is None:
            return None
        try:
            if provider.endpoint is not None:  # one for nothing: its headers may be none that can be sent
                self._clients.client(config, provider.endpoint, auth)
        except (InvalidRequest, TransportUnavailable) as error:
            shown = self._draft.scrubber.shown(error)
            self._draft.problem(path, shown, code=codes.CANNOT_BE_DONE)
            return None
        return Upstream(config, factory, provider, auth, open_client, own, for_tokens)

    def _auth(self, name: str, config: ProviderConfig, opened: list[Client]) -> Auth | None:
        """Where the credential of a provider comes from; its clients join those `opened`."""
        key = "auth" if config.api_key is None else "api_key"
        if not config.credentials:
            return Fixed(None)

        def open_client(endpoint: Endpoint) -> Client:
            client = self._clients.client(config, endpoint, Fixed(None), headers=False)
            opened.append(client)
            return client

        path: KeyPath = ("providers", name, key)
        listed = isinstance(config.auth, list)
        made: list[tuple[CredentialConfig, Auth]] = []
        for index, each in enumerate(config.credentials):
            context = partial(
                self._draft.contexts.auth, provider=name, http=open_client, section=self._section(each.type)
            )
            place: KeyPath = (*path, index) if listed else path
            auth: Auth | None = self._factories.made("auth", each, place, context)
            if auth is not None:
                made.append((each, auth))
        if len(made) < len(config.credentials):
            return None
        ((first, auth),) = made[:1]
        in_turn = listed or first.has_an_end or hasattr(auth, "versions")
        if not in_turn:
            return auth if is_plain(auth) else self._renewal(name, first, auth)
        from pointsman.http.rotation import (  # most providers have one credential
            CredentialRotation,
            RotationSource,
        )

        sources = [
            RotationSource(each.type, self._renewal(name, each, auth), auth, each.not_before, each.not_after)
            for each, auth in made
        ]
        draft = self._draft
        return CredentialRotation(
            sources, clock=draft.clock, rng=draft.rng, scrubber=draft.scrubber, provider=name
        )

    def _renewal(self, name: str, config: CredentialConfig, auth: Auth) -> Renewal:
        from pointsman.http.renewal import Renewal  # most credentials need nothing of it

        return Renewal(
            auth,
            clock=self._draft.clock,
            rng=self._draft.rng,
            scrubber=self._draft.scrubber,
            plugin=config.type,
            provider=name,
        )

    def _section(self, type: str) -> Any:
        """What stands at the top under the name of a type of credentials; None where it is wrong, too."""
        draft = self._draft
        if type not in draft.config.sections or type not in draft.plugins.names("section"):
            return None
        section = draft.plugins.get("section", type)
        # Whoever makes the services says what is wrong with it.
        return draft.config.validate_settings(section.settings, draft.config.sections[type], (type,), [])

    def _know(self, config: ProviderConfig, path: KeyPath) -> None:
        """Have the secrets of `config` hidden that no plugin gets to see."""
        self._draft.hide(config.headers, (*path, "headers"))
        self._draft.hide(config.proxy, (*path, "proxy"))
        for proxy in self._clients.options(config, None).proxies():
            self._draft.scrubber.know(userinfo(proxy))

    def _checked(self, upstream: Upstream, old: Upstream | None) -> Upstream:
        """`upstream` with the checks that the configuration wants for it, not begun yet.

        What the checks said of the `old` one stays, and they go on when nothing about them has changed.
        """
        settings = self._draft.config.health_for(upstream.config)
        if settings is None:
            return replace(upstream, checks=None, prober=None, warming=[])
        kept = None if old is None else old.checks
        if old is not None and kept is not None:
            if old.provider is upstream.provider and kept.settings == settings:
                return upstream
            self._draft.adoptions += [partial(kept.configure, settings), old.warming.clear]
        checks, warming = (
            (kept, old.warming) if old is not None and kept else self._new_checks(upstream, settings)
        )
        prober = HealthChecker(
            upstream.provider.name,
            lambda: answered(upstream.provider.probe()),
            checks.report,
            settings=settings,
            clock=self._draft.clock,
            rng=self._draft.rng,
            scrub=self._draft.scrubber.text,
        )
        return replace(upstream, checks=checks, prober=prober, warming=warming)

    def _new_checks(
        self, upstream: Upstream, settings: CheckSettings
    ) -> tuple[HealthState, list[DeploymentState]]:
        events, name, readiness = self._draft.events, upstream.provider.name, self._draft.readiness
        warming: list[DeploymentState] = []

        def changed(healthy: bool, now: float, reason: str) -> None:
            readiness.invalidate()
            events.report(HealthChanged(name, healthy, reason))
            for each in warming if healthy else ():
                each.begin_warm_up(now)

        return HealthState(settings, on_change=changed, say=self._draft.scrubber.shown), warming

    def _same_provider(self, old: ProviderConfig, new: ProviderConfig) -> bool:
        """Whether a provider object and its clients can stay: nothing they are made of has changed."""
        assert self._draft.previous is not None
        before = self._draft.previous.config
        return (
            _reach(old) == _reach(new)
            and before.plugins == self._draft.config.plugins
            and before.transport == self._draft.config.transport
            and (old.timeouts.connect or before.timeouts.connect) == self._clients.connect_timeout(new)
        )


def _reach(config: ProviderConfig) -> dict[str, Any]:
    """What a provider object and its clients are made of, but for the time to connect."""
    return {name: value for name, value in config if name not in _BESIDE}


def _of(config: ProviderConfig) -> str:
    """What a provider is of, as the end of its name."""
    return f"of type {config.type}" + (f" with preset {config.preset}" if config.preset else "")


class _Overheard:
    """`auth`, with a scrubber that hears of every credential it gives, to hide it from then on."""

    __slots__ = ("_auth", "_scrubber")

    def __init__(self, auth: Auth, scrubber: Scrubber) -> None:
        self._auth = auth
        self._scrubber = scrubber

    def current(self) -> Secret | None:
        if (secret := self._auth.current()) is not None:
            self._scrubber.learn(secret.reveal())
        return secret

    async def secret(self) -> Secret | None:
        """The credential to use now, refreshed before where it takes that. Raises CallError."""
        if is_plain(self._auth):
            return self.current()
        renewed: Secret | None = await self._auth.secret()  # type: ignore[attr-defined]  # it is a `Renewal`
        return renewed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._auth, name)

    def rejected(self, secret: Secret) -> bool:
        return self._auth.rejected(secret)
