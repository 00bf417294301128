"""The page about trying a change says what the commands say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[3] / "docs" / "trying.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_cases_of_the_page_are_as_it_says(cli, workdir) -> None:
    configuration, cases, *_ = blocks("yaml")
    (workdir / "pointsman.yaml").write_text(configuration)
    (workdir / "cases.yaml").write_text(cases)

    ran = cli("explain", "--test", "cases.yaml")

    (shown,) = (each for each in blocks("console") if "--test" in each)
    assert ran.code == 0, ran.out
    assert f"$ pointsman explain --test cases.yaml\n{ran.out}{ran.err}" == shown


def test_a_call_goes_where_the_page_says(cli, workdir, processes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)  # the page shows a terminal of 80 columns
    (workdir / "pointsman.yaml").write_text(blocks("yaml")[0])
    (shown,) = (each for each in blocks("console") if "--require" in each)
    command, *lines = shown.splitlines()
    asked = command.removeprefix('$ pointsman explain assistant "Why?" ').split()

    said = processes.at_terminal("explain", "assistant", "Why?", *asked).rest()

    plain = re.sub(r"\x1b\[[0-9;]*m", "", said).replace("\r", "")
    assert [each.rstrip() for each in plain.splitlines()] == lines
