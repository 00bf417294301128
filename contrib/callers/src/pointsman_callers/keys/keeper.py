"""Keys as one router keeps them: in memory what the database says, looked at beside the calls."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Awaitable, Callable, Sequence
from math import inf

from msgspec import Struct

from pointsman.plugin import Clock, ConfigError, KnownCaller
from pointsman_callers.keys.key_text import is_key
from pointsman_callers.keys.live import LiveKeys, Unknown
from pointsman_callers.keys.store import Everything, KeyStore, Replica, version_in
from pointsman_database import DatabaseError

log = logging.getLogger("pointsman.callers")

LOOK_EVERY = 0.2
"""Seconds between looks at the number of the last change."""
SAY_EVERY = 5.0
"""Seconds between words of a router that it is there, and between writes of when keys were used."""
SILENT = 15.0
"""Seconds after which nobody waits any more for a router that says nothing."""
WITHIN = 1.0
"""Seconds in which all routers should have seen a change."""
_USED_EVERY = 60.0


class Announced(Struct, frozen=True):
    """Who goes by a change.

    Attributes:
        seen: the routers that do.
        waiting: those that are there and have not said so in time.
        silent: those that ended without a word, or cannot reach the database; they may come back.
        seconds: that it took.
    """

    seen: Sequence[str]
    waiting: Sequence[str]
    silent: Sequence[str]
    seconds: float


class KeyKeeper:
    """A `CallerSource`, with the task that keeps it right.

    Args:
        ended: is told the id of each key that is worth nothing from now on.
        rescoped: is told the id of each that grants something else, or nothing any more by its own time.
        changed: is told of all keys whenever they are others, before any of them is good.

    Attributes:
        version: the number of the change that it goes by.
        trouble: why the database could not be looked at lately; "" where it could.
    """

    def __init__(
        self,
        store: KeyStore,
        live: LiveKeys,
        clock: Clock,
        *,
        ended: Callable[[str], None],
        rescoped: Callable[[str], None],
        changed: Callable[[Everything], Awaitable[None]],
    ) -> None:
        self.name = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(2)}"
        self.version = -1
        self.trouble = ""
        self._store = store
        self._live = live
        self._clock = clock
        self._ended = ended
        self._rescoped = rescoped
        self._changed = changed
        self._unknown = Unknown()
        self._woken = asyncio.Event()
        self._looking = asyncio.Lock()
        self._said = -inf
        self._used_said = -inf
        self.known = live.known
        self.again = live.again
        self.named = live.named

    async def find(self, credential: str) -> KnownCaller | None:
        """As of `CallerSource`: of a key that was made a moment ago, elsewhere."""
        now = self._clock.now()
        if not is_key(credential) or self._unknown.has(credential, now):
            return None
        await self.look()
        found = self.known(credential)
        if found is None:
            self._unknown.add(credential, now)
        return found

    def wake(self) -> None:
        """Look now: somebody says that something has changed."""
        self._woken.set()

    async def look(self) -> None:
        """Go by what the database says now. Where it cannot be asked, what was known stays."""
        async with self._looking:
            try:
                await self._look()
                if self.trouble:
                    log.warning("keys of callers: the database answers again")
                self.trouble = ""
            except ConfigError as error:
                self._complain(error.message)
            except Exception as error:  # what others wrote there can be anything, and the next look may do
                self._complain(f"what the database says cannot be read: {type(error).__name__}")

    def _complain(self, trouble: str) -> None:
        if not self.trouble:
            log.warning("keys of callers: %s; those that are known hold on", trouble)
        self.trouble = trouble

    async def _look(self) -> None:
        store, now = self._store, self._clock.now()
        version = await store.database.aread(version_in)
        if version != self.version:
            found = await asyncio.to_thread(store.everything)
            await self._go_by(found)
        elif now - self._said < SAY_EVERY:
            return
        self._said = -inf  # until it is said: who waits for that is not to wait in vain
        await asyncio.to_thread(store.seen, self.name, self.version)
        self._said = now
        if now - self._used_said >= _USED_EVERY:
            self._used_said = now
            await self._say_used()

    async def _go_by(self, found: Everything) -> None:
        await self._changed(found)
        over, others = self._live.replace(found.keys, self._clock.wall())
        self.version = found.version
        self._unknown.clear()
        for id in over:
            self._ended(id)
        for id in others:
            self._rescoped(id)

    async def _say_used(self) -> None:
        used, self._live.used = self._live.used, {}
        if used:
            await asyncio.to_thread(self._store.used, dict.fromkeys(used, self._clock.wall()))

    async def run(self) -> None:
        """Look, again and again, until it is cancelled."""
        while True:
            try:
                async with asyncio.timeout(LOOK_EVERY):
                    await self._woken.wait()
            except TimeoutError:
                pass
            self._woken.clear()
            await self.look()
            for id in self._live.expired(self._clock.wall()):
                self._rescoped(id)

    async def end(self) -> None:
        """Say when keys were used, and that this router is not there any more."""
        try:
            await self._say_used()
            await asyncio.to_thread(self._store.gone, self.name)
        except DatabaseError as error:
            log.warning("keys of callers: %s", error.message)


def announcement(replicas: Sequence[Replica], version: int, seconds: float) -> Announced:
    """How far change number `version` has come."""
    there = [each for each in replicas if each.silent < SILENT]
    return Announced(
        [each.name for each in there if each.version >= version],
        [each.name for each in there if each.version < version],
        [each.name for each in replicas if each not in there and each.version < version],
        seconds,
    )
