"""`status --live` says of an audit that it loses records."""

from __future__ import annotations

import pytest

from pointsman_cli.overview import print_audit, print_budgets


def test_a_sink_that_loses_records_has_a_line_and_one_that_is_well_has_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    well = {"sink": "sqlite", "mode": "block", "waiting": 3, "dropped": 0, "trouble": ""}
    full = {
        "sink": "jsonl",
        "mode": "drop_counted",
        "waiting": 10,
        "dropped": 1200,
        "trouble": "the disk is full",
    }

    print_audit({"audit": [well, full]})

    assert capsys.readouterr().out == (
        "audit jsonl (drop_counted): records lost: 1,200, waiting: 10; the disk is full\n"
    )


def test_budgets_that_cannot_be_kept_are_told_of_although_none_was_used(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_budgets({"budgets": [], "budgets_trouble": "the disk is full"})

    assert capsys.readouterr().out == "what was spent is not kept now: the disk is full\n"
