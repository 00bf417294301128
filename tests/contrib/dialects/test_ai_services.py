"""The two older shapes: translated, and wrong at their own lines."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from pointsman import ConfigError, Router
from pointsman.config import Config

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


def test_a_service_can_be_the_default_one_whatever_the_order_is() -> None:
    given = read(SERVICES.replace("default_service: ollama", "default_service: openai"))

    assert given.model_by_default == "default"
    assert [each.to for each in given.models["default"].fallback or ()] == ["ollama"]


def test_a_default_service_that_is_not_enabled_is_a_warning() -> None:
    given = read(SERVICES.replace("default_service: ollama", "default_service: claude"))

    assert "default" not in given.models
    (warning,) = given.warnings
    assert str(warning).startswith("old.yaml:16:18: default_service: is not enabled, or has no model")


# ── providers under a load balancer ──────────────────────────────────────────────────────────────────


def test_providers_without_types_get_them_by_name_or_by_address() -> None:
    given = read(BALANCED)

    assert {name: each.type for name, each in given.providers.items()} == {
        "openai": "openai", "anthropic": "claude", "local": "ollama",
    }  # fmt: skip
    key = given.providers["openai"].api_key
    assert key is not None
    assert key.reveal() == "sk-a-long-key"


def test_each_listed_model_is_one_over_all_providers_that_list_it() -> None:
    models = read(BALANCED).public_models()

    assert {name: [each.id for each in model.deployments] for name, model in models.items()} == {
        "gpt-4": ["openai/gpt-4", "anthropic/gpt-4"],
        "claude-sonnet": ["anthropic/claude-sonnet"],
        "llama2": ["local/llama2"],
    }
    retry = models["gpt-4"].retry
    assert retry is not None
    assert retry.settings == {"attempts": 4, "base_delay": "1s", "max_delay": "30s"}


def test_balancer_retry_and_breaker_say_what_they_said() -> None:
    given = read(BALANCED)

    assert given.strategy.type == "least_connections"
    assert given.health is not None
    assert given.health.interval == 30
    assert given.retry.type == "exponential"
    assert given.retry.settings == {"attempts": 3, "base_delay": "1s", "max_delay": "30s"}
    assert given.circuit_breaker.reset_timeout == 60
    (warning,) = given.warnings
    assert str(warning) == (
        "old.yaml:2:114: providers.openai.max_retries: "
        "holds for what it lists, in place of retry.max_attempts: 4 attempts"
    )


def test_what_is_left_out_and_makes_a_difference_is_a_warning_at_its_place() -> None:
    given = read(BALANCED.replace("jitter: true", "jitter: false"))

    warning, _retries = given.warnings
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


# ── the files that there are, and the proxy ──────────────────────────────────────────────────────────

FILES = Path(__file__).parent / "files"
KEYS = {"OPENAI_API_KEY": "sk-a-long-key", "ANTHROPIC_API_KEY": "sk-a-long-key"}
PROXY = (FILES / "ai-proxy.yaml").read_text("utf-8")


def of_files(*names: str, also: str = "") -> Config:
    text = "".join((FILES / f"{name}.yaml").read_text("utf-8") for name in names) + also
    return Config.from_text(text, file="old.yaml", environ=KEYS)


def test_services_within_ai_services_are_read_with_what_holds_for_all() -> None:
    given = of_files("ai_services-services")

    assert list(given.models) == [
        "llama2", "codellama", "gpt-4", "claude-3-sonnet", "ollama", "openai", "claude", "default",
    ]  # fmt: skip
    assert given.models["codellama"].deployments[0].defaults == {"temperature": 0.1}
    assert given.model_by_default == "default"
    assert given.warnings == ()


def test_providers_within_ai_services_are_read_with_balancer_retry_and_breaker() -> None:
    given = of_files("ai_services-providers")

    assert {name: each.type for name, each in given.providers.items()} == {
        "openai": "openai", "anthropic": "claude", "local": "ollama",
    }  # fmt: skip
    assert given.strategy.type == "round_robin"
    assert given.health is not None
    assert given.health.interval == 30
    assert given.circuit_breaker.half_open_max_calls == 3
    assert given.retry.settings == {"attempts": 3, "base_delay": "1s", "max_delay": "30s"}
    assert {name: (each.retry.settings["attempts"] if each.retry else None) for name, each in given.models.items()} == {
        "gpt-4": 4, "gpt-3.5-turbo": 4, "claude-3-sonnet": 4, "claude-3-haiku": 4, "llama2": 2, "codellama": 2,
    }  # fmt: skip
    assert [each.line for each in given.warnings] == [10, 19, 27]


def test_a_proxy_says_what_nobody_else_says() -> None:
    given = of_files("ai_services-services", "ai-proxy")

    assert given.timeouts.attempt == 30
    assert given.retry.settings == {"attempts": 4}
    assert given.circuit_breaker.failure_threshold == 5
    assert given.circuit_breaker.reset_timeout == 30
    assert str(given.limits["proxy"].requests) == "100/s"
    assert all(each.shared_limits == ["proxy"] for each in given.providers.values())
    assert [str(each).partition(": ")[2] for each in given.warnings] == [
        "ai.proxy.python_addr: has no counterpart here: upstreams are called by the router itself",
        "ai.proxy.timeout: is left out where a provider has a `timeout` of its own: ollama",
    ]


def test_where_a_proxy_says_what_others_say_too_it_is_said_who_wins() -> None:
    given = of_files("ai_services-providers", "ai-proxy")

    assert given.retry.settings["attempts"] == 3
    assert given.circuit_breaker.reset_timeout == 60
    said = [str(each).partition(": ")[2] for each in given.warnings if each.path.startswith("ai.")]
    assert said[1:] == [
        "ai.proxy.timeout: is left out where a provider has a `timeout` of its own: openai, anthropic, local",
        "ai.proxy.max_retries: is left out: ai_services.retry.max_attempts says it, too, and holds",
        "ai.proxy.circuit_reset_time: is left out: ai_services.circuit_breaker.reset_timeout says it, too, and holds",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PROXY, "old.yaml:3:3: ai: says how upstreams are asked, and there is none; add `ai_services`"),
        (
            "ai_services: {ollama: {model: x}}\nai: {proxy: {time_out: 3s}}\n",
            "old.yaml:2:24: ai.proxy.time_out: unknown key 'time_out'; there are: timeout, max_retries",
        ),
        (
            "ai_services: {ollama: {model: x}}\nai: {proxy: {rate_limit: many}}\n",
            "old.yaml:2:26: ai.proxy.rate_limit: expected requests in a second, 1 or more",
        ),
        (
            "ai_services: {ollama: {model: x}}\nai: {proxy: {timeout: soon}}\n",
            "old.yaml:2:23: ai.proxy.timeout: expected seconds as a number, or a duration",
        ),
        (
            "ai_services: {ollama: {model: x, enabled: 'no'}}\n",
            "old.yaml:1:43: ai_services.ollama.enabled: expected true or false",
        ),
        (
            "ai_services: {ollama: {model: x}}\nai: {proxy: 3}\n",
            "old.yaml:2:13: ai.proxy: expected a mapping",
        ),
    ],
)
def test_what_is_wrong_with_a_proxy_is_said_at_its_line(text: str, said: str) -> None:
    assert wrong(text)[0].startswith(said)
