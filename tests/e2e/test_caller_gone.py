"""Callers of a gateway go away, by every surface, wherever their call is: it ends. The long run is a benchmark."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
import caller_gone


async def test_the_call_of_a_caller_who_leaves_ends_at_the_upstream_or_in_line() -> None:
    figures = await caller_gone.measured(len(caller_gone.CELLS), concurrent=1)

    assert [each for each in figures if each["stayed"]] == []
    assert figures[-1]["callers"] == len(caller_gone.CELLS) == 31
