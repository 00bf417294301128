"""The plugin of pytest: rules of contracts are chosen by their ids, and say in words what is wrong.

Everybody who has pointsman loads this module in every run of pytest. It imports nothing for those whose tests
are no rules: the rest stands in `pointsman.testing.rule_reports`, which comes with the first rule.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pointsman.testing.rule_reports import RuleReports

_REPORTS = "pointsman.testing.rule_reports"

if "pointsman.testing.contract" not in sys.modules:
    # Of an installed wheel pytest does it by itself; of one that is worked on in its folder it does not.
    pytest.register_assert_rewrite("pointsman.testing.contract")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("pointsman", "contracts of plugins of pointsman")
    group.addoption(
        "--pointsman-rule",
        action="append",
        default=[],
        metavar="ID",
        help="only this rule, as in PROVIDER-07, or all of a kind, as in PROVIDER; may be given again",
    )
    group.addoption(
        "--pointsman-live",
        action="store_true",
        default=False,
        help="ask the real upstreams of `live`, and record what they answer",
    )
    group.addoption(
        "--pointsman-report",
        default=None,
        metavar="FILE",
        help="write what became of each rule to FILE, as JSON",
    )


def pytest_configure(config: pytest.Config) -> None:
    spread = config.getoption("numprocesses", None) is not None  # this process collects nothing then
    if spread or config.getoption("--pointsman-rule") or config.getoption("--pointsman-report"):
        load_reports(config)


def pytest_itemcollected(item: pytest.Item) -> None:
    rule = getattr(getattr(item, "function", None), "pointsman_rule", None)
    if rule is not None:
        item.extra_keyword_matches.add(rule.id)  # -k finds it
        item.user_properties.append(("pointsman_rule", rule.id))
        load_reports(item.config)


@pytest.fixture
def pointsman_canary() -> str:
    """A secret of this test alone. The test fails where it prints or logs it, in whichever form."""
    from pointsman.testing.canaries import Canaries

    return Canaries.one()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    canary = getattr(item, "funcargs", {}).get("pointsman_canary")
    if canary is not None and report.passed:
        from pointsman.testing.canaries import Canaries

        printed = "\n".join(text for name, text in report.sections if name.endswith(call.when))
        if found := Canaries((canary,)).in_text(printed):
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid} printed or logged the secret, as {', '.join(found)}"
    return report


def load_reports(config: pytest.Config) -> RuleReports:
    """The hooks that only a run with rules needs; loaded once."""
    known: RuleReports | None = config.pluginmanager.get_plugin(_REPORTS)
    if known is not None:
        return known
    from pointsman.testing.rule_reports import RuleReports

    config.pluginmanager.register(reports := RuleReports(config), _REPORTS)
    return reports
