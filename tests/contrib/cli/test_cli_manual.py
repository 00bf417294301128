"""docs/cli.md, the help of each command, and what all of them have in common."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import cli_page
import pytest

from pointsman_cli.app import COMMANDS

PAGES = {words: (command, ctx) for words, command, ctx in cli_page.pages()}
WITHOUT_JSON = {
    "completion": "it prints a script for a shell",
}
"""Commands that print nothing which a program would read, and why."""
OF_DEFAULTS = {"pointsman plugins"}
"""Lines that mean a subcommand which they do not name."""
LINES = [(words, line) for words, lines in cli_page.EXAMPLES.items() for line in lines]
HEAVY = (
    "httpx",
    "pydantic",
    "rich",
    "ruamel",
    "pointsman.router",
    "pointsman.config.model",
)
"""What a help text takes none of: each is tens of milliseconds."""
OF_THE_REGISTRY = ("pydantic", "pointsman.config.model")
"""What the help of a plugin's command takes none the less: looking the plugin up does."""


def test_the_page_is_what_the_commands_say() -> None:
    assert cli_page.PAGE.read_text("utf-8") == cli_page.page(), cli_page.COMMAND


def test_every_command_has_lines_that_somebody_would_type_first() -> None:
    assert sorted(cli_page.EXAMPLES) == sorted(PAGES)


@pytest.mark.parametrize("words", PAGES)
def test_the_help_of_a_command_ends_with_these_lines(
    words: str, cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    said = cli(*words.split(), "--help").out

    shown = said.rpartition("Examples:\n")[2].splitlines()
    assert [each.strip() for each in shown if each] == [*cli_page.EXAMPLES[words]]
    assert max(map(len, shown)) <= 80


@pytest.mark.parametrize(("words", "line"), LINES, ids=[line for _, line in LINES])
def test_the_command_takes_the_line(
    words: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = re.split(r" [|>] ", line[line.index("pointsman ") :])[0].removesuffix(')"')
    arguments = shlex.split(said)[1:]
    for each in arguments:
        if Path(each).suffix in {".pdf", ".png", ".yaml", ".json", ".jsonl"}:
            (tmp_path / each).touch()
    command, ctx = PAGES[words]
    own = len(words.split())
    assert arguments[:own] == words.split() or line in OF_DEFAULTS
    command.make_context(ctx.info_name, arguments[own:], parent=ctx.parent)


@pytest.mark.parametrize("words", PAGES)
def test_each_command_can_be_asked_for_json(words: str) -> None:
    command, _ctx = PAGES[words]
    has = any("--json" in each.opts for each in command.params)
    assert has == (words not in WITHOUT_JSON)


def test_a_help_text_takes_none_of_what_a_command_does_its_work_with() -> None:
    """One process for all of them: what one loads shows, whichever it was."""
    program = """\
import json, sys
from pointsman_cli.app import run
found = {}
for words in json.loads(sys.argv[1]):
    before = set(sys.modules)
    run([*words.split(), "--help"])
    found[words] = sorted(set(sys.modules) - before)
print("\\n" + json.dumps(found), file=sys.stderr)
"""
    asked = ["", *sorted(PAGES, key=lambda words: words.split()[0] not in COMMANDS)]
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(asked)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    loaded = json.loads(done.stderr.splitlines()[-1])
    heavy = {
        words: [each for each in modules if each.startswith(HEAVY) and not _may(words, each)]
        for words, modules in loaded.items()
    }
    assert {words: found for words, found in heavy.items() if found} == {}


def _may(words: str, module: str) -> bool:
    return words != "" and words.split()[0] not in COMMANDS and module.startswith(OF_THE_REGISTRY)
