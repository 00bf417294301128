"""A forecast from its beginning to its end: traffic into a world, as fast as the machine can."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from pointsman import Config
from pointsman.plugin import Clock
from pointsman_forecast.faults import FaultSettings
from pointsman_forecast.outcome import Forecast, Gathering
from pointsman_forecast.settings import UpstreamSettings
from pointsman_forecast.traffic import Arrival
from pointsman_forecast.world import Asked, Question, World, in_virtual_time

Progress = Callable[[float, int], None]
"""Is told of the virtual seconds that have passed, and of the requests that have come."""
_TELL_EVERY = 256
"""Requests."""


def forecast(
    name: str,
    config: Config,
    arrivals: Iterable[Arrival],
    *,
    seconds: float,
    upstreams: Mapping[str, UpstreamSettings] | None = None,
    faults: Sequence[FaultSettings] = (),
    seed: int = 0,
    plugins: Iterable[object] = (),
    progress: Progress | None = None,
) -> Forecast:
    """What would come of `config` with `arrivals`, which come for `seconds`.

    Ctrl-C ends it, and what there is by then comes back, not `complete`.

    Raises: ConfigError for what cannot be right.
    """

    async def run() -> Forecast:
        async with World(config, upstreams=upstreams, faults=faults, seed=seed, plugins=plugins) as world:
            gathering = Gathering(world.router, world.clock, world.upstreams)
            asking = Asking(world.ask, world.clock, gathering)
            try:
                await asking.all(arrivals, progress)
            except asyncio.CancelledError:
                return gathering.forecast(name, world.clock.now(), complete=False)
            finally:
                asking.stop()
            return gathering.forecast(name, seconds, complete=True)

    return in_virtual_time(run())


class Asking:
    """Asks questions in their time, and hands what becomes of them to who gathers it."""

    def __init__(
        self, ask: Callable[[Question], Awaitable[Asked]], clock: Clock, gathering: Gathering
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._gathering = gathering
        self._running: set[asyncio.Task[None]] = set()

    async def all(self, arrivals: Iterable[Arrival], progress: Progress | None = None) -> None:
        """Ask each question at its time, and wait for the last answer."""
        now, running = self._clock.now, self._running
        began = now()
        for n, arrival in enumerate(arrivals):
            wait = began + arrival.at - now()
            if wait > 0:
                await asyncio.sleep(wait)
            task = asyncio.create_task(self._one(arrival.question))
            running.add(task)
            task.add_done_callback(running.discard)
            if progress is not None and n % _TELL_EVERY == 0:
                progress(now() - began, n)
        while running:
            await asyncio.wait(running)

    async def _one(self, question: Question) -> None:
        self._gathering.add(await self._ask(question))

    def stop(self) -> None:
        """End what still runs."""
        for task in self._running:
            task.cancel()
