"""The configuration that `pointsman config init` writes."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pointsman_cli.discover import Candidate, Found, literal, provider_section

_HEAD = """\
# A configuration of pointsman. Check it:  pointsman config check
# Every key:  pointsman config schema
"""

_EXAMPLE = Found(Candidate("ollama", "", "http://127.0.0.1:11434"), ["llama3.2"])

_TAIL = """
# How models that name no strategy choose: round_robin, weighted or least_connections.
strategy: round_robin

# Each of the following is at its default.
# retry: {type: exponential, attempts: 3, base_delay: 500ms, max_delay: 8s}
# circuit_breaker: {failure_threshold: 5, reset_timeout: 15s, half_open_max_calls: 2}
# timeouts: {connect: 5s, first_token: 60s, idle: 60s, total: 10m}

# A record of every request and attempt, without prompts and answers:
# audit: [{type: jsonl, path: ./audit}]
"""

_MORE = {
    "ollama": "  # gpu2: {type: ollama, base_url: http://127.0.0.1:11435}",
    "localai": "  # box: {type: localai, base_url: http://127.0.0.1:8080}",
    "openai": "  # openai: {type: openai, auth: {type: env, name: OPENAI_API_KEY}}",
    "claude": "  # claude: {type: claude, auth: {type: env, name: ANTHROPIC_API_KEY}}",
}


def starter(found: Sequence[Found]) -> str:
    """YAML with the providers of `found`, one model `assistant` over their first models, and comments.

    With nothing found it is an example for a local Ollama. Keys are named as variables, never written.
    """
    used = list(found) or [_EXAMPLE]
    return "\n".join([_HEAD, *_providers(used), "", *_models(used), _TAIL])


def _providers(found: Sequence[Found]) -> list[str]:
    used = {each.candidate.type: _flow(provider_section(each.candidate)) for each in found}
    lines = [f"  {type}: {section}" for type, section in used.items()]
    return ["providers:", *lines, *(line for type, line in _MORE.items() if type not in used)]


def _models(found: Sequence[Found]) -> list[str]:
    lines = [
        "# What callers ask for, and where it can go. Every provider/model is callable as well.",
        "models:",
    ]
    lines += ["  assistant:", "    # strategy: least_connections", "    deployments:"]
    for each in found:
        deployment = {"provider": each.candidate.type, "model": literal(each.models[0])}
        lines.append(f"      - {_flow(deployment)}")
        rest = [literal(f"{each.candidate.type}/{name}") for name in each.models[1:6]]
        lines += [f"      # - {_scalar(name)}" for name in rest]
    return lines


def _flow(value: object) -> str:
    """`value` as YAML in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(each)}" for key, each in value.items()) + "}"
    return _scalar(value)


def _scalar(value: object) -> str:
    """A string as YAML: bare when that is safe inside braces, else quoted as JSON, which YAML reads."""
    text = str(value)
    plain = text.replace("://", "").replace(":", "") if text.startswith("http") else text
    safe = plain[:1].isalpha() and all(each.isalnum() or each in "._/-" for each in plain)
    words = ("true", "false", "null", "yes", "no", "on", "off")
    return text if safe and text.lower() not in words else json.dumps(text, ensure_ascii=False)
