"""The goals of `benchmarks/simulated_hour.py`, over a few simulated minutes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
MINUTES = 5.0


@pytest.fixture(scope="module")
def benchmark() -> Iterator[ModuleType]:
    """The benchmark, as a module."""
    spec = spec_from_file_location("simulated_hour", ROOT / "benchmarks" / "simulated_hour.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("number", [0, 1, 2], ids=["one of five dead", "20 % fail everywhere", "all dead"])
def test_the_goals_hold_with_the_default_configuration(benchmark: ModuleType, number: int, seed: int) -> None:
    scenario = benchmark.SCENARIOS[number]

    hour = benchmark.simulate(scenario, seed, minutes=MINUTES)

    assert hour.requests > 2_500
    assert benchmark.missed(scenario, [hour]) == []
    # An hour has 10 s on a quiet core; this one may be anything but quiet.
    assert hour.cpu_s < 4 * benchmark.SLOWEST_SECONDS * MINUTES / 60


def test_the_goals_can_be_missed(benchmark: ModuleType) -> None:
    dead, failing, all_dead = benchmark.SCENARIOS
    off = {"circuit_breaker": {"enabled": False}}

    hours = {
        each.name: benchmark.simulate(each, 1, minutes=1, changes=changes)
        for each, changes in ((dead, off), (failing, {"retry": "none"}), (all_dead, off))
    }

    assert all(benchmark.missed(each, [hours[each.name]]) for each in benchmark.SCENARIOS)


def test_a_seed_gives_the_same_figures_again(benchmark: ModuleType) -> None:
    first, second = (benchmark.simulate(benchmark.SCENARIOS[1], 3, minutes=0.5) for _ in range(2))

    assert (first.latencies, first.attempts, first.errors) == (
        second.latencies,
        second.attempts,
        second.errors,
    )
