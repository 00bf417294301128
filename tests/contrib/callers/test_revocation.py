"""A revoked key at two real gateways, and what checking a key costs: short versions of the benchmarks."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[3] / "benchmarks"))

import revocation


@pytest.mark.parametrize("with_redis", [True, False], ids=["with redis", "by the database alone"])
async def test_no_request_passes_once_the_revocation_is_announced(with_redis: bool) -> None:
    if with_redis and shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")

    found = await revocation.measure(2, 2, with_redis=with_redis)

    for each in found:
        print(f"last let in after {each.last * 1e3:.0f} ms, announced after {each.announced * 1e3:.0f} ms")
        assert each.all_seen
        assert each.passed == 0
        assert each.refused > 0
