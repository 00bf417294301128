"""The gateway: a router behind addresses."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING

from msgspec import Struct

from pointsman.build.loading import plugins_for
from pointsman.clock import Clock, LoopClock, Rng, request_id, system_rng
from pointsman.plugin import ConfigError
from pointsman_gateway.access.admission import Access
from pointsman_gateway.access.configured import rules_of
from pointsman_gateway.access.gate import Gate
from pointsman_gateway.access.rules import Built
from pointsman_gateway.calls.observing import Observer
from pointsman_gateway.exchange.app import App, Serving
from pointsman_gateway.exchange.health import Health
from pointsman_gateway.exchange.sending import WRITE_WITHIN
from pointsman_gateway.exchange.tickets import SocketTickets
from pointsman_gateway.listening.addresses import Address
from pointsman_gateway.listening.places import Listeners, Place, release
from pointsman_gateway.listening.server import Bound
from pointsman_gateway.listening.tls import Certificate
from pointsman_gateway.models.catalogue import GatewayCatalogue
from pointsman_gateway.mounting import Mounting, Mounts
from pointsman_gateway.operator.operating import Operating
from pointsman_gateway.reading import directory_of
from pointsman_gateway.settings import GatewaySettings
from pointsman_telemetry.request_log import RequestLog

if TYPE_CHECKING:
    from pointsman import Config, Router

log = logging.getLogger("pointsman.gateway")

_LOOK_EVERY = 5.0
"""Seconds between looks at the files of a certificate."""


class _Change(Struct, frozen=True, eq=False):
    """What a configuration comes to, made before anything goes by it."""

    settings: GatewaySettings
    rules: Built
    mounts: Mounts
    certificate: Certificate | None


class Gateway:
    """Serves a router, which must have begun, as `settings` say. Use it with `async with`.

    Args:
        plugins: objects that offer surfaces and need not be installed.
        access: who may ask, in place of what the settings say of that.
        log: where a line goes for each request; None for nowhere.
        reload: reads the configuration anew, for operators who ask for that; what the router does when None.
        write_within: seconds in which a caller has to make room for an event of a stream.

    Attributes:
        catalogue: the models that it lists.
        observer: what is told of its requests.

    Raises: ConfigError for what cannot be served so.
    """

    def __init__(
        self,
        router: Router,
        settings: GatewaySettings | None = None,
        *,
        plugins: Iterable[object] = (),
        access: Access | None = None,
        log: RequestLog | None = None,
        reload: Callable[[], Awaitable[None]] | None = None,
        write_within: float = WRITE_WITHIN,
        clock: Clock | None = None,
        rng: Rng | None = None,
    ) -> None:
        self._router = router
        self._clock = clock = clock or LoopClock()
        clock.now()  # so that all who take its `now` take the function that it settles for
        self._rng = rng or system_rng()
        self._plugins = tuple(plugins)
        self._pepper = secrets.token_bytes(32)
        self._tickets = SocketTickets(clock)
        self.catalogue = GatewayCatalogue(router, clock)
        settings = settings or GatewaySettings()
        self._rules = self._rules_of(settings, router.config)
        self._gate = Gate(self._rules.rules, clock, router.offered)
        self.observer = Observer(router, clock, log)
        self._operating = Operating(
            router,
            self._gate,
            reload or router.reload,
            self.observer.of,
            self.catalogue,
            clock,
            kept=settings.requests_kept,
        )
        self._mounting = Mounting(
            router,
            self._operating.running,
            self.observer,
            self._gate.meter,
            self.catalogue,
            self._tickets,
            clock=clock,
            rng=self._rng,
        )
        self._deaf = [router.offered.on_end(self._key_changed), router.offered.on_change(self._key_changed)]
        self._health = Health()
        self._apps: dict[Place, App] = {}
        self._listeners = Listeners()
        self._beside: Sequence[asyncio.Task[None]] = ()
        self._left: list[Mounts | Built] = []
        self._given = access
        self._write_within = write_within
        self._mounts: Mounts | None = None
        self._certificate: Certificate | None = None
        self._use(self._change_to(settings, router.config, self._rules))
        self._unfollow = router.offered.on_routes(self._serve)

    def _change_to(self, settings: GatewaySettings, config: Config, rules: Built) -> _Change:
        """All that may be wrong about `settings` comes up here. Raises ConfigError."""
        plugins = plugins_for(config, self._plugins)
        mounts = self._mounting.make(config, settings, plugins, self._mounts)
        if self._mounts is not None and (settings.tls is None) is not (self._certificate is None):
            raise ConfigError(
                "gateway.tls: comes and goes with a restart; open listeners cannot change to it"
            )
        certificate = None if settings.tls is None else Certificate(settings.tls, directory_of(config))
        return _Change(settings, rules, mounts, certificate)

    def _use(self, change: _Change) -> None:
        """Answer new requests by what is made."""
        settings, mounts, rules = change.settings, change.mounts, change.rules
        self._left += [each for each in (self._mounts, self._rules) if each not in (None, rules)]
        self._mounts, self._rules = mounts, rules
        if self._certificate is None or change.certificate is None:
            self._certificate = change.certificate
        else:
            self._certificate.follow(change.certificate)  # whose context the open listeners have
        self._settings = settings
        self.observer.know(mounts.mounted, full=settings.headers == "full")
        self._mounting.ask(self._operating.asked(contents=settings.contents))
        told = settings.health is not None and settings.health.metrics
        self._health.metrics = self.observer if told else None
        before, self._gate.rules = self._gate.rules, rules.rules
        for key_id in before.others_in(rules.rules):
            self._key_changed(key_id)
        self._serve()

    def _serve(self) -> None:
        """Answer new requests by what is mounted now, and by what services offer now."""
        assert self._mounts is not None
        self._tables = self._mounts.tables(self._operating.mounted(self._settings))
        for place, app in self._apps.items():
            if place.scope in self._tables:
                app.serving = self._serving(place.scope)

    def _rules_of(self, settings: GatewaySettings, config: Config) -> Built:
        return rules_of(settings, pepper=self._pepper, clock=self._clock, directory=directory_of(config))

    def _serving(self, scope: str) -> Serving:
        settings, access = self._settings, self._given or self._gate
        return Serving(
            self._tables[scope],
            access,
            settings.body_limit,
            settings.heartbeat,
            settings.headers,
            settings.trusted_proxies,
            frozenset(settings.cors),
            self._tickets,
            self._write_within,
            None if settings.health is not None else self._health,
            self._gate.rules.check_body,
            self._router.scrub,
        )

    # ── listening ────────────────────────────────────────────────────────────────────────────────────

    @property
    def listeners(self) -> Mapping[Place, Address]:
        """Where it listens, in the order of the settings, and with what behind."""
        return self._listeners.addresses

    @property
    def url(self) -> str:
        """The first of them, for a client."""
        return f"{self.scheme}://{next(iter(self.listeners.values()))}"

    @property
    def scheme(self) -> str:
        """`https` where its listeners have a certificate, else `http`."""
        return "http" if self._certificate is None else "https"

    def prefix_of(self, surface: str) -> str | None:
        """What stands before the paths of the surface of that name; None where there is no such surface."""
        mounted = None if self._mounts is None else self._mounts.mounted.get(surface)
        return None if mounted is None else mounted.prefix

    async def start(self) -> None:
        """Listen everywhere, or nowhere. Raises ConfigError."""
        places = _places(self._settings)
        await self._listen(places, self._listeners.bind(places))
        self._beside = [
            asyncio.create_task(self._look_at_certificates()),
            asyncio.create_task(self._operating.keep_history()),
        ]

    async def _listen(self, wanted: Sequence[Place], bound: Mapping[Place, Bound]) -> None:
        drain = self._router.config.timeouts.drain
        context = None if self._certificate is None else self._certificate.context
        await self._listeners.open(
            wanted, bound, self.app_at, drain=drain, tls=context, largest=self._settings.body_limit
        )
        self._listeners.allow(self._settings.socket_mode)
        self._apps = {place: app for place, app in self._apps.items() if place in wanted}

    def _key_changed(self, key_id: str) -> None:
        """What lasts goes by what its caller might do when it was opened: it is to be opened anew."""
        for app in self._apps.values():
            app.end_of(key_id)

    def app_at(self, place: Place) -> App | Health:
        if place.health:
            return self._health
        self._apps[place] = App(
            self._serving(place.scope),
            request_id=partial(request_id, self._rng),
            observer=self.observer,
            listener=place.scope,
        )
        return self._apps[place]

    async def reload(self, settings: GatewaySettings, config: Config) -> None:
        """Go by `config`, and by `settings` of it, from now on, the router too; what runs is not disturbed.

        Raises: ConfigError; then all stays as it was.
        """
        self._check_open()
        change, places = (
            self._change_to(settings, config, self._rules_of(settings, config)),
            _places(settings),
        )
        bound: Mapping[Place, Bound] = {}
        try:
            bound = self._listeners.bind(places)  # before anything holds: addresses may be taken
            await self._router.reload(config)
            self._check_open()
        except BaseException:
            self._left += [change.mounts, change.rules]
            release(bound)
            raise
        self._use(change)
        await self._listen(places, bound)

    def _check_open(self) -> None:
        """Raises ConfigError once it is about to end: what is opened then would never be closed."""
        if self._health.draining:
            raise ConfigError("the gateway is shutting down and takes no configuration any more")

    async def _look_at_certificates(self) -> None:
        while True:
            await self._clock.sleep(_LOOK_EVERY)
            try:
                if self._certificate is not None and await asyncio.to_thread(self._certificate.reread):
                    log.info("the certificate was read again")
            except ConfigError as error:
                log.warning("%s; the one before stays", error)

    # ── ending ───────────────────────────────────────────────────────────────────────────────────────

    async def stop(self) -> bool:
        """Take nothing further, let what runs finish within `timeouts.drain`, end the rest, close.

        Health is told until the end: that it is not ready from now on.

        Returns: whether none had to be ended.
        """
        self._health.draining = True
        for app in self._apps.values():
            app.drain()
        self._listeners.stop()
        await self.catalogue.aclose()
        finished = await self._router.shutdown()
        await self._listeners.ended()
        for each in self._beside:
            each.cancel()
        self._operating.close()
        for deaf in self._deaf:
            deaf()
        self._unfollow()
        await self._close_parts()
        self.observer.end()
        return finished

    async def _close_parts(self) -> None:
        """Close what surfaces and rules have opened, those of before a reload, too."""
        closed: set[int] = set()
        for part in (*self._left, self._mounts, self._rules):
            if isinstance(part, Built):
                await part.aclose()
            for mounted in part.mounted.values() if isinstance(part, Mounts) else ():
                close = getattr(mounted.surface, "aclose", None)
                if close is not None and id(mounted.surface) not in closed:
                    closed.add(id(mounted.surface))
                    await close()

    async def hurry(self) -> None:
        """Wait for nobody any more: a `stop` that runs comes to its end."""
        self._listeners.hurry()
        await self._router.aclose()

    async def __aenter__(self) -> Gateway:
        await self.start()
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        await self.stop()


def _places(settings: GatewaySettings) -> Sequence[Place]:
    """Everywhere that `settings` want it to listen."""
    found = [Place(at) for at in settings.listen]
    for name, surface in (settings.surfaces or {}).items():
        found += [Place(at, name) for at in surface.listen]
    if settings.health is not None:
        found.append(Place(settings.health.listen, health=True))
    return found
