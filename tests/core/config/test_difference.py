"""What differs between two configurations in what they mean; what is only written differently is nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from textwrap import dedent
from typing import Any

import pytest
from ruamel.yaml import YAML

from pointsman.config import Config
from pointsman.config.difference import Change, differences

BASE = """\
providers:
  gpu1: {type: ollama, base_url: http://127.0.0.1:11434, timeouts: {idle: 30s}}
  gpu2: {type: ollama, base_url: http://127.0.0.1:11435}
  openai: {type: openai, api_key: sk-the-secret-of-today, headers: {X-Team: blue-team-secret}}
models:
  assistant:
    strategy: round_robin
    deployments:
      - {provider: gpu1, model: llama3.2, weight: 3, max_in_flight: 4, timeouts: {first_token: 5s}}
      - gpu2/llama3.2
    fallback: [cloud]
    defaults: {temperature: 0.5, user: somebody-secret}
  cloud:
    deployments: [openai/gpt-5-mini]
    circuit_breaker: {failure_threshold: 3}
aliases: {gpt-4o: assistant}
strategy: weighted
retry: {type: exponential, base_delay: 700ms}
timeouts: {total: 9m}
health: {interval: 20s}
limits: {account: {requests: 500/min}}
audit: [{type: jsonl, path: ./audit}]
"""


def read(text: str, **environ: str) -> Config:
    return Config.from_text(dedent(text), environ=environ)


def edited(*edits: tuple[str, str]) -> Config:
    text = BASE
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new)
    return read(text)


def said(old: Config, new: Config) -> list[str]:
    return [str(each) for each in differences(old, new)]


SAME = {
    "units": [("9m", "540"), ("20s", "20000ms"), ("500/min", "500/60s"), ("30s", "0.5m")],
    "units of a plugin": [("base_delay: 700ms", "base_delay: 0.7")],
    "short forms": [
        ("- gpu2/llama3.2", "- {provider: gpu2, model: llama3.2}"),
        ("fallback: [cloud]", "fallback: [{to: cloud, on: [unavailable, context_window]}]"),
        ("strategy: weighted", "strategy: {type: weighted}"),
    ],
    "defaults said": [
        ("timeouts: {total: 9m}", "timeouts: {total: 9m, connect: 5s, drain: 30s}"),
        ("strategy: weighted", "strategy: weighted\npanic_threshold: 50%\nqueue: {}\nreload: {watch: auto}"),
        ("base_delay: 700ms", "base_delay: 700ms, attempts: 4, max_delay: 8s"),
        ("- gpu2/llama3.2", "- {provider: gpu2, model: llama3.2, weight: 1, priority: 0}"),
    ],
    "what holds in general said of one": [
        ("cloud:\n    deployments", "cloud:\n    strategy: weighted\n    deployments"),
        ("failure_threshold: 3}", "failure_threshold: 3, reset_timeout: 15s}"),
        ("first_token: 5s", "first_token: 5s, idle: 30s"),
        ("base_url: http://127.0.0.1:11435", "base_url: http://127.0.0.1:11435, health: {interval: 20s}"),
    ],
    "order of keys": [
        (
            "{type: ollama, base_url: http://127.0.0.1:11435}",
            "{base_url: http://127.0.0.1:11435, type: ollama}",
        )
    ],
    "a credential": [
        ("api_key: sk-the-secret-of-today", "auth: {type: static, value: sk-the-secret-of-today}")
    ],
    "a slash at the end": [("http://127.0.0.1:11435", "http://127.0.0.1:11435/")],
}


@pytest.mark.parametrize("edits", SAME.values(), ids=SAME)
def test_what_is_only_written_differently_is_no_difference(edits: list[tuple[str, str]]) -> None:
    assert said(read(BASE), edited(*edits)) == []
    assert said(edited(*edits), read(BASE)) == []


def test_models_that_a_provider_lists_are_the_models_that_they_are() -> None:
    listed = read("providers: {a: {type: ollama, models: [x, y]}, b: {type: ollama, models: [x]}}")
    written = read("""
        providers: {b: {type: ollama}, a: {type: ollama}}
        models: {x: {deployments: [b/x, a/x]}, y: {deployments: [a/y]}}
        default_model: x
    """)

    assert said(listed, written) == []


DIFFERENT: dict[str, tuple[tuple[str, str], list[str]]] = {
    "a weight": (("weight: 3", "weight: 1"), ["assistant: weight of gpu1/llama3.2 3 → 1"]),
    "a strategy": (
        ("strategy: round_robin", "strategy: least_connections"),
        ["assistant: strategy round_robin → least_connections"],
    ),
    "a strategy that is no longer said": (
        ("    strategy: round_robin\n", ""),
        ["assistant: strategy round_robin → weighted"],
    ),
    "the general strategy": (
        ("strategy: weighted", "strategy: round_robin"),
        ["strategy weighted → round_robin"],
    ),
    "a deployment more": (
        ("- gpu2/llama3.2", "- gpu2/llama3.2\n      - {provider: openai, model: gpt-5, priority: 1}"),
        ["assistant: openai/gpt-5 added (priority 1)"],
    ),
    "a deployment less": (("      - gpu2/llama3.2\n", ""), ["assistant: gpu2/llama3.2 removed"]),
    "a limit": ((", max_in_flight: 4", ""), ["assistant: max_in_flight of gpu1/llama3.2 4 → none"]),
    "its own limits": (
        ("max_in_flight: 4", "limits: {requests: 5/s}, max_in_flight: 4"),
        ["assistant: limits of gpu1/llama3.2 added"],
    ),
    "shared limits": (("500/min", "600/min"), ["limits.account.requests 500/min → 600/min"]),
    "a fallback": (("fallback: [cloud]", "fallback: []"), ["assistant: fallback cloud → none"]),
    "when a fallback follows": (
        ("fallback: [cloud]", "fallback: [{to: cloud, on: [content_filtered]}]"),
        ["assistant: fallback cloud → cloud (on content_filtered)"],
    ),
    "an alias": (
        ("{gpt-4o: assistant}", "{gpt-4o: cloud, fast: assistant}"),
        ["alias gpt-4o assistant → cloud", "alias fast added (assistant)"],
    ),
    "a timeout": (("total: 9m", "total: 90s"), ["timeouts.total 9m → 1m30s"]),
    "a timeout of a provider": (("idle: 30s", "idle: 20s"), ["provider gpu1: timeouts.idle 30s → 20s"]),
    "a timeout of a deployment that is no longer said": (
        ("first_token: 5s", ""),
        ["assistant: timeouts.first_token of gpu1/llama3.2 5s → 1m"],
    ),
    "a timeout of a model, in place of that of a provider": (
        ("strategy: round_robin\n", "strategy: round_robin\n    timeouts: {idle: 60s}\n"),
        ["assistant: timeouts.idle 30s, 1m → 1m"],
    ),
    "a breaker": (
        ("failure_threshold: 3", "failure_threshold: 4"),
        ["cloud: circuit_breaker.failure_threshold 3 → 4"],
    ),
    "health": (("health: {interval: 20s}\n", ""), ["health removed"]),
    "retry": (("base_delay: 700ms", "base_delay: 1s"), ["retry.base_delay 700ms → 1s"]),
    "another way to retry": (
        ("{type: exponential, base_delay: 700ms}", "none"),
        ["retry exponential → none"],
    ),
    "a key": (("sk-the-secret-of-today", "sk-another-secret"), ["provider openai: api_key changed"]),
    "where a key comes from": (
        ("api_key: sk-the-secret-of-today", "auth: {type: env, name: KEY}"),
        ["provider openai: auth static → env"],
    ),
    "a header": (("blue-team-secret", "red-secret"), ["provider openai: headers.X-Team changed"]),
    "an address": (
        ("http://127.0.0.1:11435", "http://gpu2:11435"),
        ["provider gpu2: base_url http://127.0.0.1:11435 → http://gpu2:11435"],
    ),
    "a proxy": (
        (
            "base_url: http://127.0.0.1:11435",
            "base_url: http://127.0.0.1:11435, proxy: http://me:secret@proxy:1",
        ),
        ["provider gpu2: proxy changed"],
    ),
    "options": (
        ("{temperature: 0.5, user: somebody-secret}", "{temperature: 0.7, user: other-secret, seed: 1}"),
        [
            "assistant: defaults.temperature 0.5 → 0.7",
            "assistant: defaults.user changed",
            "assistant: defaults.seed added (1)",
        ],
    ),
    "a section of a plugin": (("audit: [", "control: {socket: /run/x}\naudit: ["), ["control added"]),
    "audit": (("{type: jsonl, path: ./audit}", "logging"), ["audit jsonl → logging"]),
    "where the audit goes": (("path: ./audit", "path: ./other"), ["audit[0].path audit → other"]),
    "models that a provider is asked for": (
        ("base_url: http://127.0.0.1:11435", "base_url: http://127.0.0.1:11435, models: discover"),
        ["provider gpu2: models added"],
    ),
    "copies to another model": (
        ("    strategy: round_robin\n", "    strategy: round_robin\n    mirror: {to: cloud, share: 5%}\n"),
        ["assistant: mirror added"],
    ),
    "how the file is watched": (
        ("strategy: weighted", "strategy: weighted\nreload: {watch: poll, interval: 3s}"),
        ["reload.watch auto → poll", "reload.interval 1s → 3s"],
    ),
    "the default model": (
        ("strategy: weighted", "strategy: weighted\ndefault_model: cloud"),
        ["default_model assistant → cloud"],
    ),
}


@pytest.mark.parametrize(("edit", "sentences"), DIFFERENT.values(), ids=DIFFERENT)
def test_what_means_something_else_is_told(edit: tuple[str, str], sentences: list[str]) -> None:
    found = said(read(BASE), edited(edit))

    assert found == sentences
    assert "secret" not in " ".join(found)
    assert len(said(edited(edit), read(BASE))) == len(sentences)


def test_providers_and_models_come_and_go() -> None:
    new = read("""
        providers: {openai: {type: openai, api_key: k, headers: {X-Team: blue}}, box: {type: localai}}
        models: {cloud: {deployments: [openai/gpt-5-mini]}, near: {deployments: [box/a, box/b]}}
    """)

    found = said(
        read("""
        providers: {openai: {type: openai, api_key: k, headers: {X-Team: blue}}, gpu1: {type: ollama}}
        models: {cloud: {deployments: [openai/gpt-5-mini]}, far: {deployments: [gpu1/a]}}
    """),
        new,
    )

    assert found == [
        "provider gpu1 removed",
        "provider box added (localai)",
        "model far removed",
        "model near added (box/a, box/b)",
    ]


def test_another_order_is_told_where_it_matters() -> None:
    old = read("""
        providers: {a: {type: ollama}}
        models: {m: {deployments: [a/x, a/y], fallback: [n, o]}, n: {deployments: [a/x]}, o: {deployments: [a/x]}}
    """)
    new = read("""
        providers: {a: {type: ollama}}
        models: {m: {deployments: [a/y, a/x], fallback: [o, n]}, o: {deployments: [a/x]}, n: {deployments: [a/x]}}
    """)

    assert said(old, new) == ["m: deployments a/x, a/y → a/y, a/x", "m: fallback n, o → o, n"]
    assert [each.kind for each in differences(old, new)] == ["reordered", "changed"]


def test_a_default_that_is_said_in_place_of_something_else_in_general_is_a_difference() -> None:
    text = """
        providers: {a: {type: ollama}}
        models: {m: {deployments: [{provider: a, model: x, circuit_breaker: {SAID}}]}}
        circuit_breaker: {failure_threshold: 7}
    """

    found = said(read(text.replace("SAID", "")), read(text.replace("SAID", "failure_threshold: 5")))

    assert found == ["m: circuit_breaker.failure_threshold of a/x 7 → 5"]


def test_a_change_says_where_it_is_and_what_was_there() -> None:
    (found,) = differences(read(BASE), edited(("weight: 3", "weight: 1")))

    path = 'models.assistant.deployments["gpu1/llama3.2"].weight'
    assert found == Change("changed", path, "assistant: weight of gpu1/llama3.2 3 → 1", "3", "1")


def test_a_key_that_another_variable_holds_now_is_told_without_it() -> None:
    text = "providers: {openai: {type: openai, api_key: '${KEY}'}}"

    found = differences(read(text, KEY="sk-one-secret"), read(text, KEY="sk-two-secret"))

    assert [str(each) for each in found] == ["provider openai: api_key changed"]
    assert "secret" not in repr(found)


def test_settings_of_a_plugin_that_nobody_has_are_compared_as_they_are_written_and_not_shown() -> None:
    old = read("providers: {a: {type: nobodys, token: tiger-secret, size: 5}}")
    new = read("providers: {a: {type: nobodys, token: lion-secret, size: 5, more: 1}}")

    assert said(old, new) == ["provider a: token changed", "provider a: more added"]


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    if isinstance(value, Mapping):
        return [each for key, inner in value.items() for each in leaves(inner, (*path, key))]
    if isinstance(value, list):
        return [each for n, inner in enumerate(value) for each in leaves(inner, (*path, n))]
    return [path]


def test_whatever_is_taken_out_of_a_file_there_is_one_difference_or_it_was_the_default() -> None:
    data = YAML(typ="safe").load(BASE)
    base = read(BASE)
    for path in leaves(data):
        changed = YAML(typ="safe").load(BASE)
        inside = changed
        for step in path[:-1]:
            inside = inside[step]
        del inside[path[-1]]
        try:
            other = Config.from_mapping(changed)
        except ValueError:
            continue
        except Exception as error:
            assert type(error).__name__ == "ConfigError", error
            continue
        found = differences(base, other)
        assert found, path
        assert "secret" not in repr(found)
        assert all(re.search(r"\S", str(each)) for each in found)
