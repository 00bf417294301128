"""Configurations of other programs: found by what they look like, translated, and wrong at their own lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from pointsman import ConfigError, Router
from pointsman.config import Config
from pointsman.plugin import (
    DialectContext,
    DialectFactory,
    ForeignDocument,
    NativeDocument,
    PointsmanSpec,
    hookimpl,
)
from pointsman.testing import Scripted

SERVICES = """\
ai_services:
  ollama:
    enabled: true
    endpoint: http://127.0.0.1:11434
    timeout: 60s
    models:
      - {name: llama2, temperature: 0.7}
      - mistral
  openai:
    enabled: true
    api_key_env: OPENAI_API_KEY
    model: gpt-4
    max_tokens: 4096
    temperature: 0.7
  claude: {enabled: false, model: claude-sonnet}
default_service: ollama
fallback_order: [ollama, openai]
"""
BALANCED = """\
providers:
  openai: {api_key: "${KEY}", base_url: https://api.openai.com/v1, models: [gpt-4], timeout: "30s", max_retries: 3}
  anthropic: {api_key: "${KEY}", models: [claude-sonnet, gpt-4]}
  local: {base_url: "http://localhost:11434", models: [llama2]}
load_balancer: {strategy: least_connections, health_check_interval: 30s}
retry: {max_attempts: 3, base_delay: 1s, max_delay: 30s, backoff_multiplier: 2.0, jitter: true}
circuit_breaker: {failure_threshold: 5, reset_timeout: 60s, half_open_max_calls: 3}
"""


def read(text: str, **options: Any) -> Config:
    return Config.from_text(dedent(text), file="old.yaml", environ={"KEY": "sk-a-long-key"}, **options)


def wrong(text: str, **options: Any) -> list[str]:
    with pytest.raises(ConfigError) as found:
        read(text, **options)
    return [str(each) for each in found.value.problems]


# ── services of AI ───────────────────────────────────────────────────────────────────────────────────


def test_services_are_providers_with_their_types_addresses_keys_and_times() -> None:
    given = read(SERVICES)

    assert {name: each.type for name, each in given.providers.items()} == {
        "ollama": "ollama", "openai": "openai",
    }  # fmt: skip
    assert given.providers["ollama"].base_url == "http://127.0.0.1:11434"
    assert given.providers["ollama"].timeouts is not None
    assert given.providers["ollama"].timeouts.attempt == 60
    auth = given.providers["openai"].auth
    assert auth is not None
    assert (auth.type, auth.settings) == ("env", {"name": "OPENAI_API_KEY"})


def test_services_are_asked_for_by_their_names_their_models_names_or_as_the_default() -> None:
    models = read(SERVICES).public_models()

    assert {
        name: [(each.id, each.defaults) for each in model.deployments] for name, model in models.items()
    } == {
        "llama2": [("ollama/llama2", {"temperature": 0.7})],
        "mistral": [("ollama/mistral", {})],
        "gpt-4": [("openai/gpt-4", {"max_tokens": 4096, "temperature": 0.7})],
        "ollama": [("ollama/llama2", {"temperature": 0.7})],
        "openai": [("openai/gpt-4", {"max_tokens": 4096, "temperature": 0.7})],
        "default": [("ollama/llama2", {"temperature": 0.7})],
    }
    assert [each.to for each in models["default"].fallback] == ["openai"]
    assert [each.to for each in models["ollama"].fallback] == ["openai"]
    assert models["openai"].fallback is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "ai_services:\n  box: {endpoint: 'http://10.0.0.7:9', model: x}\n",
            "old.yaml:2:8: ai_services.box: neither its name nor its address says which API it speaks; add",
        ),
        (
            "ai_services:\n  ollama: {endpoint: '127.0.0.1:11434', model: x}\n",
            "old.yaml:2:22: ai_services.ollama.endpoint: ",
        ),
        (
            "ai_services:\n  ollama: {modl: x}\n",
            "old.yaml:2:12: ai_services.ollama.modl: unknown key 'modl'; did you mean",
        ),
        (
            "ai_services:\n  ollama: {timeout: soon, model: x}\n",
            "old.yaml:2:21: ai_services.ollama.timeout: expected seconds as a number, or a duration",
        ),
        (
            "ai_services:\n  ollama:\n    models: [x, {nam: y}]\n",
            "old.yaml:3:17: ai_services.ollama.models[1]: expected the name of a model, or a mapping with `name`",
        ),
        (
            "ai_services: {ollama: {model: x}}\ndefault_service: olama\n",
            "old.yaml:2:18: default_service: no service is called 'olama'; there are: ollama",
        ),
        (
            "ai_services: {ollama: {model: x}}\nfallback_order: [ollama, gone]\n",
            "old.yaml:2:26: fallback_order[1]: no service is called 'gone'; there are: ollama",
        ),
        (
            "ai_services: {ollama: {model: x}}\nfallback_order: [ollama, [gone]]\n",
            "old.yaml:2:26: fallback_order[1]: no service is called ['gone']; there are: ollama",
        ),
        (
            "ai_services: {ollama: {model: x}}\ndefault_service: {model: x}\n",
            "old.yaml:2:18: default_service: no service is called {'model': 'x'}; there are: ollama",
        ),
        ("ai_services: {ollama: 3}\n", "old.yaml:1:23: ai_services.ollama: expected a mapping, not a number"),
        (
            "ai_services: {ollama: {model: x}}\nstratgey: x\n",
            "old.yaml:2:1: stratgey: unknown key 'stratgey'; did",
        ),
    ],
)
def test_what_is_wrong_in_services_is_said_at_its_line_and_column_there(
    text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("old.yaml").write_text(text)

    with pytest.raises(ConfigError) as found:
        Router.check("old.yaml")

    (problem,) = found.value.problems
    assert str(problem).startswith(said)


# ── providers under a load balancer ──────────────────────────────────────────────────────────────────


def test_providers_without_types_get_them_by_name_or_by_address() -> None:
    given = read(BALANCED)

    assert {name: each.type for name, each in given.providers.items()} == {
        "openai": "openai", "anthropic": "claude", "local": "ollama",
    }  # fmt: skip
    key = given.providers["openai"].api_key
    assert key is not None
    assert key.get_secret_value() == "sk-a-long-key"


def test_each_listed_model_is_one_over_all_providers_that_list_it() -> None:
    models = read(BALANCED).public_models()

    assert {name: [each.id for each in model.deployments] for name, model in models.items()} == {
        "gpt-4": ["openai/gpt-4", "anthropic/gpt-4"],
        "claude-sonnet": ["anthropic/claude-sonnet"],
        "llama2": ["local/llama2"],
    }
    retry = models["gpt-4"].retry
    assert retry is not None
    assert retry.settings == {"attempts": 4}


def test_balancer_retry_and_breaker_say_what_they_said() -> None:
    given = read(BALANCED)

    assert given.strategy.type == "least_connections"
    assert given.health is not None
    assert given.health.interval == 30
    assert given.retry.type == "exponential"
    assert given.retry.settings == {"attempts": 3, "base_delay": "1s", "max_delay": "30s"}
    assert given.circuit_breaker.reset_timeout == 60
    assert given.warnings == ()


def test_what_is_left_out_and_makes_a_difference_is_a_warning_at_its_place() -> None:
    given = read(BALANCED.replace("jitter: true", "jitter: false"))

    (warning,) = given.warnings
    assert str(warning).startswith("old.yaml:6:91: retry.jitter: waits double with each failure")


def test_a_value_that_is_wrong_is_said_at_its_own_place() -> None:
    said = wrong(BALANCED.replace("60s", "never").replace("30s}\nretry", "often}\nretry"))

    assert [each.partition(": expected")[0] for each in said] == [
        "old.yaml:5:69: load_balancer.health_check_interval",
        "old.yaml:7:56: circuit_breaker.reset_timeout",
    ]


def test_both_run_from_files_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "sk-a-long-key")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-a-long-key")
    for n, text in enumerate((SERVICES, BALANCED)):
        file = tmp_path / f"old{n}.yaml"
        file.write_text(text)
        assert Router.check(file).public_models()


def test_a_document_of_ours_that_forgot_a_type_is_told_so() -> None:
    (said,) = wrong("providers: {a: {base_url: 'http://127.0.0.1:1'}}\n")

    assert said == "old.yaml:1:13: providers.a.type: is missing; such as `type: ollama`"


# ── those of plugins ─────────────────────────────────────────────────────────────────────────────────


class Plain:
    """Reads `{upstream: …}`."""

    def __init__(self, _context: DialectContext) -> None:
        pass

    def matches(self, document: ForeignDocument) -> bool:
        return "upstream" in document.data

    def read(self, document: ForeignDocument) -> NativeDocument:
        native = NativeDocument()
        native.put(("providers", "a", "type"), document.data["upstream"], of=("upstream",))
        return native


class Offering(PointsmanSpec):
    def __init__(self, **makes: Callable[[DialectContext], Any]) -> None:
        self._makes = makes

    @hookimpl
    def pointsman_config_dialects(self) -> Sequence[DialectFactory]:
        return [DialectFactory(name, None, make) for name, make in self._makes.items()]


def test_a_dialect_of_a_plugin_is_asked_about_files_and_mappings_alike(tmp_path: Path) -> None:
    file = tmp_path / "other.json"
    file.write_text(json.dumps({"upstream": "scripted"}))

    for source in (file, {"upstream": "scripted"}):
        given = Router.check(source, plugins=[Offering(plain=Plain), Scripted()])
        assert given.providers["a"].type == "scripted"

    file.write_text(json.dumps({"upstream": "scriptd"}))
    with pytest.raises(ConfigError, match=rf"{file}:1:14: upstream: no plugin offers provider 'scriptd'"):
        Router.check(file, plugins=[Offering(plain=Plain), Scripted()])


def test_two_dialects_that_match_are_an_error_that_names_both() -> None:
    (said,) = wrong("upstream: x\n", plugins=[Offering(one=Plain), Offering(two=Plain)])

    here = "tests.core.config.test_dialects:Offering"
    assert f"could be in any of several dialects: 'one' from {here} and 'two' from {here}" in said


class Bad(Plain):
    def __init__(self, method: str, context: DialectContext) -> None:
        super().__init__(context)
        if method == "make":
            raise RuntimeError("sk-a-long-key")
        self._method = method

    def matches(self, document: ForeignDocument) -> bool:
        if self._method == "matches":
            raise RuntimeError(document.data["upstream"])
        return True

    def read(self, document: ForeignDocument) -> NativeDocument:
        if self._method == "read":
            raise RuntimeError(document.data["upstream"])
        return {}  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("method", "did"),
    [
        ("make", "failed in make(): RuntimeError; the log says more"),
        ("matches", "failed in matches(): RuntimeError; the log says more"),
        ("read", "failed in read(): RuntimeError; the log says more"),
        ("", "returned a dict from read(), expected a NativeDocument"),
    ],
)
def test_a_dialect_that_does_wrong_is_one_error_that_names_it_and_shows_no_value(
    method: str, did: str, caplog: pytest.LogCaptureFixture
) -> None:
    offering = Offering(bad=lambda context: Bad(method, context))

    (said,) = wrong("upstream: a-word-that-nobody-may-read\n", plugins=[offering])

    assert said == f"old.yaml:1:1: the dialect 'bad' from tests.core.config.test_dialects:Offering {did}"
    assert "a-word-that-nobody-may-read" not in caplog.text


def test_nobody_is_asked_about_a_document_of_ours() -> None:
    offering = Offering(bad=lambda context: Bad("make", context))

    assert read("providers: {a: {type: ollama}}\n", plugins=[offering]).providers["a"].type == "ollama"


def test_what_is_no_dialect_is_one_error_that_says_what_it_lacks() -> None:
    (said,) = wrong("upstream: a\n", plugins=[Offering(bad=lambda _context: object())])

    assert said.endswith("Offering made a object, which has no method matches()")
