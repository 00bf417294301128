"""The schema for editors takes what a configuration may say, the settings of plugins included, and nothing else."""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel
from ruamel.yaml import YAML

from pointsman.config import Config
from pointsman.plugin import PointsmanSpec, StrategyFactory, hookimpl
from pointsman.plugins.registry import Plugins
from pointsman_cli.config_schema import config_schema

ROOT = Path(__file__).parents[3]
PLUGINS = Plugins()


@pytest.fixture(scope="module")
def schema() -> Draft202012Validator:
    made, wrong = config_schema()
    assert wrong == []
    Draft202012Validator.check_schema(made)
    return Draft202012Validator(made)


def read(text: str) -> Any:
    return YAML(typ="safe").load(text)


def examples() -> Iterator[tuple[str, str]]:
    """Every configuration in the docs that is one by itself, and that needs no plugin of others."""
    pages = sorted((ROOT / "docs").rglob("*.md"))
    for page in [*(each for each in pages if each.name != "config-errors.md"), ROOT / "README.md"]:
        for n, text in enumerate(re.findall(r"^```yaml\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)):
            data = _loaded(text)
            if data is not None and _all_installed(data):
                yield f"{page.name}-{n}", text


def _loaded(text: str) -> Any:
    """What the text holds where it is a configuration of ours."""
    variables = dict.fromkeys(re.findall(r"\$\{(\w+)", text), "http://example.com/a-value-that-will-do")
    try:
        data = read(text)
        Config.from_text(text, environ=variables, read_file=lambda _path: "a-secret-of-some-length")
    except Exception:  # of other programs, wrong on purpose, or a part of one
        return None
    return data if "providers" in data and "load_balancer" not in data else None


def _all_installed(data: Any) -> bool:
    known = {
        name
        for kind in ("provider", "strategy", "guard", "selector", "state", "prices")
        for name in PLUGINS.names(kind)
    }
    known |= {name for kind in ("audit", "auth", "retry", "transport") for name in PLUGINS.names(kind)}
    named = re.findall(r"'(?:type|strategy)': '([^']*)'", str(data))
    return all(each in known or "access" in str(data) for each in named)


EXAMPLES = dict(examples())


def test_there_are_examples() -> None:
    assert len(EXAMPLES) > 25


@pytest.mark.parametrize("text", EXAMPLES.values(), ids=EXAMPLES)
def test_every_example_of_the_docs_is_valid(text: str, schema: Draft202012Validator) -> None:
    assert [each.message[:200] for each in schema.iter_errors(read(text))] == []


P = "providers: {a: {type: ollama}}\n"
WRONG = {
    "a key at the top": P + "stratgy: weighted",
    "a key of a provider": "providers: {a: {type: ollama, base_ulr: http://a}}",
    "a key of another type": "providers: {a: {type: ollama, max_tokens_field: auto}}",
    "a type that nobody offers": "providers: {a: {type: olama}}",
    "no type": "providers: {a: {base_url: http://a}}",
    "no providers": "models: {}",
    "a strategy that nobody offers": P + "strategy: fastest_of_all",
    "a key of a strategy": P + "strategy: {type: round_robin, weight: 3}",
    "a key of the retry policy": P + "retry: {type: exponential, attemps: 3}",
    "a value of the retry policy": P + "retry: {type: exponential, attempts: 0}",
    "settings where there are none": P + "retry: {type: none, attempts: 3}",
    "a key of an audit sink": P + "audit: [{type: jsonl, pth: ./a}]",
    "a sink that nobody offers": P + "audit: [paper]",
    "a key of a guard": P + "guards: [{type: redact, on_eror: allow}]",
    "a key of a section of a plugin": P + "gateway: {lisen: 127.0.0.1:1}",
    "a kind of value": P + "timeouts: {connect: [1]}",
    "a weight": P + "models: {m: {deployments: [{provider: a, model: x, weight: 0}]}}",
    "a deployment without a provider": P + "models: {m: {deployments: [x]}}",
    "a key of auth": "providers: {a: {type: openai, auth: {type: env, nam: K}}}",
    "a key of a selector": P + "models: {m: {of: [n], selector: {type: rules, rule: []}}}",
    "a list in place of a mapping": "providers: [ollama]",
}


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_not_valid(text: str, schema: Draft202012Validator) -> None:
    assert not schema.is_valid(read(text))


@pytest.mark.parametrize(
    "text",
    [
        P + "timeouts: {connect: '${CONNECT}', total: 2m}",
        P + "strategy: '${STRATEGY:-weighted}'",
        P + "state: redis://127.0.0.1:6379/0",
        P + "health: null\nqueue: null",
        "include: [more.yaml]\n" + P,
        P + "models: {m: {deployments: [a/x, {provider: a, model: y, limits: {requests: 5/min}}]}}",
    ],
)
def test_what_is_right_is_valid(text: str, schema: Draft202012Validator) -> None:
    assert [each.message[:200] for each in schema.iter_errors(read(text))] == []


class Settings(BaseModel, extra="forbid"):
    size: int = 3


class Mine(PointsmanSpec):
    @hookimpl
    def pointsman_strategies(self) -> list[StrategyFactory]:
        return [StrategyFactory("mine", Settings, lambda _context: None)]  # type: ignore[arg-type,return-value]


class Broken(BaseModel):
    module: types.ModuleType = sys

    model_config = {"arbitrary_types_allowed": True}


class Theirs(PointsmanSpec):
    @hookimpl
    def pointsman_strategies(self) -> list[StrategyFactory]:
        return [StrategyFactory("theirs", Broken, lambda _context: None)]  # type: ignore[arg-type,return-value]


def test_a_plugin_that_cannot_say_its_settings_is_left_out_and_told_and_spoils_nothing_else() -> None:
    made, wrong = config_schema(Plugins([Mine(), Theirs()]))
    schema = Draft202012Validator(made)

    assert len(wrong) == 1
    assert wrong[0].startswith("strategy 'theirs' is left out: ")
    assert schema.is_valid(read(P + "strategy: {type: mine, size: 5}"))
    assert not schema.is_valid(read(P + "strategy: {type: mine, siz: 5}"))
    assert schema.is_valid(read(P + "strategy: {type: theirs, whatever: 5}"))
