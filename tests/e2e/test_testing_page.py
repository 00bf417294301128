"""docs/testing.md: its tests pass as they stand there, and its command runs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pointsman_simulator.habit as habit
from pointsman_cli.commands.sim import command

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "testing.md").read_text("utf-8")
FILES = dict(
    re.findall(r"^```(?:python|yaml)\n# (\S+\.(?:py|yaml))\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
)


def test_the_tests_of_the_page_pass(tmp_path: Path) -> None:
    assert sorted(FILES) == ["pointsman.yaml", "test_outage.py", "test_weather.py", "weather.py"]
    for name, content in FILES.items():
        (tmp_path / name).write_text(content)
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error\n"
    )

    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert "4 passed" in ran.stdout, ran.stdout + ran.stderr


def test_the_options_of_the_command_stand_in_the_table() -> None:
    section = PAGE.partition("## A process")[2].partition("| fault |")[0]
    rows = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    listed = re.findall(r"--[a-z][a-z-]+", "\n".join(rows))

    asked = {name for each in command.params for name in each.opts if name.startswith("--")}
    assert sorted(listed) == sorted(asked - {"--config-out", "--json", "--verbose", "--help"})


def test_each_fault_that_has_a_name_stands_in_the_table() -> None:
    table = PAGE.partition("| fault |")[2].partition("\n## ")[0]
    listed = re.findall(r"`([^`]+)`", "\n".join(re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)))

    for each in listed:
        habit.fault_of(each)
    named = {each.partition(":")[0] for each in listed if not each[0].isdigit()}
    assert named == set(habit.WORDS)


@pytest.mark.parametrize("line", re.findall(r"^\$ pointsman (sim .*)$", PAGE, re.MULTILINE))
def test_the_command_of_the_page_starts_what_it_says(line: str, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "pointsman_cli", *line.split(), "--json"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        started = json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.communicate(timeout=30)

    assert [(each["name"], each["models"]) for each in started] == [
        ("gpu1", ["llama3.2", "phi4"]),
        ("gpu2", ["llama3.2"]),
        ("cloud", ["gpt-4.1-mini"]),
    ]
    assert (tmp_path / "sim.yaml").exists()
