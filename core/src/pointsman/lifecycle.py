"""What a router runs on, from its first call to its last: begun, replaced by a reload, retired, shut down."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from weakref import proxy

from pointsman._internal.idle import all_idle, when_all_idle
from pointsman._internal.scrubber import Scrubber
from pointsman.build.builder import Plan, plan
from pointsman.build.loading import as_config, plugins_for
from pointsman.build.services import ConfiguredService
from pointsman.clock import Clock, Rng, system_rng
from pointsman.config import Config
from pointsman.errors import ConfigError
from pointsman.event_log import Journal, refused
from pointsman.events import Events, Reloaded, log
from pointsman.routing.runtime import Running, shutting_down
from pointsman.routing.snapshot import Snapshot
from pointsman.service_runner import ServiceRunner

_LAST_WORDS = 1.0
"""Seconds that requests whose connections were just closed have to end in, each with its record."""


class Lifecycle:
    """Owns the snapshot that a router runs on, its services, and what earlier ones have left to close.

    Attributes:
        snapshot: what new requests run on.
        stopping: no further request is taken.
        open_on: the loop on which requests may begin without `bind`; None while there is none.
    """

    def __init__(
        self,
        config: Config,
        *,
        plugins: Sequence[object],
        clock: Clock,
        rng: Rng | None,
        events: Events,
        scrubber: Scrubber,
        router: Callable[[], object],
    ) -> None:
        """Build everything that `config` names; nothing is connected yet.

        Args:
            rng: None for the system's, which a forked process makes anew.
            router: what services are made for, and use once they start; None when it is gone.

        Raises: ConfigError with all problems at once.
        """
        self._plugins = plugins
        self._clock = clock
        self._given_rng = rng
        self.rng = rng or system_rng()
        self._events = events
        self._scrubber = scrubber
        self._journal = Journal(events)
        self._router = router
        self._services = ServiceRunner(scrub=scrubber.text)
        self._starting: asyncio.Future[None] | None = None
        self._served = False
        self._alive: object = None
        self._changing = asyncio.Lock()
        self._pid = os.getpid()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._silence: list[Callable[[], None]] = []
        self._former: list[Running] = []
        self._retired: set[Callable[[], Awaitable[None]]] = set()
        self._closing: set[asyncio.Future[None]] = set()
        self._end: asyncio.Future[None] | None = None
        self._shutdown: asyncio.Future[bool] | None = None
        self.stopping = False
        self.open_on: asyncio.AbstractEventLoop | None = None
        self.snapshot: Snapshot
        self._wanted: Sequence[ConfiguredService] = ()
        self._build(config)

    # ── begin ────────────────────────────────────────────────────────────────────────────────────────

    async def begin(self) -> None:
        """Have everything begin, on this event loop, and wait until all services have started.

        Raises: as `bind`. ConfigError when a service cannot be started: then none runs, and it can be tried
            again.
        """
        self._check_loop()
        await self._begin_services()
        self.bind()

    async def _begin_services(self) -> None:
        async with self._changing:
            if self._loop is None:
                self._be_of_this_process()
            if not self._served:
                self._serve(await self._started(self._wanted, self.snapshot.config))

    async def _begin_services_beside(self) -> None:
        try:
            await self._begin_services()
        except ConfigError as error:  # nobody waits for it
            log.error("runs without its services: %s", self._scrubber.shown(error))

    async def _started(
        self, wanted: Sequence[ConfiguredService], config: Config
    ) -> Sequence[ConfiguredService]:
        """Those that are to run, started. Raises ConfigError; RuntimeError when closed meanwhile."""
        started = await self._services.start(wanted, config)
        if self._end is not None:
            await self._services.close(started)
            self._check_loop()
        return started

    def _serve(self, started: Sequence[ConfiguredService]) -> None:
        self._services.use(started)
        self._served = True
        # They hold the router weakly; as long as somebody can reach it by them it must be there.
        self._alive = self._router() if started else None

    def bind(self) -> Snapshot:
        """What to run on, on this event loop; the first call has everything begin.

        Raises: RuntimeError when closed, or on another loop.
        """
        if self._end is not None or self._loop is not asyncio.get_running_loop():
            self._check_loop()
            self._be_of_this_process()
            self._loop = asyncio.get_running_loop()
            self._journal.adjust()
            self.snapshot.start()
            self.open_on = None if self.stopping else self._loop
            if self._wanted and not self._served:
                self._starting = asyncio.ensure_future(self._begin_services_beside())
        return self.snapshot

    def _check_loop(self) -> None:
        if self._end is not None:
            raise RuntimeError("this router is closed")
        if self._loop not in (None, asyncio.get_running_loop()):
            raise RuntimeError(
                "this router belongs to another event loop; make one for each, or a SyncRouter"
            )

    def _be_of_this_process(self) -> None:
        """After a fork audit files and their threads, services, and chance must be its own: begin anew."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self.rng = self._given_rng or system_rng()
            self._build(self.snapshot.config)

    def _build(self, config: Config) -> None:
        planned = self._planned(config, None)
        self._use(planned.snapshot())
        self._wanted = planned.services

    def _planned(self, config: Config, previous: Snapshot | None) -> Plan:
        router = self._router()
        return plan(
            config,
            plugins_for(config, self._plugins),
            clock=self._clock,
            rng=self.rng,
            events=self._events,
            previous=previous,
            scrubber=self._scrubber,
            router=None if router is None else proxy(router),  # weakly, as `Router.__init__` says
        )

    def _use(self, snapshot: Snapshot) -> None:
        """Run on `snapshot` from now on; its audit sinks hear of everything that ends from now on."""
        silence = self._silence
        # The new ones first, so that no event falls between the two.
        # Their methods: to call what has a `__call__` takes 600 instructions more, twice a call.
        self._silence = [self._events.add(sink.__call__) for sink in snapshot.sinks]
        for end in silence:
            end()
        self.snapshot = snapshot

    # ── reload ───────────────────────────────────────────────────────────────────────────────────────

    async def reload(self, source: str | Path | Mapping[str, Any] | Config | None) -> None:
        """Run on a new configuration: the same file read again, or `source`. Raises ConfigError."""
        try:
            await self._reload(source)
        except ConfigError as error:
            refused(self.snapshot.setting.scrubber.shown(error))
            raise

    async def _reload(self, source: str | Path | Mapping[str, Any] | Config | None) -> None:
        if source is None:
            source = self.snapshot.config.file
        if source is None:
            raise ConfigError("the router was not made from a file; hand the new configuration to reload()")
        # A thread, because files are read, those that values refer to as well.
        config = (
            source
            if isinstance(source, Config)
            else await asyncio.to_thread(as_config, source, self._plugins)
        )
        async with self._changing:
            old, new = await self._replaced(config)
        self._retire(old, new)
        kept = sum(1 for id in new.lives if id in old.lives and new.lives[id] is old.lives[id])
        self._events.report(Reloaded(kept, len(new.lives) - kept, len(old.lives) - kept))

    async def _replaced(self, config: Config) -> tuple[Snapshot, Snapshot]:
        """What the router ran on, and what it runs on from now on."""
        old = self.bind()
        planned = self._planned(config, old)
        started = await self._started(planned.services, config)
        try:
            new = planned.snapshot()
        except BaseException:
            await self._services.close(started)
            raise
        self._use(new)
        new.start()
        self._serve(started)
        return old, new

    def _retire(self, old: Snapshot, new: Snapshot) -> None:
        """Have what `new` no longer uses closed once no call needs it any more."""
        self._former.append(old.setting.running)
        # A request that waits between attempts holds no lease, yet it will need its connections again.
        former = [running for running in self._running() if running is not new.setting.running]
        for lives, close in old.retired_by(new):
            self._retired.add(close)
            when_all_idle([*lives, *former], partial(self._close_retired, close))
        self._close_later(old.close_sinks)

    def _close_retired(self, close: Callable[[], Awaitable[None]]) -> None:
        if close in self._retired:
            self._retired.discard(close)
            self._close_later(close)

    def _close_later(self, close: Callable[[], Awaitable[None]]) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # the loop is gone, and the connections with it
            return
        task = asyncio.ensure_future(close(), loop=loop)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    # ── shut down ────────────────────────────────────────────────────────────────────────────────────

    async def aclose(self) -> None:
        """Close all connections and write what the audit still holds. Safe to repeat and to cancel."""
        self.open_on = None
        if self._end is None:
            self._end = asyncio.ensure_future(self._close())
        # Shielded: when a caller is cancelled it goes on, for others who wait and for what is open.
        await asyncio.shield(self._end)

    async def _close(self) -> None:
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait([self._starting])
        await self._services.aclose()
        self._alive = None
        retired, self._retired = self._retired, set()
        for close in retired:  # of earlier configurations, for calls that still run
            self._close_later(close)
        for task in tuple(self._closing):  # a copy: each takes itself out as it ends
            with suppress(Exception):
                await task
        running = self._running()
        for each in running:
            each.closed = True
        for pool in self.snapshot.alive:
            if pool.queue is not None:
                pool.queue.refuse_all(shutting_down)
        await self.snapshot.aclose()
        # What still ran has just lost its connection; its records belong into the audit, too.
        if not await all_idle(running, within=_LAST_WORDS):
            for each in running:
                each.give_up()
        await self.snapshot.close_sinks()

    async def shutdown(self, *, grace: float | None = None) -> bool:
        """Take no further requests, let the running ones finish within `grace` seconds, then close.

        Returns: whether none had to be ended.
        """
        self.stopping, self.open_on = True, None
        within = self.snapshot.config.timeouts.drain if grace is None else grace
        finished = await all_idle(self._running(), within=within)
        await self.aclose()
        return finished

    def shutdown_on(self, *signals: int, grace: float | None = None) -> None:
        """Have the process's `signals` begin a `shutdown`."""

        def begin() -> None:
            if self._shutdown is None:
                self._shutdown = asyncio.ensure_future(self.shutdown(grace=grace))

        loop = asyncio.get_running_loop()
        for signal in signals:
            loop.add_signal_handler(signal, begin)

    def _running(self) -> list[Running]:
        """The requests that run, by snapshot; those of idle ones are forgotten."""
        self._former = [running for running in self._former if running.requests]
        return [*self._former, self.snapshot.setting.running]
