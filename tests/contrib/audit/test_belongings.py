"""What records hold of one caller is handed out, and erased but for what a process still writes."""

from __future__ import annotations

import asyncio
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from pointsman import Config, Router
from pointsman.testing import Scripted
from pointsman_audit import plugin
from pointsman_audit.belongings import erase, export

SINKS = [{"type": "jsonl", "path": "lines"}, {"type": "sqlite", "database": "audit.db"}]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.chdir(tmp_path)
    return Config.from_mapping(
        {
            "providers": {"a": {"type": "scripted"}},
            "models": {"m": {"deployments": ["a/x"]}},
            "audit": [{**each, "content": {"fields": ["messages"]}} for each in SINKS],
        }
    )


async def asked(config: Config, during: Any = None) -> Any:
    async with Router(config, plugins=[Scripted(), plugin]) as router:
        for caller in ("ci", "other"):
            await router.chat("m", f"it is {caller}", caller=caller)
        if during is None:
            return None
        while len(export(config, "ci", "")) < 2 * 4:  # noqa: ASYNC110  # of threads
            await asyncio.sleep(0)
        return during()


def test_it_is_found_by_its_entry_point() -> None:
    (found,) = entry_points(group="pointsman.belongings", name="records")

    assert found.load().export is export


async def test_records_of_a_caller_are_handed_out_and_erased_with_what_was_asked(config: Config) -> None:
    await asked(config)
    said = export(config, "ci", "")

    assert sorted({each["event"] for each in said}) == ["attempt", "content", "request", "start"]
    assert {each["caller"] for each in said} == {"ci"}
    assert len(said) == 2 * 4
    assert erase(config, "ci", "") == 2 * 4
    assert export(config, "ci", "") == []
    assert len(export(config, "other", "")) == 2 * 4


async def test_a_file_that_is_written_is_left_and_named(config: Config) -> None:
    left = await asked(config, lambda: erase(config, "ci", ""))

    assert isinstance(left, dict)
    assert any("lines" in each for each in left["left"])


def test_where_nothing_was_recorded_there_is_nothing(config: Config) -> None:
    assert (export(config, "ci", ""), erase(config, "ci", "")) == ([], 0)
