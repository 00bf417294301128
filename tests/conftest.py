"""For all tests: whoever lets a well-known secret out fails; wheels are built once for all that need some."""

from __future__ import annotations

import gc
from collections.abc import Generator

import pytest
from canary_guard import MARK, CanaryGuard, allowed_without_reason, watch, watch_metrics
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


GUARD = CanaryGuard()
PATCH = pytest.MonkeyPatch()


def pytest_configure(config: pytest.Config) -> None:
    """Have the guard see what tests catch and are shown."""
    config.addinivalue_line("markers", f"{MARK}(*where, reason): may let a canary out there")
    watch(GUARD, PATCH)
    config.add_cleanup(PATCH.undo)


def pytest_runtest_setup() -> None:
    GUARD.begin()
    watch_metrics(GUARD, PATCH)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what is long, or one core waits for the last file of the other."""
    if unsaid := list(allowed_without_reason(items)):
        raise pytest.UsageError(f"{MARK} needs places and a reason: {', '.join(unsaid)}")
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
    """Looks for canaries in what a test has let out."""
    report = yield
    if report.passed:
        printed = "\n".join(text for name, text in report.sections if name.endswith(call.when))
        if found := GUARD.found(item, call.when, printed):
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid} let out, at {call.when}: {'; '.join(found)}"
    return report
