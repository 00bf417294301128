"""An hour of traffic in virtual time, with upstreams that fail: who is answered, and at how many attempts.

    uv run python benchmarks/simulated_hour.py [--seeds 20] [--minutes 60] [--variants] [--json]

A router with its default configuration over five deployments. Requests come at random (Poisson) at 10 a
second, 36,000 in an hour; every second one is streamed. An answer takes a lognormal time with a median of
1 s (a stream: to its first word; the rest comes in two pieces within another quarter of a second). A dead
upstream refuses connections. One that fails at random answers 503 after 0.1 s on average; what breaks after
the first word is not the router's to retry, and is left out.

Answered is what ended without an error, of all requests. Attempts are those of which the upstreams heard.
Latency is that of the answered requests in virtual time, to the last byte. Seconds are of CPU time. Printed
is the worst of the seeds for each figure. `--variants` prints also what other settings make of it.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import random
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from time import process_time
from typing import Any

from pydantic import BaseModel, ConfigDict

from pointsman import Router
from pointsman.errors import CallError, ConnectionFailed, IdleTimeout, Unavailable
from pointsman.http.event_stream import EventStream
from pointsman.plugin import PointsmanSpec, hookimpl
from pointsman.provider import Call, Provider, ProviderContext, ProviderFactory
from pointsman.testing import run, seeded
from pointsman.types import (
    ChatRequest,
    ChatResponse,
    Finished,
    Message,
    ModelInfo,
    StreamEvent,
    TextDelta,
    Usage,
)

NAMES = "abcde"
RATE = 10.0
STREAMED = 0.5
MEDIAN = 1.0
SPREAD = 0.5
"""Of the logarithm of a latency: 5 % take longer than 2.3 s, 1 % longer than 3.2 s."""
FAILS_AFTER = 0.1
WORDS = (TextDelta("the sky"), TextDelta(" is blue"), Finished("stop"))
WORDS_WITHIN = 0.25
SLOWEST_SECONDS = 10.0
"""What an hour may cost."""

# ── upstreams ────────────────────────────────────────────────────────────────────────────────────────


class Weather(PointsmanSpec):
    """The provider type `weather`: each provider fails as `fate` says for its name.

    `fate(name, rng)` returns None for an answer, "dead" for a refused connection, "hang" for silence, or
    "fail" for an answer that says so.
    """

    def __init__(self, rng: random.Random, fate: Callable[[str, random.Random], str | None]) -> None:
        self.rng = rng
        self.fate = fate
        self.attempts = 0

    @hookimpl
    def pointsman_providers(self) -> Sequence[ProviderFactory]:
        return [ProviderFactory("weather", _Nothing, lambda context: _Upstream(context, self))]

    def latency(self) -> float:
        """Seconds to an answer, or to its first word."""
        return MEDIAN * self.rng.lognormvariate(0.0, SPREAD)


class _Nothing(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Upstream(Provider):
    def __init__(self, context: ProviderContext, weather: Weather) -> None:
        super().__init__(context)
        self._weather = weather

    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        weather = self._weather
        weather.attempts += 1
        await _wait(await _fate(weather, self.name), call.timeouts.until(asyncio.get_running_loop().time()))
        return ChatResponse(text="the sky is blue", usage=Usage(10, 4), model=call.model)

    async def stream(self, request: ChatRequest, call: Call) -> EventStream:
        weather = self._weather
        weather.attempts += 1
        return _Words(weather, await _fate(weather, self.name))

    async def models(self) -> Sequence[ModelInfo]:
        return []


async def _fate(weather: Weather, name: str) -> float:
    """Seconds until the answer begins; infinity for never. Raises when there will be none."""
    match weather.fate(name, weather.rng):
        case None:
            return weather.latency()
        case "hang":
            return float("inf")
        case "dead":
            raise ConnectionFailed("connection refused", sent=False)
    await asyncio.sleep(weather.rng.expovariate(1 / FAILS_AFTER))
    raise Unavailable("503", status=503)


async def _wait(seconds: float, until: float) -> None:
    now = asyncio.get_running_loop().time()
    if now + seconds >= until:
        await asyncio.sleep(until - now)
        raise IdleTimeout("nothing came")
    await asyncio.sleep(seconds)


class _Words:
    """A streamed answer."""

    upstream_request_id = ""

    def __init__(self, weather: Weather, first: float) -> None:
        self._weather = weather
        self._wait = first
        self._sent = 0

    async def next(self, until: float) -> Sequence[StreamEvent] | None:
        if self._sent == len(WORDS):
            return None
        await _wait(self._wait, until)
        self._sent += 1
        self._wait = self._weather.rng.random() * WORDS_WITHIN / 2
        return WORDS[self._sent - 1 : self._sent]

    def abort(self) -> None:
        return

    async def aclose(self) -> None:
        return


# ── scenarios ────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Scenario:
    """What the upstreams do, and what the router has to make of it."""

    name: str
    fate: Callable[[str, random.Random], str | None]
    answered: float = 0.0
    """At least, a share."""
    attempts: float = float("inf")
    """At most, for each request."""


def one_dead(name: str, _rng: random.Random) -> str | None:
    return "dead" if name == "a" else None


def one_hangs(name: str, _rng: random.Random) -> str | None:
    return "hang" if name == "a" else None


def all_dead(_name: str, _rng: random.Random) -> str | None:
    return "dead"


def one_in_five(_name: str, rng: random.Random) -> str | None:
    return "fail" if rng.random() < 0.2 else None


def nothing(_name: str, _rng: random.Random) -> str | None:
    return None


SCENARIOS = (
    Scenario("one of five dead", one_dead, answered=0.999, attempts=1.05),
    Scenario("20 % fail everywhere", one_in_five, answered=0.995),
    Scenario("all dead", all_dead, attempts=0.1),
)
OTHERS = (Scenario("nothing fails", nothing), Scenario("one of five hangs", one_hangs))

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "budget 30 %": {"retry": {"type": "exponential", "budget": "30%"}},
    "no budget": {"retry": {"type": "exponential", "budget": None}},
    "no retry": {"retry": "none"},
    "30 s for each attempt": {"timeouts": {"attempt": 30.0}},
    "no breaker": {"circuit_breaker": {"enabled": False}},
    "no breaker, budget 30 %": {
        "circuit_breaker": {"enabled": False},
        "retry": {"type": "exponential", "budget": "30%"},
    },
    "no breaker, no budget": {
        "circuit_breaker": {"enabled": False},
        "retry": {"type": "exponential", "budget": None},
    },
}


@dataclass(slots=True)
class Hour:
    """What came of one hour."""

    requests: int = 0
    answered: int = 0
    attempts: int = 0
    cpu_s: float = 0.0
    latencies: list[float] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """Of the requests that were answered."""
        return self.answered / self.requests

    @property
    def attempts_each(self) -> float:
        """Attempts per request."""
        return self.attempts / self.requests

    def latency(self, quantile: float) -> float | None:
        """Seconds that this share of the answered requests did not exceed; None when none was answered."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, ceil(quantile * len(ordered)) - 1)] if ordered else None


def simulate(
    scenario: Scenario, seed: int, *, minutes: float = 60.0, changes: Mapping[str, Any] | None = None
) -> Hour:
    """One run of a scenario; `changes` replace top-level keys of the configuration."""
    hour = Hour()
    with seeded(seed):
        gc.collect()
        began = process_time()
        run(_hour(scenario, seed, minutes * 60, changes or {}, hour))
        hour.cpu_s = process_time() - began
    return hour


async def _hour(
    scenario: Scenario, seed: int, seconds: float, changes: Mapping[str, Any], hour: Hour
) -> None:
    rng = random.Random(seed)
    weather = Weather(random.Random(rng.random()), scenario.fate)
    config = {
        "providers": {name: {"type": "weather"} for name in NAMES},
        "models": {"m": {"deployments": [f"{name}/x" for name in NAMES]}},
        **changes,
    }
    loop = asyncio.get_running_loop()
    messages = (Message("user", "Why is the sky blue?"),)

    async def call(router: Router, streamed: bool) -> None:
        began = loop.time()
        try:
            if streamed:
                async with router.stream("m", messages) as stream:
                    async for _ in stream:
                        pass
            else:
                await router.chat("m", messages)
        except CallError as error:
            hour.errors[error.code] = hour.errors.get(error.code, 0) + 1
        else:
            hour.answered += 1
            hour.latencies.append(loop.time() - began)

    router = Router.from_config(config, plugins=[weather], rng=random.Random(rng.random()))
    async with router:
        running: set[asyncio.Task[None]] = set()
        at = 0.0
        while (at := at + rng.expovariate(RATE)) < seconds:
            await asyncio.sleep(at - loop.time())
            hour.requests += 1
            task = asyncio.create_task(call(router, rng.random() < STREAMED))
            running.add(task)
            task.add_done_callback(running.discard)
        while running:
            await asyncio.wait(running)
        assert router.status().in_flight == 0
    hour.attempts = weather.attempts


# ── the command ──────────────────────────────────────────────────────────────────────────────────────


def worst(hours: Iterable[Hour]) -> dict[str, Any]:
    """The worst of each figure, and all errors together."""
    hours = list(hours)
    errors: dict[str, int] = {}
    for hour in hours:
        for code, count in hour.errors.items():
            errors[code] = errors.get(code, 0) + count
    p50, p99 = ([each for hour in hours if (each := hour.latency(q)) is not None] for q in (0.5, 0.99))
    return {
        "requests": sum(hour.requests for hour in hours),
        "answered_percent": round(100 * min(hour.share for hour in hours), 3),
        "attempts_per_request": round(max(hour.attempts_each for hour in hours), 4),
        "p50_s": round(max(p50), 2) if p50 else None,
        "p99_s": round(max(p99), 2) if p99 else None,
        "cpu_s": round(max(hour.cpu_s for hour in hours), 1),
        "errors": errors,
    }


def missed(scenario: Scenario, hours: Iterable[Hour]) -> list[str]:
    """Which of the scenario's goals did not hold, in words."""
    return [
        f"{scenario.name}: {hour.share:.3%} answered at {hour.attempts_each:.4f} attempts each"
        for hour in hours
        if hour.share < scenario.answered or hour.attempts_each > scenario.attempts
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--variants", action="store_true", help="other settings too, and two more scenarios")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    logging.getLogger("pointsman").setLevel(logging.CRITICAL + 1)
    figures: list[dict[str, Any]] = []
    missing: list[str] = []
    if not options.json:
        print(f"{options.seeds} seeds of {options.minutes:g} minutes; of each figure the worst")
        head = ("answered %", 11), ("attempts", 10), ("p50", 7), ("p99", 8), ("CPU s", 7)
        print(f"{'scenario':22}{'settings':25}" + "".join(f"{name:>{width}}" for name, width in head))
    for scenario in SCENARIOS + (OTHERS if options.variants else ()):
        for name, changes in VARIANTS.items():
            if name != "default" and not options.variants:
                continue
            hours = [
                simulate(scenario, seed, minutes=options.minutes, changes=changes)
                for seed in range(options.seeds)
            ]
            row = {"scenario": scenario.name, "settings": name, **worst(hours)}
            figures.append(row)
            if name == "default":
                missing += missed(scenario, hours)
            if not options.json:
                p50, p99 = ("-" if each is None else f"{each:.2f}" for each in (row["p50_s"], row["p99_s"]))
                print(
                    f"{scenario.name:22}{name:25}{row['answered_percent']:11.3f}"
                    f"{row['attempts_per_request']:10.4f}{p50:>7}{p99:>8}{row['cpu_s']:7.1f}"
                    f"  {row['errors'] or ''}",
                    flush=True,
                )
    if options.json:
        print(json.dumps({"seeds": options.seeds, "minutes": options.minutes, "figures": figures}))
    for each in missing:
        print(f"MISSED {each}", file=sys.stderr)
    sys.exit(bool(missing))


if __name__ == "__main__":
    main()
