"""The services of a router while they run: all started or none, replaced by reloads, closed with it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from pointsman._internal.plugin_errors import Scrub, fault, is_own
from pointsman.build.services import ConfiguredService
from pointsman.config import Config, codes
from pointsman.config.problems import config_error
from pointsman.errors import ConfigError

CLOSE_WITHIN = 5.0
"""Seconds that each of them has to close in."""


class ServiceRunner:
    """Starts services, keeps those that a reload leaves as they are, and closes the others."""

    def __init__(self, *, scrub: Scrub) -> None:
        self._scrub = scrub
        self._running: tuple[ConfiguredService, ...] = ()
        self._former: dict[asyncio.Task[None], ConfiguredService] = {}

    async def start(self, wanted: Sequence[ConfiguredService], config: Config) -> Sequence[ConfiguredService]:
        """What is to run, started as far as it does not run yet: to be handed to `use` or to `close`.

        Raises: ConfigError when one cannot be started; then none of them was.
        """
        left = list(self._running)
        result: list[ConfiguredService] = []
        fresh: list[ConfiguredService] = []
        try:
            for each in wanted:
                kept = next((one for one in left if not each.replaces(one)), None)
                if kept is None:
                    fresh.append(each)
                    await self._start(each, config)
                else:
                    left.remove(kept)
                result.append(kept or each)
        except BaseException:
            await self.close(fresh)
            raise
        return result

    async def _start(self, one: ConfiguredService, config: Config) -> None:
        name = one.context.name
        try:
            await one.service.start()
        except ConfigError as error:
            problem = config.problem(one.path, self._scrub(error.message), code=codes.SERVICE_DOWN)
            raise config_error([problem], file=config.file) from error
        except BaseException as error:  # somebody else's code: anything can happen
            if not is_own(error):
                raise
            fault("service", name, "start", error, scrub=self._scrub)
            did = f"failed in start(): {type(error).__name__}; the log says more"
            message = f"the service {name!r} from {one.origin} {did}"
            problem = config.problem(one.path, message, code=codes.PLUGIN_FAILED)
            raise config_error([problem], file=config.file) from error

    def use(self, started: Sequence[ConfiguredService]) -> None:
        """Have these run from now on, and those that ran before and are not among them finish."""
        former = [each for each in self._running if each not in started]
        self._running = tuple(started)
        for each in former:
            task = asyncio.ensure_future(self._finish(each))
            self._former[task] = each
            task.add_done_callback(self._former.pop)

    async def close(self, started: Sequence[ConfiguredService]) -> None:
        """Close those of `started` that are not in use, the last one first."""
        for each in reversed(started):
            if each not in self._running:
                await self._close(each)

    async def aclose(self, *, also_before_calls: bool = True) -> None:
        """Close them, at once. Safe to repeat.

        Args:
            also_before_calls: those as well that calls need until they have ended.
        """
        former = {
            task: each for task, each in self._former.items() if also_before_calls or not each.before_calls
        }
        for task in former:
            task.cancel()
        if former:
            await asyncio.wait(former)
        over = [each for each in self._running if also_before_calls or not each.before_calls]
        self._running = tuple(each for each in self._running if each not in over)
        await self.close([*former.values(), *over])

    async def _finish(self, one: ConfiguredService) -> None:
        finish = getattr(one.service, "finish", None)
        if finish is not None:
            await self._do(one, "finish", finish())
        await self._close(one)

    async def _close(self, one: ConfiguredService) -> None:
        try:
            async with asyncio.timeout(CLOSE_WITHIN):
                await self._do(one, "aclose", one.service.aclose())
        except TimeoutError:
            did = f"is not closed after {CLOSE_WITHIN:g} s; it is left alone"
            fault("service", one.context.name, "aclose", did, scrub=self._scrub)

    async def _do(self, one: ConfiguredService, method: str, work: object) -> None:
        """Await `work` of its `method`; what it raises of its own is logged, and the others go on."""
        try:
            await work  # type: ignore[misc]  # the interface says that it can be awaited; else this says why not
        except BaseException as error:  # somebody else's code: anything can happen
            if not is_own(error):
                raise
            fault("service", one.context.name, method, error, scrub=self._scrub)
