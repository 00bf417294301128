"""For all tests: whoever lets a well-known secret out fails; wheels are built once for all that need some."""

from __future__ import annotations

import gc
from collections.abc import Generator

import pytest
from canaries import found_in
from hypothesis import HealthCheck, settings
from wheelhouse import Wheelhouse

# How long an example takes says how busy the machine is, and nothing of what is tested.
settings.register_profile("busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")


@pytest.fixture(scope="session")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory) -> Wheelhouse:
    """Builds wheels, those of the workspace only once, and makes environments of them."""
    return Wheelhouse(tmp_path_factory.mktemp("wheelhouse"))


LONG = ("tests/packaging/test_scaffold.py", "tests/examples/", "tests/contrib/gateway/test_openai_clients.py")
"""What takes minutes in one file, most of them in other programs."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what is long, or one core waits for the last file of the other."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))


def pytest_collection_finish() -> None:
    """Leave what was collected out of the garbage collector's sight: it stays until the end.

    Else each of its rounds looks at 17,000 tests and all their modules, which was a third of the time of many.
    """
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Looks for canaries in what a test has printed and logged."""
    report = yield
    shown = "\n".join(text for _name, text in report.sections)
    if report.passed and (found := found_in(shown)):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} let out, at {call.when}: {', '.join(found)}"
    return report
