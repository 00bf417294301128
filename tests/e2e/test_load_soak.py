"""Nothing grows while calls succeed, fail and are left. The long run is a benchmark."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from pointsman.testing import run

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
import pytest

import soak as benchmark


def fresh_seed() -> int:
    seed = time.time_ns() % 1_000_000
    print(f"seed {seed}")
    return seed


def check(soak: benchmark.Soak, calls: int) -> None:
    print(soak.figures())
    assert soak.findings() == []
    assert sum(soak.ends.values()) == soak.told == calls
    assert soak.ends["answer"] > 0.7 * calls
    assert soak.ends["MidStreamError"] > 0
    assert soak.faults > 0.1 * soak.attempts
    # Per call it would be one object at least, if calls left something behind. What idle connections hold on to of
    # their last call, and what other tests left to end, comes and goes by a hundred or two: half of one is between.
    connections = max(0, soak.samples[-1].descriptors - soak.warm.descriptors)
    assert soak.growth_objects < 0.5 * (calls - soak.warm.calls) + 50 * connections


def test_calls_in_memory_leave_nothing_behind() -> None:
    check(run(benchmark.simulated(3_000, seed=fresh_seed(), rounds=8)), 3_000)


@pytest.mark.parametrize("transport", ["h1", "aiohttp"])
async def test_calls_over_sockets_leave_nothing_behind(transport: str) -> None:
    check(await benchmark.over_sockets(800, transport=transport, seed=fresh_seed(), rounds=4), 800)
