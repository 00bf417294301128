"""The caller is gone: the upstream's connection is closed within 100 ms. The long run is a benchmark."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
import abort_latency


@pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])
@pytest.mark.parametrize("state", abort_latency.STATES)
async def test_the_connection_of_a_caller_who_leaves_is_closed_within_100_ms(
    transport: str, state: str, streaming: bool
) -> None:
    lags = sorted(
        await abort_latency.lags(transport, state, streaming=streaming, count=60, concurrent=10),
    )

    assert len(lags) == 60
    assert lags[-2] < abort_latency.GOAL, f"p99 {lags[-2] * 1e3:.0f} ms, most {lags[-1] * 1e3:.0f} ms"


@pytest.mark.parametrize("limit", abort_latency.LIMITS)
async def test_a_time_limit_ends_the_call_of_a_mute_server_with_its_own_error(
    transport: str, limit: str
) -> None:
    late = await abort_latency.lateness(transport, limit, count=10, concurrent=10)

    assert len(late) == 10
    assert late[0] >= -1e-3, "never before its time"
