"""docs/migrating-from-litellm.md: its three configurations route as the page says.

What LiteLLM's own Router routes with the same is measured by `benchmarks/migrating.py`.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from pointsman.config.foreign_keys import KEYS

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "benchmarks"))
import migrating  # noqa: E402

CASES = [
    pytest.param(pair, asks, said, id=f"{pair.title}: {what}")
    for pair, asked in zip(migrating.pairs(), migrating.ASKED, strict=True)
    for what, (asks, said) in asked.items()
]


@pytest.mark.parametrize(("pair", "asks", "said"), CASES)
async def test_a_configuration_of_the_page_routes_as_it_says(
    pair: migrating.Pair, asks: migrating.Asks, said: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrating, "REST", 0.5)

    assert await migrating.routed(pair, asks, migrating.ours) == said


def test_the_page_says_what_is_asked_of_each() -> None:
    sections = [
        section for section in migrating.PAGE.read_text("utf-8").split("\n## ") if "yaml litellm" in section
    ]

    rows = [len(re.findall(r"^\| (?!---|what happens)", section, re.MULTILINE)) for section in sections]
    assert rows == [3, 4, 4]  # the last table says two things in one row


def test_the_keys_that_a_configuration_refuses_as_litellms_stand_on_the_page() -> None:
    theirs = {key for key, hint in KEYS.items() if "LiteLLM" in hint}
    page = migrating.PAGE.read_text("utf-8")

    assert sorted(key for key in theirs if key not in page) == []
