"""`pointsman callers`, as somebody at a shell uses it."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pointsman_callers.keys.key_text import is_key
from pointsman_cli import app

CONFIG = """
providers: {gpu1: {type: ollama, base_url: "http://127.0.0.1:11434"}}
models: {assistant: {deployments: [gpu1/llama3.2]}}
callers: {database: ./keys.db}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pointsman.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("POINTSMAN_CONFIG", raising=False)
    return tmp_path


@dataclass
class Done:
    exit_code: int
    stdout: str
    output: str


def run(*words: str, input: str | None = None) -> Done:
    with CliRunner().isolation(input=input) as (out, _err, both):
        code = app.run(["callers", *words])
        sys.stdout.flush()
        return Done(code, out.getvalue().decode(), both.getvalue().decode())


def data(*words: str) -> Any:
    done = run(*words, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_a_key_is_shown_when_it_is_made_and_never_again(folder: Path) -> None:
    done = run(
        "add",
        "ci",
        "--model",
        "assistant",
        "--label",
        "team=qa",
        "--requests",
        "1000/day",
        "--expires",
        "30d",
    )
    assert done.exit_code == 0, done.output
    key = done.stdout.strip()

    assert is_key(key)
    for words in (["list"], ["show", "ci"], ["show", "ci", "--json"], ["export", "ci"], ["list", "--json"]):
        said = run(*words)
        assert said.exit_code == 0, said.output
        assert key not in said.output
        assert key[12:] not in said.output
        assert "assistant" in said.output
    found = data("show", "ci")
    assert (found["labels"], found["limits"], found["state"]) == (
        {"team": "qa"},
        {"requests": ["1000/day"]},
        "good",
    )


def test_a_key_is_made_anew_limited_revoked_and_erased(folder: Path) -> None:
    first = data("add", "ci", "--tokens", "1M/day")
    id = first["caller"]["id"]
    assert data("limits", "ci", "--money", "10 USD/month", "--tokens", "none")["caller"]["limits"] == {
        "money": ["10.00 USD/month"]
    }
    second = data("rotate", id, "--overlap", "0s")
    assert second["key"] != first["key"]
    assert second["caller"]["id"] == id
    revoked = data("revoke", "ci")
    assert (revoked["caller"]["state"], revoked["announced"], revoked["seen_by"]) == ("revoked", True, [])
    assert run("erase", id, input="n\n").exit_code == 130
    assert [each["id"] for each in data("list")] == [id]
    assert data("erase", id, "--yes")["id"] == id
    assert data("list") == []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["show", "nobody"], 2, "no key has the id or the name"),
        (["add", "ci"], 1, "another key that is good has that name"),
        (["add", "x", "--tokens", "many"], 2, "tokens is such as '1000/day'"),
        (["add", "x", "--label", "team"], 2, "expected NAME=VALUE"),
        (["add", "x", "--surface", "opnai"], 2, "there is no 'opnai'; did you mean 'openai'?"),
        (
            ["limits", "ci", "--surface", "v1"],
            2,
            "there are: ai, anthropic, console, ollama, openai, operator",
        ),
        (["rotate", "ci", "--overlap", "soon"], 2, "--overlap"),
        (["rotate", "ci", "--overlap", "400d"], 2, "0 to 90 days"),
    ],
)
def test_a_mistake_is_told_in_words(folder: Path, words: list[str], code: int, said: str) -> None:
    run("add", "ci")

    done = run(*words)

    assert done.exit_code == code, done.output
    assert re.sub(r"\s+", " ", said) in re.sub(r"\s+", " ", done.output)


def test_without_the_section_the_lines_to_add_are_shown(folder: Path) -> None:
    (folder / "pointsman.yaml").write_text(CONFIG.replace("callers:", "# callers:"))

    done = run("list")

    assert done.exit_code == 2
    assert "callers: {database: ./pointsman.db}" in done.output
    assert not list(folder.glob("*.db"))
