"""The discoveries of a router while they run: asked every so often, believed with care, closed with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from msgspec.structs import replace

from pointsman._internal.plugin_errors import OWN, Scrub, fault, is_own, log_raised
from pointsman._internal.printable import printable_line
from pointsman._internal.timeouts import TimeLimit
from pointsman.build.discoveries import ConfiguredDiscovery
from pointsman.clock import Clock, Rng
from pointsman.config import Config
from pointsman.config.discovered import Source, former, server_name, sources, with_found
from pointsman.discovery import Found, misfit
from pointsman.errors import AttemptTimeout, CallError, ConfigError, OutOfResources
from pointsman.events import log
from pointsman.reports import DiscoveryStatus

FIRST_WITHIN = 3.0
"""Seconds that a router waits for first answers, all together."""
ANSWER_WITHIN = 10.0
"""Seconds that each answer may take."""
_CLOSE_WITHIN = 5.0
_LONGEST = 2000
"""Characters of what was found that the log tells."""


class Discovering:
    """Asks what it is told to use, remembers what was found, and has the router run on that.

    Args:
        apply: has the router run on what is found now. Raises ConfigError where it cannot.
    """

    def __init__(self, *, clock: Clock, rng: Rng, scrub: Scrub, apply: Callable[[], Awaitable[None]]) -> None:
        self._clock = clock
        self._rng = rng
        self._scrub = scrub
        self._apply = apply
        self._watched: list[_Watched] = []
        self._closing: set[asyncio.Task[None]] = set()
        self.settled = False
        """Whether all of them have answered once, or failed to."""

    # ── what was found ───────────────────────────────────────────────────────────────────────────────

    def effective(self, config: Config, running: Config | None) -> Config:
        """What `config` comes to now; `running` is what the router runs on so far."""
        if not any(each.discovers for each in config.providers.values()):
            return config
        known = self._known(config)
        if running is not None:
            known += former(with_found(config, known), running, known)
        return with_found(config, known)

    def _known(self, config: Config) -> list[tuple[Source, Found]]:
        """What is known by those that `config` still has asked: by servers first, then at these."""
        every = [(each.source, each.found) for each in self._watched if each.found is not None]

        def asked_by(config: Config) -> list[tuple[Source, Found]]:
            wanted = sources(config)
            return [(mine, found) for mine, found in every if any(mine.asks_as(each) for each in wanted)]

        return asked_by(with_found(config, asked_by(config)))

    def report(self) -> tuple[DiscoveryStatus, ...]:
        """What each has found last, when, and what went wrong since."""
        return tuple(each.report(self._clock) for each in self._watched)

    # ── asking ───────────────────────────────────────────────────────────────────────────────────────

    def use(self, wanted: Sequence[ConfiguredDiscovery]) -> None:
        """Ask these from now on; what is known of what is asked for goes on."""
        left, watched = list(self._watched), []
        for each in wanted:
            kept = next((one for one in left if each.goes_on(one.configured)), None)
            if kept is None:
                heir = next((one for one in left if each.source.asks_as(one.source)), None)
                kept = _Watched(each, heir)
                kept.task = asyncio.ensure_future(self._watch(kept))
            else:
                left.remove(kept)
            watched.append(kept)
        self._watched = watched
        for one in left:
            task = asyncio.ensure_future(self._close(one))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def answered(self, within: float = FIRST_WITHIN) -> None:
        """Return when each has answered or failed, those too that come of an answer. At most `within` s."""
        until = self._clock.now() + within
        while waiting := [each.first for each in self._watched if not each.first.done()]:
            done, _late = await asyncio.wait(waiting, timeout=max(0.0, until - self._clock.now()))
            if len(done) < len(waiting):
                return

    async def _watch(self, one: _Watched) -> None:
        while True:
            await self._ask(one)
            if not one.first.done():
                one.first.set_result(None)
                self.settled = self.settled or all(each.first.done() for each in self._watched)
            # Soon again where it failed: a server that is just being started is not away for a minute.
            soon = 2.0 ** min(one.failures - 1, 30) if one.failures else one.source.interval
            pause = min(one.source.interval, soon) * (0.9 + 0.2 * self._rng.random())
            await self._clock.sleep(pause)

    async def _ask(self, one: _Watched) -> None:
        found = await self._answer(one)
        if found is None:
            return
        if one.failures:
            log.info("%s: %s answers again", one.source.provider, one.source.type)
        one.failures, one.error, one.last_at = 0, "", self._clock.now()
        if _is_empty(found) and not one.doubted and (one.found is None or not _is_empty(one.found)):
            # As a server is, for a moment, that is being started, or a registry that lost its members: to
            # believe it at once would end all calls.
            one.doubted = True
            return
        one.doubted = False
        if one.found is not None and _says(found) == _says(one.found):
            return
        before, one.found = one.found, found
        try:
            await self._apply()
        except ConfigError as error:
            one.found = before
            self._failed(one, self._scrub(error.message))
            return
        except OWN as error:  # a file that cannot be opened now, say: the next answer is tried again
            one.found = before
            log_raised("what was found could not be used", error, self._scrub)
            self._failed(one, f"could not be used: {type(error).__name__}; the log says more")
            return
        for sign, these in zip(("found", "no longer there"), _changes(before, found), strict=True):
            if these:
                said = printable_line(self._scrub(", ".join(these)[:_LONGEST]))
                log.info("%s: %s: %s", one.source.provider, sign, said)

    async def _answer(self, one: _Watched) -> Found | None:
        """What it finds now; None where it fails, which is noted."""
        try:
            with TimeLimit(self._clock.now() + ANSWER_WITHIN, _late):
                found: Any = await one.configured.discovery.find()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            self._failed(one, "it was cancelled from inside")
            return None
        except OutOfResources:
            return None  # what we lack says nothing about it
        except CallError as error:
            self._failed(one, self._scrub(error.message))
            return None
        except OWN as error:  # somebody else's code: anything can happen
            did: str | BaseException = error
        else:
            wrong = misfit(found)
            if wrong is None:
                return _in_order(found)
            did = wrong
        if one.failures:
            self._failed(one, one.error)  # the log has it already
        else:
            self._failed(one, fault("discovery", one.source.type, "find", did, scrub=self._scrub).message)
        return None

    def _failed(self, one: _Watched, why: str) -> None:
        if not one.failures or why != one.error:
            stays = "what was found last stays" if one.found is not None else "nothing is found yet"
            log.warning("%s: %s fails, %s: %s", one.source.provider, one.source.type, stays, why)
        one.failures += 1
        one.error = why

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────

    async def aclose(self) -> None:
        """Ask no more, and close all of them. Safe to repeat."""
        watched, self._watched = self._watched, []
        await asyncio.gather(*map(self._close, watched), *self._closing)

    async def _close(self, one: _Watched) -> None:
        task = one.task
        if task is not None and task is not asyncio.current_task():
            task.cancel()
            await asyncio.wait([task], timeout=_CLOSE_WITHIN)
        if not one.first.done():
            one.first.set_result(None)
        close = getattr(one.configured.discovery, "aclose", None)
        try:
            async with asyncio.timeout(_CLOSE_WITHIN):
                if close is not None:
                    await close()
                for client in one.configured.opened:
                    await client.aclose()
        except BaseException as error:
            if not is_own(error):
                raise
            fault("discovery", one.source.type, "aclose", error, scrub=self._scrub)


class _Watched:
    """One of them while it is asked.

    Attributes:
        found: what is believed; None before an answer.
        doubted: the last answer was empty and is not believed yet.
        failures: in a row.
        last_at: when it last answered, on the router's clock.
        first: done when it has answered or failed once.
    """

    def __init__(self, configured: ConfiguredDiscovery, heir_of: _Watched | None) -> None:
        self.configured = configured
        self.found: Found | None = None if heir_of is None else heir_of.found
        self.last_at: float | None = None if heir_of is None else heir_of.last_at
        self.doubted = False
        self.failures = 0
        self.error = ""
        self.first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.task: asyncio.Task[None] | None = None

    @property
    def source(self) -> Source:
        return self.configured.source

    def report(self, clock: Clock) -> DiscoveryStatus:
        found = self.found or Found()
        return DiscoveryStatus(
            provider=self.source.provider,
            type=self.source.type,
            servers=None if found.servers is None else [server_name(each) for each in found.servers],
            models=None if found.models is None else list(found.models),
            last_at=self.last_at,
            error=self.error,
            seconds_ago=None if self.last_at is None else clock.now() - self.last_at,
        )


def _late() -> Exception:
    return AttemptTimeout(f"no answer within {ANSWER_WITHIN:g} s")


def _is_empty(found: Found) -> bool:
    return not found.servers and not found.models


def _in_order(found: Found) -> Found:
    """The same, with servers in an order that resolvers do not change, each once."""
    servers = None if found.servers is None else {server_name(each): each for each in found.servers}
    return replace(
        found,
        servers=None if servers is None else tuple(servers[name] for name in sorted(servers)),
        models=None if found.models is None else tuple(dict.fromkeys(found.models)),
    )


def _says(found: Found) -> tuple[object, object]:
    return found.servers, None if found.models is None else frozenset(found.models)


def _changes(before: Found | None, now: Found) -> tuple[list[str], list[str]]:
    """What there is more, and what is no longer there."""
    old, new = _things(before or Found()), _things(now)
    return [each for each in new if each not in old], [each for each in old if each not in new]


def _things(found: Found) -> list[str]:
    return [*map(server_name, found.servers or ()), *(found.models or ())]
