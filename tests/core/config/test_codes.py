"""Codes of problems: they stay, each is explained, and nothing is wrong without one."""

from __future__ import annotations

import ast
import re
import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest
from core_source import ROOT as CORE

from pointsman import ConfigError, Router
from pointsman.config import codes
from pointsman.config.explanations import FAMILIES, explained, explanations

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
CONTRIB, DOCS = ROOT / "contrib", ROOT / "docs"
NAMES = {name: code for name, code in vars(codes).items() if name.isupper()}


def test_a_code_stays_what_it_is() -> None:
    known = dict(line.split() for line in (HERE / "codes.txt").read_text("utf-8").splitlines())
    titles = {code: about.title for code, about in explanations().items()}

    # A new one is written there, too; what stands there never changes.
    assert {name: NAMES[name] for name in known if name in NAMES} == known
    assert set(NAMES) == set(known)
    assert len(set(NAMES.values())) == len(NAMES) == len(set(titles.values()))


def test_each_code_is_explained_and_of_a_family() -> None:
    assert sorted(NAMES.values()) == list(explanations())
    assert {code[:4] for code in NAMES.values()} == set(FAMILIES)
    for code in NAMES.values():
        assert re.fullmatch(r"PM1\d{3}", code), code


EXAMPLES = [(code, about.wrong) for code, about in explanations().items() if about.wrong]


@pytest.mark.parametrize(("code", "text"), EXAMPLES, ids=[code for code, _ in EXAMPLES])
def test_each_example_is_refused_with_its_code_and_holds_when_mended(
    code: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "abcdefgh")
    monkeypatch.delenv("NO_SUCH_VARIABLE", raising=False)
    (tmp_path / "wrong.yaml").write_text(text, "utf-8")
    (tmp_path / "right.yaml").write_text(explanations()[code].right, "utf-8")

    with pytest.raises(ConfigError) as caught:
        Router.check("wrong.yaml")
    found = [each.code for each in caught.value.problems]  # type: ignore[attr-defined]

    assert code in found, str(caught.value)
    if explanations()[code].right:
        Router.check("right.yaml")


def test_an_explanation_is_found_in_any_case() -> None:
    assert next(explained(" pm1101 ")) == "PM1101: nobody knows this key"
    assert list(explained("PM9999")) == []


# ── nothing is wrong without a code ──────────────────────────────────────────────────────────────────

_MAKERS = ("Problem", "Finding", "problem", "fault", "Remark")


def _sites() -> Iterator[tuple[str, ast.Call]]:
    for file in sorted((*CORE.rglob("*.py"), *CONTRIB.glob("*/src/**/*.py"))):
        text = file.read_text("utf-8")
        if not any(f"{each}(" in text for each in _MAKERS):
            continue
        if not re.search(
            r"pointsman\.(config|build|plugin|section|dialect)|SectionCheck|\bMalformed\b", text
        ):
            continue  # `problem` is a word of the gateway, too: what it tells its callers
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and _called(node.func) in _MAKERS and _is_ours(node, file):
                yield f"{file.relative_to(file.parents[3])}:{node.lineno}", node


def _called(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _is_ours(node: ast.Call, file: Path) -> bool:
    whose = ast.unparse(node.func)
    if not {"testing", "surfaces", "calls", "wires"}.isdisjoint(file.parts):
        return False
    return whose != "fault" and len(node.args) + len(node.keywords) > 1


def test_nothing_is_said_to_be_wrong_without_a_code() -> None:
    sites = list(_sites())
    without = [
        where
        for where, node in sites
        if not any(each.arg == "code" for each in node.keywords)
        and not (_called(node.func) in ("Problem", "Remark") and len(node.args) > 3)
    ]

    assert len(sites) > 80  # else they are called otherwise now
    # The places of what holds, for an operator: nothing is wrong there.
    assert [each for each in without if "written.py" not in each] == []


def test_a_code_that_is_written_out_is_one_that_there_is() -> None:
    files = (*CORE.rglob("*.py"), *CONTRIB.glob("*/src/**/*.py"))
    written = {code for file in files for code in re.findall(r"\bPM\d{4}\b", file.read_text("utf-8"))}

    assert written - set(NAMES.values()) == set()


def test_the_page_says_what_the_command_says() -> None:
    written = runpy.run_path(str(DOCS / "tools" / "config_errors_page.py"))

    assert (DOCS / "config-errors.md").read_text("utf-8") == written["page"]()  # else write it anew
