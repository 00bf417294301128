"""A gateway as a process: what signals mean, what systemd hears, how it is reloaded and how it ends."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from typing import TYPE_CHECKING

from pointsman.plugin import ConfigError
from pointsman_gateway.gateway import Gateway
from pointsman_gateway.process.notify import notify, reloading
from pointsman_gateway.reading import gateway_settings
from pointsman_gateway.settings import GatewaySettings
from pointsman_telemetry.request_log import RequestLog

if TYPE_CHECKING:
    from pointsman import Config, Router

log = logging.getLogger("pointsman.gateway")


_YOUNG = 100_000
"""Objects that are made before Python looks for circles among them; 700 is meant for short programs."""


def _collect_seldom() -> None:
    """Have the garbage collector pass over what is there for good, and look at more young objects at once.

    A request leaves no circles behind; without this a tenth of what each takes is the search for some, and a
    third with a thousand in flight. As `gc.freeze` was made for, by Instagram.
    """
    gc.freeze()
    gc.set_threshold(_YOUNG, 20, 100)
    gc.enable()


class Process:
    """One gateway from its start to its end. The first SIGTERM or SIGINT drains it, the second ends it.

    What changes in the files of its configuration is taken up, unless these say otherwise.

    Args:
        override: what the command line says in place of the configuration, after each reload too.
        announce: is told that everything listens.
        log: where each request has a line; None for nowhere.
        beside: is open from then on until it is told to end, before anything is drained.
    """

    def __init__(
        self,
        config: Config,
        *,
        override: Callable[[GatewaySettings], GatewaySettings] = lambda settings: settings,
        announce: Callable[[Gateway, Router], None] = lambda _gateway, _router: None,
        log: RequestLog | None = None,
        beside: Callable[[Gateway], AbstractAsyncContextManager[None]] = lambda _gateway: nullcontext(),
    ) -> None:
        config.follow()
        self._config = config
        self._override = override
        self._announce = announce
        self._log = log
        self._beside = beside
        self._stop = asyncio.Event()
        self._reload_again = False
        self._hurry = asyncio.Event()
        self._reloading: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self._gateway: Gateway
        self._router: Router

    async def run(self) -> bool:
        """Serve until a signal comes, and drain then.

        Returns: whether no call had to be ended. Raises: ConfigError.
        """
        from pointsman_gateway.process.served import ServedRouter

        settings = self._settings(self._config)
        router = ServedRouter(self._config)
        async with router:
            gateway = Gateway(router, settings, log=self._log)
            self._gateway, self._router = gateway, router
            await gateway.start()
            router.reread = self.reload
            gateway.catalogue.look()
            self._take_signals()
            async with self._beside(gateway):
                self._announce(gateway, router)
                _collect_seldom()
                notify("READY=1")
                await self._stop.wait()
            notify("STOPPING=1")
            log.info("draining: nothing further is taken, what runs may finish")
            return await self._drained()

    def _settings(self, config: Config) -> GatewaySettings:
        return self._override(gateway_settings(config))

    async def _drained(self) -> bool:
        stopping = asyncio.create_task(self._gateway.stop())
        hurrying = asyncio.create_task(self._hurry.wait())
        await asyncio.wait([stopping, hurrying], return_when=asyncio.FIRST_COMPLETED)
        hurrying.cancel()
        if not stopping.done():
            await self._gateway.hurry()
        return await stopping

    # ── signals ──────────────────────────────────────────────────────────────────────────────────────

    def _take_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, self._end)
        loop.add_signal_handler(signal.SIGHUP, self._begin_reload)

    def _end(self) -> None:
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    def _begin_reload(self) -> None:
        if self._stop.is_set():
            return
        self._reload_again = True
        if self._reloading is None or self._reloading.done():
            self._reloading = asyncio.create_task(self._reloads())

    async def _reloads(self) -> None:
        while self._reload_again:
            self._reload_again = False  # a signal that comes meanwhile may be about what was read already
            await self._reload()

    async def _reload(self) -> None:
        """Read the configuration again; when it has a mistake, nothing changes."""
        notify(reloading())
        try:
            with suppress(ConfigError):  # of which the log and the status speak
                await self._router.reload()
        finally:
            notify("READY=1")

    async def reload(self) -> None:
        """Go by what the file says now. Raises ConfigError, and nothing changes."""
        try:
            await self._reread()
        except ConfigError:
            self._gateway.observer.metrics.reload_failed()
            raise

    async def _reread(self) -> None:
        from pointsman import Router

        file = self._config.loaded_from
        if file is None:
            raise ConfigError("there is no file to read again: this runs on what was found on this machine")
        async with self._turn:  # an operator and a signal can ask at once: the last one counts
            config = await asyncio.to_thread(Router.check, file)
            config.follow()
            await self._gateway.reload(self._settings(config), config)
            self._config = config
