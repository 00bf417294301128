"""The kit finds a hundred wrong plugins by the rule that each breaks, and none of forty right ones."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rules_page import contracts

from cases import RIGHT, WRONG, Right, Wrong, found, rules_for
from pointsman.testing.contract import rules_of

for path in sorted(Path(__file__).parent.glob("*_*.py")):
    if path.stem.startswith(("wrong_", "right_")):
        importlib.import_module(path.stem)

Fixtures = Callable[[str], Any]


KINDS = {kind: contract for kind, contract in contracts().items() if kind not in ("PLUGIN", "LIVE")}
"""Those of whole distributions and of real upstreams have tests of their own: they need some."""
RULES = [each.id for contract in KINDS.values() for each in rules_of(contract)]


def test_there_are_a_hundred_wrong_plugins_and_forty_right_ones_over_all_kinds() -> None:
    kinds = {kind.lower() for kind in KINDS}

    assert len(WRONG) >= 100
    assert len(RIGHT) >= 40
    assert {each.kind for each in WRONG} == kinds
    assert {each.kind for each in RIGHT} == kinds


def test_each_has_a_name_and_a_sentence_of_its_own() -> None:
    for cases in (WRONG, RIGHT):
        assert len({(each.kind, each.name) for each in cases}) == len(cases)
        assert all(each.what.endswith(".") and len(each.what.split()) > 2 for each in cases)


@pytest.mark.parametrize("rule", sorted(RULES))
def test_each_rule_is_broken_by_somebody(rule: str) -> None:
    assert rule in {each.rule for each in WRONG}


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
@pytest.mark.canary_in("raised", reason="wrong ones let it out, and the rule that finds it says so")
@pytest.mark.parametrize("case", WRONG, ids=lambda each: f"{each.rule}-{each.name}")
def test_a_wrong_plugin_is_found_by_the_rule_that_it_breaks(case: Wrong, fixtures: Fixtures) -> None:
    broken = found(case.subject, fixtures, rules_for(case))

    assert case.rule in broken, f"{case.name} ({case.what}) is not found; broken: {broken}"
    assert broken.keys() - {case.rule} <= case.also, f"{case.name} ({case.what}) breaks more: {broken}"


@pytest.mark.parametrize("case", RIGHT, ids=lambda each: f"{each.kind}-{each.name}")
def test_a_right_plugin_is_not_found(case: Right, fixtures: Fixtures) -> None:
    assert found(case.subject, fixtures) == {}, f"{case.name} ({case.what}) is right"
