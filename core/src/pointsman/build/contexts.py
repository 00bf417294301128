"""The contexts that factories are given: made here and nowhere else."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

from pointsman._internal.plugin_errors import Scrub
from pointsman._internal.scrubber import Scrubber
from pointsman.audit import AuditContext
from pointsman.auth import Auth, AuthContext, Secret, is_plain
from pointsman.clock import Clock, Rng
from pointsman.config import DeploymentConfig
from pointsman.discovery import DiscoveryContext
from pointsman.guard import GuardContext
from pointsman.http.client import Client, Endpoint
from pointsman.prices import PriceContext
from pointsman.provider import ProviderContext
from pointsman.retry import RetryContext
from pointsman.selector import Ask, SelectorContext
from pointsman.service import ServiceContext
from pointsman.state import SharedNotices, StateContext
from pointsman.strategy import ConfiguredMember, RichMember, StrategyContext
from pointsman.surface import Calls, Catalogue, SurfaceContext, Tickets
from pointsman.transports.factory import TransportContext
from pointsman.transports.options import TransportOptions, TransportUnavailable
from pointsman.types import ModelInfo


def as_configured(deployment: DeploymentConfig) -> ConfiguredMember:
    """What a strategy is told of a deployment before there is one."""
    return ConfiguredMember(
        id=deployment.id,
        model=deployment.model,
        provider_name=deployment.provider,
        weight=deployment.weight,
        price=deployment.price,
    )


async def _ask_nobody(*_asked: Any, **_options: Any) -> Any:
    raise RuntimeError("there is no router here, which could be asked")


def _no_client(_endpoint: Endpoint) -> Any:
    raise TransportUnavailable("there is no client here")


async def _no_models() -> Sequence[ModelInfo]:
    return ()


def _no_other(name: str) -> Any:
    raise TransportUnavailable(f"there is no transport {name!r} here")


class Contexts:
    """Makes the contexts of one router; `type` is always the name of the factory.

    Args:
        directory: that of the configuration file; by default the working directory.
    """

    def __init__(self, clock: Clock, rng: Rng, directory: Path = Path()) -> None:
        self._clock = clock
        self._rng = rng
        self._directory = directory
        self._shared: dict[Hashable, Any] = {}

    def provider(
        self,
        type: str,
        settings: Any = None,
        *,
        name: str,
        base_url: str | None,
        auth: Auth,
        open: Callable[[Endpoint], Client],
        credential: Callable[[], Awaitable[Secret | None]] | None = None,
    ) -> ProviderContext:
        """That of the provider called `name`; without `credential` that is what `auth` gives."""
        return ProviderContext(
            **{**self._common("provider", type, settings), "name": name},
            base_url=base_url,
            auth=auth,
            open=open,
            credential=credential or self._credential_of(auth),
        )

    def auth(
        self,
        type: str,
        settings: Any = None,
        *,
        provider: str,
        http: Callable[[Endpoint], Client],
        section: Any = None,
    ) -> AuthContext:
        """That of the source of the credentials of `provider`."""
        return AuthContext(
            **self._common("auth", type, settings),
            provider=provider,
            http=http,
            directory=self._directory,
            section=section,
            shared=self._shared,
        )

    def retry(self, type: str, settings: Any = None) -> RetryContext:
        """That of a retry policy."""
        return RetryContext(**self._common("retry", type, settings))

    def strategy(
        self, type: str, settings: Any = None, *, model: str = "", members: Sequence[RichMember] = ()
    ) -> StrategyContext:
        """That of the strategy of `model`."""
        return StrategyContext(**self._common("strategy", type, settings), model=model, members=members)

    def audit(self, type: str, settings: Any = None) -> AuditContext:
        """That of an audit sink."""
        return AuditContext(**self._common("audit", type, settings), directory=self._directory)

    def guard(self, type: str, settings: Any = None, *, model: str | None = None) -> GuardContext:
        """That of a guard around `model`, or around all of them."""
        return GuardContext(**self._common("guard", type, settings), model=model)

    def selector(
        self,
        type: str,
        settings: Any = None,
        *,
        model: str = "auto",
        models: Sequence[str],
        default: str | None = None,
        ask: Ask = _ask_nobody,
    ) -> SelectorContext:
        """That of the selector of `model`; `default` is the first of `models` unless it is said."""
        common = self._common("selector", type, settings)
        chosen = models[0] if default is None else default
        return SelectorContext(**common, model=model, models=tuple(models), default=chosen, ask=ask)

    def surface(
        self,
        type: str,
        settings: Any = None,
        *,
        router: Any,
        calls: Calls,
        catalogue: Catalogue,
        tickets: Tickets,
    ) -> SurfaceContext:
        """That of a surface of a gateway in front of `router`."""
        common = self._common("surface", type, settings)
        return SurfaceContext(
            **common,
            router=router,
            calls=calls,
            catalogue=catalogue,
            tickets=tickets,
            directory=self._directory,
        )

    def service(
        self,
        type: str,
        settings: Any = None,
        *,
        router: Any,
        scrub: Scrub,
        state: SharedNotices | None = None,
    ) -> ServiceContext:
        """That of a service of `router`."""
        common = self._common("service", type, settings)
        return ServiceContext(**common, router=router, directory=self._directory, scrub=scrub, state=state)

    def state(self, type: str, settings: Any = None, *, address: Secret | None = None) -> StateContext:
        """That of a store of what routers share."""
        return StateContext(**self._common("state", type, settings), address=address)

    def prices(self, type: str, settings: Any = None) -> PriceContext:
        """That of a source of prices."""
        return PriceContext(**self._common("prices", type, settings))

    def discovery(
        self,
        type: str,
        settings: Any = None,
        *,
        provider: str,
        base_url: str | None = None,
        http: Callable[[Endpoint], Client] = _no_client,
        models: Callable[[], Awaitable[Sequence[ModelInfo]]] = _no_models,
    ) -> DiscoveryContext:
        """That of what finds the servers or the models of `provider`."""
        common = self._common("discovery", type, settings)
        return DiscoveryContext(**common, provider=provider, base_url=base_url, http=http, models=models)

    def transport(
        self,
        type: str,
        settings: Any = None,
        *,
        options: TransportOptions,
        inner: Callable[[str], Any] = _no_other,
        candidates: Callable[[], Sequence[str]] = tuple,
    ) -> TransportContext:
        """That of a transport with `options`; the rest as of `TransportContext`."""
        common = self._common("transport", type, settings)
        return TransportContext(**common, options=options, inner=inner, candidates=candidates)

    def _credential_of(self, auth: Auth) -> Callable[[], Awaitable[Secret | None]]:
        if not is_plain(auth):
            from pointsman.http.renewal import Renewal  # most credentials need nothing of it

            return Renewal(auth, clock=self._clock, rng=self._rng, scrubber=Scrubber()).secret

        async def current() -> Secret | None:
            return auth.current()

        return current

    def _common(self, kind: str, type: str, settings: Any) -> dict[str, Any]:
        """What all of them have."""
        log = logging.getLogger(f"pointsman.{kind}.{type}")
        return {"name": type, "settings": settings, "clock": self._clock, "rng": self._rng, "log": log}
