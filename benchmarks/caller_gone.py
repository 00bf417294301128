"""How soon an upstream's connection is closed when the caller of a gateway has gone, wherever its call is.

    uv run python benchmarks/caller_gone.py [--callers 1000] [--concurrent 25] [--json]
    uv run python benchmarks/caller_gone.py --quick     two callers of each kind

`pointsman serve` and its upstream are processes of their own. Callers of all surfaces, whose upstreams speak
the same wire and another one by turns, get as far as the phase says; `concurrent` of them then go away in one
go, half of them with the end that a closed socket sends and half without a word, or cancel their call on
their WebSocket. The lag of each is from there until the upstream has seen its connection end.

    whole       an answer in one piece is waited for, of which half has come for every second caller
    queued      the deployment has room for one call (`max_in_flight`), and somebody has it
    first byte  a stream is waited for
    streaming   its first piece has reached the caller

Who is queued has no connection that an upstream could see. Its lag is until `/admin/v1/events` has told
here that the request ended, so what that takes is in it; the upstream must never have heard of the request.

Asked: p99 at most 100 ms, and none that stays. Exit status 1 otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import sys
from collections.abc import Iterator
from time import monotonic
from typing import Any

from gateway_process import (
    SOCKET,
    SURFACES,
    WITHIN,
    Caller,
    Events,
    Gateway,
    Upstream,
    configured,
    events,
    gateway,
    milliseconds,
    progress,
    upstream,
)

GOAL_MS = 100.0
PHASES = ("whole", "queued", "first byte", "streaming")
SOCKETS = ("ai socket, lost", "ai socket, cancel")
CELLS = [
    (kind, phase)
    for kind in (*SURFACES, *SOCKETS)
    for phase in PHASES
    # A plain completion does not come in pieces.
    if (kind, phase) != ("openai completions", "streaming")
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--callers", type=int, default=1000, help="in all; at least one of each kind")
    parser.add_argument("--concurrent", type=int, default=25, help="who leave in one go")
    parser.add_argument("--quick", action="store_true", help="62 callers")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    callers = 62 if options.quick else options.callers
    figures = asyncio.run(measured(callers, options.concurrent))
    if options.json:
        print(json.dumps({"goal_ms": GOAL_MS, "figures": figures}))
    else:
        report(figures, options.concurrent)
    sys.exit(any(each["stayed"] or each["p99_ms"] > GOAL_MS for each in figures))


def report(figures: list[dict[str, Any]], concurrent: int) -> None:
    """Print what `measured` returned."""
    print(
        f"{figures[-1]['callers']} callers, up to {concurrent} gone at a time; "
        f"goal: p99 at most {GOAL_MS:g} ms"
    )
    print(f"  {'surface':20}{'phase':12}{'callers':>8}{'p50':>8}{'p99':>8}{'most':>8}  ms{'stayed':>8}")
    for each in figures:
        print(
            f"  {each['surface']:20}{each['phase']:12}{each['callers']:8}"
            f"{each['p50_ms']:8.1f}{each['p99_ms']:8.1f}{each['max_ms']:8.1f}{each['stayed']:12}"
        )


async def measured(callers: int, concurrent: int) -> list[dict[str, Any]]:
    """The figures of each surface and phase, and of all callers together at the end."""
    each = -(-callers // len(CELLS))
    numbers, found, figures = itertools.count(1), list[float | None](), list[dict[str, Any]]()
    async with upstream() as behind, gateway(configured(behind.url)) as serving, events(serving.url) as told:
        for kind, phase in CELLS:
            progress(f"{kind}: {phase}")
            lags = await _lags(serving, behind, told, kind, phase, numbers, each, concurrent)
            figures.append(_figures(kind, phase, lags))
            found += lags
    progress("")
    return [*figures, _figures("all", "all", found)]


def _figures(kind: str, phase: str, lags: list[float | None]) -> dict[str, Any]:
    seen = [each for each in lags if each is not None]
    known = {"surface": kind, "phase": phase, "callers": len(lags), "stayed": len(lags) - len(seen)}
    return {**known, **(milliseconds(seen) if seen else {"p50_ms": 0.0, "p99_ms": 0.0, "max_ms": 0.0})}


async def _lags(
    serving: Gateway,
    behind: Upstream,
    told: Events,
    kind: str,
    phase: str,
    numbers: Iterator[int],
    count: int,
    concurrent: int,
) -> list[float | None]:
    """Seconds until the end of the connection of each of `count` callers; None where it never came."""
    holder, held = None, 0
    if phase == "queued":
        held = next(numbers)
        holder = await Caller.connect(serving.url)
        path, body = _request("openai chat", "narrow", f"caller-{held}-mute", stream=False)
        holder.ask("POST", path, body)
        await behind.begun[held].wait()
    lags: list[float | None] = []
    while len(lags) < count:
        batch = [_Leaving(kind, phase, next(numbers)) for _ in range(min(concurrent, count - len(lags)))]
        await asyncio.gather(*(each.arrive(serving, behind, told) for each in batch))
        for each in batch:
            each.leave()
        lags += await asyncio.gather(*(each.lag(behind, told) for each in batch))
    await serving.at_rest(1 if holder is not None else 0)
    if holder is not None:
        holder.leave()
        await behind.closed[held]
        await serving.at_rest()
    return lags


class _Leaving:
    """A caller who gets as far as a phase, and goes."""

    def __init__(self, kind: str, phase: str, number: int) -> None:
        self._kind, self._phase, self._number = kind, phase, number
        self._socket = kind in SOCKETS
        self._id = f"leaving-{number}"
        self._left_at = 0.0

    async def arrive(self, serving: Gateway, behind: Upstream, told: Events) -> None:
        """Ask, and return when the call has come as far as that."""
        does = {"whole": ("mute", "half")[self._number % 2], "streaming": "half"}.get(self._phase, "mute")
        name = "ai" if self._socket else self._kind
        model = "narrow" if self._phase == "queued" else SURFACES[name].models[self._number // 2 % 2]
        stream = self._phase in ("first byte", "streaming")
        path, body = _request(name, model, f"caller-{self._number}-{does}", stream=stream)
        self._caller = await Caller.connect(serving.url)
        if self._socket:
            await self._caller.upgrade(SOCKET, x_request_id=self._id)
            self._id += "-1"  # of the first call of that connection
            self._caller.say({"id": "a", "type": "chat", **body})
        else:
            self._caller.ask("POST", path, body, x_request_id=self._id)
        if self._phase == "queued":
            await told.heard("queued", self._id)
        elif self._phase == "streaming":
            await self._caller.until(b"hello")
        else:
            async with asyncio.timeout(WITHIN):
                await behind.begun[self._number].wait()

    def leave(self) -> None:
        """Go away, or cancel."""
        self._left_at = monotonic()
        if self._kind == "ai socket, cancel":
            self._caller.say({"id": "a", "type": "cancel"})
        else:
            self._caller.leave(politely=self._number % 2 == 0)

    async def lag(self, behind: Upstream, told: Events) -> float | None:
        """Seconds from there to the end; None for one that never came."""
        try:
            async with asyncio.timeout(WITHIN):
                if self._phase == "queued":
                    ended = await told.heard("request_ended", self._id)
                    assert self._number not in behind.begun, "a request that was cancelled in line was sent"
                else:
                    ended = await behind.closed[self._number]
        except TimeoutError:
            return None
        finally:
            self._caller.leave()
        return ended - self._left_at


def _request(name: str, model: str, prompt: str, *, stream: bool) -> tuple[str, dict[str, Any]]:
    surface = SURFACES[name]
    return surface.path, {"model": model, **surface.body(prompt, stream)}


if __name__ == "__main__":
    main()
