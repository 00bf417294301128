"""The deployments of a configuration with their live state: what they had, or new."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any

from pointsman._internal.plugin_errors import OWN
from pointsman.auth import Fixed, Secret, is_plain
from pointsman.build.clients import Clients
from pointsman.build.draft import Draft
from pointsman.build.known_models import KnownModels
from pointsman.build.takeover import LiveSettings, new_state, settle
from pointsman.config import DeploymentConfig, LimitsConfig, ModelConfig, codes
from pointsman.config.findings import Finding
from pointsman.config.names import STAR
from pointsman.config.problems import KeyPath
from pointsman.errors import InvalidRequest
from pointsman.events import HealthChanged
from pointsman.http.client import Client, Endpoint
from pointsman.provider import Provider
from pointsman.requests.options import default_options, is_option
from pointsman.resilience.cool_down import Credential
from pointsman.resilience.health_check import CheckSettings, HealthChecker, HealthState
from pointsman.resilience.loaded_models import POLL_SECONDS, ModelServer
from pointsman.resilience.outlier_detection import OutlierDetector
from pointsman.resilience.quantiles import Window
from pointsman.resilience.rate_limit import Gcra, Oversize, RateLimits, RateLimitScope
from pointsman.routing.credential_watch import CredentialWatch
from pointsman.routing.deployment import Deployment
from pointsman.routing.deployment_state import DeploymentState
from pointsman.routing.snapshot import Polled, Upstream
from pointsman.transports.options import TransportUnavailable
from pointsman.units import Rate
from pointsman.wire.retry_after import left

if TYPE_CHECKING:
    from pointsman.requests.amendments import Amendments
    from pointsman.routing.places import Places
    from pointsman.shared.store import SharedState


class Deployments:
    """Makes the deployments of models.

    Attributes:
        lives, clients, limits: by the id of a deployment.
        scopes: every rate limit that holds, by its name.
        credentials: what tells a credential from others, and the cool-down of those that use it.
        hosts: the servers that strategies want to know about, by the name of the provider.
        places: those that the deployments of a `*` share, by the id of its template.
    """

    def __init__(
        self, draft: Draft, clients: Clients, known: KnownModels, state: SharedState | None = None
    ) -> None:
        self._draft = draft
        self._clients = clients
        self._known = known
        self._state = state
        self._specific = draft.config.specific()
        self.lives: dict[str, DeploymentState] = {}
        self.clients: dict[str, Client] = {}
        self.limits: dict[str, RateLimits | None] = {}
        self.scopes: dict[str, RateLimitScope] = {}
        self.credentials: list[tuple[object, Credential]] = []
        self.hosts: dict[str, Polled] = {}
        self.templates = self._templates()
        self.places = self._places() if self.templates else {}
        draft.adoptions.append(self._limit_places)

    def _templates(self) -> Sequence[DeploymentConfig]:
        """What the configuration says of deployments that are known when somebody asks for them."""
        models = self._draft.config.described_models()
        if not any(STAR in name for name in models):
            return ()
        from pointsman.config.deployment_templates import templates_in  # for patterns

        return templates_in(models)

    def _template_of(self, config: DeploymentConfig) -> DeploymentConfig | None:
        if self._draft.listed or not self.templates:
            return None
        from pointsman.config.deployment_templates import template_of

        return template_of(config, self.templates)

    def _places(self) -> dict[str, Places]:
        from pointsman.routing.places import Places

        before = {} if self._draft.previous is None else self._draft.previous.places
        return {each.id: before.get(each.id) or Places() for each in self.templates}

    def apart(self, draft: Draft) -> Deployments:
        """Those of another draft, which has these, too, and adds none to them."""
        apart = copy(self)
        apart._draft = draft
        apart.lives, apart.clients, apart.limits = dict(self.lives), dict(self.clients), dict(self.limits)
        return apart

    def _limit_places(self) -> None:
        for each in self.templates:
            self.places[each.id].limit = each.max_in_flight

    def deployment(
        self,
        pool: str,
        number: int,
        config: DeploymentConfig,
        model: ModelConfig,
        upstream: Upstream,
        *,
        polled: bool,
        described: str = "",
    ) -> Deployment:
        """Deployment `number` of the model `pool`; `polled` for what it has in memory.

        Args:
            described: the name under which that model is described, if that is another one.
        """
        id, described = config.id, described or pool
        path: KeyPath = ("models", described, "deployments", number)
        if id not in self.lives:
            self._add_live(id, config, upstream, path)
        timeouts, known = self._draft.config.timeouts_for(described, config), self._known.of(config, upstream)
        amends = self._amendments(model, ("models", described), config, path)
        return Deployment(
            id=id,
            model=config.model,
            provider=upstream.provider,
            client=self.clients.get(id),
            live=self.lives[id],
            plugin=upstream.factory.name,
            weight=config.weight,
            priority=config.priority,
            amends=amends,
            options=config.options,
            labels={**upstream.config.labels, **config.labels},
            price=known.price,
            context_window=known.context_window,
            enforced_window=config.context_window,
            adjusts=amends is not None or config.context_window is not None,
            capabilities=known.capabilities,
            host=self._host(config.provider, upstream, self.lives[id]) if polled else None,
            outlier=self._outlier(pool, id, self.lives[id], upstream.checks),
            first_token=timeouts.first_token,
            idle=timeouts.idle,
            attempt=timeouts.attempt,
        )

    def poll(self, name: str, upstream: Upstream) -> None:
        """Have a server asked what it has in memory."""
        if name not in self.hosts:
            kept = None if self._draft.previous is None else self._draft.previous.hosts.get(name)
            if kept is None or kept.provider is not upstream.provider:
                kept = self._polled(name, upstream.provider)
            self.hosts[name] = kept

    def _host(self, name: str, upstream: Upstream, live: DeploymentState) -> ModelServer:
        self.poll(name, upstream)
        host = self.hosts[name].host
        self._draft.adoptions.append(partial(host.works_for, live))
        return host

    def _polled(self, name: str, provider: Provider) -> Polled:
        host, clock = ModelServer(), self._draft.clock

        async def poll() -> None:
            host.told(await provider.in_memory(), clock.now())

        settings = CheckSettings.model_construct(interval=POLL_SECONDS)
        # A server that does not answer is nothing new here: what is known of it grows stale by itself.
        poller = HealthChecker(
            f"{name} for what it has in memory",
            poll,
            lambda _error, _now: None,
            settings=settings,
            clock=clock,
            rng=self._draft.rng,
            scrub=self._draft.scrubber.text,
        )
        return Polled(provider, host, poller)

    def check(self, said: ModelConfig | DeploymentConfig, path: KeyPath, model: ModelConfig) -> None:
        """Find what is wrong with the options that `model`, or one of its deployments, says for calls."""
        defaults = self.options(said.defaults, (*path, "defaults"))
        forced = self.options(said.forced, (*path, "forced"))
        if not defaults:
            return
        from pointsman.requests.amendments import overruled

        for each in dict.fromkeys((*overruled(defaults, forced), *overruled(defaults, model.forced))):
            self._draft.problem(
                (*path, "defaults", *each.split(".", 1)),
                "never holds: it is forced, too",
                code=codes.NOT_TOGETHER,
                hint="keep one of them",
            )

    def options(self, given: Mapping[str, Any], path: KeyPath) -> Mapping[str, Any]:
        """What the configuration says of the options of calls, without those with a problem."""
        read: dict[str, Any] = {}
        for name, value in given.items():
            try:
                read |= default_options({name: value})
            except InvalidRequest as error:
                at_key = not is_option(name)
                wrong = Finding((*path, name), error.message, at_key=at_key, code=codes.OPTION)
                self._draft.found.append(wrong)
        return read

    def _amendments(
        self, model: ModelConfig, model_path: KeyPath, config: DeploymentConfig, path: KeyPath
    ) -> Amendments | None:
        """What the configuration makes of requests to a deployment of a model."""
        both = ((model, model_path), (config, path))
        if not any(each.defaults or each.forced or each.system is not None for each, _ in both):
            return None
        from pointsman.requests.amendments import Around, amendments  # for those that say something

        return amendments(
            [self.options(each.defaults, (*where, "defaults")) for each, where in both],
            [self.options(each.forced, (*where, "forced")) for each, where in both],
            [
                Around(each.system.prefix.strip(), each.system.suffix.strip())
                for each, _ in both
                if each.system is not None
            ],
        )

    def _add_live(self, id: str, config: DeploymentConfig, upstream: Upstream, path: KeyPath) -> None:
        """State, client and limits of a deployment: those it had, as far as it is the same."""
        template = self._template_of(config)
        said, shared = (config, None) if template is None else (template, self.places[template.id])
        settings, previous = self._live_settings(said), self._draft.previous
        live = self._draft.kept.live(id, config.provider, config.model)
        if live is None or live.shared is not shared:
            live = new_state(
                id,
                settings,
                rng=self._draft.rng,
                readiness=self._draft.readiness,
                events=self._draft.events,
                shared=shared,
            )
            if previous is not None and id in previous.lives:
                # What an operator said of it holds, however it is configured now.
                live.admin = previous.lives[id].admin
            elif previous is not None:
                self._draft.adoptions.append(partial(live.begin_warm_up, self._draft.now))
        elif self._moved(config.provider):
            self._draft.adoptions.append(partial(_begin_anew, live, self._draft.now))
        self.lives[id] = live
        endpoint = upstream.provider.endpoint
        if not self._draft.listed and (client := upstream.any_client()) is not None:
            self.clients[id] = client
        elif endpoint is not None:
            try:
                self.clients[id] = self._kept_client(live, config, upstream) or self._clients.client(
                    upstream.config, endpoint, upstream.auth, config
                )
            except TransportUnavailable as error:
                shown = self._draft.scrubber.shown(error)
                self._draft.problem(path, shown, code=codes.CANNOT_BE_DONE)
        self.limits[id] = limits = self._rate_limits(said, upstream)
        credential = self._credential(upstream)
        adopt = partial(self._adopt, live, settings, limits, credential, self.clients.get(id), endpoint)
        self._draft.adoptions.insert(0, adopt)  # whatever else is to be adopted finds the settings
        if self._draft.listed:
            self._draft.adoptions.append(partial(_add, upstream.warming, live))

    def _moved(self, provider: str) -> bool:
        """Whether another server answers under that name now."""
        old = None if self._draft.previous is None else self._draft.previous.config.providers.get(provider)
        new = self._draft.config.providers[provider]
        if old is None:
            return False
        return (old.type, old.base_url, old.address) != (new.type, new.base_url, new.address)

    def _kept_client(
        self, live: DeploymentState, config: DeploymentConfig, upstream: Upstream
    ) -> Client | None:
        """The client of that state, when it is made as a new one would be."""
        old = self._draft.previous
        if old is None or old.lives.get(live.id) is not live or live.max_in_flight != config.max_in_flight:
            return None
        before, client = old.upstreams.get(config.provider), old.clients.get(live.id)
        if before is None or before.provider is not upstream.provider or client is None:
            return None
        same = client.connect_timeout == self._clients.connect_timeout(upstream.config, config)
        return client if same else None

    def _live_settings(self, config: DeploymentConfig) -> LiveSettings:
        return LiveSettings(
            breaker=self._specific.breaker(config),
            max_in_flight=config.max_in_flight,
            warm_up=self._draft.config.warm_up,
            adaptive=self._draft.config.adaptive_concurrency,
            overload=self._specific.overload(config),
            refusal=self._specific.refusal(config),
        )

    def _outlier(
        self, pool: str, id: str, live: DeploymentState, checks: HealthState | None
    ) -> OutlierDetector | None:
        settings, events = self._draft.config.outliers, self._draft.events
        if settings is None and checks is None:
            return None
        previous = self._draft.previous
        before = None if previous is None else previous.pools.get(pool) or previous.remembered.get(pool)
        for each in () if before is None else before.deployments:
            if each.live is live and each.outlier is not None:
                self._draft.adoptions.append(partial(each.outlier.configure, settings, checks))
                return each.outlier

        def ejected(until: float, _now: float, reason: str) -> None:
            live.readiness.invalidate()
            live.begin_warm_up(until)
            events.report(HealthChanged(id, False, reason))

        return OutlierDetector(settings, self._draft.rng, checks=checks, on_eject=ejected)

    def _rate_limits(self, config: DeploymentConfig, upstream: Upstream) -> RateLimits | None:
        """What a deployment counts against: its own limits, those of its provider, and shared ones."""
        named = [(f"deployment {config.id}", config.limits)]
        # Of the servers of one provider together: it is one account.
        named.append((f"provider {self._draft.config.family(config.provider)}", upstream.config.limits))
        shared = (*config.shared_limits, *upstream.config.shared_limits)
        named += [(f"limit {name}", self._draft.config.limits[name]) for name in shared]
        scopes = [self._scope(name, limits) for name, limits in named if limits is not None]
        state = self._draft.config.state
        if self._state is not None and state is not None:
            from pointsman.build.shared import shared_limits

            return shared_limits(scopes, self._state, config, fail=state.fail)
        return RateLimits(scopes) if scopes else None

    def _scope(self, name: str, config: LimitsConfig) -> RateLimitScope:
        if name not in self.scopes:
            before = {} if self._draft.previous is None else self._draft.previous.scopes
            old = before.get(name) or RateLimitScope()
            meters = (
                _meter(config.requests, config.burst_requests, config.oversize, old.requests),
                _meter(config.tokens, config.burst_tokens, config.oversize, old.tokens),
            )
            state = self._draft.config.state
            if state is None:
                self.scopes[name] = RateLimitScope(*meters, name)
            else:
                from pointsman.shared.limits import SharedScope

                self.scopes[name] = SharedScope(*meters, name, fail=config.fail or state.fail)
        return self.scopes[name]

    def _credential(self, upstream: Upstream) -> Credential:
        """What the upstreams at one address with the same secret share, by whatever way it is configured."""
        secret: object = None
        with suppress(*OWN):  # a plugin's own, which may have none before its first call
            secret = upstream.auth.current() if is_plain(upstream.auth) else None  # it will be another one
        own = upstream.config.credentials or upstream.provider.name
        whose = secret if isinstance(secret, Secret) else own
        # A gateway or a proxy in front of several knows one key for all, and each of these may refuse it.
        key = (whose, upstream.config.base_url)
        before = () if self._draft.previous is None else self._draft.previous.credentials
        same = [each for known, each in (*self.credentials, *before) if known == key]
        credential = same[0] if same else Credential()
        if all(each is not credential for _, each in self.credentials):
            self.credentials.append((key, credential))
            if not isinstance(upstream.auth, Fixed):
                watch = CredentialWatch(credential, upstream.auth, self._draft.clock, upstream.provider.name)
                credential.refused = watch.begin
        return credential

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
        settle(live, settings, self._draft.now)
        live.uses(credential)
        credential.settings = self._draft.config.refusal
        if self._draft.config.hedging is not None:
            live.window = live.window or Window()
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
        clock = self._draft.clock

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


def _begin_anew(live: DeploymentState, now: float) -> None:
    """What went wrong at one server says nothing about another."""
    live.forget()
    live.breaker.reset(now)


def _add(warming: list[DeploymentState], live: DeploymentState) -> None:
    if live not in warming:
        warming.append(live)


def _meter(rate: Rate | None, burst: int | None, oversize: Oversize, old: Gcra | None) -> Gcra | None:
    """A meter of these settings: the `old` one as it stands when they are its own, else one at rest."""
    if rate is None:
        return None
    new = Gcra(rate.count, rate.period, burst, oversize=oversize)
    return old if old is not None and _says(old) == _says(new) else new


def _says(meter: Gcra) -> tuple[object, ...]:
    return meter.count, meter.period, meter.burst, meter.oversize
