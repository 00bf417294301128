"""What older shapes say of one provider, in our words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from pointsman.plugin import NativeDocument
from pointsman_dialects.keys import Keys

_TYPES = {
    "anthropic": "claude",
    "claude": "claude",
    "localai": "localai",
    "ollama": "ollama",
    "openai": "openai",
}
_HOSTS = {"api.anthropic.com": "claude", "api.openai.com": "openai"}
_PORTS = {8080: "localai", 11434: "ollama"}
_TRANSLATED = (
    "enabled", "type", "endpoint", "base_url", "api_key_env", "timeout", "max_retries", "model", "models",
    "temperature", "max_tokens",
)  # fmt: skip
"""What a provider says there; all else it says is taken over as it stands."""
_OPTIONS = ("temperature", "max_tokens")


def put_provider(native: NativeDocument, name: str, said: object, of: Keys) -> dict[str, Any] | None:
    """Its first model and the options of that, when it is in use and has one."""
    path: Keys = ("providers", name)
    if not isinstance(said, Mapping):
        native.put(path, said, of=of)
        return None
    enabled = said.get("enabled", True)
    if not isinstance(enabled, bool):
        native.problem((*of, "enabled"), "expected true or false", code="PM1103")
    if enabled is False:
        return None
    kind = said.get("type") or _type_of(name, said)
    native.put((*path, "type"), kind, of=(*of, "type") if "type" in said else of)
    if kind is None:
        hint = "add `type: openai` for what speaks the API of OpenAI, or `ollama`, `claude`, `localai`"
        native.problem(of, "neither its name nor its address says which API it speaks", hint, code="PM1505")
    _connection(native, path, said, of)
    listed = list(_models(native, said, of))
    for public, deployment, at in listed:
        model: Keys = ("models", public)
        there = len(native.data.get("models", {}).get(public, {}).get("deployments", ()))
        native.put((*model, "deployments", there), {"provider": name, **deployment}, of=at)
        if _is_count(said.get("max_retries")) and "retry" not in native.data["models"][public]:
            retry = {"type": "exponential", "attempts": said["max_retries"] + 1}
            native.put((*model, "retry"), retry, of=(*of, "max_retries"))
    return listed[0][1] if listed else None


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _connection(native: NativeDocument, path: Keys, said: Mapping[str, Any], of: Keys) -> None:
    """Where a provider is, how it is reached, and whatever else it says as we do."""
    for key in said:
        if key not in _TRANSLATED:
            native.put((*path, key), said[key], of=(*of, key))
    for key in ("endpoint", "base_url"):
        if key in said:
            native.put((*path, "base_url"), said[key], of=(*of, key))
    if "api_key_env" in said:
        variable = {"type": "env", "name": said["api_key_env"]}
        native.put((*path, "auth"), variable, of=(*of, "api_key_env"))
    if "timeout" in said:
        native.put((*path, "timeouts", "attempt"), said["timeout"], of=(*of, "timeout"))


def _models(
    native: NativeDocument, said: Mapping[str, Any], of: Keys
) -> Iterator[tuple[str, dict[str, Any], Keys]]:
    """Each model of a provider by its name, as a deployment, and where it stands."""
    several = said.get("models", [])
    if not isinstance(several, list):
        native.problem((*of, "models"), "expected a list", code="PM1103")
        several = []
    named = [(each, (*of, "models", n)) for n, each in enumerate(several)]
    if "model" in said:
        named.insert(0, (said["model"], (*of, "model")))
    general = {key: said[key] for key in _OPTIONS if key in said}
    for each, at in named:
        own = each if isinstance(each, Mapping) else {"name": each}
        name = own.get("name")
        if not isinstance(name, str):
            native.problem(at, "expected the name of a model, or a mapping with `name`", code="PM1103")
            continue
        defaults = {**general, **{key: value for key, value in own.items() if key != "name"}}
        yield name, {"model": name, **({"defaults": defaults} if defaults else {})}, at


def _type_of(name: str, said: Mapping[str, Any]) -> str | None:
    address = said.get("base_url", said.get("endpoint"))
    try:
        parts = urlsplit(address if isinstance(address, str) else "")
        by_address = _HOSTS.get(parts.hostname or "") or _PORTS.get(parts.port or 0)
    except ValueError:  # a port that is none; whoever checks the address says so
        by_address = None
    return _TYPES.get(name.casefold()) or by_address
