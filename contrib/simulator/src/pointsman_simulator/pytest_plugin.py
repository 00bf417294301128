"""The pytest plugin: the fixture `simulator` and the option --pointsman-seed."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Generator
from typing import TYPE_CHECKING, Any

import pytest

async_fixture: Any
try:
    import pytest_asyncio

    async_fixture = pytest_asyncio.fixture
except ImportError:  # another async runner, which takes async fixtures as they are
    async_fixture = pytest.fixture

if TYPE_CHECKING:
    from pointsman_simulator import Simulator


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pointsman-seed", type=int, default=None, help="seed of the simulated upstreams")


def pytest_configure(config: pytest.Config) -> None:
    # Set in the options, so that processes started for this test run get the same one.
    if config.option.pointsman_seed is None:
        config.option.pointsman_seed = random.randrange(1 << 32)  # noqa: S311 - a simulation, not a secret


def pytest_report_header(config: pytest.Config) -> str:
    return f"pointsman simulator: --pointsman-seed={config.option.pointsman_seed}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and "simulator" in getattr(item, "fixturenames", ()):
        report.sections.append(
            ("pointsman simulator", f"repeat with --pointsman-seed={item.config.option.pointsman_seed}")
        )
    return report


@pytest.fixture
def simulator_seed(request: pytest.FixtureRequest) -> int:
    """The seed of this test run."""
    seed: int = request.config.option.pointsman_seed
    return seed


async def _simulator(simulator_seed: int) -> AsyncIterator[Simulator]:
    """A `Simulator` without upstreams; those that the test adds are stopped after it."""
    from pointsman_simulator.simulator import Simulator

    async with Simulator(seed=simulator_seed) as started:
        yield started


simulator: Any = async_fixture(name="simulator")(_simulator)
