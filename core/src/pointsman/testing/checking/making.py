"""One of each kind, made by its factory without a configuration."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from msgspec import Struct

from pointsman._internal.scrubber import Scrubber
from pointsman.build.contexts import Contexts
from pointsman.build.transports import Transports
from pointsman.plugins.registry import Plugins
from pointsman.selector import Ask
from pointsman.testing.replay import CannedReply, ReplayTransport, client_for, provider_for
from pointsman.testing.surface_host import SurfaceHost
from pointsman.transports.options import TransportOptions

KEY = "canary-key-5c0ffee5"
_NOWHERE = "http://upstream.test:8000"


class Making(Struct, frozen=True):
    """A factory with what it needs. Each method is called as the kind that it makes one of."""

    maker: Any
    settings: Any
    contexts: Contexts
    plugins: Plugins
    router: Any = None
    options: TransportOptions = TransportOptions()
    models: Sequence[str] = ("small", "large")
    ask: Ask | None = None
    host: SurfaceHost | None = None

    @property
    def name(self) -> str:
        """As configured."""
        name: str = self.maker.name
        return name

    def provider(self) -> Any:
        given = {} if self.settings is None else self.settings.model_dump(exclude_unset=True)
        base_url = self.maker.default_base_url or _NOWHERE
        return provider_for(self.maker, ReplayTransport(), settings=given, base_url=base_url, key=KEY)

    def auth(self) -> Any:
        nobody = ReplayTransport(CannedReply(503))
        http = partial(client_for, transport=nobody)
        return self.maker.make(self.contexts.auth(self.name, self.settings, provider="here", http=http))

    def retry(self) -> Any:
        return self.maker.make(self.contexts.retry(self.name, self.settings))

    def strategy(self) -> Any:
        return self.maker.make(self.contexts.strategy(self.name, self.settings))

    def audit(self) -> Any:
        return self.maker.make(self.contexts.audit(self.name, self.settings))

    def guard(self) -> Any:
        return self.maker.make(self.contexts.guard(self.name, self.settings))

    def selector(self) -> Any:
        asked: dict[str, Any] = {} if self.ask is None else {"ask": self.ask}
        return self.maker.make(self.contexts.selector(self.name, self.settings, models=self.models, **asked))

    def prices(self) -> Any:
        return self.maker.make(self.contexts.prices(self.name, self.settings))

    def discovery(self) -> Any:
        nobody = ReplayTransport(CannedReply(503))
        http = partial(client_for, transport=nobody)
        context = self.contexts.discovery(
            self.name, self.settings, provider="here", base_url=_NOWHERE, http=http
        )
        return self.maker.make(context)

    def surface(self) -> Any:
        return (self.host or SurfaceHost()).make(self.maker, self.settings)

    def service(self) -> Any:
        scrub = Scrubber().text
        return self.maker.make(
            self.contexts.service(self.name, self.settings, router=self.router, scrub=scrub)
        )

    def transport(self) -> Any:
        others = Transports(self.plugins, self.contexts, Scrubber())
        return self.maker.make(
            self.contexts.transport(
                self.name,
                self.settings,
                options=self.options,
                inner=partial(others.open, options=self.options),
                candidates=partial(others.candidates, self.options),
            )
        )
