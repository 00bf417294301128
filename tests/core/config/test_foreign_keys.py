"""What people write out of habit is refused with what to write instead, where it stands."""

from __future__ import annotations

from typing import Any

import pytest
from routers import config

from pointsman import ConfigError, Router
from pointsman.config.foreign_keys import KEYS, PLACES
from pointsman.testing import Scripted
from pointsman_cli.config_schema import config_table


def said(given: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        Router.check(given, plugins=[Scripted()])
    return str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "hint"),
    [
        (
            "health",
            True,
            "health: expected a mapping, not true or false; write `health: {}` for its defaults",
        ),
        ("health", False, "leave it out: it is off without it"),
        ("hedging", True, "write `hedging: {}`"),
        ("queue", False, "write `queue: null`"),
        ("warm_up", False, "write `warm_up: null`"),
        ("circuit_breaker", False, "write `circuit_breaker: {enabled: false}`"),
        ("retry", 3, "write `retry: {type: exponential, attempts: 3}`"),
        ("retry", False, "write `retry: none`"),
        ("timeouts", 30, "write `timeouts: {total: 30s}`".replace("write", "such as")),
        ("limits", "60/min", "such as `limits: {requests: 60/min}`"),
        ("circuit_breaker", {"threshold": 3}, "unknown key 'threshold'; did you mean 'failure_threshold'?"),
        ("circuit_breaker", {"failure_treshold": 3}, "did you mean 'failure_threshold'?"),
        ("prices", "shipped", "prices: expected a list, not text; write `prices: [shipped]`"),
        ("aliases", ["a"], "aliases: expected a mapping, not a list; write `aliases: {gpt-4o: assistant}`"),
        (
            "models",
            {"m": {"deployments": ["a/x"], "system": "Be brief"}},
            'models.m.system: expected a mapping, not text; write `system: {prefix: "…"}`',
        ),
        (
            "models",
            {"m": {"deployments": [{"provider": "a", "model": "x", "system": "Be brief"}]}},
            'write `system: {prefix: "…"}`',
        ),
        (
            "models",
            {"m": {"deployments": [{"provider": "a", "model": "x", "weight": 0.5}]}},
            "weight: expected a whole number, not a fraction",
        ),
        ("audit", "./audit", "write `audit: [{type: jsonl, path: ./audit}]`"),
        ("models", ["m"], "give each a name: `models: {assistant: {deployments: [gpu1/llama3.2]}}`"),
        ("models", {"m": ["a/x"]}, "write `{deployments: [provider/upstream-model]}`"),
        ("models", {"a*b*": {"deployments": ["a/x"]}}, "a pattern has one `*`"),
        ("providers", ["a"], "give each a name: `providers: {gpu1: {type: ollama}}`"),
        ("providers", {"a": "openai"}, "such as `{type: openai}`"),
        (
            "providers",
            {"a": {"type": "scripted", "base_url": "localhost:11434"}},
            "lacks http:// or https:// in front",
        ),
        (
            "providers",
            {"a": {"type": "scripted", "base_url": "gpu.lan"}},
            "lacks http:// or https:// in front",
        ),
        ("hedging", "on", "write `hedging: {}` for its defaults"),
        ("warm_up", "off", "write `warm_up: null`"),
        ("circuit_breaker", "No", "write `circuit_breaker: {enabled: false}`"),
        ("models", {"m": {"deployments": "a/x"}}, "write `deployments: [gpu1/llama3.2]`"),
        ("models", {"m": {"deployments": ["a/x"], "fallback": "n"}}, "write `fallback: [other]`"),
        ("providers", {"a": {"type": "scripted", "models": "x"}}, "write `models: [llama3.2]`"),
        ("providers", {"a": {}}, "providers.a.type: is missing; such as `type: ollama`"),
        ("providers", {"a": {"typ": "scripted"}}, "is missing; did you mean it by 'typ'?"),
        ("retry", {"attempts": 3}, "retry.type: is missing; such as `type: exponential`"),
        ("models", {"m": {"deployments": ["a/x"], "strategy": {}}}, "such as `type: least_connections`"),
        (
            "providers",
            {"a": {"type": "scripted", "auth": {"name": "K"}}},
            "auth.type: is missing; such as `type: env`",
        ),
        ("models", {"retry": {"deployments": ["a/x"], "strategy": {}}}, "such as `type: least_connections`"),
        ("audit", [{"path": "."}], "audit[0].type: is missing; such as `type: jsonl`"),
        (
            "providers",
            {"a": {"type": "scripted", "api_key": "os.environ/MY_KEY"}},
            'is LiteLLM\'s way to name a variable; write "${MY_KEY}"',
        ),
        (
            "providers",
            {"a": {"type": "scripted", "base_url": "http://h/v1/chat/completions"}},
            "must end before '/chat/completions', which each call adds by itself",
        ),
        (
            "providers",
            {"a": {"type": "scripted", "base_url": "http://h/api/generate/"}},
            "must end before '/api/generate/'",
        ),
    ],
)
def test_a_value_of_another_program_is_answered_with_ours(key: str, value: Any, hint: str) -> None:
    assert hint in said({**config("a"), key: value})


@pytest.mark.parametrize("key", KEYS)
def test_a_key_of_another_program_is_answered_with_ours(key: str) -> None:
    assert f"unknown key {key!r}; {KEYS[key]}" in said({**config("a"), key: 1})


def test_who_brings_litellms_proxy_is_led_to_the_gateway() -> None:
    assert "its proxy is the gateway here: see `gateway`, `gateway.access`" in said(
        {**config("a"), "general_settings": {}}
    )


def test_no_key_of_ours_is_taken_for_one_of_another_program() -> None:
    """`timeout` is one of ours inside `health` and `state` alone, and `url` in the latter."""
    elsewhere = [row.key for row in config_table() if not row.key.startswith(("health.", "state."))]
    ours = {key.rpartition(".")[2] for key in elsewhere}
    assert ours & KEYS.keys() == set()


@pytest.mark.parametrize(
    "end", ["", "/v1", "/api", "/messages/v1", "/v1/chat", "/openai/v1", "/embeddings-proxy"]
)
def test_an_address_that_only_resembles_a_call_is_taken(end: str) -> None:
    given = config("a")
    given["providers"]["a"]["base_url"] = f"http://127.0.0.1:1{end}"
    Router.check(given, plugins=[Scripted()])


@pytest.mark.parametrize("key", PLACES)
def test_a_key_of_ours_in_a_wrong_place_is_told_its_place(key: str) -> None:
    places = {
        "under a provider": ["providers.<name>."],
        "under a model": ["models.<name>."],
        "at a deployment": ["models.<name>.deployments[]."],
        "under a model or at one of its deployments": ["models.<name>.", "models.<name>.deployments[]."],
        "at a deployment or at its provider": ["providers.<name>.", "models.<name>.deployments[]."],
        "at the top of the file": [""],
    }[PLACES[key].partition(",")[0]]
    found = [row.key for row in config_table() if row.key.rpartition(".")[2] == key]
    found = [each for each in found if ".mirror." not in each]  # of copies, which is another thing
    assert sorted(found) == sorted(place + key for place in places)

    assert f"unknown key {key!r}; it stands {PLACES[key]}" in said({**config("a"), "timeouts": {key: 1}})


def test_a_password_before_a_host_is_not_repeated() -> None:
    given = config("a")
    given["providers"]["a"]["base_url"] = "user:hunter2hunter2@host"
    assert "hunter2" not in said(given)


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ({"ca_file": "/no/such.pem"}, "providers.a.ca_file: cannot set up TLS"),
        ({"client_cert": "/no/such.pem"}, "providers.a.client_cert: cannot set up TLS"),
        ({"transport": "nope"}, "providers.a.transport: no plugin offers transport 'nope'"),
    ],
)
def test_what_is_wrong_with_a_connection_is_said_at_its_key(place: dict[str, Any], expected: str) -> None:
    given = config("a")
    given["providers"]["a"].update(place)
    assert expected in said(given)


def test_a_general_transport_that_does_not_exist_is_said_once() -> None:
    message = said(config("abc", transport="nope"))
    assert message.startswith("1 problem")
    assert "\n  transport: no plugin offers transport 'nope'" in message
