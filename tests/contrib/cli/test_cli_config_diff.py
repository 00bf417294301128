"""`pointsman config diff`: what is printed, for people and programs, and the exit code."""

from __future__ import annotations

from pathlib import Path

import pytest

OLD = """\
providers: {gpu1: {type: ollama}, gpu2: {type: ollama}}
models:
  assistant:
    strategy: round_robin
    deployments: [{provider: gpu1, model: llama3.2, weight: 3}, gpu2/llama3.2]
timeouts: {total: 60s}
"""
NEW = """\
timeouts: {total: 1m}
providers: {gpu1: {type: ollama}, gpu2: {type: ollama}}
models:
  assistant:
    strategy: weighted
    deployments: [gpu1/llama3.2, gpu1/mistral]
"""


@pytest.fixture
def two(workdir: Path) -> Path:
    (workdir / "old.yaml").write_text(OLD)
    (workdir / "new.yaml").write_text(NEW)
    return workdir


def test_each_difference_is_a_line_and_the_exit_code_says_that_there_are_some(cli, two) -> None:
    ran = cli("config", "diff", "old.yaml", "new.yaml")

    assert ran.code == 1
    assert ran.out == (
        "~ assistant: weight of gpu1/llama3.2 3 → 1\n"
        "- assistant: gpu2/llama3.2 removed\n"
        "+ assistant: gpu1/mistral added\n"
        "~ assistant: strategy round_robin → weighted\n"
    )
    assert ran.err == "4 differences\n"


def test_programs_get_each_difference_with_its_path_and_values(cli, two) -> None:
    ran = cli("config", "diff", "old.yaml", "new.yaml", "--json")

    assert ran.code == 1
    assert ran.json["differences"][0] == {
        "kind": "changed",
        "path": 'models.assistant.deployments["gpu1/llama3.2"].weight',
        "sentence": "assistant: weight of gpu1/llama3.2 3 → 1",
        "before": "3",
        "after": "1",
    }


def test_two_that_mean_the_same_are_no_difference(cli, two) -> None:
    ran = cli("config", "diff", "old.yaml", "old.yaml")

    assert (ran.code, ran.out, ran.err) == (0, "", "both mean the same\n")
    assert cli("config", "diff", "old.yaml", "old.yaml", "--json").json == {"differences": []}


def test_what_is_wrong_with_either_is_told_at_once(cli, two) -> None:
    (two / "a.yaml").write_text("provders: {}\n")
    (two / "b.yaml").write_text("providers: {x: {type: ollama, api_ky: sk-a-long-secret}}\n")

    ran = cli("config", "diff", "a.yaml", "b.yaml")

    assert (ran.code, ran.out) == (2, "")
    assert "a.yaml:1:1" in ran.err
    assert "b.yaml:1:" in ran.err
    assert "secret" not in ran.err


SERVICES = """\
ai_services:
  ollama: {enabled: true, endpoint: "http://127.0.0.1:11434", timeout: 60s, models: [{name: llama2, temperature: 0.7}]}
  openai: {enabled: true, api_key_env: OPENAI_API_KEY, model: gpt-4, max_tokens: 4096}
default_service: ollama
fallback_order: [ollama, openai]
"""
LITELLM = """\
model_list:
  - {model_name: chat, litellm_params: {model: ollama/llama3.2, api_base: "http://127.0.0.1:11434", rpm: 60}}
  - {model_name: chat, litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY}}
router_settings: {routing_strategy: least-busy, num_retries: 2}
"""


@pytest.mark.parametrize("text", [SERVICES, LITELLM], ids=["ai_services", "litellm"])
def test_a_file_of_another_program_means_what_it_is_converted_to(
    cli, two, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a-key-of-somebody")
    (two / "other.yaml").write_text(text)
    assert cli("config", "convert", "other.yaml", "-o", "ours.yaml").code == 0

    ran = cli("config", "diff", "other.yaml", "ours.yaml")

    assert (ran.code, ran.out, ran.err) == (0, "", "both mean the same\n")


def test_at_a_terminal_a_line_ends_before_the_edge_and_has_colours(processes, two) -> None:
    (two / "wide.yaml").write_text(NEW.replace("llama3.2", "a-model-whose-name-is-long-" * 4))

    shown = processes.at_terminal("config", "diff", "old.yaml", "wide.yaml", columns=80).rest()

    assert "\x1b[32m+" in shown
    assert "a-model-whose-name" in shown
