"""A forecast and a real run of the same: the short version of benchmarks/forecast.py.

The rule: the share of each deployment lies within 5 parts in a hundred, the attempts within 10 %. Times on
a machine that others use are only bounded from below: nothing can be faster than its upstream.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[3] / "benchmarks"))

import forecast as benchmark

SECONDS = 3.0


def test_a_real_run_goes_where_the_forecast_says() -> None:
    foreseen = benchmark.foreseen(benchmark.WEIGHTED, seconds=SECONDS, seed=1)
    (measured,) = asyncio.run(benchmark.measured(benchmark.WEIGHTED, seconds=SECONDS, seeds=[1]))

    assert measured.requests == foreseen.requests
    assert measured.answered == foreseen.answered == foreseen.requests
    assert abs(measured.attempts_each - foreseen.attempts_each) <= 0.1 * foreseen.attempts_each
    for expected, found in zip(foreseen.deployments, measured.deployments, strict=True):
        assert abs(expected.share - found.share) <= 0.05, expected.id
    assert measured.total.p50 is not None
    assert foreseen.total.p50 is not None
    assert measured.total.p50 >= 0.8 * foreseen.total.p50
