"""`warm` against `least_connections` and `round_robin` on hosts that cannot hold all models.

    uv run python benchmarks/warm_fleet.py [--seeds 20] [--hours 2] [--quick] [--json]

Three hosts, five models, in virtual time. A host keeps one model, works on one call at a time, and takes
8 s to load another model (the simulator's model of a server). As in the router, each model is a pool of its
own, with a strategy of its own and a deployment on every host. Hosts are polled every 10 s. Calls take 2 s on
average once they have their turn, and mostly there is one every 4 s. The same calls in the same order meet
each strategy. Printed are, for each mix, the medians over the seeds, and in how many seeds `warm` was the
best of the three.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from time import perf_counter
from typing import Any

from pointsman.builtin.strategies import LeastConnections, RoundRobin
from pointsman.errors import Outcome
from pointsman.prices import Price
from pointsman.strategy import Residency, Sample, Strategy
from pointsman_simulator.vram import Memory, Vram
from pointsman_strategies import Warm

HOSTS = ("gpu1", "gpu2", "gpu3")
MODELS = ("A", "B", "C", "D", "E")
LOAD = 8.0
SERVICE = 2.0
PROMPT = 0.2
POLL = 10.0


@dataclass(frozen=True, slots=True)
class Call:
    """One call: when it comes, what it wants, how long it takes once it has its turn."""

    at: float
    model: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Mix:
    """A kind of traffic."""

    name: str
    calls: Callable[[random.Random, float], Iterator[Call]]


@dataclass(frozen=True, slots=True)
class Result:
    """What one strategy made of one hour."""

    calls: int
    cold_loads: int
    p50: float
    p95: float
    mean: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--quick", action="store_true", help="3 seeds of half an hour")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    seeds, hours = (3, 0.5) if options.quick else (options.seeds, options.hours)
    began = perf_counter()
    report = {mix.name: compare(mix, range(seeds), hours * 3600) for mix in MIXES}
    if options.json:
        json.dump({"seeds": seeds, "hours": hours, "mixes": report}, sys.stdout, indent=2)
        print()
        return
    print(f"{len(HOSTS)} hosts, {len(MODELS)} models, {hours:g} h, seeds 0 to {seeds - 1}; medians over them")
    print(
        f"{'mix':10} {'strategy':18} {'cold loads':>10} {'per call':>9} "
        f"{'p50 TTFT':>9} {'p95 TTFT':>9} {'mean':>8}"
    )
    for name, each in report.items():
        for strategy, row in each["strategies"].items():
            print(
                f"{name:10} {strategy:18} {row['cold_loads']:10.0f} {row['cold_share']:8.1%} "
                f"{row['p50']:8.2f}s {row['p95']:8.2f}s {row['mean']:7.2f}s"
            )
        print(
            f"{'':10} warm has the fewest cold loads in {each['fewest_cold_loads']} and the lowest p95 "
            f"in {each['lowest_p95']} of {seeds} seeds; at worst {each['worst_cold_ratio']:.2f} x the "
            f"cold loads and {each['worst_p95_ratio']:.2f} x the p95 of the better of the others"
        )
    print(f"{perf_counter() - began:.0f} s")


def compare(mix: Mix, seeds: Sequence[int], seconds: float) -> dict[str, Any]:
    """All strategies on the same calls, for each seed."""
    results: dict[str, list[Result]] = {name: [] for name in STRATEGIES}
    for seed in seeds:
        calls = list(mix.calls(random.Random(f"{mix.name} {seed}"), seconds))
        for name in STRATEGIES:
            results[name].append(simulate(name, calls, seed=seed))
    others = [name for name in STRATEGIES if name != "warm"]
    cold = [
        warm.cold_loads / min(results[name][n].cold_loads for name in others)
        for n, warm in enumerate(results["warm"])
    ]
    p95 = [warm.p95 / min(results[name][n].p95 for name in others) for n, warm in enumerate(results["warm"])]
    return {
        "strategies": {
            name: {
                "cold_loads": statistics.median(each.cold_loads for each in found),
                "cold_share": statistics.median(each.cold_loads / each.calls for each in found),
                "p50": statistics.median(each.p50 for each in found),
                "p95": statistics.median(each.p95 for each in found),
                "mean": statistics.median(each.mean for each in found),
            }
            for name, found in results.items()
        },
        "fewest_cold_loads": sum(ratio < 1 for ratio in cold),
        "lowest_p95": sum(ratio < 1 for ratio in p95),
        "worst_cold_ratio": max(cold),
        "worst_p95_ratio": max(p95),
    }


# ── traffic ──────────────────────────────────────────────────────────────────────────────────────────


def _calls(rng: random.Random, seconds: float, every: float, model: Callable[[float], str]) -> Iterator[Call]:
    at = rng.expovariate(1 / every)
    while at < seconds:
        yield Call(at, model(at), SERVICE * rng.lognormvariate(-0.18, 0.6))
        at += rng.expovariate(1 / every)


def zipf(rng: random.Random, seconds: float, every: float = 4.0) -> Iterator[Call]:
    """A few models get most calls."""
    shares = [1 / (n + 1) ** 1.2 for n in range(len(MODELS))]
    return _calls(rng, seconds, every, lambda _at: rng.choices(MODELS, shares)[0])


def uniform(rng: random.Random, seconds: float) -> Iterator[Call]:
    """All models alike, each call for itself: the worst case."""
    return _calls(rng, seconds, 4.0, lambda _at: rng.choice(MODELS))


def bursts(rng: random.Random, seconds: float) -> Iterator[Call]:
    """3 to 12 calls of one model within seconds, then of another."""
    at = rng.expovariate(1 / 30)
    waiting: list[Call] = []
    while at < seconds:
        model = rng.choice(MODELS)
        waiting += [
            Call(at + rng.random() * 10, model, SERVICE * rng.lognormvariate(-0.18, 0.6))
            for _ in range(rng.randint(3, 12))
        ]
        at += rng.expovariate(1 / 30)
    yield from sorted(waiting, key=lambda call: call.at)


def shifting(rng: random.Random, seconds: float) -> Iterator[Call]:
    """As `zipf`, but every ten minutes other models are the popular ones."""
    shares = [1 / (n + 1) ** 1.2 for n in range(len(MODELS))]
    orders = [rng.sample(MODELS, len(MODELS)) for _ in range(int(seconds / 600) + 1)]
    return _calls(rng, seconds, 4.0, lambda at: rng.choices(orders[int(at / 600)], shares)[0])


def hot(rng: random.Random, seconds: float) -> Iterator[Call]:
    """One model gets nearly all calls, more than one host can serve."""
    return _calls(rng, seconds, 1.6, lambda _at: rng.choices(MODELS, (60, 5, 1, 1, 1))[0])


def rush(rng: random.Random, seconds: float) -> Iterator[Call]:
    """As `uniform`, but more calls than the fleet can serve unless it hardly ever loads."""
    return _calls(rng, seconds, 2.2, lambda _at: rng.choice(MODELS))


MIXES = (
    Mix("zipf", zipf),
    Mix("uniform", uniform),
    Mix("bursts", bursts),
    Mix("shifting", shifting),
    Mix("hot", hot),
    Mix("rush", rush),
)


# ── the fleet ────────────────────────────────────────────────────────────────────────────────────────


class Clock:
    """The time of the simulation."""

    time = 0.0

    def now(self) -> float:
        return self.time

    def wall(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


@dataclass(slots=True)
class Server:
    """A simulated host, and what is known of it."""

    memory: Memory
    capacity: int
    busy: int = 0
    loaded: tuple[str, ...] = ()
    checked_at: float = 0.0

    def poll(self, now: float) -> None:
        self.loaded = tuple(sorted(each.model for each in self.memory.loaded(now)))
        self.checked_at = now


@dataclass(slots=True, eq=False)
class Member:
    """A deployment: one model on one host."""

    id: str
    model: str
    provider_name: str
    server: Server
    load_seconds: float = LOAD
    weight: int = 1
    in_flight: int = 0
    price: Price | None = None

    @property
    def residency(self) -> Residency:
        server = self.server
        return Residency(
            self.model in server.loaded,
            server.loaded,
            server.capacity,
            self.load_seconds,
            server.busy,
            server.checked_at,
        )


Make = Callable[[Clock, random.Random], Strategy]
STRATEGIES: dict[str, Make] = {
    "warm": lambda clock, rng: Warm(clock=clock, rng=rng),
    "least_connections": lambda _clock, rng: LeastConnections(rng),
    "round_robin": lambda _clock, rng: RoundRobin(rng),
}


@dataclass(slots=True)
class Placed:
    """What became of a call."""

    call: Call
    host: str
    first_token: float
    cold: bool


@dataclass(slots=True)
class Simulation:
    """A fleet under calls, by discrete events. `make` builds the strategy of each model."""

    make: Make
    seed: int = 0
    capacity: int = 1
    load: float = LOAD
    told_load: float = LOAD
    poll: float = POLL
    parallel: int = 1
    placed: list[Placed] = field(default_factory=list)
    cold_loads: int = 0

    def run(self, calls: Sequence[Call]) -> list[Placed]:
        """All calls with their fates, in the order in which they got their first token."""
        clock, rng = Clock(), random.Random(self.seed)
        vram = Vram(self.capacity, self.load, unload_after=300.0, parallel=self.parallel)
        servers = {name: Server(Memory(vram), self.capacity) for name in HOSTS}
        pools = {
            model: tuple(
                Member(f"{name}/{model}", model, name, server, self.told_load)
                for name, server in servers.items()
            )
            for model in MODELS
        }
        strategies = {model: self.make(clock, rng) for model in MODELS}
        for model, members in pools.items():
            strategies[model].members(members)
        order = count()
        events: list[tuple[float, int, str, Any]] = []
        waiting: dict[tuple[str, int], tuple[Call, Member]] = {}

        def at(when: float, what: str, about: object) -> None:
            heappush(events, (when, next(order), what, about))

        def granted(name: str, grants: Sequence[Any], now: float) -> None:
            for grant in grants:
                call, member = waiting.pop((name, grant.ticket))
                first = now + PROMPT
                self.placed.append(Placed(call, name, first - call.at, grant.load_time > 0))
                at(first + call.seconds, "end", (name, grant.ticket, call, member, first - call.at))
            change = servers[name].memory.next_change(now)
            if change is not None:
                at(change, "wake", name)

        for call in calls:
            at(call.at, "call", call)
        left = len(calls)
        at(0.0, "poll", None)
        while left:
            now, _, what, about = heappop(events)
            clock.time = now
            match what:
                case "call":
                    member = strategies[about.model].pick(pools[about.model], None)
                    assert isinstance(member, Member)
                    member.in_flight += 1
                    member.server.busy += 1
                    name = member.provider_name
                    # The ticket is only known afterwards, and may be granted at once.
                    ticket = member.server.memory._next_ticket
                    waiting[name, ticket] = (about, member)
                    granted(name, member.server.memory.submit(about.model, now)[1], now)
                case "wake":
                    granted(about, servers[about].memory.advance(now), now)
                case "end":
                    name, ticket, call, member, first = about
                    left -= 1
                    member.in_flight -= 1
                    member.server.busy -= 1
                    sample = Sample(Outcome.OK, now - call.at, first, None, now)
                    strategies[call.model].observed(member, sample)
                    granted(name, member.server.memory.release(ticket, now), now)
                case _:
                    for server in servers.values():
                        server.poll(now)
                    at(now + self.poll, "poll", None)
        self.cold_loads = sum(server.memory.cold_loads for server in servers.values())
        return self.placed


def simulate(strategy: str, calls: Sequence[Call], *, seed: int, **settings: Any) -> Result:
    """What `strategy` makes of `calls`; `settings` are those of `Simulation`."""
    simulation = Simulation(STRATEGIES[strategy], seed=seed, **settings)
    waits = sorted(each.first_token for each in simulation.run(calls))
    n = len(waits)
    return Result(n, simulation.cold_loads, waits[n // 2], waits[int(n * 0.95)], statistics.fmean(waits))


if __name__ == "__main__":
    main()
