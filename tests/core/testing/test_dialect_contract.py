"""The contract of dialects: ours keep it, and each rule finds who does not."""

from __future__ import annotations

import random
from typing import Any

import pytest

from pointsman.builtin.dialects import BUILT_IN
from pointsman.plugin import DialectContext, DialectFactory, ForeignDocument, NativeDocument
from pointsman.testing import Scripted
from pointsman.testing.contract import DialectContract

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


# ── each rule finds who breaks it ────────────────────────────────────────────────────────────────────


class Sound:
    """Reads `{"old": {"kind": …, "model": …}}`, rightly."""

    def __init__(self, _context: DialectContext) -> None:
        pass

    def matches(self, document: ForeignDocument) -> bool:
        return "old" in document.data and isinstance(document.data["old"], dict)

    def read(self, document: ForeignDocument) -> NativeDocument:
        native, old = NativeDocument(), document.data["old"]
        for key in ("kind", "model"):
            if key not in old:
                native.problem(("old",), f"it has no {key}")
                return native
        native.put(("providers", "a", "type"), old["kind"], of=("old", "kind"))
        native.put(("providers", "a", "models", 0), old["model"], of=("old", "model"))
        return native


class Belated(Sound):
    async def read(self, document: ForeignDocument) -> NativeDocument:  # type: ignore[override]
        return super().read(document)


class Shy(Sound):
    def matches(self, document: ForeignDocument) -> bool:
        return super().matches(document) and "version" in document.data


class Vague(Sound):
    def matches(self, document: ForeignDocument) -> Any:
        return document.data.get("old")


class Greedy(Sound):
    def matches(self, document: ForeignDocument) -> bool:
        return True


class Dated(Sound):
    def read(self, document: ForeignDocument) -> NativeDocument:
        native = super().read(document)
        native.put(("provider",), "a", of=("old",))
        return native


class Trusting(Sound):
    def read(self, document: ForeignDocument) -> NativeDocument:
        str(document.data["old"]["kind"])
        return super().read(document)


class Absent(Sound):
    def read(self, document: ForeignDocument) -> Any:
        native = super().read(document)
        return None if native.problems else native


class Astray(Sound):
    def read(self, document: ForeignDocument) -> NativeDocument:
        native = super().read(document)
        native.origins[("providers", "a", "type")] = ("young", "type")
        return native


class Mute(Sound):
    def read(self, document: ForeignDocument) -> NativeDocument:
        native = super().read(document)
        native.data["retry"] = "none"
        return native


class Consuming(Sound):
    def read(self, document: ForeignDocument) -> NativeDocument:
        native = super().read(document)
        document.data["old"].pop("note", None)
        return native


class Marking(Sound):
    def matches(self, document: ForeignDocument) -> bool:
        known = super().matches(document)
        if known:
            document.data["old"]["seen"] = True
        return known


class Moody(Sound):
    def read(self, document: ForeignDocument) -> NativeDocument:
        native = super().read(document)
        native.put(("providers", "a", "weight"), random.random(), of=("old",))
        return native


BROKEN = [
    (Belated, "test_it_has_the_interface_of_its_kind"),
    (Shy, "test_it_knows_its_own_documents"),
    (Vague, "test_it_knows_its_own_documents"),
    (Greedy, "test_it_knows_no_others"),
    (Dated, "test_what_it_gives_can_be_used"),
    (Trusting, "test_whatever_stands_in_a_document_it_raises_nothing"),
    (Absent, "test_whatever_stands_in_a_document_it_raises_nothing"),
    (Astray, "test_everything_it_says_is_of_something_in_the_document"),
    (Mute, "test_everything_it_says_is_of_something_in_the_document"),
    (Consuming, "test_reading_changes_nothing"),
    (Marking, "test_reading_changes_nothing"),
    (Moody, "test_reading_changes_nothing"),
]
RULES = [name for name in vars(DialectContract) if name.startswith("test_")]


def tried(dialect: type[Sound]) -> Any:
    said = {
        "factory": DialectFactory("old", None, dialect),
        "documents": ({"old": {"kind": "scripted", "model": "x", "note": "kept"}},),
        "plugins": (Scripted(),),
    }
    return type("Tried", (DialectContract,), said)()


def rule_of(dialect: type[Sound], rule: str) -> Any:
    return getattr(tried(dialect), rule)


@pytest.mark.parametrize(("dialect", "rule"), BROKEN)
def test_a_faulty_dialect_is_found(dialect: type[Sound], rule: str) -> None:
    with pytest.raises((AssertionError, KeyError)):
        rule_of(dialect, rule)()


@pytest.mark.parametrize("dialect", [Consuming, Marking])
def test_one_that_changes_its_document_is_found_when_all_rules_were_tried_before(
    dialect: type[Sound],
) -> None:
    found = []
    contract = tried(dialect)
    for rule in [*RULES, *RULES]:
        try:
            getattr(contract, rule)()
        except AssertionError:
            found.append(rule)

    assert found == ["test_reading_changes_nothing"] * 2


@pytest.mark.parametrize("rule", RULES)
def test_a_dialect_that_does_nothing_wrong_is_not_found(rule: str) -> None:
    rule_of(Sound, rule)()


def test_each_rule_is_broken_by_somebody_here() -> None:
    assert RULES
    assert set(RULES) == {rule for _dialect, rule in BROKEN}
