"""What became of the rules in a run of pytest: words where one is broken, a line for each class, JSON."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
from msgspec import Struct, to_builtins

import pointsman
from pointsman._internal.printable import printable
from pointsman._internal.suggest import did_you_mean
from pointsman.testing.contract.rules import Rule, rule_of
from pointsman.testing.surroundings import Surroundings, named

Result = Literal["held", "broken", "expected", "skipped"]
_OUTCOMES: dict[str, Result] = {"passed": "held", "failed": "broken", "skipped": "skipped"}
_CONTRACTS = Path(__file__).parent / "contract"


class Became(Struct):
    """What became of one rule in one class of tests.

    Attributes:
        of: the class, as pytest names it.
        result: `expected` is a failure that stands in `xfail`.
        found: what was wrong, or why it was not tried.
        seconds: with everything before and after it.
    """

    id: str
    of: str
    test: str
    result: Result = "skipped"
    found: str = ""
    seconds: float = 0.0


class Broken:
    """A failure as somebody reads it who does not know the kit. It takes the place of a traceback of pytest.

    Attributes:
        reprcrash: itself, for those who ask a failure for its one line.
    """

    def __init__(self, rule: Rule, found: str, *, at: str, traceback: str) -> None:
        self.rule, self.found, self.traceback = rule, printable(found), printable(traceback)
        self.path, self.lineno = "", 0
        self._at = at
        self.reprcrash = self

    @property
    def message(self) -> str:
        """What was found, in one line."""
        first = next(iter(self.found.splitlines()), "")
        return f"{self.rule.id}: {first}"

    def toterminal(self, tw: Any) -> None:
        """Write it, as pytest asks its failures to."""
        rule = self.rule
        tw.line(f"{rule.id}  {rule.sentence}", bold=True, red=True)
        for name, text in (
            ("found", self.found),
            ("reason", rule.why),
            ("more", rule.link),
            ("at", self._at),
        ):
            first, *rest = text.splitlines() or [""]
            tw.line(f"{name:>8}  {first}")
            for line in rest:
                tw.line(f"{'':>8}  {line}")
        if self.traceback:
            tw.line("")
            for line in self.traceback.splitlines():
                tw.line(line)

    def __str__(self) -> str:
        lines = _Lines()
        self.toterminal(lines)
        return "\n".join(lines)


class _Lines(list[str]):
    """As much of pytest's terminal as `Broken` needs."""

    def line(self, text: str = "", **_: bool) -> None:
        self.append(text)


class RuleReports:
    """The hooks that only a run with rules needs.

    Attributes:
        listeners: called with what became of each rule, when everything about it is over.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.listeners: list[Callable[[Became], None]] = []
        self._config = config
        self._became: dict[str, Became] = {}
        self._before: Surroundings | None = None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None]:
        yield
        rule = rule_of(getattr(item, "function", None))
        self._before = None if rule is None else Surroundings()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self) -> Generator[None]:
        before, self._before = self._before, None
        changed = [] if before is None else Surroundings().changed_since(before)
        yield
        if before is not None and changed:
            still = Surroundings().changed_since(before)
            if left := [each for each in changed if each in still]:  # what fixtures undo was the test's own
                before.restore(left)
                said = ", ".join(map(named, left[:_MOST_SHOWN]))
                raise AssertionError(f"it changed what all of the process share, and left it so: {said}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        given = config.getoption("--pointsman-rule")
        asked = {each.strip().upper() for one in given for each in one.split(",")} - {""}
        if asked:
            chosen = _chosen(asked, items)
            config.hook.pytest_deselected(items=[each for each in items if each not in chosen])
            items[:] = chosen

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        rule = rule_of(getattr(item, "function", None))
        if rule is not None and report.failed:
            report.longrepr = self._broken(rule, report, call)  # type: ignore[assignment]  # pytest asks for no more
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        given = dict(report.user_properties).get("pointsman_rule")
        if not isinstance(given, str):
            return
        of, _, test = report.nodeid.rpartition("::")
        became = self._became.setdefault(report.nodeid, Became(given, of, test))
        became.seconds += report.duration
        if report.when == "call" or report.outcome != "passed":
            became.result = "expected" if hasattr(report, "wasxfail") else _OUTCOMES[report.outcome]
            became.found = _found_in(report)
        if report.when == "teardown":
            for tell in self.listeners:
                tell(became)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if not self._became or self._config.get_verbosity() < -1:
            return
        terminalreporter.section("rules of contracts", sep="=")
        for of, each in self._by_class():
            bad = any(one.result == "broken" for one in each)
            terminalreporter.line(f"{of}: {_summary(each)}", red=bad)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        path = self._config.getoption("--pointsman-report")
        if path is None or hasattr(self._config, "workerinput"):
            return
        told = {"pointsman": pointsman.__version__, "rules": to_builtins(list(self._became.values()))}
        Path(path).write_text(json.dumps(told, indent=1), "utf-8")

    def _by_class(self) -> Iterator[tuple[str, Sequence[Became]]]:
        classes: dict[str, list[Became]] = defaultdict(list)
        for each in self._became.values():
            classes[each.of].append(each)
        yield from classes.items()

    def _broken(self, rule: Rule, report: pytest.TestReport, call: pytest.CallInfo[None]) -> Broken:
        if call.excinfo is None:  # marked in `xfail`, and it holds
            return Broken(
                rule,
                f"{report.longrepr}\nit holds now: take it out of `xfail`",
                at=report.nodeid,
                traceback="",
            )
        error = call.excinfo.value
        plain = isinstance(error, AssertionError | pytest.fail.Exception)
        thorough = self._config.get_verbosity() > 1 or self._config.getoption("tbstyle") in ("long", "native")
        traceback = "" if plain else _traceback_of(error, call.excinfo)
        return Broken(
            rule,
            found_by(error),
            at=_place(call.excinfo),
            traceback=report.longreprtext if thorough else traceback,
        )


def _chosen(asked: set[str], items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Those whose rule, or its kind, is asked for."""
    rules = [rule_of(getattr(item, "function", None)) for item in items]
    known = {name for each in rules if each is not None for name in (each.id, each.kind)}
    for name in sorted(asked - known):
        hint = did_you_mean(name, known, what="there are") or "none of them is a rule"
        raise pytest.UsageError(f"--pointsman-rule: none of these tests is {name!r}; {hint}")
    return [
        item
        for item, rule in zip(items, rules, strict=True)
        if rule is not None and not asked.isdisjoint((rule.id, rule.kind))
    ]


_MOST_SHOWN = 5


def found_by(error: BaseException) -> str:
    """What an exception says was found, with what is noted on it, such as an example of hypothesis."""
    if isinstance(error, BaseExceptionGroup):
        first = error.exceptions[:_MOST_SHOWN]
        more = [f"- and {left} more"] if (left := len(error.exceptions) - len(first)) else []
        said = "\n".join([str(error), *(f"- {found_by(each)}" for each in first), *more])
    elif isinstance(error, AssertionError | pytest.fail.Exception):
        # What pytest makes of the expression helps where nobody wrote what is wrong.
        said = str(error).partition("\nassert ")[0] or "what it asserts is not so"
    else:
        said = f"{type(error).__name__}: {_text_of(error)}".rstrip(": ")
        if (
            isinstance(error, Warning) and error.__cause__ is not None
        ):  # what ended a thread, what nobody raised
            said = f"{_text_of(error).partition(chr(10))[0]}: {found_by(error.__cause__)}"
    return "\n".join([said, *getattr(error, "__notes__", ())])


def _text_of(error: BaseException) -> str:
    """What it says; the text of a plugin's own exception may raise."""
    try:
        return str(error)
    except Exception:
        return ""


def _traceback_of(error: BaseException, excinfo: pytest.ExceptionInfo[BaseException]) -> str:
    """That of the plugin, from the rule on."""
    first: BaseException = error
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    if isinstance(first, Warning) and first.__cause__ is not None:  # its own is all of pytest
        excinfo = pytest.ExceptionInfo.from_exception(first.__cause__)
    try:
        return str(excinfo.getrepr(style="short", tbfilter=_from_the_rule_on))
    except Exception as failure:  # pytest parses the source anew, and may not be able to
        return f"no traceback: {type(failure).__name__}: {failure}"


def _place(excinfo: pytest.ExceptionInfo[BaseException]) -> str:
    """Where it came from: the last line of the plugin where there is one, else that of the kit."""
    entries = [(Path(each.path), each.lineno + 1, each.name) for each in excinfo.traceback]
    outside = [each for each in entries if _is_theirs(each[0])]
    path, line, name = (outside or entries)[-1]
    return f"{path}:{line}, in {name}"


def _from_the_rule_on(excinfo: pytest.ExceptionInfo[BaseException]) -> Any:
    """The traceback without what called the test."""
    traceback = excinfo.traceback
    for at, entry in enumerate(traceback):
        if Path(entry.path).is_relative_to(_CONTRACTS):
            return type(traceback)(traceback[at:])
    return traceback


def _is_theirs(path: Path) -> bool:
    """Whether a file is neither ours, nor one of pytest, hypothesis or Python."""
    return not path.is_relative_to(Path(pointsman.__file__).parent) and not {
        "_pytest",
        "pluggy",
        "hypothesis",
        "asyncio",
    } & {*path.parts}


def _found_in(report: pytest.TestReport) -> str:
    if hasattr(report, "wasxfail"):
        return str(report.wasxfail).removeprefix("reason: ")
    if report.passed:  # what it has measured
        return str(dict(report.user_properties).get("pointsman_note", ""))
    longrepr = report.longrepr
    if isinstance(longrepr, tuple):  # of a skip: path, line, reason
        return str(longrepr[2]).removeprefix("Skipped: ")
    return longrepr.found if isinstance(longrepr, Broken) else str(longrepr or "")


def _summary(each: Sequence[Became]) -> str:
    counts = Counter(one.result for one in each)
    if counts["held"] == len(each):
        return f"all {len(each)} rules held" if len(each) > 1 else "the rule held"
    parts = [f"{counts['held']} of {len(each)} rules held"]
    for result, words in (("broken", "broken"), ("expected", "expected to fail"), ("skipped", "not tried")):
        if ids := [one.id for one in each if one.result == result]:
            parts.append(f"{words}: {', '.join(ids)}")
    return "; ".join(parts)
