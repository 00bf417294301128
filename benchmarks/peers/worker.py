"""One client in its process: reads on standard input what to measure, one JSON object a line, and answers so.

    python worker.py CLIENT [--core N]     a line in, a line out, until standard input ends
    python worker.py CLIENT --build        only import it, set it up and close it

Only the standard library and the client's own libraries are imported here. Commands are the functions at the
end of this module by their names; other keys are their arguments.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import os
import statistics
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any

import machine
import traffic

Figures = dict[str, Any]


def main() -> None:
    name, *options = sys.argv[1:]
    if "--core" in options:
        machine.pin(int(options[options.index("--core") + 1]))
    if "--build" in options:
        asyncio.run(_built(name))
        os._exit(0)  # how an interpreter ends with a library's threads is no part of a start
    machine.raise_descriptors()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not stand between the answers
    try:
        _module(name)
    except Exception as error:
        _tell(answers, {"error": repr(error)})
        return
    _tell(answers, {"versions": versions()})
    with asyncio.Runner() as runner:
        for line in sys.stdin:
            given = json.loads(line)
            command = COMMANDS[given.pop("command")]
            try:
                figures = runner.run(command(name, **given))
            except Exception as error:
                figures = {"error": f"{type(error).__name__}: {error}"[:300]}
            _tell(answers, figures)


def versions() -> dict[str, str]:
    """What is installed of the libraries that decide."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in ("pointsman", "openai", "litellm", "tensorzero", "any-llm-sdk", "aiohttp", "httpx", "httpx2",
                 "httptools", "orjson", "pydantic", "pointsman-h1"):  # fmt: skip
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _tell(answers: Any, figures: Figures) -> None:
    print(json.dumps(figures), file=answers, flush=True)


def _module(name: str) -> Any:
    return importlib.import_module(f"clients.{name.replace('-', '_')}")


async def _opened(name: str, url: str, **options: int) -> Any:
    client = _module(name).Client(**options)
    await client.setup(url)
    return client


async def _built(name: str) -> None:
    async with _client(name, "http://127.0.0.1:9/plain/v1"):
        pass


@asynccontextmanager
async def _client(name: str, url: str, **options: int) -> Any:
    client = await _opened(name, url, **options)
    try:
        yield client
    finally:
        await client.close()
        await asyncio.sleep(0)


class Tally:
    """What came of a number of calls."""

    def __init__(self) -> None:
        self.times: list[float] = []
        """Of those that succeeded, in seconds."""
        self.errors: list[str] = []

    async def one(self, call: Callable[[], Awaitable[str]], expected: str) -> None:
        """One call, timed; its answer must be the one that was sent."""
        began = perf_counter()
        try:
            text = await call()
            took = perf_counter() - began
        except Exception as error:
            self.errors.append(f"{type(error).__name__}: {error}"[:200])
            return
        if text == expected:
            self.times.append(took)
        else:
            self.errors.append(f"wrong answer: {text[:80]!r}")

    def figures(self, *, cpu: float, wall: float) -> Figures:
        """For the report; times in microseconds, the first errors in words."""
        done = len(self.times) + len(self.errors)
        return {
            "calls": done,
            "failed": len(self.errors),
            "errors": self.errors[:3],
            "wall_s": wall,
            "cpu_us": cpu / done * 1e6,
            "calls_per_s": done / wall,
            "p50_us": quantile(self.times, 0.5) * 1e6,
            "p99_us": quantile(self.times, 0.99) * 1e6,
        }


def quantile(values: Sequence[float], share: float) -> float:
    """The value that this share of `values` does not exceed; 0 when there is none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


async def _side_by_side(concurrent: int, seconds: float, one: Callable[[], Awaitable[None]]) -> None:
    """`concurrent` callers, each of which calls until the time is over, and at least once."""
    until = perf_counter() + seconds

    async def caller() -> None:
        await one()
        while perf_counter() < until:
            await one()

    await asyncio.gather(*(caller() for _ in range(concurrent)))


async def _measured(work: Awaitable[None]) -> tuple[float, float]:
    """(CPU, wall) of `work` in seconds; what was left behind before is collected first."""
    gc.collect()
    cpu, wall = machine.cpu_seconds(), perf_counter()
    await work
    return machine.cpu_seconds() - cpu, perf_counter() - wall


# ── the commands ─────────────────────────────────────────────────────────────────────────────────────


async def calls(name: str, *, url: str, concurrent: int, seconds: float) -> Figures:
    """Whole answers, `concurrent` at a time, after a warm-up of one call for each caller."""
    async with _client(name, url) as client:
        cold, tally = Tally(), Tally()
        await asyncio.gather(*(cold.one(client.call, traffic.TEXT) for _ in range(concurrent)))
        cpu, wall = await _measured(
            _side_by_side(concurrent, seconds, lambda: tally.one(client.call, traffic.TEXT))
        )
    return tally.figures(cpu=cpu, wall=wall)


async def in_flight(name: str, *, url: str, count: int) -> Figures:
    """`count` calls that all begin together, on a client that has no connection yet."""
    async with _client(name, url) as client:
        tally = Tally()

        async def all_at_once() -> None:
            await asyncio.gather(*(tally.one(client.call, traffic.TEXT) for _ in range(count)))

        cpu, wall = await _measured(all_at_once())
    return tally.figures(cpu=cpu, wall=wall)


async def streams(name: str, *, url: str, chunks: int, concurrent: int, seconds: float) -> Figures:
    """Streamed answers of `chunks` pieces; when the first piece came, and how much later the last one."""
    expected = traffic.streamed(chunks)
    first: list[float] = []
    spread: list[float] = []
    async with _client(name, url) as client:

        async def stream() -> str:
            texts: list[str] = []
            times: list[float] = []

            def seen(text: str) -> None:
                times.append(perf_counter())
                texts.append(text)

            began = perf_counter()
            await client.stream(seen)
            first.append(times[0] - began)
            spread.append(times[-1] - times[0])
            return "".join(texts)

        cold, tally = Tally(), Tally()
        await asyncio.gather(*(cold.one(stream, expected) for _ in range(concurrent)))
        first.clear()
        spread.clear()
        cpu, wall = await _measured(_side_by_side(concurrent, seconds, lambda: tally.one(stream, expected)))
    figures = tally.figures(cpu=cpu, wall=wall)
    figures["chunk_cpu_us"] = figures["cpu_us"] / chunks
    figures["first_us"] = quantile(first, 0.5) * 1e6
    figures["spread_us"] = quantile(spread, 0.5) * 1e6
    return figures


async def growth(name: str, *, url: str, concurrent: int, early: int, late: int) -> Figures:
    """How much resident memory grows from call number `early` to call number `late`."""
    failed = 0
    async with _client(name, url) as client:

        async def several(count: int) -> None:
            async def caller(share: int) -> None:
                nonlocal failed
                for _ in range(share):
                    try:
                        failed += await client.call() != traffic.TEXT
                    except Exception:
                        failed += 1

            shares = [count // concurrent + (n < count % concurrent) for n in range(concurrent)]
            await asyncio.gather(*map(caller, shares))

        await several(early)
        gc.collect()
        before = machine.resident_kib()
        await several(late - early)
        gc.collect()
        after = machine.resident_kib()
    return {
        "calls": late,
        "failed": failed,
        "before_kib": before,
        "after_kib": after,
        "grown_kib": after - before,
    }


async def variants(
    name: str, *, url: str, concurrent: int, seconds: float, options: dict[str, dict[str, int]]
) -> Figures:
    """CPU per call of the client built in several ways, in slices of a twentieth of a second, turn by turn.

    Slices of one process side by side: that tells differences which rounds of whole processes would not.

    Returns: for each key of `options` the ratios to the first one's CPU, by its median over all turns.
    """
    clients = {key: await _opened(name, url, **each) for key, each in options.items()}
    turns: dict[str, list[float]] = {key: [] for key in clients}
    failed = 0
    order = list(clients)
    for turn in range(max(2, round(seconds / 0.05 / len(clients)))):
        order = [*order[1:], order[0]]
        for key in order:
            client = clients[key]
            tally = Tally()
            work = _side_by_side(concurrent, 0.05, lambda: tally.one(client.call, traffic.TEXT))  # noqa: B023
            cpu, wall = await _measured(work)
            failed += len(tally.errors)
            if turn:  # the first one opens the connections
                turns[key].append(tally.figures(cpu=cpu, wall=wall)["cpu_us"])
    for client in clients.values():
        await client.close()
    base, *_ = turns.values()
    return {
        "failed": failed,
        "turns": len(base),
        "cpu_us": {key: statistics.median(each) for key, each in turns.items()},
        "ratio": {
            key: statistics.median(a / b for a, b in zip(each, base, strict=True))
            for key, each in turns.items()
        },
    }


COMMANDS: dict[str, Callable[..., Any]] = {
    each.__name__: each for each in (calls, in_flight, streams, growth, variants)
}


if __name__ == "__main__":
    main()
