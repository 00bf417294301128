"""The gateway: a router behind addresses."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from pointsman.clock import Clock, LoopClock, Rng, request_id, system_rng
from pointsman.plugin import Caller, SurfaceFactory
from pointsman_gateway.access.gate import Gate
from pointsman_gateway.access.rules import Built, build
from pointsman_gateway.access.settings import AccessSettings
from pointsman_gateway.addresses import Address
from pointsman_gateway.admission import Access
from pointsman_gateway.app import App
from pointsman_gateway.mounting import built_in, mounted, tables
from pointsman_gateway.server import Listening
from pointsman_gateway.settings import GatewaySettings, SurfaceSettings

if TYPE_CHECKING:
    from pointsman import Router


class Gateway:
    """Serves a router, which must have begun, at the addresses of `settings`. Use it with `async with`.

    Args:
        surfaces: in place of those that are installed.
        access: who may ask.

    Raises: ConfigError for what cannot be served so.
    """

    def __init__(
        self,
        router: Router,
        settings: GatewaySettings | None = None,
        *,
        surfaces: Sequence[SurfaceFactory] | None = None,
        access: Access | None = None,
        clock: Clock | None = None,
        rng: Rng | None = None,
    ) -> None:
        self._router = router
        self._settings = settings = settings or GatewaySettings()
        self._rng = rng or system_rng()
        clock = clock or LoopClock()
        self._rules = rules_of(settings, router, clock)
        self._access = access or Gate(self._rules.rules, clock)
        factories = built_in() if surfaces is None else surfaces
        made = mounted(factories, settings, router, clock=clock, rng=self._rng)
        self._tables = tables(made, settings)
        self._apps: list[App] = []
        self._listening: list[Listening] = []

    @property
    def addresses(self) -> Sequence[Address]:
        """Where it listens, in the order of the settings."""
        return [each.address for each in self._listening]

    @property
    def url(self) -> str:
        """The first of them, for a client."""
        return f"http://{self.addresses[0]}"

    async def start(self) -> None:
        """Listen everywhere, or nowhere. Raises OSError."""
        settings = self._settings
        for at in settings.listen:
            self._open(at, "")
        for name, surface in (settings.surfaces or {}).items():
            for at in surface.listen:
                self._open(at, name)
        await asyncio.gather(*(each.start() for each in self._listening))

    def _open(self, at: Address, scope: str) -> None:
        settings = self._settings
        app = App(
            self._tables[scope],
            self._access,
            request_id=partial(request_id, self._rng),
            body_limit=settings.body_limit,
            heartbeat=settings.heartbeat,
            headers=settings.headers,
            trusted=settings.trusted_proxies,
            listener=scope,
        )
        self._apps.append(app)
        self._listening.append(Listening(app, at, drain=self._router.config.timeouts.drain))

    async def stop(self) -> bool:
        """Take nothing further, let what runs finish within `timeouts.drain`, end the rest, close.

        Returns: whether none had to be ended.
        """
        for app in self._apps:
            app.draining = True
        for each in self._listening:
            each.stop()
        finished = await self._router.shutdown()
        await asyncio.gather(*(each.ended() for each in self._listening))
        await self._rules.aclose()
        return finished

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


_ANYWHERE = frozenset(("", "0.0.0.0", "::"))  # noqa: S104 - not to listen there, but never to be called so


def rules_of(settings: GatewaySettings, router: Router, clock: Clock) -> Built:
    """What `settings` say of access. Raises ConfigError."""
    file = router.config.file
    surfaces = (settings.surfaces or {}).items()
    return build(
        settings.access or AccessSettings(),
        pepper=secrets.token_bytes(32),
        clock=clock,
        directory=Path(file).parent if file else Path(),
        hosts=[*settings.hosts, *(each.host for each in settings.listen if each.host not in _ANYWHERE)],
        origins=settings.cors,
        behind_proxy=bool(settings.trusted_proxies),
        keyless={name: _scope(each) for name, each in surfaces if each.listen},
    )


def _scope(surface: SurfaceSettings) -> Caller:
    """What may be done at a listener of its own, where nobody brings a key."""
    return Caller(models=None if surface.models is None else frozenset(surface.models))
