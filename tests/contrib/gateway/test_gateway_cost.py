"""A request costs the gateway no more work than the committed baseline says, counted without a clock."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[3] / "benchmarks"))
import gateway_cost
import ratchet

FEW = 30


async def test_a_request_costs_no_more_than_the_baseline() -> None:
    known = ratchet.baseline()
    if known is None or known["libraries"] != ratchet.libraries():
        pytest.skip("benchmarks/ratchet.json has no baseline for this interpreter and these libraries")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        gateway_cost.__file__,
        "--json",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()

    assert process.returncode == 0, err.decode()
    assert json.loads(out).keys() == {"request", "relayed"}


def test_the_counts_are_the_same_each_time_and_a_gateway_costs_more_than_its_router() -> None:
    first, second = (gateway_cost.measured(requests=FEW) for _ in range(2))

    for name in ("instructions", "calls"):
        assert first["request"][name] == pytest.approx(second["request"][name], rel=0.001)
        assert first["request"][name] > first["relayed"][name]
