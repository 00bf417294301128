"""Is a forecast true? The same configuration in virtual time, and for real over sockets, side by side.

    uv run python benchmarks/forecast.py [--seeds 5] [--seconds 24] [--only NAME] [--json]
    uv run python benchmarks/forecast.py --only speed

Three configurations, each with upstreams that take 200 ms and more: weights over three speeds, least
connections with a slow host that takes few calls at once, failover while the first choice is down. The real
router calls the simulator, which is a process of its own and draws its times as the model does, from other
numbers; requests come at the same instants in both. All seeds of a scenario run at once.

Asked: over the seeds, the medians of p95, of the attempts for each request and of the share of each
deployment lie within 10 % of each other (shares: within 10 %, or one part in a hundred of all answers).

`speed` is the CPU time of a simulated hour of 50 requests a second, streamed: 60 s at most.

Exit status 1 where something is missing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from statistics import median
from time import monotonic, process_time
from typing import Any

from pointsman import Config, Router
from pointsman.clock import LoopClock
from pointsman_forecast.faults import FaultSettings
from pointsman_forecast.outcome import Forecast, Gathering
from pointsman_forecast.running import Asking, forecast
from pointsman_forecast.scenario import Scenario, scenario_of
from pointsman_forecast.settings import UpstreamSettings, settings_for
from pointsman_forecast.traffic import Arrival, made_up
from pointsman_forecast.world import ask
from pointsman_simulator import Reply, Simulator, Vram

TOLERANCE = 0.10
OF_ALL = 0.01
"""A share that differs by less than this of all answers is the same."""
SLOWEST_SECONDS = 60.0
"""CPU time that a simulated hour may take."""


@dataclass(frozen=True, slots=True)
class Case:
    """A configuration, and what is assumed around it."""

    name: str
    config: str
    scenario: str


WEIGHTED = Case(
    "weighted over three speeds",
    """
    providers:
      fast:   {type: openai, api_key: none}
      medium: {type: openai, api_key: none}
      slow:   {type: openai, api_key: none}
    models:
      m:
        strategy: weighted
        deployments:
          - {provider: fast, model: x, weight: 5}
          - {provider: medium, model: x, weight: 3}
          - {provider: slow, model: x, weight: 2}
    """,
    """
    traffic: {rate: 12/s, prompt: 50, answer: {from: 8, to: 24}}
    upstreams:
      "*":    {tokens_per_second: 40}
      fast:   {first_token: {from: 200ms, to: 300ms}}
      medium: {first_token: {from: 400ms, to: 600ms}}
      slow:   {first_token: {from: 800ms, to: 1200ms}}
    """,
)
BUSY = Case(
    "least connections, a slow host, a queue",
    """
    providers:
      fast: {type: ollama}
      slow: {type: ollama}
    models:
      m:
        strategy: least_connections
        deployments:
          - {provider: fast, model: x, max_in_flight: 6}
          - {provider: slow, model: x, max_in_flight: 6}
    """,
    """
    traffic: {rate: 10/s, prompt: 50, answer: {from: 8, to: 16}}
    upstreams:
      "*":  {tokens_per_second: 40, memory: {max_loaded: 1, load_time: 1s}}
      fast: {first_token: {from: 250ms, to: 400ms}, parallel: 6}
      slow: {first_token: {from: 500ms, to: 900ms}, parallel: 2}
    """,
)
OUTAGE = Case(
    "failover in an outage",
    """
    providers:
      first:  {type: openai, api_key: none}
      second: {type: openai, api_key: none}
    models:
      m:
        deployments: [first/x]
        fallback: [n]
      n:
        deployments: [second/x]
    circuit_breaker: {failure_threshold: 5, reset_timeout: 2s}
    """,
    """
    traffic: {rate: 12/s, prompt: 50, answer: {from: 8, to: 16}}
    upstreams:
      "*":    {tokens_per_second: 40}
      first:  {first_token: {from: 200ms, to: 300ms}}
      second: {first_token: {from: 400ms, to: 600ms}}
    faults:
      - {upstream: first, fault: 500, at: 6s, last: 5s}
    """,
)
CASES = (WEIGHTED, BUSY, OUTAGE)


def read(case: Case, *, seconds: float) -> tuple[Config, Scenario]:
    """What a case says, with traffic for so many seconds."""
    scenario = scenario_of(case.scenario).scenario
    traffic = scenario.traffic.model_copy(update={"duration": seconds})
    return Config.from_text(case.config), scenario.model_copy(update={"traffic": traffic})


def arrivals(scenario: Scenario, seed: int) -> Iterator[Arrival]:
    """What is asked; the same in virtual time and for real."""
    return made_up(scenario.traffic, seed=seed, default_model="m")


def foreseen(case: Case, *, seconds: float, seed: int) -> Forecast:
    """What the forecast says."""
    config, scenario = read(case, seconds=seconds)
    return forecast(
        case.name,
        config,
        arrivals(scenario, seed),
        seconds=seconds,
        upstreams=scenario.upstreams,
        faults=scenario.faults,
        seed=seed,
    )


# ── for real ─────────────────────────────────────────────────────────────────────────────────────────


async def measured(case: Case, *, seconds: float, seeds: Sequence[int]) -> list[Forecast]:
    """What happens for real, for each seed beside the others."""
    with simulator(case, seconds=seconds, seeds=seeds) as sites:
        return await asyncio.gather(*(_measured(case, seconds, seed, sites[str(seed)]) for seed in seeds))


async def _measured(case: Case, seconds: float, seed: int, site: Mapping[str, Any]) -> Forecast:
    config, scenario = read(case, seconds=seconds)
    providers = {
        name: each.model_copy(update={"base_url": site["urls"][name]})
        for name, each in config.providers.items()
    }
    router = Router(config.model_copy(update={"providers": providers}), rng=Random(f"router {seed}"))
    clock = LoopClock()
    async with router:
        await asyncio.sleep(site["begins"] - clock.now())
        gathering = Gathering(router, clock)
        asking = Asking(lambda question: ask(router, question, clock), clock, gathering)
        await asking.all(arrivals(scenario, seed))
        return gathering.forecast(case.name, seconds, complete=True)


@contextmanager
def simulator(case: Case, *, seconds: float, seeds: Sequence[int]) -> Iterator[dict[str, Any]]:
    """A process with the upstreams of all seeds: by seed, their addresses and when time begins."""
    command = [sys.executable, __file__, "--serve", case.name, "--seconds", str(seconds)]
    command += ["--serve-seeds", ",".join(map(str, seeds))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.stdin.close()  # which ends it


async def serve(case: Case, *, seconds: float, seeds: Sequence[int]) -> None:
    """Be that process, until stdin ends."""
    config, scenario = read(case, seconds=seconds)
    async with Simulator() as simulated:
        begins = monotonic() + 1.0
        sites: dict[str, Any] = {}
        for seed in seeds:
            urls = {}
            for name, provider in config.providers.items():
                settings = settings_for(scenario.upstreams, type=provider.type, provider=name)
                upstream = await simulated.add(
                    provider.type, name=f"{name}-{seed}", models=["x"], vram=_vram(settings)
                )
                faults = [each for each in scenario.faults if each.upstream == name]
                upstream.respond = _Habit(scenario, settings, faults, begins, Random(f"{name} {seed}"))
                urls[name] = upstream.base_url
            sites[str(seed)] = {"urls": urls, "begins": begins}
        print(json.dumps(sites), flush=True)
        await asyncio.to_thread(sys.stdin.read)


def _vram(settings: UpstreamSettings) -> Vram | None:
    memory = settings.memory
    if memory is None:
        return None
    return Vram(
        max_loaded=memory.max_loaded,
        load_time=memory.load_time,
        unload_after=memory.unload_after,
        parallel=settings.parallel or 1_000,
        max_queue=settings.max_queue,
    )


@dataclass(slots=True)
class _Habit:
    """Answers as the model says, drawn from other numbers."""

    scenario: Scenario
    settings: UpstreamSettings
    faults: Sequence[FaultSettings]
    begins: float
    rng: Random

    def __call__(self, _record: object, _rng: Random) -> Reply:
        rng, now = self.rng, monotonic() - self.begins
        trouble = next(
            (
                each.fault
                for each in self.faults
                if each.holds(now) and (each.fault.share >= 1 or rng.random() < each.fault.share)
            ),
            None,
        )
        return Reply(
            latency=self.settings.first_token.draw(rng),
            tokens_per_second=self.settings.tokens_per_second.draw(rng),
            chunks=round(self.scenario.traffic.answer.draw(rng)),
            fault=None if trouble is None else trouble.fault,
        )


# ── side by side ─────────────────────────────────────────────────────────────────────────────────────


def figures(forecasts: Sequence[Forecast]) -> dict[str, float]:
    """The medians over the seeds."""
    found = {
        "p95 of first token (s)": median(each.first_token.p95 or 0.0 for each in forecasts),
        "p95 of total (s)": median(each.total.p95 or 0.0 for each in forecasts),
        "attempts each": median(each.attempts_each for each in forecasts),
    }
    for n, deployment in enumerate(forecasts[0].deployments):
        found[f"share of {deployment.id}"] = median(each.deployments[n].share for each in forecasts)
    return found


def agree(name: str, foreseen: float, measured: float) -> bool:
    """Whether a figure is as it was foreseen."""
    if name.startswith("share") and abs(foreseen - measured) <= OF_ALL:
        return True
    return abs(foreseen - measured) <= TOLERANCE * measured


def speed() -> float:
    """CPU seconds of an hour at 50 requests a second."""
    config, scenario = read(WEIGHTED, seconds=3600.0)
    scenario_traffic = scenario_of("traffic: {rate: 50/s}").scenario.traffic
    began = process_time()
    result = forecast(
        "an hour",
        config,
        made_up(scenario_traffic, seed=1, default_model="m"),
        seconds=3600.0,
        upstreams=scenario.upstreams,
    )
    seconds = process_time() - began
    print(
        f"an hour of 50 requests a second: {result.requests:,} requests in {seconds:.1f} s of CPU time, "
        f"{seconds / result.requests * 1e6:.0f} us each",
        file=sys.stderr,
    )
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=24.0)
    parser.add_argument("--only", help="what is in the name of a scenario, or `speed`")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--serve-seeds", help=argparse.SUPPRESS)
    options = parser.parse_args()
    logging.getLogger("pointsman").setLevel(logging.CRITICAL + 1)
    if options.serve:
        case = next(each for each in CASES if each.name == options.serve)
        asyncio.run(serve(case, seconds=options.seconds, seeds=options.serve_seeds.split(",")))
        return
    missing: list[str] = []
    told: dict[str, Any] = {}
    for case in CASES:
        if options.only == "speed" or (options.only or "") not in case.name:
            continue
        seeds = range(options.seeds)
        expected = figures([foreseen(case, seconds=options.seconds, seed=seed) for seed in seeds])
        found = figures(asyncio.run(measured(case, seconds=options.seconds, seeds=seeds)))
        told[case.name] = {"foreseen": expected, "measured": found}
        if not options.json:
            print(f"{case.name:42}{'foreseen':>10}{'measured':>10}")
        for name, value in expected.items():
            mark = "" if agree(name, value, found[name]) else "  differs"
            if mark:
                missing.append(f"{case.name}: {name}")
            if not options.json:
                print(f"  {name:40}{value:10.3f}{found[name]:10.3f}{mark}", flush=True)
    if options.only in (None, "speed"):
        told["speed"] = {"cpu_s": (cpu := speed())}
        if cpu > SLOWEST_SECONDS:
            missing.append("speed")
    if options.json:
        print(json.dumps({"seeds": options.seeds, "seconds": options.seconds, **told}))
    for each in missing:
        print(f"MISSED {each}", file=sys.stderr)
    sys.exit(bool(missing))


if __name__ == "__main__":
    main()
