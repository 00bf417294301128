"""`pointsman env`: settings that each client can read, for the address and the model of a configuration."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from clients_page import PAGE
from ruamel.yaml import YAML

from pointsman_cli.app import cli
from pointsman_gateway.commands.clients import CLIENTS, page, settings_for

URL = "https://gateway.test:8443"
FILE = """
providers:
  here: {type: ollama, base_url: "http://127.0.0.1:1"}
models:
  first: {deployments: [here/x]}
  second: {deployments: [here/x]}
default_model: second
gateway: {listen: "[::1]:4711"}
"""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("POINTSMAN_CONFIG", raising=False)


def ran(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["env", *arguments])


@pytest.mark.parametrize("name", CLIENTS)
def test_what_is_printed_can_be_read_by_whoever_it_is_for(name: str) -> None:
    settings = settings_for(name, url=URL, model="org/m-1", key="MY_KEY")

    match CLIENTS[name].form:
        case "json":
            assert isinstance(json.loads(settings), dict)
        case "toml":
            assert tomllib.loads(settings)
        case "yaml":
            assert isinstance(YAML(typ="safe").load(settings), dict | list)
        case "python":
            compile(settings, name, "exec")
        case "sh":
            assert all(re.fullmatch(r"export [A-Z_]+=\S+", line) for line in settings.splitlines())
    assert URL in settings
    assert "{" not in re.sub(r"\$?\{+[^{}]*\}+|[{}]", "", settings)


@pytest.mark.parametrize(("given", "key"), [({}, "none"), ({"MY_KEY": "secret"}, "secret")])
def test_a_shell_takes_the_key_from_its_variable(given: dict[str, str], key: str) -> None:
    settings = settings_for("openai", url=URL, model="m", key="MY_KEY")

    done = subprocess.run(
        ["/bin/sh", "-c", settings + 'printf \'%s %s\' "$OPENAI_BASE_URL" "$OPENAI_API_KEY"'],
        env=given,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == f"{URL}/v1 {key}"


def test_there_are_a_dozen_clients_and_the_page_shows_them_as_they_are_printed() -> None:
    assert len(CLIENTS) >= 12
    assert PAGE.read_text("utf-8") == page(), "run: python docs/tools/clients_page.py"


def test_without_a_name_the_clients_are_listed() -> None:
    told = ran()

    assert told.exit_code == 0
    assert [line.split()[0] for line in told.stdout.splitlines()] == sorted(CLIENTS)


def test_the_address_and_the_model_are_those_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "pointsman.yaml").write_text(FILE)

    told = ran("claude-code")

    assert told.exit_code == 0, told.output
    assert 'ANTHROPIC_BASE_URL="http://[::1]:4711"' in told.output
    assert 'ANTHROPIC_MODEL="second"' in told.output


def test_the_secrets_of_the_gateway_need_not_be_known(tmp_path: Path) -> None:
    access = "access: {keys: [{name: ci, key: '${CI_KEY}'}, {name: me, key: '${MY_KEY}'}]}"
    (tmp_path / "pointsman.yaml").write_text(FILE.replace('4711"', f'4711", {access}'))

    told = ran("claude-code")

    assert told.exit_code == 0, told.exception
    assert 'ANTHROPIC_BASE_URL="http://[::1]:4711"' in told.output


def test_neither_need_files_with_secrets_be_there(tmp_path: Path) -> None:
    access = (
        "access: {keys: [{name: ci, key: '${file:/nowhere/ci}'}, {name: me, key: '${file:/nowhere/me}'}]}"
    )
    (tmp_path / "pointsman.yaml").write_text(FILE.replace('4711"', f'4711", {access}'))

    told = ran("claude-code")

    assert told.exit_code == 0, told.exception
    assert 'ANTHROPIC_BASE_URL="http://[::1]:4711"' in told.output


@pytest.mark.parametrize(("client", "port"), [("vscode", 11435), ("zed", 11435), ("ollama", 4711)])
def test_who_sends_no_key_is_pointed_at_the_listener_that_takes_none(
    tmp_path: Path, client: str, port: int
) -> None:
    surfaces = 'surfaces: {ollama: {listen: "[::1]:11435"}}'
    (tmp_path / "pointsman.yaml").write_text(FILE.replace('4711"', f'4711", {surfaces}'))

    assert f"http://[::1]:{port}" in ran(client).output


def test_what_the_command_line_says_counts_first() -> None:
    told = ran("aider", "--url", f"{URL}/", "--model", "big", "--key", "MY_KEY")

    assert f'OPENAI_API_BASE="{URL}/v1"' in told.output
    assert 'AIDER_MODEL="openai/big"' in told.output
    assert "${MY_KEY:-none}" in told.output


@pytest.mark.parametrize(
    "arguments",
    [
        ("--url", 'http://x"; rm -rf ~; "'),
        ("--url", "http://x$(id)"),
        ("--model", "a`id`"),
        ("--model", 'a"b'),
        ("--key", "sk-123"),
        ("--key", "A B"),
    ],
)
def test_nothing_is_printed_that_a_shell_would_run(arguments: tuple[str, str]) -> None:
    told = ran("openai", *arguments)

    assert told.exit_code == 2
    assert "export" not in told.output


def test_a_client_that_nobody_knows_is_told_with_the_one_that_was_meant() -> None:
    told = ran("opnai")

    assert told.exit_code != 0
    assert told.exception is not None
