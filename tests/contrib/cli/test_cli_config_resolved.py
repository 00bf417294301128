"""`pointsman config show --resolved`: YAML with where each value comes from, and the same for programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pointsman.config import Config
from pointsman.config.difference import differences
from pointsman_cli.resolved_config import as_yaml, resolved_config
from pointsman_cli.shown_config import shown_config

ROOT = Path(__file__).parents[3]
FILE = """\
providers:
  gpu1: {type: ollama, base_url: http://127.0.0.1:11434}
  groq: {type: openai, preset: groq, auth: {type: env, name: GROQ_API_KEY}}
models:
  "gpt-4.1": {deployments: [gpu1/llama3.2, {provider: groq, model: "x y: z", weight: 2}], fallback: ["on"]}
  "on": {deployments: [gpu1/mistral], require: {local: true}, defaults: {temperature: 0.5, stop: ["# no"]}}
timeouts: {total: 90s}
retry: {type: exponential, budget: 20%}
"""


def test_every_line_says_where_its_value_comes_from(cli, workdir: Path) -> None:
    (workdir / "p.yaml").write_text(FILE)

    ran = cli("config", "show", "--resolved", "-c", "p.yaml")

    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert "    base_url: http://127.0.0.1:11434          # p.yaml:2" in lines
    assert "    base_url: https://api.groq.com/openai/v1  # preset groq" in lines
    assert "  total: 1m30s                                # p.yaml:7" in lines
    assert "  connect: 5s                                 # default" in lines
    assert "  budget: 20%                                 # p.yaml:8" in lines
    assert all("  # " in line or line.endswith(":") for line in lines)


def test_what_the_environment_says_where_the_file_is_silent_names_the_variable(
    cli, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workdir / "p.yaml").write_text("providers: {a: {type: ollama}}\n")
    monkeypatch.setenv("OLLAMA_BASE_URL", "http://gpu:11434")
    monkeypatch.setenv("OLLAMA_TIMEOUT", "90")

    found = cli("config", "show", "--resolved", "-c", "p.yaml", "--json").json

    said = {each["path"]: (each["value"], each["origin"]) for each in found}
    assert said["providers.a.base_url"] == ("http://gpu:11434", "environment OLLAMA_BASE_URL")
    assert said["providers.a.timeouts.attempt"] == (90, "environment OLLAMA_TIMEOUT")


def test_programs_get_path_value_and_origin(cli, workdir: Path) -> None:
    (workdir / "p.yaml").write_text(FILE)

    found = cli("config", "show", "--resolved", "-c", "p.yaml", "--json").json

    assert {"path": "timeouts.total", "value": 90, "origin": "p.yaml:7"} in found
    assert {
        "path": 'models["gpt-4.1"].deployments[0].provider',
        "value": "gpu1",
        "origin": "p.yaml:5",
    } in found


PAGE = (ROOT / "docs" / "configuration.md").read_text("utf-8")


@pytest.mark.parametrize(
    "text", [FILE, PAGE.partition("```yaml\n")[2].partition("```")[0]], ids=["ours", "page"]
)
def test_what_is_shown_is_a_configuration_that_means_the_same(text: str) -> None:
    config = Config.from_text(text, file="p.yaml", environ={"OPENAI_API_KEY": "***"})

    shown = Config.from_text(as_yaml(resolved_config(config)))

    # An address that is a preset's or a type's own is said now.
    assert [each for each in map(str, differences(config, shown)) if "base_url none" not in each] == []


@pytest.mark.parametrize("shows", [lambda config: as_yaml(resolved_config(config)), shown_config])
def test_a_credential_is_masked_where_it_stands_in_another_place_too(shows: Any) -> None:
    text = (
        "providers: {a: {type: openai, api_key: '${K}'}}\n"
        "models: {m: {deployments: [a/x], defaults: {extra: {note: 'of ${K}', auth_token: tiger-2, user: me}}}}"
    )

    shown = str(shows(Config.from_text(text, environ={"K": "tiger-1-of-somebody"})))

    assert "tiger" not in shown
    assert "me" in shown


def test_names_of_credentials_are_shown_and_credentials_are_not(cli, workdir: Path) -> None:
    (workdir / "p.yaml").write_text(
        "providers:\n"
        "  a: {type: openai, auth: {type: env, name: A_KEY, not_before: 2026-01-01T00:00:00Z}}\n"
        "  b: {type: openai, auth: {type: static, value: tiger-1}}\n"
        "  c: {type: openai, auth: {type: env, name: sk-proj-0123456789abcdef}}\n"
    )

    shown = cli("config", "show", "-c", "p.yaml", "--json").json["providers"]

    assert shown["a"]["auth"]["name"] == "A_KEY"
    assert (shown["b"]["auth"]["value"], shown["c"]["auth"]["name"]) == ("***", "***")
