"""What the environment says of an Ollama, in the variables that programs around it go by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pointsman.plugin import EnvironmentDefault, server_url

PORT = 11434


def environment(environ: Mapping[str, str]) -> Sequence[EnvironmentDefault]:
    """What these variables say; one that is empty says nothing, and neither does a limit of 0."""
    said = {name: value for name in _VARIABLES if (value := environ.get(name, "").strip())}
    if "OLLAMA_BASE_URL" in said:
        said.pop("OLLAMA_HOST", None)
    every = [(name, _VARIABLES[name], _read(_VARIABLES[name], value)) for name, value in said.items()]
    return [EnvironmentDefault(setting, value, name) for name, setting, value in every if value]


_VARIABLES = {
    "OLLAMA_BASE_URL": "base_url",
    "OLLAMA_HOST": "base_url",
    "OLLAMA_TIMEOUT": "timeout",
    "OLLAMA_MAX_CONNECTIONS": "max_in_flight",
    "OLLAMA_DEFAULT_MODEL": "default_model",
}
"""What each stands for."""


def _read(setting: str, text: str) -> Any:
    """`text` as a configuration has it; what makes no sense as it is, for that is told by its place."""
    match setting:
        case "base_url":
            return server_url(text, default_port=PORT)
        case "default_model":
            return text.removesuffix(":latest")
        case _:
            return _number(text)


def _number(text: str) -> Any:
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if number.is_integer() else number
