"""What is logged reaches stderr: warnings, and more with -v and -vv; of other libraries never more."""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

PLUGIN = """
import logging

import click
from pointsman.plugin import PointsmanSpec, hookimpl

@click.command("speak")
@click.option("--for-long", is_flag=True)
@click.pass_obj
def speak(asked, for_long):
    asked.log_as_json = for_long
    for name in ("pointsman", "pointsman.audit", "h2"):
        log = logging.getLogger(name)
        for level in ("debug", "info", "warning", "error"):
            getattr(log, level)("%s says %s\\nand more", name, level)
    try:
        raise ValueError("why")
    except ValueError:
        logging.getLogger("pointsman").exception("it failed")

class Plugin(PointsmanSpec):
    @hookimpl
    def pointsman_commands(self):
        return [speak]

plugin = Plugin()
"""


@pytest.fixture
def speak(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin with a command that logs at every level."""
    info = workdir / "speak-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: speak\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pointsman.commands]\nspeak = speak_plugin:plugin\n")
    (workdir / "speak_plugin.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(workdir)


def said(err: str) -> set[tuple[str, str]]:
    return set(re.findall(r"([\w.]+) says (\w+)", err))


ALL = {(name, level) for name in ("pointsman", "pointsman.audit", "h2") for level in ("warning", "error")}
INFO = {("pointsman", "info"), ("pointsman.audit", "info")}
DEBUG = {("pointsman", "debug"), ("pointsman.audit", "debug")}


@pytest.mark.parametrize(
    ("options", "expected"),
    [((), ALL), (("-v",), ALL | INFO), (("-vv",), ALL | INFO | DEBUG), (("-v", "-v"), ALL | INFO | DEBUG)],
)
def test_as_much_is_told_as_was_asked_for(cli, speak, options, expected: set[tuple[str, str]]) -> None:
    ran = cli(*options, "speak")

    assert said(ran.err) == expected
    assert ran.out == ""
    assert "it failed" in ran.err
    assert ("ValueError: why" in ran.err) is (len("".join(options).replace("-", "")) > 1)


def test_a_line_break_begins_no_line_of_its_own(cli, speak) -> None:
    lines = cli("speak").err.splitlines()

    assert "warning: pointsman says warning" in lines
    assert {line for line in lines if "and more" in line} == {"    and more"}


def test_with_json_it_is_objects_and_without_v_only_errors(cli, speak) -> None:
    quiet, loud = cli("--json", "speak"), cli("--json", "-v", "speak")

    assert {json.loads(line)["log"] for line in quiet.err.splitlines()} == {"error"}
    assert ("pointsman", "info") in said(loud.err)
    assert all(set(json.loads(line)) == {"log", "message"} for line in loud.err.splitlines())


def test_afterwards_logging_is_as_it_was(cli, speak) -> None:
    handlers = [*logging.getLogger().handlers]

    cli("-vv", "speak")

    assert logging.getLogger().handlers == handlers
    assert logging.getLogger("pointsman").level == logging.NOTSET


@pytest.mark.parametrize("words", [("-v", "ask", "hi"), ("ask", "-v", "hi"), ("ask", "hi", "--verbose")])
def test_it_may_stand_before_or_behind_the_command(cli, gpu, words: tuple[str, ...], monkeypatch) -> None:
    levels: list[int] = []
    log = logging.getLogger("pointsman")
    monkeypatch.setattr(
        "pointsman_cli.commands.ask.default_model", lambda _: levels.append(log.level) or "assistant"
    )

    assert cli(*words).code == 0
    assert levels == [logging.INFO]


@pytest.mark.parametrize("options", [("--json",), ()])
def test_a_command_that_runs_for_long_logs_its_warnings_as_json_too(cli, speak, options) -> None:
    lines = [json.loads(line) for line in cli(*options, "speak", "--for-long").err.splitlines()]

    assert {each["log"] for each in lines} == {"warning", "error"}
    (failed,) = [each["message"] for each in lines if each["message"].startswith("it failed")]
    assert re.fullmatch(r"it failed \(ValueError at .*speak_plugin\.py:17\)", failed)
    assert all(datetime.fromisoformat(each["timestamp"]).tzinfo == UTC for each in lines)
