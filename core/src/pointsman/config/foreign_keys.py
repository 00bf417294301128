"""What people write out of habit with other programs, and what to write here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pointsman._internal.suggest import nearest
from pointsman.config.problems import KeyPath

KEYS = {
    "model_list": "that is LiteLLM's, whose files load as they are; here see `providers` and `models`",
    "litellm_params": "that is LiteLLM's; write `{provider: …, model: …}` under `deployments`",
    "litellm_settings": "that is LiteLLM's; see `retry`, `timeouts` and `models.<name>.fallback`",
    "router_settings": "that is LiteLLM's; see `strategy`, `retry` and `circuit_breaker`",
    "routing_strategy": "write `strategy`, such as `strategy: least_connections`",
    "general_settings": "that is LiteLLM's; its proxy is the gateway here: see `gateway`, `gateway.access`",
    "environment_variables": 'that is LiteLLM\'s; set them where the router is started, and write "${NAME}"',
    "ai": "`ai.proxy` is read beside `ai_services`; here see `timeouts`, `retry` and `limits`",
    "ai_services": "that is another program's; a file that has no `providers` beside it loads as it is",
    "load_balancer": "write `strategy`, such as `strategy: least_connections`",
    "model_name": "the name of a model is its key: `models: {assistant: {deployments: […]}}`",
    "api_base": "write `base_url`",
    "endpoint": "write `base_url`",
    "url": "write `base_url`",
    "host": "write `base_url`, such as `base_url: http://127.0.0.1:11434`",
    "key": 'write `api_key: "${NAME}"`',
    "token": 'write `api_key: "${NAME}"`',
    "model_group_alias": "write `aliases: {gpt-4o: assistant}`",
    "default_fallbacks": "write `fallback: [other]` at the top of the file",
    "fallbacks": "write `fallback: [other]` at the model",
    "num_retries": "write `retry: {type: exponential, attempts: 3}`",
    "max_retries": "write `retry: {type: exponential, attempts: 3}`",
    "timeout": "write `timeouts: {total: 30s}`",
    "request_timeout": "write `timeouts: {total: 30s}`",
    "rpm": "write `limits: {requests: 60/min}`",
    "tpm": "write `limits: {tokens: 100000/min}`",
    "max_parallel_requests": "write `max_in_flight`",
    "max_concurrency": "write `max_in_flight`",
    "cooldown_time": "write `overload: {base: 10s}`",
    "verify": "certificates are always checked; name the authority with `ca_file`",
    "verify_ssl": "certificates are always checked; name the authority with `ca_file`",
    "ssl_verify": "certificates are always checked; name the authority with `ca_file`",
    "log_level": "logging is Python's: set the level of the logger `pointsman`",
}
"""Keys that are none here: what to write instead."""

PLACES = {
    **dict.fromkeys(("base_url", "api_key", "auth", "proxy", "headers", "ca_file"), "under a provider"),
    **dict.fromkeys(("deployments", "require", "unsupported"), "under a model"),
    **dict.fromkeys(("system", "forced", "defaults"), "under a model or at one of its deployments"),
    **dict.fromkeys(
        ("weight", "priority", "price", "context_window"),
        "at a deployment, which is then a mapping: `{provider: gpu1, model: llama3.2, …}`",
    ),
    "max_in_flight": "at a deployment or at its provider, for each of those there: `{max_in_flight: 4}`",
    **dict.fromkeys(
        (
            "queue",
            "hedging",
            "outliers",
            "warm_up",
            "adaptive_concurrency",
            "panic_threshold",
            "audit",
            "prices",
            "control",
        ),
        "at the top of the file",
    ),
}
"""Keys of ours that have one place only, and which."""

_OFF_BY_DEFAULT = ("health", "hedging", "outliers", "adaptive_concurrency")
_ON_BY_DEFAULT = ("queue", "warm_up")


def of_key(path: KeyPath) -> str | None:
    """What to do with the key at `path`, which is unknown there; None when nobody can tell."""
    key = str(path[-1])
    if path[-2:] == ("circuit_breaker", "threshold"):  # `success_threshold` resembles it as much
        return "did you mean 'failure_threshold'?"
    return KEYS.get(key) or (f"it stands {PLACES[key]}" if key in PLACES else None)


def instead(path: KeyPath, value: object) -> str | None:
    """What was probably meant by a `value` of the wrong kind at `path`; None when nobody can tell."""
    if isinstance(value, str) and (found := re.match(r"\w{2,30}(:(?=\S)|\s*=)", value)):
        return "write `: ` in place of the `=`" if "=" in found[1] else "a blank belongs behind the `:`"
    match path:
        case ("providers" | "models" as section,) if isinstance(value, list | tuple):
            return f"give each a name: {_EXAMPLES[section]}"
        case ("providers" | "models" as section,) if value is None:
            return f"such as {_EXAMPLES[section]}"
        case ("providers", _) if isinstance(value, str):
            return "write a mapping, such as `{type: openai}`"
        case ("models", _) if isinstance(value, str | list | tuple):
            return "write `{deployments: [provider/upstream-model]}`"
        case (
            ("models", _, "deployments" | "fallback" as key)
            | ("providers", _, "models" as key)
            | ("fallback" as key,)
        ) if isinstance(value, str | Mapping):
            asked = ", or `models: discover` to ask it" if path[0] == "providers" else ""
            return f"write `{key}: [{_ITEMS[key]}]`{asked}"
        case ("prices",):
            return "write `prices: [shipped]`"
        case ("aliases",):
            return "write `aliases: {gpt-4o: assistant}`"
        case (*_, "system") if isinstance(value, str):
            return 'write `system: {prefix: "…"}`'
    return _of_key(str(path[-1]) if path else "", value)


def missing(path: KeyPath, beside: object) -> str | None:
    """What to write where the key at `path` is missing; None when nobody can tell.

    Args:
        beside: what stands where it should.
    """
    match path:
        case ("providers", _, "type"):
            example = "ollama"
        case ("providers", _, "auth", "type"):
            example = "env"
        case ("audit", _, "type"):
            example = "jsonl"
        case ("audit", _, "path"):
            example = "./audit"
        case (*_, "deployments", int(), "provider"):
            example = "gpu1"
        case (*_, "deployments", int(), "model"):
            example = "llama3.2"
        case ("providers",):
            example = "{gpu1: {type: ollama}}"
        case ("strategy", "type") | ("models", _, "strategy", "type"):
            example = "least_connections"
        case ("retry", "type") | ("models", _, "retry", "type"):
            example = "exponential"
        case _:
            return None
    return _misspelt(str(path[-1]), beside) or f"such as `{path[-1]}: {example}`"


def _misspelt(key: str, beside: object) -> str | None:
    """What stands `beside` that was meant to be `key`; None where nothing does."""
    others = [*map(str, beside)] if isinstance(beside, Mapping) else []
    if any(each.startswith(f"{key}:") for each in others):
        return f"a blank belongs behind the `:` of `{key}:`"
    typed = nearest(key, others)
    return f"did you mean it by {typed!r}?" if typed else None


_ITEMS = {"deployments": "gpu1/llama3.2", "fallback": "other", "models": "llama3.2"}
_SAID = {"on": True, "yes": True, "off": False, "no": False}
"""Truth values of older YAML, which are texts in ours."""
_EXAMPLES = {
    "providers": "`providers: {gpu1: {type: ollama}}`",
    "models": "`models: {assistant: {deployments: [gpu1/llama3.2]}}`",
}


_MAPPINGS = {
    "timeouts": "say of what, such as `timeouts: {total: 30s}`",
    "limits": "say of what, such as `limits: {requests: 60/min}`",
    "mirror": "write `mirror: {to: other, share: 5%}`",
}
"""What would help where one value stands in place of several."""


def _of_key(key: str, value: Any) -> str | None:
    if isinstance(value, str):
        value = _SAID.get(value.lower(), value)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if key in _OFF_BY_DEFAULT and isinstance(value, bool):
        return f"write `{key}: {{}}` for its defaults" if value else "leave it out: it is off without it"
    if key in _ON_BY_DEFAULT and isinstance(value, bool):
        return "leave it out: it is on without it" if value else f"write `{key}: null`"
    if key == "circuit_breaker" and isinstance(value, bool):
        return "leave it out: it is on without it" if value else "write `circuit_breaker: {enabled: false}`"
    if key == "retry" and number:
        return "write `retry: {type: exponential, attempts: 3}`"
    if key == "retry" and value is False:
        return "write `retry: none`"
    if key in _MAPPINGS and not isinstance(value, Mapping):
        return _MAPPINGS[key]
    if key == "audit":
        return "write `audit: [{type: jsonl, path: ./audit}]`"
    return None
