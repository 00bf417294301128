"""Configuration and plugins → snapshot: everything a router runs on, built whole or not at all.

Building touches no network. All problems are collected and raised together; only when there is none are
audit files opened. What did not change since a previous snapshot is taken over with its state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import replace
from functools import partial
from math import ceil, inf
from pathlib import Path as FilePath
from typing import Any, NamedTuple, TypeVar
from weakref import WeakSet

from pydantic import BaseModel, SecretStr

from pointsman._internal.plugin_errors import OWN, fault
from pointsman._internal.scrubber import Scrubber, userinfo
from pointsman._internal.timeouts import TimerHeap
from pointsman.audit import AuditSink
from pointsman.auth import Auth, Overheard, Secret
from pointsman.build.contexts import Contexts, as_configured
from pointsman.build.takeover import Kept, LiveSettings, settle
from pointsman.builtin.auth import Fixed
from pointsman.clock import Clock, Rng
from pointsman.config import Config, DeploymentConfig, LimitsConfig, ModelConfig, Named, ProviderConfig
from pointsman.config.findings import Finding
from pointsman.config.problems import Path, Problem
from pointsman.context import Context
from pointsman.errors import ConfigError, FallbackOn, InvalidRequest, Outcome, PluginError, UnknownModel
from pointsman.events import Events, HealthChanged
from pointsman.execution.hedging import HedgeSettings
from pointsman.http.client import Client, Endpoint, Used
from pointsman.plugins.interfaces import lack
from pointsman.plugins.registry import Plugins
from pointsman.provider import Provider, ProviderFactory
from pointsman.requests.parsing import default_options
from pointsman.requests.requirements import show, unmet
from pointsman.resilience.adaptive_concurrency import AdaptiveSettings
from pointsman.resilience.admission_queue import AdmissionQueue
from pointsman.resilience.circuit_breaker import BreakerSettings
from pointsman.resilience.cool_down import CoolDownSettings, Credential
from pointsman.resilience.fair_queue import FairQueue, QueueSettings
from pointsman.resilience.health_check import CheckSettings, HealthChecker, HealthState, answered
from pointsman.resilience.loaded_models import POLL_SECONDS, ModelServer
from pointsman.resilience.outlier_detection import OutlierDetector, OutlierSettings
from pointsman.resilience.rate_limit import Gcra, Oversize, RateLimits, RateLimitScope
from pointsman.resilience.retry_budget import HEDGES, BudgetSettings, RetryBudget
from pointsman.resilience.warm_up import WarmUpSettings
from pointsman.retry import RetryPolicy
from pointsman.routing.deployment import Deployment
from pointsman.routing.deployment_state import Changes, DeploymentState
from pointsman.routing.lease import Lease
from pointsman.routing.pool import Fallback, Pool, chain
from pointsman.routing.runtime import Setting
from pointsman.routing.snapshot import Polled, Snapshot, Upstream
from pointsman.strategy import Price, Strategy
from pointsman.transports.options import TransportOptions, TransportUnavailable
from pointsman.units import Rate
from pointsman.wire.retry_after import left


def build(
    config: Config,
    plugins: Plugins,
    *,
    clock: Clock,
    rng: Rng,
    events: Events,
    previous: Snapshot | None = None,
    scrubber: Scrubber | None = None,
) -> Snapshot:
    """The snapshot of `config`. Raises ConfigError with all problems at once; then nothing was started.

    `scrubber` is told of all secrets in `config`; without it that of `previous`, else a new one.
    """
    if scrubber is None:
        scrubber = Scrubber() if previous is None else previous.setting.scrubber
    return _Builder(config, plugins, clock, rng, events, previous, scrubber).snapshot()


M = TypeVar("M", bound=BaseModel)


class _Choice(NamedTuple):
    """How a model chooses, and how often and how late it asks again (None: as in general)."""

    strategy: Strategy
    retry: RetryPolicy | None


class _Parts(NamedTuple):
    """What plugins make: all that a router is made of, but for what files it opens."""

    retry: RetryPolicy
    sinks: Sequence[Callable[[], AuditSink | None]]
    upstreams: Mapping[str, Upstream]
    choices: Mapping[str, _Choice]


def check(config: Config, plugins: Plugins, *, clock: Clock, rng: Rng) -> Sequence[Problem]:
    """What is allowed in `config` and probably not meant; nothing is started, no file opened.

    Raises: ConfigError with everything that is wrong.
    """
    builder = _Builder(config, plugins, clock, rng, Events(scrub=str), None, Scrubber())
    builder.pools(builder.parts())
    return builder.warnings


def wrong_for_plugins(config: Config, plugins: Plugins, *, clock: Clock, rng: Rng) -> Sequence[Finding]:
    """What plugins find wrong with `config`, whose references may lead nowhere; nothing is started."""
    builder = _Builder(config, plugins, clock, rng, Events(scrub=str), None, Scrubber())
    with suppress(ConfigError):
        builder.parts()
    return builder.found


class _Builder:
    def __init__(
        self,
        config: Config,
        plugins: Plugins,
        clock: Clock,
        rng: Rng,
        events: Events,
        previous: Snapshot | None,
        scrubber: Scrubber,
    ) -> None:
        self._config = config
        self._scrubber = scrubber
        self._plugins = plugins
        self._clock = clock
        self._rng = rng
        self._contexts = Contexts(clock, rng, FilePath(config.file or "").parent)
        self._events = events
        self._previous = previous
        self.found: list[Finding] = []
        """What is wrong."""
        self.warnings: list[Problem] = []
        """What is allowed and probably not meant."""
        # The first build may come before any loop runs; nothing has happened by then.
        self._now = -inf if previous is None else clock.now()
        self._lives: dict[str, DeploymentState] = {}
        self._clients: dict[str, Client] = {}
        self._hosts: dict[str, Polled] = {}
        self._factories: dict[str, ProviderFactory] = {}
        """Of the providers whose type is known, whatever else is wrong with them."""
        self._scopes: dict[str, RateLimitScope] = {}
        self._kept = Kept(previous)
        self._specific = config.specific()
        self._limits: dict[str, RateLimits | None] = {}
        self._credentials: list[tuple[object, Credential]] = []
        self._changes = Changes() if previous is None else previous.changes
        self._retry_in_general: RetryPolicy | None = None
        self._listed = True
        """False for what no model lists: it shares one client with its like, and nobody has it warm up."""
        self._adoptions: list[Callable[[], None]] = []
        """What kept state takes over from the configuration, once all of it is known to be right."""

    def snapshot(self) -> Snapshot:
        parts = self.parts()
        pools = self.pools(parts)
        alive = WeakSet[Pool]() if self._previous is None else self._previous.alive
        alive.update(pools.values())
        started = self._started(parts.sinks)
        for adopt in self._adoptions:
            adopt()
        previous = self._previous
        snapshot = Snapshot(
            config=self._config,
            setting=Setting(
                clock=self._clock,
                rng=self._rng,
                events=self._events,
                retry=parts.retry,
                hedging=self._hedge_settings(),
                scrubber=self._scrubber,
                alarms=TimerHeap() if previous is None else previous.setting.alarms,
            ),
            upstreams=parts.upstreams,
            pools=pools,
            lives=self._lives,
            clients=self._clients,
            sinks=started,
            scopes=self._scopes,
            credentials=self._credentials,
            hosts=self._hosts,
            alive=alive,
            changes=self._changes,
            unlisted=self._unlisted,
        )
        for name in () if previous is None else previous.called_by_full_name:
            with suppress(UnknownModel):
                snapshot.pool(name)  # so that what is known of it goes on
        # The providers keep this builder for the clients that they open later; it must not keep the past.
        self._previous, self._kept, self._adoptions = None, Kept(None), []
        return snapshot

    def _unlisted(self, id: str, upstream: Upstream, model: str) -> Pool:
        """The pool of a `provider/upstream-model` that no model lists, made as those are that one does."""
        apart = copy(self)
        apart._listed, apart._now = False, self._clock.now()
        apart._lives, apart._clients, apart._limits = {}, {}, {}
        apart.found, apart._adoptions = [], []
        name = upstream.provider.name
        listed = ModelConfig.model_validate(
            {"deployments": [{"provider": name, "model": model}], "strategy": "round_robin"}
        )
        choice = apart._choice(id, listed)
        pool = None if choice is None else apart._pool(id, listed, {name: upstream}, choice)
        apart._refuse()
        assert pool is not None
        for adopt in apart._adoptions:
            adopt()
        return pool

    def parts(self) -> _Parts:
        """What plugins make of the configuration. Raises ConfigError with all that is wrong with it."""
        config = self._config
        self._retry_in_general = retry = self._retry(config.retry, ("retry",))
        self._offered("transport", config.transport, ("transport",))
        sinks = [self._sink(each, ("audit", n)) for n, each in enumerate(config.audit)]
        upstreams = {name: self._upstream(name, each) for name, each in config.providers.items()}
        models = config.public_models()
        if all(each.strategy is not None for each in models.values()):
            self._strategy(config.strategy, ("strategy",))  # nobody's, and checked all the same
        choices = {name: self._choice(name, each) for name, each in models.items()}
        self._check_control()
        self._refuse()
        assert retry is not None
        return _Parts(
            retry,
            [each for each in sinks if each is not None],
            {name: each for name, each in upstreams.items() if each is not None},
            {name: each for name, each in choices.items() if each is not None},
        )

    def pools(self, parts: _Parts) -> Mapping[str, Pool]:
        """The models, with the state of their deployments. Raises ConfigError."""
        models = self._config.public_models()
        made = {
            name: self._pool(name, models[name], parts.upstreams, choice)
            for name, choice in parts.choices.items()
        }
        self._refuse()
        pools = {name: pool for name, pool in made.items() if pool is not None}
        self._warn_of_long_chains(pools, parts.retry)
        return pools

    def _refuse(self) -> None:
        """Raises ConfigError when anything is wrong."""
        if self.found:
            raise self._config.error(self.found)

    def _warn_of_long_chains(self, pools: Mapping[str, Pool], general: RetryPolicy) -> None:
        for name, pool in pools.items():
            retry = pool.retry or general
            models = len(chain(pool, pools.__getitem__, lambda _pool, _each: True))
            if models > retry.attempts > 1:
                message = f"{models} models stand in this chain, and a request has {retry.attempts} attempts"
                hint = "each that is ready gets one, and none is asked twice; allow more attempts for retries"
                self.warnings.append(self._config.problem(("models", name, "fallback"), message, hint))

    # ── parts ────────────────────────────────────────────────────────────────────────────────────────

    def _retry(self, named: Named, path: Path) -> RetryPolicy | None:
        policy: RetryPolicy | None = self._made("retry", named, path, self._contexts.retry)
        return policy

    def _strategy(
        self, named: Named, path: Path, model: str = "", deployments: Sequence[DeploymentConfig] = ()
    ) -> Strategy | None:
        """The strategy of `model`; of nobody when there is none."""
        members = [as_configured(each) for each in deployments]
        context = partial(self._contexts.strategy, model=model, members=members)
        strategy: Strategy | None = self._made("strategy", named, path, context)
        return strategy

    def _auth(self, name: str, config: ProviderConfig, own: list[Client]) -> Auth | None:
        """Where the credential of a provider comes from; its clients join the provider's `own`."""
        key = "auth" if config.api_key is None else "api_key"
        if config.credential is None:
            return Fixed(None)

        def open_client(endpoint: Endpoint) -> Client:
            client = self._client(config, endpoint, Fixed(None), headers=False)
            own.append(client)
            return client

        context = partial(self._contexts.auth, provider=name, http=open_client)
        auth: Auth | None = self._made("auth", config.credential, ("providers", name, key), context)
        return auth

    def _sink(self, named: Named, path: Path) -> Callable[[], AuditSink | None] | None:
        factory = self._offered("audit", named.type, (*path, "type"))
        if factory is None:
            return None
        settings = self._validated(factory.settings, named.settings, path)
        if settings is None:
            return None
        return lambda: self._make(
            "audit", named.type, path, lambda: factory.make(self._contexts.audit(named.type, settings))
        )

    def _started(self, sinks: Sequence[Callable[[], AuditSink | None]]) -> Sequence[AuditSink]:
        made = [make() for make in sinks]
        started = [each for each in made if each is not None]
        if self.found:
            for each in started:
                with suppress(*OWN):
                    each.close()
        self._refuse()
        return started

    def _know(self, config: ProviderConfig) -> None:
        """Have the secrets of `config` hidden that no plugin gets to see."""
        self._scrubber.know(value.get_secret_value() for value in config.headers.values())
        for proxy in self._options(config, None).proxies():
            self._scrubber.know(userinfo(proxy))

    def _validated(self, model: type[M] | None, settings: Mapping[str, Any], path: Path) -> M | None:
        """The settings of a plugin, whose secrets are hidden from now on; None with problems."""
        kind: object = model
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            self._problem(path, f"the `settings` of its factory are {kind!r:.50}, expected a pydantic model")
            return None
        made = self._config.validate_settings(model, settings, path, self.found)
        self._scrubber.know(_secrets_in(made))
        return made

    def _offered(self, kind: str, name: str, path: Path) -> Any:
        """The factory of that kind and name; None with a problem."""
        try:
            return self._plugins.get(kind, name)
        except PluginError as error:
            self._problem(path, error.message)
            return None

    def _made(self, kind: str, named: Named, path: Path, context: Callable[[str, Any], Context]) -> Any:
        """What the factory `named.type` of that kind makes of its settings; None with problems.

        `context`: makes what the factory is given, of its name and its settings.
        """
        factory = self._offered(kind, named.type, (*path, "type"))
        if factory is None:
            return None
        settings = None
        if factory.settings is not None:
            settings = self._validated(factory.settings, named.settings, path)
            if settings is None:
                return None
        elif named.settings:
            place = (*path, next(iter(named.settings)))
            self.found.append(Finding(place, f"{named.type} takes no settings", at_key=True))
            return None
        return self._make(kind, named.type, path, lambda: factory.make(context(named.type, settings)))

    def _make(self, kind: str, name: str, path: Path, make: Callable[[], Any]) -> Any:
        """What the factory `name` of that kind makes; None with problems."""
        try:
            made = make()
        except (ConfigError, InvalidRequest, ValueError, TransportUnavailable) as error:
            self._problem(path, self._scrubber.shown(error))
            return None
        except OWN as error:  # somebody else's code: anything can happen
            fault(kind, name, "make", error, scrub=self._scrubber.text)
            did: str | None = f"failed: {type(error).__name__}; the log says more"
        else:
            did = lack(kind, made)
            if did is None:
                return made
        self._problem(path, f"the factory of {kind} {name!r} from {self._plugins.origin(kind, name)} {did}")
        return None

    def _upstream(self, name: str, config: ProviderConfig) -> Upstream | None:
        if self._previous is not None:
            old = self._previous.upstreams.get(name)
            if old is not None and self._same_provider(old.config, config):
                self._factories[name] = old.factory
                return self._checked(replace(old, config=config), old)
        path: Path = ("providers", name)
        self._know(config)
        own: list[Client] = []
        auth = self._auth(name, config, own)
        works = self._transport_works(config, path)
        factory: ProviderFactory | None = self._offered("provider", config.type, (*path, "type"))
        if factory is None:
            return None
        self._factories[name] = factory
        settings = self._validated(factory.settings, config.settings, path)
        if factory.needs_key and config.base_url is None and config.credential is None:
            variable = factory.key_variable or "API_KEY"
            self._problem(
                path,
                f"a provider of type {config.type} needs a credential",
                hint=f"add `auth: {{type: env, name: {variable}}}` or `api_key: ${{{variable}}}`",
            )
            return None
        if settings is None or auth is None or not works:
            return None

        def open_client(endpoint: Endpoint) -> Client:
            client = self._client(config, endpoint, auth)
            own.append(client)
            return client

        base_url = config.base_url or factory.default_base_url
        context = self._contexts.provider(
            config.type,
            settings,
            name=name,
            base_url=None if base_url is None else base_url.rstrip("/"),
            auth=Overheard(auth, self._scrubber),
            open=open_client,
        )
        provider = self._make("provider", config.type, path, lambda: factory.make(context))
        if provider is None:
            return None
        try:
            if provider.endpoint is not None:  # one for nothing: its headers may be none that can be sent
                self._client(config, provider.endpoint, auth)
        except (InvalidRequest, TransportUnavailable) as error:
            self._problem(path, self._scrubber.shown(error))
            return None
        old = None if self._previous is None else self._previous.upstreams.get(name)
        return self._checked(Upstream(config, factory, provider, auth, open_client, own), old)

    def _checked(self, upstream: Upstream, old: Upstream | None) -> Upstream:
        """`upstream` with the checks that the configuration wants for it, not begun yet.

        What the checks said of the `old` one stays, and they go on when nothing about them has changed.
        """
        config = self._config.health_for(upstream.config)
        if config is None:
            return replace(upstream, checks=None, prober=None, warming=[])
        settings = CheckSettings(**dict(config))
        kept = None if old is None else old.checks
        if old is not None and kept is not None:
            if old.provider is upstream.provider and kept.settings == settings:
                return upstream
            self._adoptions += [partial(kept.configure, settings), old.warming.clear]
        checks, warming = (
            (kept, old.warming) if old is not None and kept else self._new_checks(upstream, settings)
        )
        prober = HealthChecker(
            upstream.provider.name,
            lambda: answered(upstream.provider.probe()),
            checks.report,
            settings=settings,
            clock=self._clock,
            rng=self._rng,
            scrub=self._scrubber.text,
        )
        return replace(upstream, checks=checks, prober=prober, warming=warming)

    def _new_checks(
        self, upstream: Upstream, settings: CheckSettings
    ) -> tuple[HealthState, list[DeploymentState]]:
        events, name, changes = self._events, upstream.provider.name, self._changes
        warming: list[DeploymentState] = []

        def changed(healthy: bool, now: float, reason: str) -> None:
            changes.count += 1
            events.report(HealthChanged(name, healthy, reason))
            for each in warming if healthy else ():
                each.begin_warm_up(now)

        return HealthState(settings, on_change=changed, say=self._scrubber.shown), warming

    def _same_provider(self, old: ProviderConfig, new: ProviderConfig) -> bool:
        """Whether a provider object and its clients can stay: nothing they are made of has changed."""
        assert self._previous is not None
        before = self._previous.config
        return (
            _reach(old) == _reach(new)
            and before.plugins.get(old.type) == self._config.plugins.get(new.type)
            and before.transport == self._config.transport
            and (old.timeouts.connect or before.timeouts.connect) == self._connect_timeout(new)
        )

    def _client(
        self,
        config: ProviderConfig,
        endpoint: Endpoint,
        auth: Auth,
        deployment: DeploymentConfig | None = None,
        *,
        headers: bool = True,
    ) -> Client:
        """A client that carries the credential of `auth` and, if `headers`, the provider's own headers."""
        own = config.headers.items() if headers else ()
        more = {name: value.get_secret_value() for name, value in own}
        return Client(
            replace(endpoint, headers={**endpoint.headers, **more}),
            self._transport(config, deployment),
            auth=auth,
            clock=self._clock,
            connect_timeout=self._connect_timeout(config, deployment),
            scrubber=self._scrubber,
            plugins=Used(
                auth="" if config.credential is None else config.credential.type,
                transport=config.transport or self._config.transport,
            ),
        )

    def _transport(self, config: ProviderConfig, deployment: DeploymentConfig | None) -> Any:
        """A transport, which opens nothing yet. Raises TransportUnavailable."""
        return self._carrier(config.transport or self._config.transport, self._options(config, deployment))

    def _carrier(self, name: str, options: TransportOptions) -> Any:
        """The transport of that name. Raises TransportUnavailable."""
        did: str | None
        try:
            factory = self._plugins.transport(name)
            settings = None if factory.settings is None else factory.settings()
            inner = partial(self._carrier, options=options)
            made = factory.make(self._contexts.transport(name, settings, options=options, inner=inner))
        except PluginError as error:
            raise TransportUnavailable(error.message) from error
        except (ConfigError, ValueError, TransportUnavailable) as error:
            raise TransportUnavailable(self._scrubber.shown(error)) from error
        except OWN as error:  # somebody else's code: anything can happen
            fault("transport", name, "make", error, scrub=self._scrubber.text)
            did = f"failed: {type(error).__name__}; the log says more"
        else:
            did = lack("transport", made)
            if did is None:
                return made
        origin = self._plugins.origin("transport", name)
        raise TransportUnavailable(f"the factory of transport {name!r} from {origin} {did}")

    def _options(self, config: ProviderConfig, deployment: DeploymentConfig | None) -> TransportOptions:
        max_in_flight = None if deployment is None else deployment.max_in_flight
        return TransportOptions(
            # A tenth above the limit, so that a connection that is being closed holds up nobody.
            max_connections=None if max_in_flight is None else ceil(max_in_flight * 1.1) + 1,
            connect_timeout=self._connect_timeout(config, deployment),
            keepalive_expiry=config.keepalive,
            http2=config.http2,
            proxy=None if config.proxy is None else config.proxy.get_secret_value(),
            ca_file=config.ca_file,
            client_cert=None if config.client_cert is None else (config.client_cert, config.client_key),
            trust_env=config.trust_env,
        )

    def _connect_timeout(self, config: ProviderConfig, deployment: DeploymentConfig | None = None) -> float:
        own = None if deployment is None else deployment.timeouts.connect
        return own or config.timeouts.connect or self._config.timeouts.connect

    def _transport_works(self, config: ProviderConfig, path: Path) -> bool:
        """Make one for nothing, so that what cannot be opened is known now; what is wrong is a problem."""
        before, options = len(self.found), self._options(config, None)
        place: Path = ("transport",) if config.transport is None else (*path, "transport")
        offered = self._offered("transport", config.transport or self._config.transport, place)
        if config.ca_file is not None:
            self._opens(replace(options, client_cert=None).ssl_context, (*path, "ca_file"))
        if config.client_cert is not None:
            self._opens(replace(options, ca_file=None).ssl_context, (*path, "client_cert"))
        if offered is not None and len(self.found) == before:
            self._opens(lambda: self._transport(config, None), place)
        return len(self.found) == before

    def _opens(self, make: Callable[[], object], path: Path) -> None:
        try:
            make()
        except TransportUnavailable as error:
            self._problem(path, str(error))

    def _choice(self, name: str, model: ModelConfig) -> _Choice | None:
        """How a model chooses, with all that it and its deployments say checked; None with problems."""
        path: Path = ("models", name)
        strategy = self._strategy(*self._choosing(name, model), name, model.deployments)
        retry = self._retry_in_general
        if model.retry is not None:
            retry = self._retry(model.retry, (*path, "retry"))
        self._defaults(model.defaults, (*path, "defaults"))
        for n, each in enumerate(model.deployments):
            self._check_deployment(each, (*path, "deployments", n))
        self._check_require(model, path)
        return None if strategy is None else _Choice(strategy, retry)

    def _choosing(self, name: str, model: ModelConfig) -> tuple[Named, Path]:
        """The strategy that holds for a model, and where it stands."""
        if model.strategy is None:
            return self._config.strategy, ("strategy",)
        return model.strategy, ("models", name, "strategy")

    def _check_deployment(self, config: DeploymentConfig, path: Path) -> None:
        factory = self._factories.get(config.provider)
        if factory is not None and factory.options is not None:
            self._validated(factory.options, config.options, (*path, "options"))
        self._defaults(config.defaults, (*path, "defaults"))
        if self._config.adaptive_concurrency is not None and config.max_in_flight is None and self._listed:
            self._problem(
                (*path, "max_in_flight"), "adaptive_concurrency needs it: it searches between 1 and this"
            )

    def _check_require(self, model: ModelConfig, path: Path) -> None:
        providers = self._config.providers
        known = [each for each in model.deployments if each.provider in providers]
        carried = [{**providers[each.provider].labels, **each.labels} for each in known]
        if len(known) < len(model.deployments) or not model.require:
            return
        if not any(unmet(model.require, each) is None for each in carried):
            self._problem(
                (*path, "require"),
                f"no deployment of it meets {show(model.require)}",
                hint="give one the labels, or its provider",
                rests_on=[
                    (*path, "deployments"),
                    *(("providers", each.provider, "labels") for each in known),
                ],
            )

    def _pool(
        self,
        name: str,
        model: ModelConfig,
        upstreams: Mapping[str, Upstream],
        choice: _Choice,
    ) -> Pool | None:
        strategy, retry = choice
        named, place = self._choosing(name, model)
        deployments = [
            self._deployment(name, n, each, model, upstreams[each.provider], polled=strategy.wants_residency)
            for n, each in enumerate(model.deployments)
        ]
        old = None if self._previous is None else self._previous.pools.get(name)
        if old is not None and old.strategy_name == named.type:
            self._restore(strategy, old)
        try:
            return self._new_pool(name, model, deployments, strategy, retry, old)
        except PluginError as error:
            self._problem(place, error.message)
            return None

    def _restore(self, strategy: Strategy, old: Pool) -> None:
        """Have `strategy` go on where its predecessor stands. One that cannot begins anew."""
        try:
            strategy.restore(old.strategy.state())
        except ValueError:
            return
        except OWN as error:
            fault("strategy", old.strategy_name, "restore", error, scrub=self._scrubber.text)

    def _new_pool(
        self,
        name: str,
        model: ModelConfig,
        deployments: Sequence[Deployment],
        strategy: Strategy,
        retry: RetryPolicy | None,
        old: Pool | None,
    ) -> Pool:
        named = model.strategy or self._config.strategy
        pool = Pool(
            name,
            deployments,
            strategy,
            strategy_name=named.type,
            fallback=[Fallback(each.to, frozenset(map(FallbackOn, each.on))) for each in model.fallback],
            total=model.timeouts.total or self._config.timeouts.total,
            require=model.require,
            budget=self._budget(None if retry is None else retry.budget, old),
            retry=retry,
            retry_name=(model.retry or self._config.retry).type,
            scrub=self._scrubber.text,
            panic_threshold=self._config.panic_threshold,
            rng=self._rng,
            queue=self._queue(),
            hedges=self._hedges(old),
            counts_tokens=any(
                limits is not None and limits.counts_tokens
                for limits in (self._limits[each.id] for each in deployments)
            ),
        )
        self._adoptions.append(partial(pool.tie, self._now))
        return pool

    def _hedges(self, old: Pool | None) -> RetryBudget | None:
        config = self._config.hedging
        if config is None:
            return None
        return _kept(None if old is None else old.hedges, replace(HEDGES, ratio=config.budget))

    def _hedge_settings(self) -> HedgeSettings | None:
        config = self._config.hedging
        return (
            None if config is None else HedgeSettings(config.quantile, config.floor, config.minimum_samples)
        )

    def _queue(self) -> AdmissionQueue[Lease] | None:
        """Where callers of one model wait for room."""
        config, clock = self._config.queue, self._clock
        if config is None:
            return None
        settings = QueueSettings(max_length=config.length, max_wait=config.wait, share=config.lowest_share)

        def release(held: Lease) -> None:
            held.release(Outcome.NEUTRAL, clock.now(), sent=False)

        return AdmissionQueue(FairQueue(settings), release)

    def _rate_limits(self, config: DeploymentConfig, upstream: Upstream) -> RateLimits | None:
        """What a deployment counts against: its own limits, those of its provider, and shared ones."""
        named = [(f"deployment {config.id}", config.limits)]
        named.append((f"provider {config.provider}", upstream.config.limits))
        shared = (*config.shared_limits, *upstream.config.shared_limits)
        named += [(f"limit {name}", self._config.limits[name]) for name in shared]
        scopes = [self._scope(name, limits) for name, limits in named if limits is not None]
        return RateLimits(scopes) if scopes else None

    def _adopt(
        self,
        live: DeploymentState,
        settings: LiveSettings,
        limits: RateLimits | None,
        credential: Credential,
        client: Client | None,
        endpoint: Endpoint | None,
    ) -> None:
        live.limits = limits
        settle(live, settings, self._now, rng=self._rng, events=self._events)
        live.uses(credential)
        credential.settings = CoolDownSettings(**dict(self._config.refusal))
        if self._config.hedging is not None:
            live.keep_window()
        if client is not None:
            client.on_head = self._feedback(limits, endpoint)
        live.wake()

    def _feedback(
        self, limits: RateLimits | None, endpoint: Endpoint | None
    ) -> Callable[[Mapping[str, str]], None] | None:
        """Lowers the rate limits of a deployment to what the upstream says is left; it never raises them."""
        rates = None if endpoint is None else endpoint.rates
        if rates is None or limits is None:
            return None
        clock = self._clock

        def heard(headers: Mapping[str, str]) -> None:
            if rates.requests[0] not in headers and rates.tokens[0] not in headers:
                return
            now, wall = clock.now(), clock.wall()
            requests, requests_wait = left(headers, rates.requests, wall=wall)
            tokens, tokens_wait = left(headers, rates.tokens, wall=wall)
            limits.lower(
                now,
                requests=requests,
                requests_until=None if requests_wait is None else now + requests_wait,
                tokens=tokens,
                tokens_until=None if tokens_wait is None else now + tokens_wait,
            )

        return heard

    def _scope(self, name: str, config: LimitsConfig) -> RateLimitScope:
        if name not in self._scopes:
            before = {} if self._previous is None else self._previous.scopes
            old = before.get(name) or RateLimitScope()
            self._scopes[name] = RateLimitScope(
                _meter(config.requests, config.burst_requests, config.oversize, old.requests),
                _meter(config.tokens, config.burst_tokens, config.oversize, old.tokens),
                name,
            )
        return self._scopes[name]

    def _credential(self, upstream: Upstream) -> Credential:
        """What the upstreams with the same secret share, by whatever way it is configured."""
        secret: object = None
        with suppress(*OWN):  # a plugin's own, which may have none before its first call
            secret = upstream.auth.current()
        key = secret if isinstance(secret, Secret) else upstream.config.credential or upstream.provider.name
        before = () if self._previous is None else self._previous.credentials
        same = [each for known, each in (*self._credentials, *before) if known == key]
        credential = same[0] if same else Credential()
        if all(each is not credential for _, each in self._credentials):
            self._credentials.append((key, credential))
        return credential

    def _budget(self, settings: BudgetSettings | None, old: Pool | None) -> RetryBudget | None:
        return None if settings is None else _kept(None if old is None else old.budget, settings)

    def _deployment(
        self,
        pool: str,
        number: int,
        config: DeploymentConfig,
        model: ModelConfig,
        upstream: Upstream,
        *,
        polled: bool,
    ) -> Deployment:
        id = config.id
        path: Path = ("models", pool, "deployments", number)
        if id not in self._lives:
            self._add_live(id, config, upstream, path)
        timeouts = self._config.timeouts_for(pool, config)
        return Deployment(
            id=id,
            model=config.model,
            provider=upstream.provider,
            client=self._clients.get(id),
            live=self._lives[id],
            plugin=upstream.factory.name,
            weight=config.weight,
            priority=config.priority,
            defaults={
                **self._defaults(model.defaults, ("models", pool, "defaults")),
                **self._defaults(config.defaults, (*path, "defaults")),
            },
            options=config.options,
            labels={**upstream.config.labels, **config.labels},
            price=None if config.price is None else Price(**dict(config.price)),
            host=self._host(config.provider, upstream, self._lives[id]) if polled else None,
            outlier=self._outlier(pool, id, self._lives[id], upstream.checks),
            first_token=timeouts.first_token,
            idle=timeouts.idle,
            attempt=timeouts.attempt,
        )

    def _host(self, name: str, upstream: Upstream, live: DeploymentState) -> ModelServer:
        if name not in self._hosts:
            kept = None if self._previous is None else self._previous.hosts.get(name)
            if kept is None or kept.provider is not upstream.provider:
                kept = self._polled(name, upstream.provider)
            self._hosts[name] = kept
        host = self._hosts[name].host
        self._adoptions.append(partial(host.works_for, live))
        return host

    def _polled(self, name: str, provider: Provider) -> Polled:
        host, clock = ModelServer(), self._clock

        async def poll() -> None:
            host.told(await provider.in_memory(), clock.now())

        settings = CheckSettings(interval=POLL_SECONDS)
        # A server that does not answer is nothing new here: what is known of it grows stale by itself.
        poller = HealthChecker(
            f"{name} for what it has in memory",
            poll,
            lambda _error, _now: None,
            settings=settings,
            clock=clock,
            rng=self._rng,
            scrub=self._scrubber.text,
        )
        return Polled(provider, host, poller)

    def _defaults(self, given: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
        try:
            return default_options(given)
        except InvalidRequest as error:
            self._problem(path, error.message)
            return {}

    def _add_live(self, id: str, config: DeploymentConfig, upstream: Upstream, path: Path) -> None:
        """State, client and limits of a deployment: those it had, as far as it is the same."""
        settings, previous = self._live_settings(config), self._previous
        live = self._kept.live(id, config.provider, config.model)
        if live is None:
            live = DeploymentState(id, breaker=None, rng=self._rng, changes=self._changes)
            if previous is not None and id in previous.lives:
                # What an operator said of it holds, however it is configured now.
                live.admin = previous.lives[id].admin
            elif previous is not None:
                self._adoptions.append(partial(live.begin_warm_up, self._now))
        elif self._moved(config.provider):
            self._adoptions.append(partial(_begin_anew, live, self._now))
        self._lives[id] = live
        endpoint = upstream.provider.endpoint
        if not self._listed and (client := upstream.any_client()) is not None:
            self._clients[id] = client
        elif endpoint is not None:
            try:
                self._clients[id] = self._kept_client(live, config, upstream) or self._client(
                    upstream.config, endpoint, upstream.auth, config
                )
            except TransportUnavailable as error:
                self._problem(path, self._scrubber.shown(error))
        self._limits[id] = limits = self._rate_limits(config, upstream)
        credential = self._credential(upstream)
        adopt = partial(self._adopt, live, settings, limits, credential, self._clients.get(id), endpoint)
        self._adoptions.insert(0, adopt)  # whatever else is to be adopted finds the settings
        if self._listed:
            self._adoptions.append(partial(_add, upstream.warming, live))

    def _moved(self, provider: str) -> bool:
        """Whether another server answers under that name now."""
        old = None if self._previous is None else self._previous.config.providers.get(provider)
        new = self._config.providers[provider]
        return old is not None and (old.type, old.base_url) != (new.type, new.base_url)

    def _kept_client(
        self, live: DeploymentState, config: DeploymentConfig, upstream: Upstream
    ) -> Client | None:
        """The client of that state, when it is made as a new one would be."""
        old = self._previous
        if old is None or old.lives.get(live.id) is not live or live.max_in_flight != config.max_in_flight:
            return None
        before, client = old.upstreams.get(config.provider), old.clients.get(live.id)
        if before is None or before.provider is not upstream.provider or client is None:
            return None
        same = client.connect_timeout == self._connect_timeout(upstream.config, config)
        return client if same else None

    def _live_settings(self, config: DeploymentConfig) -> LiveSettings:
        warm_up, adaptive = self._config.warm_up, self._config.adaptive_concurrency
        return LiveSettings(
            breaker=BreakerSettings(**dict(self._specific.breaker(config))),
            max_in_flight=config.max_in_flight,
            warm_up=None if warm_up is None else WarmUpSettings(**dict(warm_up)),
            adaptive=None if adaptive is None else AdaptiveSettings(**dict(adaptive)),
            overload=CoolDownSettings(**dict(self._specific.overload(config))),
            refusal=CoolDownSettings(**dict(self._specific.refusal(config))),
        )

    def _outlier(
        self, pool: str, id: str, live: DeploymentState, checks: HealthState | None
    ) -> OutlierDetector | None:
        config, events = self._config.outliers, self._events
        if config is None and checks is None:
            return None
        settings = OutlierSettings(enabled=False) if config is None else OutlierSettings(**dict(config))
        before = None if self._previous is None else self._previous.pools.get(pool)
        for each in () if before is None else before.deployments:
            if each.live is live and each.outlier is not None:
                self._adoptions.append(partial(each.outlier.configure, settings, checks))
                return each.outlier

        def ejected(until: float, _now: float, reason: str) -> None:
            live.begin_warm_up(until)
            events.report(HealthChanged(id, False, reason))

        return OutlierDetector(settings, self._rng, checks=checks, on_eject=ejected)

    def _check_control(self) -> None:
        if self._config.control is not None:
            from pointsman.control.commands import socket_path

            try:
                socket_path(self._config.control, self._config.file)
            except ValueError as error:
                self._problem(("control",), str(error))

    def _problem(
        self, path: Path, message: str, *, hint: str | None = None, rests_on: Sequence[Path] = ()
    ) -> None:
        self.found.append(Finding(path, message, hint, rests_on=tuple(rests_on)))


_BESIDE = ("health", "labels", "limits", "models", "shared_limits", "timeouts")
"""What is said at a provider and not to it: neither the object nor its clients are made of these."""


def _reach(config: ProviderConfig) -> dict[str, Any]:
    """What a provider object and its clients are made of, but for the time to connect."""
    return {name: value for name, value in config if name not in _BESIDE}


def _begin_anew(live: DeploymentState, now: float) -> None:
    """What went wrong at one server says nothing about another."""
    live.forget()
    if live.breaker is not None:
        live.breaker.reset(now)


def _add(warming: list[DeploymentState], live: DeploymentState) -> None:
    if live not in warming:
        warming.append(live)


def _kept(old: RetryBudget | None, settings: BudgetSettings) -> RetryBudget:
    """A budget with these settings; a reload does not fill it up again."""
    return old if old is not None and old.settings == settings else RetryBudget(settings)


def _secrets_in(value: object) -> Iterator[str]:
    """What the settings of a plugin keep secret, at any depth."""
    match value:
        case SecretStr():
            yield value.get_secret_value()
        case Secret():
            yield value.reveal()
        case BaseModel():
            for _, each in value:
                yield from _secrets_in(each)
        case Mapping():
            for each in value.values():
                yield from _secrets_in(each)
        case list() | tuple():
            for each in value:
                yield from _secrets_in(each)


def _meter(rate: Rate | None, burst: int | None, oversize: Oversize, old: Gcra | None) -> Gcra | None:
    """A meter of these settings: the `old` one as it stands when they are its own, else one at rest."""
    if rate is None:
        return None
    new = Gcra(rate.count, rate.period, burst, oversize=oversize)
    return old if old is not None and _says(old) == _says(new) else new


def _says(meter: Gcra) -> tuple[object, ...]:
    return meter.count, meter.period, meter.burst, meter.oversize
