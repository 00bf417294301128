"""Where the package, the benchmark and the members of these tests are found."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
# The sources are looked up here as long as the distribution is not installed; the benchmark never is.
sys.path += [str(HERE), str(ROOT / "contrib" / "strategies" / "src"), str(ROOT / "benchmarks")]


@pytest.fixture
def clock() -> object:
    """A clock that stands still until its `time` is moved."""
    from strategy_members import Clock

    return Clock()
