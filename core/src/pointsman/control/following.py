"""What happens from now on, told to one who listens at the control socket: a line of JSON for each event.

Whoever reads slowly costs the router a few hundred events in memory, and no wait: what does not fit is left
out and counted.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from pointsman.events import Event, Progress

MOST_WAITING = 1_000
"""Events that wait for one reader; a further one is left out."""


def _plain(value: object) -> object:
    """What JSON has for it; tags may be a mapping that nobody can change."""
    return dict(value) if isinstance(value, Mapping) else str(value)


_encode = msgspec.json.Encoder(enc_hook=_plain).encode


def kind_of(event: type) -> str:
    """`attempt_ended` for `AttemptEnded`."""
    return "".join(f"_{each.lower()}" if each.isupper() else each for each in event.__name__).lstrip("_")


def event_json(event: Event | Progress, at: float) -> bytes:
    """`event` as JSON on one line: its `type`, when it was told (`at`, seconds since 1970), its fields."""
    said = {name: getattr(event, name) for name in event.__struct_fields__}
    return _encode({"type": kind_of(type(event)), "at": at, **said})


class Following:
    """One reader of events; it listens from when it is made until it is closed.

    Args:
        listen: `Router.listen`.
        wall: seconds since 1970.
    """

    def __init__(self, listen: Callable[..., Callable[[], None]], wall: Callable[[], float]) -> None:
        self._wall = wall
        self._waiting: deque[tuple[float, Event]] = deque()
        self._left_out = 0
        self._more = asyncio.Event()
        self._ended = False
        self._stop = listen(self._hear)

    def _hear(self, event: Event) -> None:
        if len(self._waiting) < MOST_WAITING and not self._left_out:
            self._waiting.append((self._wall(), event))
        else:  # until the reader has been told of it, so that it hears where the gap is
            self._left_out += 1
        self._more.set()

    async def lines(self) -> bytes:
        """The next events, a line for each, and how many were left out behind them; b"" at the end."""
        if not self._waiting and not self._left_out:
            self._more.clear()
            if not self._ended:
                await self._more.wait()
        said = [event_json(event, at) for at, event in self._waiting]
        if self._left_out:
            gap: dict[str, Any] = {"type": "gap", "at": self._wall(), "left_out": self._left_out}
            said.append(_encode(gap))
        self._waiting.clear()
        self._left_out = 0
        return b"".join(each + b"\n" for each in said)

    def end(self) -> None:
        """Have `lines` return b"" when nothing waits any more."""
        self._ended = True
        self._more.set()

    def close(self) -> None:
        """Listen no more. Safe to repeat."""
        self._stop()
