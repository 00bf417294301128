from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.build.presets import preset_names
from pointsman.plugins.kinds import KINDS
from pointsman.plugins.known_names import OPENAI_PRESETS, PACKAGES, preset_called, what_to_write
from pointsman.plugins.registry import Plugins
from pointsman.testing import installed_factory

ROOT = Path(__file__).resolve().parents[3]
BUILT_IN = {
    kind: [each.name for each in Plugins().listing() if each.kind == kind and each.state == "built in"]
    for kind in KINDS
}


def claimed() -> dict[str, dict[str, str]]:
    """By kind, the names that the distributions of this repository claim."""
    found: dict[str, dict[str, str]] = {}
    for file in sorted([*ROOT.glob("plugins/*/pyproject.toml"), *ROOT.glob("contrib/*/pyproject.toml")]):
        project = tomllib.loads(file.read_text())["project"]
        for kind in KINDS.values():
            for name in project.get("entry-points", {}).get(kind.group, {}):
                found.setdefault(kind.name, {})[name] = project["name"]
    return found


def test_the_packages_are_those_of_this_repository() -> None:
    there = {kind: dict(names) for kind, names in PACKAGES.items()}
    # Of packages that may be missing here. What a section starts may have its name, and a command for it; so
    # may credentials that go by it.
    sections = there.pop("section")
    others = {
        name for kind, names in there.items() if kind not in ("service", "command", "auth") for name in names
    }
    offered = claimed()

    assert sections.items() >= offered.pop("section").items()
    assert there == offered
    assert sections.keys().isdisjoint(others)


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, names in PACKAGES.items() for name in names]
)
def test_a_name_of_ours_that_is_not_installed_says_which_package_has_it(kind: str, name: str) -> None:
    assert what_to_write(kind, name, BUILT_IN[kind]) == f" Try: pip install {PACKAGES[kind][name]}"


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("provider", "anthropic", "Here it is called 'claude' (pip install pointsman-claude)"),
        ("provider", "olama", "Did you mean 'ollama'? (pip install pointsman-ollama)"),
        ("provider", "vllm", "write {type: openai, preset: vllm} (pip install pointsman-openai)"),
        ("provider", "LM Studio", "write {type: openai, preset: lmstudio}"),
        ("provider", "lm-studio", "write {type: openai, preset: lmstudio}"),
        ("provider", "llama.cpp", "write {type: openai, preset: llamacpp}"),
        ("provider", "openrouter", "write {type: openai, preset: openrouter}"),
        ("provider", "azure_openai", "write {type: openai, preset: azure}"),
        ("provider", "google", "write {type: openai, preset: gemini}"),
        ("provider", "grok", "write {type: openai, preset: xai}"),
        ("provider", "groq", "write {type: openai, preset: groq}"),
        ("provider", "cohere", "write type: openai with base_url: https://api.cohere.ai/compatibility/v1"),
        ("strategy", "least_connection", "Here it is called 'least_connections'"),
        ("strategy", "random", "Here it is called 'round_robin'"),
        ("strategy", "simple-shuffle", "Here it is called 'weighted'"),
        ("strategy", "least-busy", "Here it is called 'least_connections'"),
        ("strategy", "latency-based-routing", "Here it is called 'peak_ewma' (pip install pointsman-strategies)"),
        ("strategy", "cost-based-routing", "Here it is called 'cheapest' (pip install pointsman-strategies)"),
        ("strategy", "failover", "give the deployments a `priority`"),
        ("strategy", "wieghted", "Did you mean 'weighted'?"),
        ("auth", "environment", "Here it is called 'env'"),
        ("auth", "api_key", "Here it is called 'static'"),
        ("audit", "file", "Here it is called 'jsonl'"),
        ("audit", "stdout", "Here it is called 'logging'"),
        ("retry", "backoff", "Here it is called 'exponential'"),
        ("transport", "http2", "write `http2: true` at the provider"),
    ],
)  # fmt: skip
def test_what_other_programs_call_it_is_said_in_our_words(kind: str, name: str, said: str) -> None:
    assert said in what_to_write(kind, name, BUILT_IN[kind])


def test_the_presets_are_those_that_openai_has() -> None:
    assert sorted(OPENAI_PRESETS) == preset_names(installed_factory("provider", "openai"))


def test_a_preset_has_no_name_that_another_one_is_called_by() -> None:
    assert {name: preset_called(name, OPENAI_PRESETS) for name in OPENAI_PRESETS} == dict(
        zip(OPENAI_PRESETS, OPENAI_PRESETS, strict=True)
    )
    words = [word for words in OPENAI_PRESETS.values() for word in words.split()]
    assert len(words) == len(set(words))


def test_what_is_installed_is_not_to_be_installed() -> None:
    assert "pip install" not in what_to_write("provider", "anthropic", ["claude", "openai"])
    assert "pip install" not in what_to_write("provider", "vllm", ["openai"])
    assert "pip install" not in what_to_write("provider", "claud", ["claude"])


def test_about_what_nobody_knows_nothing_is_said() -> None:
    assert what_to_write("provider", "my-companys-llm", ["ollama"]) == ""
    assert what_to_write("command", "bo om", []) == ""


@given(
    st.sampled_from([*KINDS]),
    st.text(max_size=20) | st.from_regex(r"[a-z_-]{1,12}", fullmatch=True),
    st.sets(st.sampled_from(["ollama", "weighted"])),
)
def test_no_package_is_ever_named_that_is_not_ours(kind: str, name: str, offered: set[str]) -> None:
    named = re.findall(r"pip install ([\w.-]+)", what_to_write(kind, name, sorted(offered)))

    assert set(named) <= {package for names in PACKAGES.values() for package in names.values()}
