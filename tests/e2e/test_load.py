"""Hundreds of calls at the same time to an upstream that takes a second. The long run is a benchmark."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
import load as benchmark


@pytest.mark.parametrize(
    ("transport", "streaming"), [("aiohttp", False), ("aiohttp", True), ("httpx", False)]
)
async def test_calls_to_a_slow_upstream_wait_side_by_side(transport: str, streaming: bool) -> None:
    benchmark.raise_descriptors(1_500)
    # httpx's pool looks at all pairs of connections for each call, so hundreds of them cost seconds.
    calls = 500 if transport == "aiohttp" else 100

    load = await benchmark.load(calls, delay=1.0, transport=transport, streaming=streaming)

    print(load.figures())
    assert load.errors == []
    assert len(load.times) == calls
    assert load.times[0] >= 1.0
    # The overhead once more than in the benchmark: other tests may run beside this one.
    assert load.wall <= load.limit + load.overhead, f"p99 {load.quantile(0.99):.2f} s"
