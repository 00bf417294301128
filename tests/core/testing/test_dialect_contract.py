"""The contract of dialects: ours keep it."""

from __future__ import annotations

import pytest
from wrong_beside import Consuming, DialectTests, Marking, Old

from pointsman.builtin.dialects import BUILT_IN
from pointsman.testing.contract import DialectContract, rules_of

SERVICES, BALANCER = BUILT_IN


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "sk-a-long-key")


class TestServices(DialectContract):
    factory = SERVICES
    documents = (
        {
            "ai_services": {
                "ollama": {
                    "enabled": True,
                    "endpoint": "http://127.0.0.1:11434",
                    "timeout": "60s",
                    "models": [{"name": "llama2", "temperature": 0.7}, "mistral"],
                },
                "openai": {"api_key_env": "A_KEY", "model": "gpt-4", "max_tokens": 4096},
                "claude": {"enabled": False, "model": "claude-sonnet"},
            },
            "default_service": "ollama",
            "fallback_order": ["ollama", "openai"],
            "retry": {"max_attempts": 3, "base_delay": "1s", "jitter": True},
        },
    )


class TestBalancer(DialectContract):
    factory = BALANCER
    documents = (
        {
            "providers": {
                "openai": {"api_key": "${A_KEY}", "models": ["gpt-4"], "timeout": "30s", "max_retries": 3},
                "local": {"base_url": "http://localhost:11434", "models": ["llama2"]},
            },
            "load_balancer": {"strategy": "least_connections", "health_check_interval": "30s"},
            "retry": {"max_attempts": 3, "backoff_multiplier": 2.0, "jitter": True},
        },
    )


# ── one that changes what it reads ───────────────────────────────────────────────────────────────────


RULES = [each.test for each in rules_of(DialectContract) if each.id != "DIALECT-08"]  # it wants fixtures


@pytest.mark.parametrize("dialect", [Consuming, Marking])
def test_one_that_changes_its_document_is_found_when_all_rules_were_tried_before(
    dialect: type[Old],
) -> None:
    found = []
    contract = type("Tried", (DialectTests,), DialectTests.offering(dialect))()
    for rule in [*RULES, *RULES]:
        try:
            getattr(contract, rule)()
        except AssertionError:
            found.append(rule)

    assert found == ["test_reading_changes_nothing"] * 2
