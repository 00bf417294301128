"""What happens to streams of a gateway that is told to end, or reads its configuration again and again.

    uv run python benchmarks/gateway_drain.py --streams 200                    SIGTERM in their midst
    uv run python benchmarks/gateway_drain.py --streams 500 --reloads 100      reloads in their midst
    uv run python benchmarks/gateway_drain.py --quick                          both with 20 streams, 5 reloads
    … [--drain 5] [--json]

`pointsman serve` and its upstream are processes of their own. The streams are spread over all surfaces that
have some, in front of upstreams that speak the same wire and another one, and each has got its first piece
before anything is done.

SIGTERM: the upstream goes on with three quarters of the streams and is silent about the others; a second
later it ends half of all as their wire has it, and the rest never. Asked: readiness is 503 within 100 ms, and
stays so; the half that ended is whole, the rest has an error of its wire, and comes to the end of its HTTP
message; the process ends with 0, no later than two seconds after `timeouts.drain`; nothing is left open at
the upstream.

Reloads: by SIGHUP and by `/admin/v1/reload` in turns, each with another configuration: weights, models that
come and go, the surfaces, and for every tenth one the headers of all providers, so that connections
are replaced. The upstream ends all streams after the last one. Asked: each is whole.

Exit status 1 where something is missing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic
from typing import Any, NamedTuple

from gateway_process import (
    SURFACES,
    WITHIN,
    Caller,
    Gateway,
    Surface,
    asked,
    configured,
    events,
    gateway,
    progress,
    raise_descriptors,
    upstream,
)

STREAMED = [name for name in SURFACES if name != "openai completions"]
"""Those whose answers come in pieces."""
READY_WITHIN = 0.1
AFTER_DRAIN = 2.0
_END = b"0\r\n\r\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--reloads", type=int, default=0, help="reload so often in place of SIGTERM")
    parser.add_argument("--drain", type=float, default=5.0, help="seconds of `timeouts.drain`")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    raise_descriptors(2 * options.streams + 500)
    if options.quick:
        found = [asyncio.run(drained(20, options.drain)), asyncio.run(reloaded(20, 5))]
    elif options.reloads:
        found = [asyncio.run(reloaded(options.streams, options.reloads))]
    else:
        found = [asyncio.run(drained(options.streams, options.drain))]
    for each in found:
        if options.json:
            print(json.dumps({**each.figures, "findings": each.findings}))
        else:
            print(", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in each.figures.items()))
            for finding in each.findings:
                print(f"  {finding}", file=sys.stderr)
    sys.exit(any(each.findings for each in found))


class Found(NamedTuple):
    """What was seen, and what of it is not as asked."""

    figures: dict[str, Any]
    findings: list[str]


class Stream(NamedTuple):
    """One that has begun."""

    number: int
    name: str
    surface: Surface
    caller: Caller

    async def rest(self) -> bytes:
        """What comes behind the first piece."""
        try:
            return await self.caller.rest()
        finally:
            self.caller.leave()


async def drained(streams: int, drain: float) -> Found:
    """End a gateway in the midst of so many streams."""
    config = {"timeouts": {"first_token": "1h", "idle": "1h", "attempt": "1h", "total": "1h", "drain": drain}}
    async with upstream() as behind, gateway(configured(behind.url, **config)) as serving:
        streaming = await begun(serving, streams, ("drip-on", "drip", "half", "drip"))
        rests = [asyncio.create_task(each.rest()) for each in streaming]
        progress("SIGTERM")
        told_at = monotonic()
        serving.tell(signal.SIGTERM)
        ready = asyncio.create_task(_readiness(serving))
        await asyncio.sleep(1.0)
        behind.finish()
        async with asyncio.timeout(drain + WITHIN):
            code = await serving.process.wait()
            ended_after = monotonic() - told_at
            answers = await asyncio.gather(*rests)
        turned_at, came_back = await ready
        with suppress(TimeoutError):
            async with asyncio.timeout(WITHIN):
                await asyncio.gather(*(behind.closed[each.number] for each in streaming))
        left = len(behind.open)
    progress("")
    ends = [_end(each, answer) for each, answer in zip(streaming, answers, strict=True)]
    not_ready_after = None if turned_at is None else turned_at - told_at
    findings = [
        *(
            f"stream {each.number} ({each.name}) is {end}: …{answer[-200:]!r}"
            for each, end, answer in zip(streaming, ends, answers, strict=True)
            if end != ("failed" if each.number % 2 == 0 else "whole")
        ),
        *(["it was ready again while it drained"] if came_back else []),
        *([f"exit status {code}"] if code else []),
        *([f"{left} connections of the upstream are left"] if left else []),
        *(["it took longer than it may"] if ended_after > drain + AFTER_DRAIN else []),
    ]
    if not_ready_after is None or not_ready_after > READY_WITHIN:
        findings.append("readiness was not taken back at once")
    figures = {
        "streams": streams,
        "whole": ends.count("whole"),
        "failed_in_their_wire": ends.count("failed"),
        "cut": ends.count("cut"),
        "not_ready_after_ms": None if not_ready_after is None else round(not_ready_after * 1e3, 1),
        "ended_after_s": round(ended_after, 2),
        "exit_status": code,
        "left_at_upstream": left,
    }
    return Found(figures, findings)


async def reloaded(streams: int, reloads: int) -> Found:
    """Reload a gateway in the midst of so many streams."""
    async with upstream() as behind, gateway(configured(behind.url)) as serving, events(serving.url) as told:
        streaming = await begun(serving, streams, ("drip",))
        rests = [asyncio.create_task(each.rest()) for each in streaming]
        began = monotonic()
        for number in range(reloads):
            progress(f"reload {number + 1} of {reloads}")
            serving.configure(_changed(behind.url, number))
            told.forget("reloaded")
            if number % 2:
                serving.tell(signal.SIGHUP)
            else:
                status, body = await asked("POST", f"{serving.url}/admin/v1/reload")
                assert status == 200, body
            await told.heard("reloaded")
        took = monotonic() - began
        early = sum(each.done() for each in rests)
        in_flight = (await serving.status())["in_flight"]
        behind.finish()
        async with asyncio.timeout(WITHIN):
            answers = await asyncio.gather(*rests)
        await serving.at_rest()
        serving.tell(signal.SIGTERM)
        async with asyncio.timeout(WITHIN):
            code = await serving.process.wait()
    progress("")
    ends = [_end(each, answer) for each, answer in zip(streaming, answers, strict=True)]
    findings = [
        *(
            f"stream {each.number} ({each.name}) is {end}: …{answer[-200:]!r}"
            for each, end, answer in zip(streaming, ends, answers, strict=True)
            if end != "whole"
        ),
        *([f"{early} streams ended before the last reload"] if early else []),
        *([f"{in_flight} are counted as in flight"] if in_flight != streams else []),
        *([f"exit status {code}"] if code else []),
    ]
    figures = {
        "streams": streams,
        "reloads": reloads,
        "whole": ends.count("whole"),
        "cut_or_failed": len(ends) - ends.count("whole"),
        "reloads_took_s": round(took, 2),
        "exit_status": code,
    }
    return Found(figures, findings)


def _changed(url: str, number: int) -> dict[str, Any]:
    """Another configuration for each reload, in which the streams' deployments stay."""
    config = configured(url)
    if number % 3 == 0:
        config["models"]["now-and-then"] = {"deployments": ["openai/y", "ollama/y"]}
    config["models"]["openai"] = {
        "deployments": [{"provider": "openai", "model": "x", "weight": 1 + number % 5}]
    }
    config["gateway"]["heartbeat"] = f"{10 + number}s"
    config["gateway"]["requests_kept"] = 100 + number
    if number % 4 == 0:
        config["gateway"]["surfaces"] = {"openai": {}, "anthropic": {}, "ollama": {}, "ai": {}}
    for each in config["providers"].values():
        each["headers"] = {"x-generation": str(number // 10)}
    return config


async def begun(serving: Gateway, streams: int, does: Sequence[str]) -> Sequence[Stream]:
    """So many streams that have got their first piece; what the upstream does then, by turns."""
    opening = asyncio.Semaphore(50)

    async def begin(number: int) -> Stream:
        name = STREAMED[number % len(STREAMED)]
        surface = SURFACES[name]
        body = surface.body(f"caller-{number}-{does[number % len(does)]}", True)
        async with opening:
            caller = await Caller.connect(serving.url)
            model = surface.models[number // len(STREAMED) % 2]
            caller.ask("POST", surface.path, {"model": model, **body}, connection="close")
            await caller.until(b"hello")
        progress(f"{number + 1} of {streams} streams")
        return Stream(number, name, surface, caller)

    return await asyncio.gather(*(begin(number) for number in range(streams)))


def _end(stream: Stream, answer: bytes) -> str:
    """How a stream ended: whole, failed in its wire, or cut."""
    if not answer.endswith(_END):
        return "cut"
    if stream.surface.error in answer:
        return "failed"
    return "whole" if stream.surface.end in answer else "cut"


async def _readiness(serving: Gateway) -> tuple[float | None, bool]:
    """When it was first not ready, and whether it was again after that; looks until nobody answers."""
    turned: float | None = None
    came_back = False
    while True:
        try:
            status, _ = await asked("GET", f"{serving.health}/health/ready")
        except (OSError, IndexError):
            return turned, came_back
        if status == 503:
            turned = turned or monotonic()
        elif turned is not None:
            came_back = True
        await asyncio.sleep(0.005 if turned is None else 0.1)


if __name__ == "__main__":
    main()
