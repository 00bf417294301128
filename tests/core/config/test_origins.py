"""The whole of what holds of a configuration, and where each value comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pointsman.config import Config
from pointsman.config.origins import DEFAULT, MASKED, resolved


def found(config: Config, **options: Any) -> dict[str, tuple[Any, str]]:
    return {each.path: (each.value, each.origin) for each in resolved(config, **options)}


def loaded(folder: Path, text: str, **environ: str) -> dict[str, tuple[Any, str]]:
    (folder / "p.yaml").write_text(text, encoding="utf-8")
    config = Config.load(folder / "p.yaml", environ=environ)
    said = found(config, environ=environ)
    return {path: (value, origin.replace(f"{folder}/", "")) for path, (value, origin) in said.items()}


TEXT = """\
providers:
  a: {type: ollama, base_url: "${WHERE}", timeouts: {idle: 30s}}
  b: {type: openai, api_key: "${KEY:-sk-the-usual-secret}", headers: {X-A: "${A} and ${B}"}}
models:
  m:
    deployments:
      - a/x
      - {provider: b, model: y, weight: 2}
retry: {type: exponential, attempts: 3}
"""


def test_each_value_has_its_place_or_is_a_default(tmp_path: Path) -> None:
    said = loaded(tmp_path, TEXT, WHERE="http://a:1", A="tiger-a", B="tiger-b")

    assert said["providers.a.type"] == ("ollama", "p.yaml:2")
    assert said["providers.a.base_url"] == ("http://a:1", "p.yaml:2, environment WHERE")
    assert said["providers.a.timeouts.idle"] == (30, "p.yaml:2")
    assert said["providers.a.keepalive"] == (15, DEFAULT)
    assert said["models.m.deployments[0].model"] == ("x", "p.yaml:7")
    assert said["models.m.deployments[1].weight"] == (2, "p.yaml:8")
    assert said["models.m.deployments[0].weight"] == (1, DEFAULT)
    assert said["circuit_breaker.failure_threshold"] == (5, DEFAULT)
    assert said["retry.attempts"] == (3, "p.yaml:9")
    assert said["retry.max_delay"] == (8, DEFAULT)


def test_a_variable_that_is_not_set_leaves_its_default_and_that_is_said(tmp_path: Path) -> None:
    unset = loaded(tmp_path, TEXT, WHERE="http://a:1", A="1", B="2")
    given = loaded(tmp_path, TEXT, WHERE="http://a:1", A="1", B="2", KEY="sk-another-secret")

    assert unset["providers.b.api_key"] == (MASKED, "p.yaml:3, default of ${KEY}")
    assert given["providers.b.api_key"] == (MASKED, "p.yaml:3, environment KEY")
    assert unset["providers.b.headers.X-A"] == (MASKED, "p.yaml:3, environment A, environment B")


def test_a_value_out_of_a_file_names_it_and_one_of_an_included_file_stands_there(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-the-secret")
    (tmp_path / "more.yaml").write_text("\nmodels: {m: {deployments: [a/x]}}\n")

    said = loaded(
        tmp_path,
        f"include: [more.yaml]\nproviders: {{a: {{type: openai, api_key: '${{file:{tmp_path}/key}}'}}}}\n",
    )

    assert said["providers.a.api_key"] == (MASKED, "p.yaml:2, file key")
    assert said["models.m.deployments[0].provider"] == ("a", "more.yaml:2")


def test_what_a_dialect_made_stands_in_the_line_it_was_made_of(tmp_path: Path) -> None:
    said = loaded(tmp_path, "ai_services:\n  ollama:\n    enabled: true\n    models: [llama2]\n")

    assert said["providers.ollama.type"][1].startswith("dialect, p.yaml:")
    assert said["timeouts.connect"] == (5, DEFAULT)


def test_a_configuration_of_no_file_has_no_places() -> None:
    said = found(Config.from_mapping({"providers": {"a": {"type": "ollama", "base_url": "http://a"}}}))

    assert said["providers.a.base_url"] == ("http://a", "no file")


def test_what_nobody_said_comes_from_whoever_knows_it() -> None:
    config = Config.from_mapping({"providers": {"a": {"type": "openai", "preset": "groq", "api_key": "k"}}})

    usual = {
        ("providers", "a", "base_url"): ("https://groq.example", "preset groq"),
        ("providers", "a", "api_key"): ("never", "nobody"),
        ("default_model",): ("m", "environment MODEL"),
    }
    said = found(config, elsewhere=usual)

    assert said["providers.a.base_url"] == ("https://groq.example", "preset groq")
    assert said["providers.a.api_key"][0] == MASKED
    assert said["default_model"] == ("m", "environment MODEL")


SECRETS = [
    "providers: {a: {type: openai, api_key: tiger-1}}",
    "providers: {a: {type: openai, auth: {type: static, value: tiger-1}}}",
    "providers: {a: {type: openai, auth: {type: static, value: tiger-1, valeu: tiger-1}}}",
    "providers: {a: {type: ollama, headers: {X: tiger-1}, proxy: 'http://me:tiger-1@proxy:1'}}",
    "providers: {a: {type: nobodys, whatever: tiger-1}}",
    "providers: {a: {type: nobodys, deep: {er: [tiger-1]}}}",
    "providers: {a: {type: ollama}}\nmodels: {m: {deployments: [{provider: a, model: x, options: {api_key: tiger-1}}]}}",
    "providers: {a: {type: ollama}}\nmodels: {m: {deployments: [a/x], defaults: {extra: {auth_token: tiger-1}}}}",
    "providers: {a: {type: ollama}}\naudit: [{type: nobodys, dsn: 'pg://me:tiger-1@db'}]",
    "providers: {a: {type: ollama}}\ncallers: {database: 'postgresql://me:tiger-1@db/x'}",
    "providers: {a: {type: ollama}}\nbudgets: {database: 'postgresql://me:tiger-1@db/x'}",
    "providers: {a: {type: ollama}}\nmodels: {m: {deployments: [a/x], forced: {extra: {via: 'http://me:tiger-1@p'}}}}",
    "providers: {a: {type: ollama}}\nstate: redis://me:tiger-1@host:6379/0",
]


@pytest.mark.parametrize("text", SECRETS)
def test_no_secret_is_shown_wherever_it_stands(text: str, tmp_path: Path) -> None:
    said = loaded(tmp_path, text)

    assert "tiger-1" not in repr(said)
    assert MASKED in repr(said)


def test_what_looks_like_a_key_is_none_of_our_names(tmp_path: Path) -> None:
    key = "sk-proj-0123456789abcdef"
    said = loaded(tmp_path, f"providers: {{a: {{type: openai, auth: {{type: env, name: {key}}}}}}}\n")

    assert key not in repr(said)
