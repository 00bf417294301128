"""The plugin of pytest: what a run with rules says, how rules are chosen, and that others pay nothing for it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pointsman.testing.contract import RetryContract, Rule, rules_of
from pointsman.testing.rule_reports import Broken

pytest_plugins = ["pytester"]

ALL = len(rules_of(RetryContract))

CONTRACTS = """
import pytest
from pointsman.builtin.retry import NoRetry
from pointsman.testing.contract import RetryContract

class Late(NoRetry):
    def delay(self, failure):
        return 1.0

class Raising(NoRetry):
    def delay(self, failure):
        raise ValueError("\\x1b[31m")

class TestKept(RetryContract):
    def make(self, rng):
        return NoRetry()

class TestLate(RetryContract):
    def make(self, rng):
        return Late()

class TestMarked(TestLate):
    xfail = {"RETRY-02": "not yet"}

class TestMarkedInVain(TestKept):
    xfail = {"RETRY-02": "not yet"}

class TestRaising(RetryContract):
    xfail = {"RETRY-02": "nor this", "RETRY-03": "nor that"}

    def make(self, rng):
        return Raising()

def test_of_something_else():
    pass
"""


def run(pytester: pytest.Pytester, *options: str) -> pytest.RunResult:
    pytester.makepyfile(test_them=CONTRACTS)
    return pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:asyncio", *options)


def test_a_broken_rule_says_what_was_found_and_why_it_matters(pytester: pytest.Pytester) -> None:
    result = run(pytester, "-k", "TestLate")

    result.assert_outcomes(passed=ALL - 1, failed=1, deselected=4 * ALL + 1)
    result.stdout.fnmatch_lines(
        [
            "*TestLate.test_there_is_no_attempt_beyond_the_last*",
            "RETRY-02  There is no attempt beyond the last",
            "   found  1.0 s after the last attempt: Failure(*",
            "  reason  A request would go on for as long as its upstream fails, and its load with it.",
            "    more  docs/plugins/rules.md#retry-02",
            "      at  *retry.py:*, in test_there_is_no_attempt_beyond_the_last",
        ],
        consecutive=False,
    )
    assert "Traceback" not in result.stdout.str()
    assert "self = <" not in result.stdout.str()


def test_an_error_of_the_plugin_is_told_with_its_own_line_and_drives_no_terminal(
    pytester: pytest.Pytester,
) -> None:
    result = run(pytester, "-k", "TestRaising")

    # All but two ask for a delay.
    result.assert_outcomes(passed=2, failed=ALL - 4, xfailed=2, deselected=4 * ALL + 1)
    said = result.stdout.str()
    assert "RETRY-04" in said
    assert "   found  ValueError: \\x1b[31m" in said
    assert "test_them.py:11, in delay" in said
    assert "_pytest" not in said, "the traceback begins with the rule"
    assert "\x1b[31m" not in said


def test_what_ended_a_thread_of_the_plugin_is_told_in_place_of_the_warning(pytester: pytest.Pytester) -> None:
    thread = "threading.Thread(target=int, args=('seven',))"
    again = (
        f"import threading\n        each = {thread}\n        each.start(); each.join()\n        return 1.0"
    )
    pytester.makepyfile(test_them=CONTRACTS.replace("return 1.0", again))
    result = pytester.runpytest_inprocess(
        "-p", "no:cacheprovider", "-p", "no:asyncio", "-k", "TestLate and RETRY-04", "-W", "error"
    )

    said = result.stdout.str()
    assert "- Exception in thread" in said
    assert "ValueError: invalid literal for int() with base 10: 'seven'" in said
    assert "_multicall" not in said


def test_a_traceback_that_pytest_cannot_make_ends_no_session(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    makes = pytest.ExceptionInfo.getrepr

    def cannot(self: Any, *args: Any, style: Any = "long", **options: Any) -> Any:
        if style == "short":  # as of a rule
            raise SystemError("AST constructor recursion depth mismatch")
        return makes(self, *args, style=style, **options)

    monkeypatch.setattr(pytest.ExceptionInfo, "getrepr", cannot)
    result = run(pytester, "-k", "TestRaising and RETRY-04")

    result.stdout.fnmatch_lines(["RETRY-04 *", "   found  ValueError: *", "no traceback: SystemError: AST *"])


def test_the_thorough_see_the_traceback_of_pytest_as_well(pytester: pytest.Pytester) -> None:
    result = run(pytester, "-k", "TestLate", "--tb=long")

    result.stdout.fnmatch_lines(["RETRY-02  *", "self = <*", "E   *"])


def test_a_mark_that_is_out_of_date_says_so(pytester: pytest.Pytester) -> None:
    result = run(pytester, "-k", "TestMarkedInVain")

    result.assert_outcomes(passed=ALL - 1, failed=1, deselected=4 * ALL + 1)
    result.stdout.fnmatch_lines(["RETRY-02  *", "*XPASS(strict)*not yet", "*take it out of `xfail`"])


def test_the_summary_says_how_many_rules_held_in_each_class(pytester: pytest.Pytester) -> None:
    result = run(pytester)

    result.stdout.fnmatch_lines(
        [
            "*= rules of contracts =*",
            f"test_them.py::TestKept: all {ALL} rules held",
            f"test_them.py::TestLate: {ALL - 1} of {ALL} rules held; broken: RETRY-02",
            f"test_them.py::TestMarked: {ALL - 1} of {ALL} rules held; expected to fail: RETRY-02",
        ]
    )


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        (["-k", "RETRY-02"], 5),
        (["-k", "TestKept and not retry-02"], ALL - 1),
        (["--pointsman-rule", "RETRY-02"], 5),
        (["--pointsman-rule", "retry-02,RETRY-03"], 10),
        (["--pointsman-rule", "RETRY-02", "--pointsman-rule=RETRY-03", "-k", "TestKept"], 2),
        (["--pointsman-rule", "RETRY"], 5 * ALL),
    ],
)
def test_rules_are_chosen_by_id(pytester: pytest.Pytester, options: list[str], chosen: int) -> None:
    result = run(pytester, "--collect-only", "-q", *options)

    assert len([line for line in result.outlines if "::" in line]) == chosen


def test_an_id_that_none_has_is_refused(pytester: pytest.Pytester) -> None:
    result = run(pytester, "--pointsman-rule", "RETRY-99")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--pointsman-rule: none of these tests is 'RETRY-99'; did you mean*"])


def test_a_report_says_what_became_of_each_rule(pytester: pytest.Pytester) -> None:
    run(pytester, "--pointsman-report=report.json")

    rules = json.loads(pytester.path.joinpath("report.json").read_text())["rules"]
    assert len(rules) == 5 * ALL
    told = {(each["of"].rpartition("::")[2], each["id"]): each for each in rules}
    assert told["TestKept", "RETRY-02"]["result"] == "held"
    assert told["TestMarked", "RETRY-02"]["result"] == "expected"
    assert told["TestMarked", "RETRY-02"]["found"] == "not yet"
    late = told["TestLate", "RETRY-02"]
    assert late["result"] == "broken"
    assert late["found"].startswith("1.0 s after the last attempt")
    assert 0 < late["seconds"] < 60


def test_a_report_of_no_rules_has_none(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_of_something_else(): pass")

    result = pytester.runpytest_inprocess("-p", "no:asyncio", "--pointsman-report=report.json")

    result.assert_outcomes(passed=1)
    assert json.loads(pytester.path.joinpath("report.json").read_text())["rules"] == []
    assert "rules of contracts" not in result.stdout.str()


def test_what_a_rule_skips_for_is_in_the_report(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        from pointsman.testing.contract import Contract, rule

        class AcmeContract(Contract, terms=True):
            @rule("ACME-01", "Nobody would know.")
            def test_it_works(self):
                pytest.skip("it is Monday")

            @rule("ACME-02", "Nobody would care.")
            def test_it_can_be_set_up(self, missing): ...

        class TestAcme(AcmeContract): ...
        """
    )

    result = pytester.runpytest_inprocess("-p", "no:asyncio", "--pointsman-report=report.json")

    rules = json.loads(pytester.path.joinpath("report.json").read_text())["rules"]
    assert [(each["id"], each["result"]) for each in rules] == [("ACME-01", "skipped"), ("ACME-02", "broken")]
    assert rules[0]["found"] == "it is Monday"
    assert "missing" in rules[1]["found"]
    result.stdout.fnmatch_lines(["*TestAcme: 0 of 2 rules held; broken: ACME-02; not tried: ACME-01"])


def loaded_by_pytest(folder: Path, *options: str) -> set[str]:
    """The modules of a fresh process after pytest has gone through `folder`."""
    ask = (
        "import sys, pytest\n"
        f"code = pytest.main(['-q', '--collect-only', '-p', 'no:cacheprovider', {str(folder)!r}, *{options!r}])\n"
        "print('\\nMODULES', *sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", ask], capture_output=True, text=True, cwd=folder, timeout=60, check=True
    )
    return set(done.stdout.rpartition("MODULES")[2].split())


def test_whoever_has_no_rules_loads_nothing_but_the_plugin(tmp_path: Path) -> None:
    (tmp_path / "test_empty.py").write_text("def test_it(): pass\n")
    others = (
        "-p",
        "no:anyio",
        "-p",
        "no:asyncio",
        "-p",
        "no:hypothesispytest",
        "-p",
        "no:pointsman_simulator",
    )

    loaded = loaded_by_pytest(tmp_path, *others) - loaded_by_pytest(tmp_path, *others, "-p", "no:pointsman")

    simulator = {each for each in loaded if each.startswith("pointsman_simulator")}
    assert loaded - simulator == {"pointsman", "pointsman.testing", "pointsman.testing.pytest_plugin"}


def test_a_missing_library_is_named_with_what_helps() -> None:
    ask = (
        "import sys\n"
        "import importlib.util\n"
        "known = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'hypothesis' else known(name, *rest)\n"
        "import pointsman.testing.contract\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", ask], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 1
    assert "the contracts of plugins need hypothesis" in done.stderr
    assert "pip install 'pointsman[testing]'" in done.stderr


def test_a_failure_can_be_told_as_one_text() -> None:
    rule = Rule("ACME-01", "test_it_works", "Nobody would know.", "0.1")
    broken: Any = Broken(rule, "line one\nline two\x1b[0m", at="here:1", traceback="")

    assert str(broken).splitlines() == [
        "ACME-01  It works",
        "   found  line one",
        "          line two\\x1b[0m",
        "  reason  Nobody would know.",
        "    more  docs/plugins/rules.md#acme-01",
        "      at  here:1",
    ]
    assert broken.reprcrash.message == "ACME-01: line one"


CHANGING = """
import json, os
import pytest
from pointsman.builtin.retry import NoRetry
from pointsman.testing.contract import RetryContract

class Doing(NoRetry):
    def __init__(self, does):
        self.delay = lambda failure: does()

class TestSettingAVariable(RetryContract):
    def make(self, rng):
        return Doing(lambda: os.environ.update(KEY_OF_ACME="x"))

class TestReplacingAFunction(RetryContract):
    def make(self, rng):
        return Doing(lambda: setattr(json, "dumps", str))

class TestLeavingTheFolder(RetryContract):
    def make(self, rng):
        return Doing(lambda: os.chdir(os.sep))

@pytest.fixture(scope="module")
def of_the_module():
    os.environ["OF_THE_MODULE"] = "y"
    yield
    del os.environ["OF_THE_MODULE"]

@pytest.mark.usefixtures("of_the_module")
class TestWithFixtures(RetryContract):
    @pytest.fixture(autouse=True)
    def of_the_test(self, monkeypatch, tmp_path):
        monkeypatch.setenv("KEY_OF_ACME", "z")
        monkeypatch.chdir(tmp_path)

    def make(self, rng):
        return NoRetry()
"""


def test_what_a_plugin_changes_of_the_process_breaks_the_rule_in_which_it_does(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(test_them=CHANGING)
    chosen = ("--pointsman-rule", "RETRY-02", "--pointsman-rule", "RETRY-05")

    outcome = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:asyncio", *chosen)

    outcome.assert_outcomes(passed=8, errors=3)
    left = "   found  it changed what all of the process share, and left it so: "
    for what in ("os.environ['KEY_OF_ACME']", "json.dumps", "the working directory"):
        outcome.stdout.fnmatch_lines([f"{left}{what.replace('[', '[[]')}"])
    outcome.stdout.fnmatch_lines(["*TestWithFixtures: all 2 rules held"])
    outcome.stdout.fnmatch_lines(["*TestReplacingAFunction: 1 of 2 rules held; broken: RETRY-02"])
