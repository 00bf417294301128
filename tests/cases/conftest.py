"""Says at the end of a run how many cases there were."""

from __future__ import annotations

import os
import random

import pytest

SEED = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[SEED] = int(os.environ.get("CASES_SEED") or random.randrange(1_000_000))


@pytest.fixture
def cases_seed(request: pytest.FixtureRequest) -> int:
    return request.config.stash[SEED]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    def cases(outcome: str) -> list[str]:
        ran = (getattr(each, "nodeid", "") for each in terminalreporter.stats.get(outcome, ()))
        return [each for each in ran if "cases/test_cases.py" in each]

    counts = {name: cases(name) for name in ("passed", "failed", "xfailed", "skipped")}
    if any(counts.values()):
        said = ", ".join(f"{len(found)} {name}" for name, found in counts.items() if found)
        terminalreporter.write_line(f"cases: {said}; CASES_SEED={config.stash[SEED]}")
