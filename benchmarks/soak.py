"""Does anything grow? A million calls in memory and a hundred thousand over sockets, a fifth with faults.

    uv run python benchmarks/soak.py [--simulated 1000000] [--sockets 100000] [--transport h1] [--json]

Whole and streamed calls, some of which are left early or cancelled, go through one router to three upstreams.
In memory those are `FaultUpstream`s on virtual time, over sockets simulated servers in another process. Each
run has twenty rounds. Between two of them nothing is in flight, and resident memory (without what the C
library keeps for later), living objects, tasks and descriptors are counted. The first quarter is the warm-up;
after it resident memory may grow by 5 MiB, tasks may not, and descriptors stay below one for each caller and
upstream. When the router is closed, all of its tasks and descriptors are gone. Every call must end in an
answer or in one of our errors, and be told of once.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import gc
import json
import logging
import os
import random
import resource
import sys
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

from pointsman import PointsmanError, Router, replace
from pointsman.events import Event, RequestEnded
from pointsman.plugin import PointsmanSpec, hookimpl
from pointsman.testing import CannedReply, Fault, FaultUpstream, Frames, run
from pointsman.testing.faults import FaultStep
from pointsman.transports.factory import TransportFactory

ROUNDS = 20
CALLERS = 50
NAMES = ("a", "b", "c")
SHARE = 0.2
GOAL_MIB = 5.0
WORDS = ("nothing ", "grows ", "here ", "for ", "ever")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--simulated", type=int, default=1_000_000)
    parser.add_argument("--sockets", type=int, default=100_000)
    parser.add_argument("--transport", choices=["h1", "aiohttp", "httpx"], default="h1")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(options.seed))
        return
    logging.getLogger("pointsman").setLevel(logging.ERROR)  # each abandoned stream warns
    runs = []
    if options.simulated:
        runs.append(run(simulated(options.simulated, seed=options.seed, progress=_progress)))
    if options.sockets:
        runs.append(
            asyncio.run(
                over_sockets(
                    options.sockets, transport=options.transport, seed=options.seed, progress=_progress
                )
            )
        )
    if options.json:
        print(json.dumps([each.figures() for each in runs]))
    else:
        for each in runs:
            _show(each)
    sys.exit(any(each.findings() for each in runs))


@dataclass(frozen=True)
class Sample:
    """What is there while nothing is in flight."""

    calls: int
    resident_mib: float
    objects: int
    tasks: int
    descriptors: int


@dataclass
class Soak:
    """One run."""

    name: str
    seed: int
    samples: list[Sample] = field(default_factory=list)
    ends: Counter[str] = field(default_factory=Counter)
    told: int = 0
    faults: int = 0
    attempts: int = 0
    seconds: float = 0.0
    before: Sample | None = None
    after: Sample | None = None

    @property
    def warm(self) -> Sample:
        """The sample at the end of the warm-up."""
        return self.samples[self._warm_up - 1]

    @property
    def _warm_up(self) -> int:
        return len(self.samples) // 4

    @property
    def growth_mib(self) -> float:
        """How much more memory is resident at most, after the warm-up."""
        return max(each.resident_mib for each in self.samples[self._warm_up :]) - self.warm.resident_mib

    @property
    def late_growth_mib(self) -> float:
        """The same after half of the run: a leak goes on, an allocator that has seen its worst does not."""
        late = self.samples[len(self.samples) // 2 :]
        return max(each.resident_mib for each in late) - late[0].resident_mib

    @property
    def growth_objects(self) -> int:
        """How many more objects live at the end than after the warm-up."""
        return self.samples[-1].objects - self.warm.objects

    def findings(self) -> list[str]:
        """What should not be; memory apart from objects is judged in long runs only."""
        assert self.before is not None
        assert self.after is not None
        found = [
            f"{count} calls ended in {end}" for end, count in self.ends.items() if end.startswith("UNTYPED")
        ]
        calls = sum(self.ends.values())
        if self.told != calls:
            found.append(f"{self.told} ends were told of, for {calls} calls")
        if len({each.tasks for each in self.samples}) > 1:
            found.append(f"tasks: {[each.tasks for each in self.samples]}")
        most = self.before.descriptors + CALLERS * len(NAMES) + 10
        if any(each.descriptors > most for each in self.samples):
            found.append(f"descriptors: {[each.descriptors for each in self.samples]}")
        if (self.after.tasks, self.after.descriptors) != (self.before.tasks, self.before.descriptors):
            found.append(f"before {self.before}, after {self.after}")
        if calls >= 50_000 and self.growth_mib >= GOAL_MIB:
            found.append(f"{self.growth_mib:.1f} MiB more after the warm-up")
        return found

    def figures(self) -> dict[str, Any]:
        """For people and programs."""
        assert self.after is not None
        return {
            "name": self.name,
            "seed": self.seed,
            "calls": sum(self.ends.values()),
            "attempts": self.attempts,
            "faults": self.faults,
            "ends": dict(self.ends.most_common()),
            "seconds": round(self.seconds, 1),
            "warm_mib": round(self.warm.resident_mib, 2),
            "growth_mib": round(self.growth_mib, 2),
            "late_growth_mib": round(self.late_growth_mib, 2),
            "growth_objects": self.growth_objects,
            "tasks": sorted({each.tasks for each in self.samples}),
            "descriptors": sorted({each.descriptors for each in self.samples[self._warm_up :]}),
            "samples": [asdict(each) for each in self.samples],
            "after": asdict(self.after),
            "findings": self.findings(),
        }


def _show(soak: Soak) -> None:
    figures = soak.figures()
    print(
        f"{figures['name']}, seed {figures['seed']}: {figures['calls']:,} calls, "
        f"{figures['attempts']:,} attempts, {figures['faults']:,} with faults, {figures['seconds']:,} s"
    )
    print("  " + ", ".join(f"{end} {count:,}" for end, count in figures["ends"].items()))
    print(
        f"  resident {figures['warm_mib']} MiB after the warm-up, then {figures['growth_mib']:+} at most, "
        f"{figures['late_growth_mib']:+} in the second half; "
        f"objects {figures['growth_objects']:+}, tasks {figures['tasks']}, "
        f"descriptors {figures['descriptors']}"
    )
    for finding in figures["findings"]:
        print(f"  FINDING {finding}")


# ── the two runs ─────────────────────────────────────────────────────────────────────────────────────


async def simulated(
    calls: int, *, seed: int, rounds: int = ROUNDS, progress: Callable[[str, int, int], None] | None = None
) -> Soak:
    """`calls` calls to upstreams in memory; to be run on a virtual loop."""
    upstreams = {name: _upstream(f"{seed}{name}") for name in NAMES}
    soak = Soak("in memory", seed)
    providers = {name: {"base_url": f"http://{name}.test", "transport": name} for name in NAMES}

    def clear() -> None:
        for each in upstreams.values():
            soak.attempts += len(each.suffered)
            soak.faults += sum(map(bool, each.suffered))
            for noted in (each.requests, each.bodies, each.suffered):
                noted.clear()

    await _soak(soak, calls, rounds, providers, [_Transports(upstreams)], clear=clear, progress=progress)
    return soak


async def over_sockets(
    calls: int,
    *,
    transport: str,
    seed: int,
    rounds: int = ROUNDS,
    progress: Callable[[str, int, int], None] | None = None,
) -> Soak:
    """`calls` calls to simulated servers in another process."""
    soak = Soak(f"sockets ({transport})", seed)
    async with _servers(seed) as urls:
        providers = {name: {"base_url": url, "transport": transport} for name, url in urls.items()}
        await _soak(soak, calls, rounds, providers, [], clear=lambda: None, progress=progress)
    return soak


async def _soak(
    soak: Soak,
    calls: int,
    rounds: int,
    providers: dict[str, dict[str, str]],
    plugins: list[object],
    *,
    clear: Callable[[], None],
    progress: Callable[[str, int, int], None] | None,
) -> None:
    real = not plugins
    config = {
        "providers": {
            name: {"type": "openai", "api_key": "k-for-tests", **more} for name, more in providers.items()
        },
        "models": {"m": {"deployments": [f"{name}/x" for name in providers]}},
        "timeouts": {"first_token": 0.3, "idle": 0.1, "attempt": 0.5, "total": 5} if real else {"total": 100},
        # Off, so that most calls get as far as an upstream instead of being refused.
        "circuit_breaker": {"enabled": False},
    }
    soak.before = _sample(0)
    began = perf_counter()
    async with Router.from_config(config, plugins=plugins, rng=random.Random(soak.seed)) as router:

        def listen(event: Event) -> None:
            if isinstance(event, RequestEnded):
                soak.told += 1
            elif real:
                soak.attempts += 1
                soak.faults += getattr(event, "error", "") != ""

        router.listen(listen)
        rng = random.Random(soak.seed)
        for number in range(rounds):
            todo = calls * (number + 1) // rounds - calls * number // rounds
            waiting = iter(range(todo))
            await asyncio.gather(*(_caller(router, waiting, rng, soak.ends, clear) for _ in range(CALLERS)))
            clear()
            await _settled(router)
            soak.samples.append(_sample(calls * (number + 1) // rounds))
            if progress is not None:
                progress(soak.name, number + 1, rounds)
    await asyncio.sleep(0.1)
    soak.seconds = perf_counter() - began
    soak.after = _sample(calls)


async def _settled(router: Router) -> None:
    """What was left behind by calls that ended is cleared away: within a second, as the rules have it."""
    gc.collect()
    for _ in range(110):
        if len(asyncio.all_tasks()) == 1 and router.status().in_flight == 0:
            return
        await asyncio.sleep(0.01)


async def _caller(
    router: Router, waiting: Iterator[int], rng: random.Random, ends: Counter[str], clear: Callable[[], None]
) -> None:
    for number in waiting:
        if number % 500 == 0:
            clear()  # what the upstreams noted, giant bodies too, must not look like our memory
        way = rng.random()
        try:
            if way < 0.45:
                reply = await router.chat("m", "hi")
                assert reply.text == "".join(WORDS)
                ends["answer"] += 1
            elif way < 0.9:
                ends[await _stream(router, leave_after=None)] += 1
            elif way < 0.95:
                ends[await _stream(router, leave_after=rng.randint(0, 3))] += 1
            else:
                ends[await _cancelled(router, rng)] += 1
        except PointsmanError as error:
            ends[type(error).__name__] += 1
        except Exception as error:
            ends[f"UNTYPED {error!r}"[:200]] += 1


async def _stream(router: Router, *, leave_after: int | None) -> str:
    async with router.stream("m", "hi") as stream:
        if leave_after == 0:
            return "left"
        count = 0
        async for event in stream:
            count += event.content
            if count == leave_after:
                return "left"
    assert stream.response.text == "".join(WORDS)
    return "answer"


async def _cancelled(router: Router, rng: random.Random) -> str:
    task = asyncio.ensure_future(router.chat("m", "hi"))
    for _ in range(rng.randint(1, 8)):  # before its first step it would be no call at all
        await asyncio.sleep(0)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return "cancelled"
    return "answer"


def _sample(calls: int) -> Sample:
    gc.collect()
    _trim()
    return Sample(
        calls,
        round(_resident() / 2**20, 3),
        len(gc.get_objects()),
        len(asyncio.all_tasks()),
        len(os.listdir("/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd")),
    )


def _trim() -> None:
    """Give back what the C library keeps for later: tens of MiB after a giant body, and at times none."""
    with suppress(OSError, AttributeError, TypeError):  # only glibc has it
        ctypes.CDLL(None).malloc_trim(0)


def _resident() -> int:
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # only ever grows, so it hides no leak


def _progress(name: str, done: int, total: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{name}: round {done} of {total}" + ("\n" if done == total else ""))
        sys.stderr.flush()


# ── in memory ────────────────────────────────────────────────────────────────────────────────────────


def _chunk(finish: str | None = None, **delta: str) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({"id": "c", "model": "x", "choices": [choice]}).encode() + b"\n\n"


_END = b"data: [DONE]\n\n"
_STREAM = b"".join(_chunk(content=word) for word in WORDS) + _chunk("stop") + _END
_WHOLE = json.dumps(
    {
        "id": "c",
        "model": "x",
        "choices": [{"index": 0, "message": {"content": "".join(WORDS)}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 5},
    }
).encode()
_FRAMES = Frames(_END, b'data: {"error": {"message": "boom", "type": "server_error"}}\n\n', b": ping\n\n")


def _status(status: int, **headers: str) -> Fault:
    return Fault(
        f"status {status}",
        lambda given, _frames, _rng: replace(given, status=status, body=b'{"error": {}}', headers=headers),
    )


FAULTS: tuple[FaultStep, ...] = (
    Fault.refuse(),
    Fault.reset(),
    Fault.timeout(),
    Fault.latency(2),
    Fault.bandwidth(5_000),
    Fault.stall_after(0),
    Fault.stall_after(150),
    Fault.cut_after(60),
    Fault.cut_after(150),
    Fault.truncate_after(150),
    Fault.reset_after(150),
    Fault.error_after(0),
    Fault.error_after(2),
    Fault.no_terminator(),
    Fault.two_terminators(),
    Fault.slices(),
    Fault.giant_line((1 << 20) + 1, after=1),
    Fault.wrong_content_type(),
    Fault.crlf_in_headers(),
    _status(500),
    _status(503),
    _status(429, **{"retry-after": "0"}),
)


def _transport(name: str, upstream: FaultUpstream) -> TransportFactory:
    return TransportFactory(name, None, lambda _context: upstream)


def _upstream(seed: str) -> FaultUpstream:
    def reply(request: Any) -> CannedReply:
        if b'"stream":true' in request.content:
            return CannedReply(200, _STREAM, {"content-type": "text/event-stream"}).cut(100, 300)
        return CannedReply(200, _WHOLE, {"content-type": "application/json"})

    number = int.from_bytes(seed.encode())
    return FaultUpstream(reply, faults=FAULTS, share=SHARE, seed=number, frames=_FRAMES)


class _Transports(PointsmanSpec):
    def __init__(self, upstreams: dict[str, FaultUpstream]) -> None:
        self._upstreams = upstreams

    @hookimpl
    def pointsman_transports(self) -> list[TransportFactory]:
        return [_transport(name, upstream) for name, upstream in self._upstreams.items()]


# ── over sockets ─────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def _servers(seed: int) -> AsyncIterator[dict[str, str]]:
    """The URLs of the simulated servers, in a process of their own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--serve", "--seed", str(seed), stdin=PIPE, stdout=PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            urls = json.loads(await process.stdout.readline())
        yield urls
    finally:
        assert process.stdin is not None
        process.stdin.close()  # with which it ends
        await process.communicate()


async def serve(seed: int) -> None:
    """Answer until standard input ends."""
    from pointsman_simulator import Fault as Played
    from pointsman_simulator import Reply, Simulator

    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # it complains of clients who leave
    text = "".join(WORDS)
    faults = [
        Played.status(500),
        Played.status(503, retry_after=0),
        Played.status(429, retry_after=0),
        Played.reset(),
        Played.reset_after(2, pause=0.001),
        Played.cut_after(2, pause=0.001),
        Played.truncate_after(2),
        Played.error_after(0),
        Played.error_after(2),
        Played.invalid_json(),
        Played.stall(),
        Played.stall_after(2),
    ]
    replies = [Reply(text=text, fault=fault) for fault in faults]
    fine = Reply(text=text)

    def respond(_record: object, rng: random.Random) -> Reply:
        return rng.choice(replies) if rng.random() < SHARE else fine

    async with Simulator(seed=seed) as simulator:
        urls = {}
        for name in NAMES:
            upstream = await simulator.add("openai", name=name, models=["x"])
            upstream.respond = respond
            urls[name] = upstream.base_url
        print(json.dumps(urls), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    main()
