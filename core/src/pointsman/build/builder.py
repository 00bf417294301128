"""Configuration and plugins → snapshot: everything a router runs on, built whole or not at all.

Building touches no network. All problems are collected and raised together; only when there is none are
audit files opened. What did not change since a previous snapshot is taken over with its state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property, partial
from math import inf
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakSet

from msgspec import Struct

from pointsman._internal.plugin_errors import OWN
from pointsman._internal.scrubber import Scrubber
from pointsman._internal.timeouts import TimerHeap
from pointsman.audit import AuditSink, AwaitedAuditSink, RecordingAuditSink
from pointsman.build.clients import Clients
from pointsman.build.deployments import Deployments
from pointsman.build.draft import Draft
from pointsman.build.environment import with_environment
from pointsman.build.factories import Factories
from pointsman.build.known_models import KnownModels
from pointsman.build.pools import Choice, Pools
from pointsman.build.providers import Providers
from pointsman.build.services import ConfiguredService, Services
from pointsman.clock import Clock, Rng
from pointsman.config import Config, ModelConfig, Named, codes
from pointsman.config.findings import Finding
from pointsman.config.names import STAR
from pointsman.config.problems import KeyPath, Problem
from pointsman.errors import ConfigError, PluginError, UnknownModel
from pointsman.events import Events
from pointsman.plugins.registry import Plugins
from pointsman.retry import RetryPolicy
from pointsman.routing.pool import Pool, chain
from pointsman.routing.runtime import Setting
from pointsman.routing.snapshot import Snapshot, Upstream

if TYPE_CHECKING:
    from pointsman.build.alternatives import Alternatives
    from pointsman.build.discoveries import ConfiguredDiscovery
    from pointsman.build.entrances import Entrances
    from pointsman.build.tracing import MadeObject
    from pointsman.build.unlisted import Unlisted
    from pointsman.routing.entrance import Entrance
    from pointsman.shared.store import SharedState


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
    """The snapshot of `config`, whose services are left out. As `plan`, for who has no router."""
    return plan(
        config, plugins, clock=clock, rng=rng, events=events, previous=previous, scrubber=scrubber
    ).snapshot()


def plan(
    config: Config,
    plugins: Plugins,
    *,
    clock: Clock,
    rng: Rng,
    events: Events,
    previous: Snapshot | None = None,
    scrubber: Scrubber | None = None,
    router: Any = None,
    fresh: bool = False,
) -> Plan:
    """All that plugins make of `config`, and from there its snapshot.

    Args:
        scrubber: is told of all secrets in `config`; when None that of `previous`, else a new one.
        router: what services are made for.
        fresh: the router only just begins, so that what is new comes as if it had been there before.

    Raises: ConfigError with all problems at once; then nothing was started.
    """
    if scrubber is None:
        scrubber = Scrubber() if previous is None else previous.setting.scrubber
    draft = Draft(config, plugins, clock=clock, rng=rng, events=events, previous=previous, scrubber=scrubber)
    if fresh:
        draft.now = -inf
    return Plan(draft, router)


def check(config: Config, plugins: Plugins, *, clock: Clock, rng: Rng) -> Sequence[Problem]:
    """What is allowed in `config` and probably not meant; nothing is started, no file opened.

    Raises: ConfigError with everything that is wrong.
    """
    draft = _for_nothing(with_environment(config, plugins), plugins, clock, rng)
    draft.saw_secret = partial(_warn_of_secret, draft, set())
    Plan(draft).pools()
    if config.plugins.model_fields_set:
        from pointsman.config.plugin_rules import misnamed

        for path, meant in misnamed(config.plugins, plugins.distributions()):
            message, hint = (
                "no such distribution is installed, so this does nothing",
                f"did you mean {meant!r}?",
            )
            draft.warnings.append(config.problem(path, message, hint, code=codes.NO_SUCH_DISTRIBUTION))
    return draft.warnings


def _warn_of_secret(draft: Draft, told: set[str], path: KeyPath, secret: str) -> None:
    from pointsman.config.written_secrets import of_written_secret  # for those who check

    problem = of_written_secret(draft.config, path, secret)
    if problem is not None and problem.path not in told:
        told.add(problem.path)
        draft.warnings.append(problem)


def traced(
    config: Config, plugins: Plugins, *, clock: Clock, rng: Rng, timer: Callable[[], float]
) -> tuple[Sequence[MadeObject], ConfigError | None]:
    """What plugins make of `config`, as `check` has them make it, and the error that this ends with."""
    from pointsman.build.tracing import Trace  # for whoever wants to see it

    draft = _for_nothing(config, plugins, clock, rng)
    draft.trace = trace = Trace(timer)
    error: ConfigError | None = None
    try:
        Plan(draft).pools()
    except ConfigError as found:
        error = found
    for n, sink in enumerate(config.audit):  # they open files
        trace.note("audit", sink.type, ("audit", n), None)
    return trace.all(_origin_in(plugins)), error


def _origin_in(plugins: Plugins) -> Callable[[str, str], str]:
    def origin(kind: str, name: str) -> str:
        with suppress(PluginError):
            return plugins.origin(kind, name)
        return ""

    return origin


def wrong_for_plugins(config: Config, plugins: Plugins, *, clock: Clock, rng: Rng) -> Sequence[Finding]:
    """What plugins find wrong with `config`, whose references may lead nowhere; nothing is started."""
    draft = _for_nothing(config, plugins, clock, rng)
    with suppress(ConfigError):
        Plan(draft)
    return draft.found


def _for_nothing(config: Config, plugins: Plugins, clock: Clock, rng: Rng) -> Draft:
    """What no snapshot comes of; only what is found counts."""
    return Draft(
        config,
        plugins,
        clock=clock,
        rng=rng,
        events=Events(scrub=str),
        previous=None,
        scrubber=Scrubber(),
    )


def _records(sink: AuditSink) -> bool:
    return bool(getattr(sink, "records_content", False))


def _entrances(draft: Draft, factories: Factories, router: Any) -> Entrances | None:
    """Makes what stands before models; None where nothing does, as in most configurations."""
    config = draft.config
    if not config.guards and not any(
        each.guards or each.selector or each.mirror for each in config.models.values()
    ):
        return None
    from pointsman.build.entrances import Entrances

    return Entrances(draft, factories, router)


def _shared(draft: Draft, factories: Factories) -> SharedState | None:
    """What is shared with other routers; None where nothing is, as in most configurations."""
    if draft.config.state is None:
        return None
    from pointsman.build.shared import shared_state

    return shared_state(draft.config.state, draft, factories)


def _with_deployments(config: Config) -> dict[str, ModelConfig]:
    """The models that calls can go to: those with a selector have no deployments."""
    return {name: each for name, each in config.described_models().items() if each.selector is None}


class _Parts(Struct, frozen=True):
    """What plugins make: all that a router is made of, but for what files it opens."""

    retry: RetryPolicy
    sinks: Sequence[Callable[[], AuditSink | None]]
    upstreams: Mapping[str, Upstream]
    choices: Mapping[str, Choice]
    pools: Pools
    services: Sequence[ConfiguredService]
    discoveries: Sequence[ConfiguredDiscovery]
    entrances: Mapping[str, Entrance]
    general_entrance: Entrance | None


class Plan:
    """What plugins make of a configuration is made, nothing has begun, and what runs is as it was.

    Attributes:
        services: what is to live with the router.
        discoveries: what is to look for servers and models.
    """

    def __init__(self, draft: Draft, router: Any = None) -> None:
        """Raises ConfigError with all that is wrong."""
        self._draft = draft
        self._factories = Factories(draft)
        self._clients = Clients(draft, self._factories)
        self._providers = Providers(draft, self._factories, self._clients)
        self._state = _shared(draft, self._factories)
        known = KnownModels(draft, self._factories)
        self._deployments = Deployments(draft, self._clients, known, self._state)
        self._services = Services(draft, self._factories, router, self._state)
        self._entrances = _entrances(draft, self._factories, router)
        self._parts = self._made()
        self.services = self._parts.services
        self.discoveries = self._parts.discoveries

    def snapshot(self) -> Snapshot:
        """The snapshot, onto which the state that is kept goes over with this. Raises ConfigError."""
        draft, previous, parts = self._draft, self._draft.previous, self._parts
        pools = self.pools()
        alive = WeakSet[Pool]() if previous is None else previous.alive
        alive.update(pools.values())
        # Files last of what can fail, and only then what is kept is changed: else all is as it was.
        started = self._started(parts.sinks)
        draft.adopt()
        snapshot = Snapshot(
            config=draft.config,
            setting=self._setting(started),
            upstreams=parts.upstreams,
            pools=pools,
            lives=self._deployments.lives,
            clients=self._deployments.clients,
            sinks=started,
            scopes=self._deployments.scopes,
            credentials=self._deployments.credentials,
            hosts=self._deployments.hosts,
            alive=alive,
            readiness=draft.readiness,
            names=draft.config.names(),
            places=self._deployments.places,
            another_strategy=lambda *asked: self._alternatives(*asked),
            unlisted=lambda *asked: self._unlisted(*asked),
            entrances=parts.entrances,
            general_entrance=self._general_entrance(started),
        )
        if previous is not None:
            self._go_on(snapshot, previous)
        draft.forget_the_past()
        return snapshot

    def _general_entrance(self, sinks: Sequence[AuditSink]) -> Entrance | None:
        """What stands before models without one of their own: where content is recorded, all have one."""
        if self._parts.general_entrance is None and any(map(_records, sinks)):
            from pointsman.routing.entrance import Entrance

            return Entrance((), 0, self._draft.config.timeouts.total)
        return self._parts.general_entrance

    def _setting(self, sinks: Sequence[AuditSink]) -> Setting:
        draft = self._draft
        return Setting(
            clock=draft.clock,
            rng=draft.rng,
            events=draft.events,
            retry=self._parts.retry,
            hedging=draft.config.hedging,
            scrubber=draft.scrubber,
            alarms=TimerHeap() if draft.previous is None else draft.previous.setting.alarms,
            state=self._state,
            admitting=tuple(cast("AwaitedAuditSink", sink) for sink in sinks if hasattr(sink, "admit")),
            recording=tuple(cast("RecordingAuditSink", sink) for sink in sinks if _records(sink)),
        )

    def _go_on(self, snapshot: Snapshot, previous: Snapshot) -> None:
        """Make what calls have asked for, so that what is known of it goes on."""
        for name in tuple(previous.remembered):
            with suppress(UnknownModel):
                snapshot.pool(name)
        if any(pool.others for pool in (*previous.pools.values(), *previous.remembered.values())):
            from pointsman.build.alternatives import take_over

            take_over(snapshot, previous)

    # Most routers are never asked for what these two make, and go without their modules.

    @cached_property
    def _alternatives(self) -> Alternatives:
        from pointsman.build.alternatives import Alternatives

        return Alternatives(self._draft)

    @cached_property
    def _unlisted(self) -> Unlisted:
        from pointsman.build.unlisted import Unlisted

        return Unlisted(
            self._draft, self._deployments, choices=self._parts.choices, known=self._providers.known
        )

    def _made(self) -> _Parts:
        config = self._draft.config
        retry = self._factories.retry(config.retry, ("retry",))
        self._factories.transport(config.transport, ("transport",))
        sinks = [self._sink(sink, ("audit", n)) for n, sink in enumerate(config.audit)]
        upstreams = {name: self._providers.upstream(name, each) for name, each in config.providers.items()}
        pools = Pools(
            self._draft, self._factories, self._deployments, known=self._providers.known, retry=retry
        )
        models = _with_deployments(config)
        if all(model.strategy is not None for model in models.values()):
            self._factories.strategy(config.strategy, ("strategy",))  # nobody's, and checked all the same
        choices = {name: pools.choice(name, model) for name, model in models.items()}
        services = self._services.made()
        discoveries = self._discoveries(upstreams)
        entrances, general = ({}, None) if self._entrances is None else self._entrances.made()
        self._draft.refuse()
        assert retry is not None
        return _Parts(
            retry,
            [sink for sink in sinks if sink is not None],
            {name: upstream for name, upstream in upstreams.items() if upstream is not None},
            {name: choice for name, choice in choices.items() if choice is not None},
            pools,
            services,
            discoveries,
            entrances,
            general,
        )

    def _discoveries(self, upstreams: Mapping[str, Upstream | None]) -> Sequence[ConfiguredDiscovery]:
        if not any(each.discovers for each in self._draft.config.providers.values()):
            return ()
        from pointsman.build.discoveries import Discoveries  # few configurations have any

        return Discoveries(self._draft, self._factories, self._clients).made(upstreams)

    def pools(self) -> Mapping[str, Pool]:
        """The models, with the state of their deployments. Raises ConfigError."""
        parts, models = self._parts, _with_deployments(self._draft.config)
        made = {
            name: parts.pools.pool(name, models[name], parts.upstreams, choice)
            for name, choice in parts.choices.items()
            if STAR not in name
        }
        for name in parts.choices.keys() - made.keys():
            self._poll(models[name], parts.choices[name], parts.upstreams)
        if self._entrances is not None:
            self._entrances.expect_prices(made)
        self._draft.refuse()
        pools = {name: pool for name, pool in made.items() if pool is not None}
        self._warn_of_long_chains(pools, parts.retry)
        if self._entrances is not None:
            self._entrances.warn()
        return pools

    def _poll(self, model: ModelConfig, choice: Choice, upstreams: Mapping[str, Upstream]) -> None:
        """Begin with what pools will want to know that are made later."""
        for each in model.deployments if choice.strategy.wants_residency else ():
            self._deployments.poll(each.provider, upstreams[each.provider])

    def _warn_of_long_chains(self, pools: Mapping[str, Pool], general: RetryPolicy) -> None:
        for name, pool in pools.items():
            retry = pool.retry or general
            # What a pattern matches is made when it is asked for, and not counted here.
            models = len(chain(pool, pools.__getitem__, lambda _pool, each: each.to in pools))
            if models > retry.attempts > 1:
                message = f"{models} models stand in this chain, and a request has {retry.attempts} attempts"
                hint = "each that is ready gets one, and none is asked twice; allow more attempts for retries"
                config = self._draft.config
                own = name in config.models and config.models[name].fallback is not None
                path = ("models", name, "fallback") if own else ("fallback",)
                problem = config.problem(path, message, hint, code=codes.LONG_CHAIN)
                self._draft.warnings.append(problem)

    def _sink(self, named: Named, path: KeyPath) -> Callable[[], AuditSink | None] | None:
        """Opens what a sink writes to; None with problems."""
        make, contexts = self._factories.make, self._draft.contexts
        factory = self._factories.offered("audit", named.type, (*path, "type"))
        if factory is None:
            return None
        settings = self._factories.validated(factory.settings, named.settings, path)
        if settings is None:
            return None
        return lambda: make(
            "audit", named.type, path, lambda: factory.make(contexts.audit(named.type, settings))
        )

    def _started(self, sinks: Sequence[Callable[[], AuditSink | None]]) -> Sequence[AuditSink]:
        made = [make() for make in sinks]
        started = [sink for sink in made if sink is not None]
        if self._draft.found:
            for sink in started:
                with suppress(*OWN):
                    sink.close()
        self._draft.refuse()
        return started
