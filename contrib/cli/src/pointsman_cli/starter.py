"""The configuration that `pointsman config init` writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pointsman_cli.discover import Candidate, Found, literal, provider_section
from pointsman_cli.written_config import flow, scalar

if TYPE_CHECKING:
    from pydantic import BaseModel

    from pointsman._internal.settings import Section

SCHEMA = "pointsman.schema.json"
"""The file beside it by which an editor completes keys; `pointsman config schema -o` makes it anew."""

_HEAD = f"""\
# yaml-language-server: $schema={SCHEMA}
# A configuration of pointsman. Check it:  pointsman config check
# What holds, and where it comes from:  pointsman config show --resolved
# After a plugin was installed, for editors:  pointsman config schema -o {SCHEMA}
"""

_EXAMPLE = Found(Candidate("ollama", "", "http://127.0.0.1:11434"), ["llama3.2"])

_TAIL = """
# How models that name no strategy choose: round_robin, weighted or least_connections.
strategy: round_robin

# Each of the following is at its default.
# retry: {retry}
# circuit_breaker: {circuit_breaker}
# timeouts: {timeouts}

# A record of every request and attempt, without prompts and answers:
# audit: [{{type: jsonl, path: ./audit}}]
"""

_SHOWN = {
    "retry": ("attempts", "base_delay", "max_delay"),
    "circuit_breaker": ("failure_threshold", "reset_timeout", "half_open_max_calls"),
    "timeouts": ("connect", "first_token", "idle", "total"),
}
"""The settings that a beginner may want to change; `pointsman config schema` has them all."""

_MORE = {
    "ollama": "  # gpu2: {type: ollama, base_url: http://127.0.0.1:11435}",
    "localai": "  # box: {type: localai, base_url: http://127.0.0.1:8080}",
    "openai": "  # openai: {type: openai, auth: {type: env, name: OPENAI_API_KEY}}",
    "openrouter": '  # openrouter: {type: openai, preset: openrouter, api_key: "${OPENROUTER_API_KEY}"}',
    "vllm": "  # vllm: {type: openai, preset: vllm, base_url: http://127.0.0.1:8000/v1}",
    "claude": "  # claude: {type: claude, auth: {type: env, name: ANTHROPIC_API_KEY}}",
}


def starter(found: Sequence[Found]) -> str:
    """YAML with the providers of `found`, one model `assistant` over their first models, and comments.

    With nothing found it is an example for a local Ollama. Keys are named as variables, never written.
    """
    used = list(found) or [_EXAMPLE]
    return "\n".join([_HEAD, *_providers(used), "", *_models(used), _tail()])


def _tail() -> str:
    from pointsman.builtin.retry import ExponentialSettings
    from pointsman.config.sections import TimeoutSettings
    from pointsman.resilience.circuit_breaker import BreakerSettings

    sections: dict[str, type[BaseModel] | type[Section]] = {
        "retry": ExponentialSettings,
        "circuit_breaker": BreakerSettings,
        "timeouts": TimeoutSettings,
    }
    shown = {key: _defaults(section, _SHOWN[key]) for key, section in sections.items()}
    shown["retry"] = {"type": "exponential", **shown["retry"]}
    return _TAIL.format(**{key: _row(values) for key, values in shown.items()})


def _row(values: Mapping[str, str]) -> str:
    """YAML in one line, of values that need no quotes."""
    return "{" + ", ".join(f"{name}: {value}" for name, value in values.items()) + "}"


def _defaults(section: type[BaseModel] | type[Section], names: Sequence[str]) -> dict[str, str]:
    """The defaults of a section, as people write them."""
    from pointsman.units import format_duration

    schema = section.model_json_schema()["properties"]
    units = {name: format_duration if schema[name].get("unit") == "seconds" else str for name in names}
    return {name: units[name](schema[name]["default"]) for name in names}


def _providers(found: Sequence[Found]) -> list[str]:
    used = {each.candidate.name: flow(provider_section(each.candidate)) for each in found}
    lines = [f"  {type}: {section}" for type, section in used.items()]
    return ["providers:", *lines, *(line for type, line in _MORE.items() if type not in used)]


def _models(found: Sequence[Found]) -> list[str]:
    lines = [
        "# What callers ask for, and where it can go. provider/model of each provider is callable, too.",
        "models:",
    ]
    lines += ["  assistant:", "    # strategy: least_connections", "    deployments:"]
    for each in found:
        deployment = {"provider": each.candidate.name, "model": literal(each.models[0])}
        lines.append(f"      - {flow(deployment)}")
        rest = [literal(f"{each.candidate.name}/{name}") for name in each.models[1:6]]
        lines += [f"      # - {scalar(name)}" for name in rest]
    return lines
