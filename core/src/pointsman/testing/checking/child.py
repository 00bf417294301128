"""What runs in the process of a check: pytest over the contracts, told line by line.

It imports nothing of the kit before pytest runs: pytest rewrites the assertions of what is imported after.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import pytest

_FILE = "test_pointsman_check.py"
_TEXT = """\
from pointsman.testing.checking.derived import contracts_of

NOTES = []
globals().update(contracts_of({distribution!r}, tests={tests!r}, note=NOTES.append))
"""
_OPTIONS = (
    "-q",
    "-p",
    "no:cacheprovider",
    "-p",
    "pointsman",
    "--import-mode=importlib",
)


class Teller:
    """Tells what happens, as a plugin of pytest."""

    def __init__(self, out: TextIO, tests: Sequence[str]) -> None:
        self._out = out
        self._tests = tests
        self._of_the_tests = False
        self._rules: dict[str, Any] = {}

    def tell(self, event: str, **more: Any) -> None:
        """One line."""
        self._out.write(json.dumps({"event": event, **more}) + "\n")
        self._out.flush()

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        from pointsman.testing.pytest_plugin import load_reports

        load_reports(config).listeners.append(self._became)

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        from pointsman.testing.contract.rules import rule_of

        rule = rule_of(getattr(item, "function", None))
        if rule is not None:
            self._rules[rule.id] = {"sentence": rule.sentence, "why": rule.why, "link": rule.link}
            self._of_the_tests = self._of_the_tests or item.path.name != _FILE

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        from pointsman.testing.contract.rules import rule_of

        items[:] = [each for each in items if rule_of(getattr(each, "function", None)) is not None]
        module = next((getattr(each, "module", None) for each in items if each.path.name == _FILE), None)
        for text in getattr(module, "NOTES", ()):
            self.tell("note", text=text)
        if self._tests and not self._of_the_tests:
            self.tell("error", text=f"no test in {', '.join(self._tests)} is one of a contract")
        self.tell("collected", count=len(items))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.tell("error", text=report.longreprtext)

    def _became(self, became: Any) -> None:
        said = {name: getattr(became, name) for name in became.__struct_fields__}
        of = became.of.rpartition("::")[2]
        self.tell("rule", **{**said, "of": of}, **self._rules[became.id])


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("distribution")
    parser.add_argument("--rule", action="append", default=[])
    parser.add_argument("--tests", action="append", default=[])
    asked = parser.parse_args(arguments)
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what pytest says is for whoever looks for a fault in the check itself
    teller = Teller(out, asked.tests)
    with tempfile.TemporaryDirectory(prefix="pointsman-check-") as folder:
        file = Path(folder) / _FILE
        file.write_text(_TEXT.format(distribution=asked.distribution, tests=bool(asked.tests)), "utf-8")
        (Path(folder) / "pytest.ini").write_text("[pytest]\n", "utf-8")
        options = [*_OPTIONS, *(f"--pointsman-rule={each}" for each in asked.rule)]
        code = int(pytest.main([*options, *asked.tests, str(file)], plugins=[teller]))
    sys.stdout.flush()
    sys.stderr.flush()
    teller.tell("ended", code=code)  # nobody else says that it was all
    out.close()
    return code


if __name__ == "__main__":
    os._exit(main(sys.argv[1:]))  # threads that a plugin has started may never end
