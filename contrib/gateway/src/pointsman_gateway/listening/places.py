"""The listeners of a gateway: opened all or none, changed by a reload, ended together."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from msgspec import Struct

from pointsman.plugin import ConfigError
from pointsman_gateway.listening.addresses import Address
from pointsman_gateway.listening.server import Bound, Listening


class Place(Struct, frozen=True):
    """Where something listens: the surface `scope` alone, "" for all; or health."""

    at: Address
    scope: str = ""
    health: bool = False


class Listeners:
    """All of them, by their place."""

    def __init__(self) -> None:
        self._open: dict[Place, Listening] = {}
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def addresses(self) -> Mapping[Place, Address]:
        """Where each listens, with the port that it got."""
        return {place: each.address for place, each in self._open.items()}

    def bind(self, wanted: Sequence[Place]) -> Mapping[Place, Bound]:
        """Sockets at those of `wanted` where none is open yet, for `open`.

        Raises: ConfigError when one cannot be had; then none is held.
        """
        bound: dict[Place, Bound] = {}
        for place in wanted:
            if place in self._open:
                continue
            try:
                bound[place] = Bound(place.at)
            except OSError as error:
                release(bound)
                raise ConfigError(
                    f"gateway: cannot listen at {place.at}: {error.strerror or error}"
                ) from error
        return bound

    async def open(
        self,
        wanted: Sequence[Place],
        bound: Mapping[Place, Bound],
        app: Callable[[Place], Any],
        *,
        drain: float,
        tls: ssl.SSLContext | None,
        largest: int,
    ) -> None:
        """Listen at `wanted` and nowhere else; what is open there already stays as it is.

        Args:
            bound: what `bind` gave for them.
            app: what answers at a place.
            tls: of those that are for all surfaces.
            largest: bytes of a message of a WebSocket.
        """
        opened: dict[Place, Listening] = {}
        for place, socket in bound.items():
            own = None if place.scope or place.health else tls
            opened[place] = Listening(app(place), socket, drain=drain, tls=own, largest=largest)
        for each in opened.values():
            await each.start()
        left = [self._open[place] for place in self._open if place not in wanted]
        both = {**self._open, **opened}
        self._open = {place: both[place] for place in wanted}
        for each in left:
            each.stop()
            task = asyncio.create_task(each.ended())
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    def allow(self, mode: int) -> None:
        """Have all sockets in the file system be of that mode: it says who may connect to them."""
        for place in self._open:
            if place.at.path is not None:
                with suppress(OSError):  # somebody took it away: nobody can connect to it at all
                    place.at.path.chmod(mode)

    def stop(self) -> None:
        """Take no further connections, but for health."""
        for place, each in self._open.items():
            if not place.health:
                each.stop()

    async def ended(self) -> None:
        """Return when all connections are closed, those of health last."""
        serving = [each.ended() for place, each in self._open.items() if not place.health]
        await asyncio.gather(*serving, *self._ending)
        for place, each in self._open.items():
            if place.health:
                each.hurry()
                await each.ended()

    def hurry(self) -> None:
        """Wait for no connection any more."""
        for each in self._open.values():
            each.hurry()


def release(bound: Mapping[Place, Bound]) -> None:
    """Give back the sockets that are not to be used after all."""
    for each in bound.values():
        each.close()
