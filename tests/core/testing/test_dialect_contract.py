"""The contract of dialects: one that changes what it reads is found."""

from __future__ import annotations

import pytest
from wrong_beside import Consuming, DialectTests, Marking, Old

from pointsman.testing.contract import DialectContract, rules_of

RULES = [each.test for each in rules_of(DialectContract) if each.id != "DIALECT-08"]  # it wants fixtures


@pytest.mark.parametrize("dialect", [Consuming, Marking])
def test_one_that_changes_its_document_is_found_when_all_rules_were_tried_before(
    dialect: type[Old],
) -> None:
    found = []
    contract = type("Tried", (DialectTests,), DialectTests.offering(dialect))()
    for rule in [*RULES, *RULES]:
        try:
            getattr(contract, rule)()
        except AssertionError:
            found.append(rule)

    assert found == ["test_reading_changes_nothing"] * 2
