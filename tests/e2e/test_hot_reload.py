"""A file that changes under open streams cuts none, and every call goes by what was told of it. The long run
is a benchmark.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

if not Path("/proc/self/fd").exists():
    pytest.skip("open file descriptors are counted in /proc", allow_module_level=True)
sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
import hot_reload as benchmark

STREAMS, CHANGES = 20, 11


@pytest.mark.parametrize("subject", benchmark.SUBJECTS)
async def test_changes_of_the_file_under_open_streams_cut_none_and_hold_for_what_comes_next(
    subject: str,
) -> None:
    found = await benchmark.changed(subject, STREAMS, CHANGES)

    print(found.figures)
    assert found.findings == []
    assert found.figures["whole"] == STREAMS
