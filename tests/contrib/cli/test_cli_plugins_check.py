"""`pointsman plugins check`: what it prints, and its exit codes."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from distributions import write_distribution

from pointsman.testing.checking import run
from pointsman.testing.checking.run import CheckBegun, Checked, CheckImpossible, CheckNote

WHY = {
    "why": "Nobody would know.",
    "link": "docs/plugins/rules.md#acme-01",
    "of": "TestAcme",
    "seconds": 0.25,
}


def checked(id: str, result: str, found: str = "") -> Checked:
    return Checked(id=id, sentence="It works", test="test_it_works", result=result, found=found, **WHY)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch):
    def tell(*events: object) -> None:
        def check(distribution, *, tests, rules):
            asked.append((distribution, tests, rules))
            for each in events:
                if isinstance(each, Exception):
                    raise each
                yield each

        asked = tell.asked = []
        monkeypatch.setattr(run, "check", check)

    return tell


def test_rules_are_listed_and_those_that_are_broken_explained(cli, told) -> None:
    told(
        CheckBegun(3),
        checked("ACME-01", "held", "2 of 3"),
        checked("ACME-02", "broken", "one\n\x1b[31mtwo"),
        checked("ACME-03", "expected", "on Monday"),
        CheckNote("provider.acme: its contract needs more"),
    )

    ran = cli("plugins", "check", "acme")

    assert ran.code == 1
    assert ran.out.splitlines() == [
        "rule\tresult\tseconds\tclass\twhat",
        "ACME-01\theld\t0.25\tTestAcme\tIt works: 2 of 3",
        "ACME-02\tbroken\t0.25\tTestAcme\tIt works",
        "ACME-03\texpected to fail\t0.25\tTestAcme\tIt works: on Monday",
        "",
        "ACME-02  It works",
        "   found  one",
        "          \\x1b[31mtwo",
        "  reason  Nobody would know.",
        "    more  docs/plugins/rules.md#acme-01",
    ]
    assert ran.err.splitlines() == [
        "not tried: provider.acme: its contract needs more",
        "acme: 1 of 3 rules held, 1 broken, 1 expected to fail",
    ]


@pytest.mark.parametrize(
    ("events", "code"),
    [
        ([checked("ACME-01", "held"), checked("ACME-02", "skipped", "no answer")], 0),
        ([checked("ACME-01", "expected", "on Monday")], 0),
        ([checked("ACME-01", "broken")], 1),
        ([checked("ACME-01", "held"), CheckNote("it crashed", fault=True)], 1),
        ([], 1),
        ([CheckImpossible("no distribution 'acme' is installed here")], 2),
        ([checked("ACME-01", "skipped", "not today")], 2),
    ],
)
def test_the_exit_code_says_whether_all_is_well(cli, told, events: list[object], code: int) -> None:
    told(*events)

    assert cli("plugins", "check", "acme").code == code


def test_json_has_everything(cli, told) -> None:
    told(CheckBegun(1), checked("ACME-01", "broken", "one"), CheckNote("acme: no", fault=True))

    ran = cli("plugins", "check", "acme", "--json", "--rule", "ACME-01", "--tests", str(Path(__file__)))

    assert ran.code == 1
    assert ran.json["ok"] is False
    assert ran.json["rules"] == [
        {
            "id": "ACME-01",
            "sentence": "It works",
            "test": "test_it_works",
            "result": "broken",
            "found": "one",
            **WHY,
        }
    ]
    assert ran.json["remarks"] == [{"text": "acme: no", "fault": True}]
    assert told.asked == [("acme", (Path(__file__),), ("ACME-01",))]


def test_why_nothing_can_be_tried_is_said(cli, told) -> None:
    told(CheckImpossible("a check needs pytest: pip install 'pointsman[testing]'"))

    assert "pip install 'pointsman[testing]'" in cli("plugins", "check", "acme").err


def test_at_a_terminal_it_says_how_far_it_is(cli, told, monkeypatch: pytest.MonkeyPatch) -> None:
    from pointsman_cli.commands.plugins import check

    told(CheckBegun(2), checked("ACME-01", "held"), checked("ACME-02", "held"))
    said: list[str] = []
    monkeypatch.setattr(check, "say_over", said.append)
    monkeypatch.setattr(check, "_at_terminal", lambda: True)

    cli("plugins", "check", "acme")

    assert said == ["1 of 2  ACME-01  It works", "2 of 2  ACME-02  It works", ""]


def test_an_installed_plugin_is_tried(cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "from pointsman.plugin import NO_RETRY, PointsmanSpec\nraise ImportError('the disk is full')\n"
    write_distribution(tmp_path, "acme", {"acme.py": source}, {"pointsman.retry": {"acme": "acme:plugin"}})
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    ran = cli("plugins", "check", "acme", "--rule", "PLUGIN-01")

    assert ran.code == 1
    assert re.search(r"^PLUGIN-01\tbroken\t[\d.]+\tTestPlugin\t", ran.out, re.MULTILINE)
    assert "cannot be imported: ImportError" in ran.out
    assert "acme" not in sys.modules, "it is tried in a process of its own"
