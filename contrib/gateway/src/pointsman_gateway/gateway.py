"""The gateway: a router behind addresses."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from msgspec import Struct

from pointsman.clock import Clock, LoopClock, Rng, request_id, system_rng
from pointsman.plugin import ConfigError, SurfaceFactory
from pointsman_gateway.addresses import Address
from pointsman_gateway.admission import Access, OnThisMachine
from pointsman_gateway.app import App, Serving
from pointsman_gateway.catalogue import GatewayCatalogue
from pointsman_gateway.health import Health
from pointsman_gateway.mounting import Mounting, tables
from pointsman_gateway.server import Listening
from pointsman_gateway.settings import GatewaySettings
from pointsman_gateway.tickets import SocketTickets
from pointsman_gateway.tls import Certificate

if TYPE_CHECKING:
    from pointsman import Router

log = logging.getLogger("pointsman.gateway")

_LOOK_EVERY = 5.0
"""Seconds between looks at the files of a certificate."""


class Place(Struct, frozen=True):
    """Where something listens: the surface `scope` alone, "" for all; or health."""

    at: Address
    scope: str = ""
    health: bool = False


class Gateway:
    """Serves a router, which must have begun, at the addresses of `settings`. Use it with `async with`.

    Args:
        surfaces: in place of those that are installed.
        access: who may ask.
        directory: what paths in the settings are relative to.

    Raises: ConfigError for what cannot be served so.
    """

    def __init__(
        self,
        router: Router,
        settings: GatewaySettings | None = None,
        *,
        surfaces: Sequence[SurfaceFactory] | None = None,
        access: Access | None = None,
        directory: Path = Path(),
        clock: Clock | None = None,
        rng: Rng | None = None,
    ) -> None:
        self._router = router
        self._directory = directory
        self._clock = clock or LoopClock()
        self._rng = rng or system_rng()
        catalogue = GatewayCatalogue(router, self._clock)
        self._tickets = SocketTickets(self._clock)
        self._mounting = Mounting(
            router,
            surfaces,
            catalogue=catalogue,
            tickets=self._tickets,
            clock=self._clock,
            rng=self._rng,
        )
        self._access = access or OnThisMachine()
        self._health = Health()
        self._apps: dict[Place, App] = {}
        self._listening: dict[Place, Listening] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._looking: asyncio.Task[None] | None = None
        self._use(settings or GatewaySettings())

    def _use(self, settings: GatewaySettings) -> None:
        """Answer new requests by `settings`. Raises ConfigError; then all stays as it was."""
        made = self._mounting.mounted(settings)
        certificate = None if settings.tls is None else Certificate(settings.tls, self._directory)
        self._tables = tables(made, settings)
        self._surfaces = [each.surface for each in made.values()]
        self._settings, self._certificate = settings, certificate
        for place, app in self._apps.items():
            if place.scope in self._tables:
                app.serving = self._serving(place.scope)

    def _serving(self, scope: str) -> Serving:
        settings = self._settings
        return Serving(
            self._tables[scope],
            self._access,
            settings.body_limit,
            settings.heartbeat,
            settings.headers,
            settings.trusted_proxies,
        )

    # ── listening ────────────────────────────────────────────────────────────────────────────────────

    @property
    def addresses(self) -> Sequence[Address]:
        """Where it listens, in the order of the settings."""
        return [each.address for each in self._listening.values()]

    @property
    def listeners(self) -> Mapping[Place, Address]:
        """The same, with what is behind each."""
        return {place: each.address for place, each in self._listening.items()}

    @property
    def url(self) -> str:
        """The first of them, for a client."""
        scheme = "http" if self._certificate is None else "https"
        return f"{scheme}://{self.addresses[0]}"

    async def start(self) -> None:
        """Listen everywhere, or nowhere. Raises ConfigError."""
        for each in self._opened(places(self._settings)):
            await each.start()
        self._looking = asyncio.create_task(self._look_at_certificates())

    def _opened(self, wanted: Sequence[Place]) -> Sequence[Listening]:
        """The sockets of those of `wanted` that are not open yet, all or none. Raises ConfigError."""
        opened: dict[Place, Listening] = {}
        for place in wanted:
            if place in self._listening:
                continue
            try:
                opened[place] = self._open(place)
            except OSError as error:
                for other, each in opened.items():
                    each.close()
                    self._apps.pop(other, None)
                raise ConfigError(f"gateway: cannot listen at {place.at}: {error.strerror}") from error
        self._listening.update(opened)
        return list(opened.values())

    def _open(self, place: Place) -> Listening:
        drain = self._router.config.timeouts.drain
        if place.health:
            return Listening(self._health, place.at, drain=drain)
        app = App(
            self._serving(place.scope),
            request_id=partial(request_id, self._rng),
            health=None if self._settings.health is not None else self._health,
            listener=place.scope,
        )
        tls = None if self._certificate is None or place.scope else self._certificate.context
        listening = Listening(app, place.at, drain=drain, tls=tls)
        self._apps[place] = app
        return listening

    async def reload(self, settings: GatewaySettings) -> None:
        """Go by `settings` from now on; what runs is not disturbed.

        Raises: ConfigError; then all stays as it was.
        """
        self._use(settings)
        wanted = places(settings)
        for each in self._opened(wanted):
            await each.start()
        for place in [each for each in self._listening if each not in wanted]:
            left = self._listening.pop(place)
            self._apps.pop(place, None)
            left.stop()
            task = asyncio.create_task(left.ended())
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

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
        serving = [each for place, each in self._listening.items() if not place.health]
        for each in serving:
            each.stop()
        finished = await self._router.shutdown()
        await asyncio.gather(*(each.ended() for each in serving), *self._ending)
        await self._close_rest()
        for surface in self._surfaces:
            if (close := getattr(surface, "aclose", None)) is not None:  # of those that keep something
                await close()
        return finished

    async def _close_rest(self) -> None:
        health = [each for place, each in self._listening.items() if place.health]
        for each in health:
            each.hurry()
        await asyncio.gather(*(each.ended() for each in health))
        if self._looking is not None:
            self._looking.cancel()

    async def hurry(self) -> None:
        """Wait for nobody any more: a `stop` that runs comes to its end."""
        for each in self._listening.values():
            each.hurry()
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


def places(settings: GatewaySettings) -> Sequence[Place]:
    """Everywhere that `settings` want it to listen."""
    found = [Place(at) for at in settings.listen]
    for name, surface in (settings.surfaces or {}).items():
        found += [Place(at, name) for at in surface.listen]
    if settings.health is not None:
        found.append(Place(settings.health.listen, health=True))
    return found
