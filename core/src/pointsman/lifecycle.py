"""What a router runs on, from its first call to its last: begun, replaced by a reload, retired, shut down."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import proxy

from pointsman._internal.idle import all_idle, when_all_idle
from pointsman._internal.scrubber import Scrubber
from pointsman.build.builder import Plan, plan
from pointsman.build.environment import with_environment
from pointsman.build.loading import as_config, plugins_for, tell_of_warnings, to_run_on
from pointsman.build.services import ConfiguredService
from pointsman.clock import Clock, Rng, system_rng
from pointsman.config import Config
from pointsman.config.document import ConfigSource
from pointsman.errors import ConfigError
from pointsman.event_log import Journal
from pointsman.events import EVENTS, Events, Reloaded, log
from pointsman.in_use import InUse
from pointsman.routing.runtime import Running, shutting_down
from pointsman.routing.snapshot import Snapshot
from pointsman.service_runner import ServiceRunner

if TYPE_CHECKING:
    from pointsman.budget import Budgets
    from pointsman.build.discoveries import ConfiguredDiscovery
    from pointsman.discovering import Discovering
    from pointsman.plugins.registry import Plugins
    from pointsman.reports import DiscoveryStatus

_LAST_WORDS = 1.0
"""Seconds that requests whose connections were just closed have to end in, each with its record."""


class Lifecycle:
    """Owns the snapshot that a router runs on, its services, and what earlier ones have left to close.

    Attributes:
        snapshot: what new requests run on.
        stopping: no further request is taken.
        open_on: the loop on which requests may begin without `bind`; None while there is none.
        in_use: since when it runs on that configuration, and what it did not take since.
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
        self.in_use = InUse(clock, scrubber)
        self._router = router
        self._services = ServiceRunner(scrub=scrubber.text)
        self._said = config
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
        self._looking: Sequence[ConfiguredDiscovery] = ()
        self._build(config.said)

    # ── begin ────────────────────────────────────────────────────────────────────────────────────────

    async def begin(self) -> None:
        """Have everything begin, on this event loop, and wait until all services have started.

        Raises: as `bind`. ConfigError when a service cannot be started: then none runs, and it can be tried
            again.
        """
        self._check_loop()
        await self._begin_services()
        self.bind()
        if self._discovering is not None:
            await self._discovering.answered()

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
        self._budget()
        # They hold the router weakly; as long as somebody can reach it by them it must be there.
        reached = any(getattr(each.service, "keeps_router", True) for each in started)
        self._alive = self._router() if reached else None

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
            if self._discovering is not None:
                self._discovering.use(self._looking)
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
            self._build(self._said)

    def _build(self, config: Config) -> None:
        self._said = config
        self._discovering: Discovering | None = None  # after a fork, one of its own
        self._registry = plugins_for(config, self._plugins)
        planned = self._planned(config, self._registry, None)
        self._budgets: list[list[Budgets]] = []  # after a fork, its own
        self._wanted, self._looking = planned.services, planned.discoveries
        self._use(planned.snapshot())
        tell_of_warnings(config)

    def _planned(
        self, config: Config, plugins: Plugins, previous: Snapshot | None, *, fresh: bool = False
    ) -> Plan:
        router = self._router()
        effective = self._with_found(with_environment(config, plugins), previous)
        if config.followed:
            effective.follow()
        return plan(
            effective,
            plugins,
            clock=self._clock,
            rng=self.rng,
            events=self._events,
            previous=previous,
            scrubber=self._scrubber,
            router=None if router is None else proxy(router),  # weakly, as `Router.__init__` says
            fresh=fresh,
        )

    def _with_found(self, config: Config, previous: Snapshot | None) -> Config:
        """What `config` comes to with what was found of its providers."""
        if not any(each.discovers for each in config.providers.values()):
            return config
        if self._discovering is None:
            from pointsman.discovering import Discovering  # few programs have anything to discover

            self._discovering = Discovering(
                clock=self._clock, rng=self.rng, scrub=self._scrubber.text, apply=self._rediscovered
            )
        return self._discovering.effective(config, None if previous is None else previous.config)

    def _use(self, snapshot: Snapshot) -> None:
        """Run on `snapshot` from now on; its audit sinks hear of everything that ends from now on."""
        silence = self._silence
        # The new ones first, so that no event falls between the two.
        # Their methods: to call what has a `__call__` takes 600 instructions more, twice a call.
        self._silence = [
            self._events.add(sink.__call__, (*EVENTS, *getattr(sink, "kinds", ()))) for sink in snapshot.sinks
        ]
        for end in silence:
            end()
        self.snapshot = snapshot
        self._budget()

    # ── budgets ──────────────────────────────────────────────────────────────────────────────────────

    def use_budgets(self, budgets: Budgets) -> Callable[[], None]:
        """Hold every attempt against `budgets` from now on; returns what ends it. The latest count."""
        used = [budgets]  # of its own, for the same may be used by several
        self._budgets.append(used)
        self._budget()

        def end() -> None:
            self._budgets = [each for each in self._budgets if each is not used]
            self._budget()

        return end

    @property
    def budgets(self) -> Budgets | None:
        """Those that attempts are held against; None while there are none."""
        return self._budgets[-1][0] if self._budgets else None

    def _budget(self) -> None:
        budgets = self.budgets
        if budgets is None and not self._served and any(each.before_calls for each in self._wanted):
            from pointsman.awaited_budgets import AwaitedBudgets  # for who calls before its services began

            budgets = AwaitedBudgets(self)
        self.snapshot.setting.budgets = budgets

    async def budgets_begun(self) -> Budgets | None:
        """The same, once services have started. Raises: as `begin`."""
        await self._begin_services()
        return self.budgets

    # ── reload ───────────────────────────────────────────────────────────────────────────────────────

    async def reload(self, source: str | Path | Mapping[str, Any] | Config | None) -> None:
        """Run on a new configuration: the same file read again, or `source`. Raises ConfigError."""
        try:
            await self._reload(source)
        except ConfigError as error:
            self.in_use.refuse(error)
            raise

    async def _reload(self, source: ConfigSource | Mapping[str, Any] | Config | None) -> None:
        # One after the other, from the reading on: else what was read first could be what is used at last.
        async with self._changing:
            config = (await self._read(source)).said
            # A thread, because of hundreds of deployments it takes longer than all else here, and because
            # the metadata of all that is installed are read, which calls would have to wait for.
            registry, changes = await asyncio.to_thread(self._compared, config)
            old, new = await self._replaced(config, registry)
            self.in_use.taken(changes)
        tell_of_warnings(config)
        self._changed(old, new, changes)
        if self._discovering is not None:
            await self._discovering.answered()

    def _changed(self, old: Snapshot, new: Snapshot, changes: Sequence[str] = ()) -> None:
        """The router runs on `new`: let go of what it needs no more, and tell of it."""
        self._retire(old, new)
        kept = sum(1 for id in new.lives if new.lives[id] is old.lives.get(id))
        self._events.report(Reloaded(kept, len(new.lives) - kept, len(old.lives) - kept, tuple(changes)))

    async def _read(self, source: ConfigSource | Mapping[str, Any] | Config | None) -> Config:
        if isinstance(source, Config):
            return source
        again = self._said
        read = as_config if source is None and not again.followed else to_run_on
        source = again.loaded_from if source is None else source
        if source is None:
            raise ConfigError("the router was not made from a file; hand the new configuration to reload()")
        # A thread, because files are read, those that values refer to as well.
        return await asyncio.to_thread(read, source, self._plugins)

    def _compared(self, config: Config) -> tuple[Plugins, Sequence[str]]:
        """What `config` finds by name, looked up on the disk, and what it changes."""
        from pointsman.config.difference import differences  # for whoever reloads

        plugins = plugins_for(config, self._plugins)
        plugins.look_up()
        return plugins, [str(each) for each in differences(self._said, config, plugins=plugins)]

    async def _replaced(
        self, config: Config, registry: Plugins, *, fresh: bool = False
    ) -> tuple[Snapshot, Snapshot]:
        """What the router ran on, and what it runs on from now on."""
        old = self.bind()
        planned = self._planned(config, registry, old, fresh=fresh)
        started = await self._started(planned.services, config)
        try:
            new = planned.snapshot()
        except BaseException:
            await self._services.close(started)
            raise
        self._use(new)
        self._said, self._registry = config, registry
        new.start()
        self._serve(started)
        if self._discovering is not None:
            self._discovering.use(planned.discoveries)
        return old, new

    async def _rediscovered(self) -> None:
        """Run on what was found of providers, and on what is said, as before. Raises ConfigError."""
        async with self._changing:
            if self._end is not None or self._discovering is None:
                return
            old, new = await self._replaced(self._said, self._registry, fresh=not self._discovering.settled)
        self._changed(old, new)

    def discoveries(self) -> Sequence[DiscoveryStatus]:
        """How it is with what looks for servers and models."""
        return () if self._discovering is None else self._discovering.report()

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
        if self._discovering is not None:
            await self._discovering.aclose()
        await self._services.aclose(also_before_calls=False)
        self._alive = None
        retired, self._retired = self._retired, set()
        for close in retired:  # of earlier configurations, for calls that still run
            self._close_later(close)
        for task in tuple(self._closing):  # a copy: each takes itself out as it ends
            with suppress(Exception):
                await task
        self.snapshot.stop_mirrors()
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
        await self._services.aclose()  # what calls used is settled now, and has to be kept
        await self.snapshot.close_sinks()

    async def shutdown(self, *, grace: float | None = None) -> bool:
        """Take no further requests, let the running ones finish within `grace` seconds, then close.

        Returns: whether none had to be ended.
        """
        self.stopping, self.open_on = True, None
        self.snapshot.stop_mirrors()
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
