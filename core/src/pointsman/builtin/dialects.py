"""Two older shapes of configurations as dialects: services of AI, and providers under a load balancer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from pointsman.dialect import DialectContext, DialectFactory, ForeignDocument, Keys, NativeDocument

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
_WAITS_DOUBLE = "waits double with each failure and are cut at random (full jitter), whatever stands here"
_NAMED = "default"
"""The model that callers ask for who asked for none in particular."""


class AiServices:
    """`ai_services`, each under a name of its own, with `default_service` and `fallback_order`.

    Callers ask for a service by its name, which is its first model, or for a model by its own; `default` is
    the default service. What a service cannot answer goes on in the order of `fallback_order`.
    """

    def __init__(self, _context: DialectContext) -> None:
        pass

    def matches(self, document: ForeignDocument) -> bool:
        """It has `ai_services`, and no `providers`."""
        data = document.data
        return isinstance(data.get("ai_services"), Mapping) and "providers" not in data

    def read(self, document: ForeignDocument) -> NativeDocument:
        """With a model for each service, too."""
        native, data = NativeDocument(), document.data
        first = {
            name: model
            for name, service in data["ai_services"].items()
            if (model := _provider(native, name, service, ("ai_services", name))) is not None
        }
        order = data.get("fallback_order")
        order = [each for each in order if _is_one(each, first)] if isinstance(order, Sequence) else []
        services = {name: name for name in first}
        if _is_one(data.get("default_service"), first):
            services[_NAMED] = data["default_service"]
        models = native.data.get("models", {})
        for public, name in services.items():
            if public in models:
                continue  # a model that is called so
            of: Keys = ("default_service",) if public != name else ("ai_services", name)
            path: Keys = ("models", public)
            native.put((*path, "deployments", 0), {"provider": name, **first[name]}, of=of)
            later = order[order.index(name) + 1 :] if name in order else order
            if later:
                native.put((*path, "fallback"), later, of=("fallback_order",))
        for key in ("default_service", "fallback_order"):
            _check_names(native, data, key, data["ai_services"])
        _general(native, data, ("ai_services", "default_service", "fallback_order"))
        return native


class LoadBalancer:
    """`providers` that say no `type`, with `load_balancer`."""

    def __init__(self, _context: DialectContext) -> None:
        pass

    def matches(self, document: ForeignDocument) -> bool:
        """It has `providers`, no `models`, and either a `load_balancer` or what only such providers say."""
        data = document.data
        providers = data.get("providers")
        if not isinstance(providers, Mapping) or not providers or "models" in data or "ai_services" in data:
            return False
        if "load_balancer" in data:
            return True
        said = [set(each) for each in providers.values() if isinstance(each, Mapping)]
        return not any("type" in each for each in said) and any(
            {"timeout", "max_retries"} & each for each in said
        )

    def read(self, document: ForeignDocument) -> NativeDocument:
        """Each model that is listed is one of ours, over all providers that list it."""
        native, data = NativeDocument(), document.data
        for name, provider in data["providers"].items():
            _provider(native, name, provider, ("providers", name))
        _general(native, data, ("providers",))
        return native


def _provider(native: NativeDocument, name: str, said: object, of: Keys) -> dict[str, Any] | None:
    """Its first model and the options of that, when it is in use and has one."""
    path: Keys = ("providers", name)
    if not isinstance(said, Mapping):
        native.put(path, said, of=of)
        return None
    if said.get("enabled", True) is False:
        return None
    kind = said.get("type") or _type_of(name, said)
    native.put((*path, "type"), kind, of=(*of, "type") if "type" in said else of)
    if kind is None:
        hint = "add `type: openai` for what speaks the API of OpenAI, or `ollama`, `claude`, `localai`"
        native.problem(of, "neither its name nor its address says which API it speaks", hint)
    _connection(native, path, said, of)
    listed = list(_models(native, said, of))
    for public, deployment, at in listed:
        model: Keys = ("models", public)
        there = len(native.data.get("models", {}).get(public, {}).get("deployments", ()))
        native.put((*model, "deployments", there), {"provider": name, **deployment}, of=at)
        if isinstance(said.get("max_retries"), int) and "retry" not in native.data["models"][public]:
            retry = {"type": "exponential", "attempts": said["max_retries"] + 1}
            native.put((*model, "retry"), retry, of=(*of, "max_retries"))
    return listed[0][1] if listed else None


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
        native.problem((*of, "models"), "expected a list")
        several = []
    named = [(each, (*of, "models", n)) for n, each in enumerate(several)]
    if "model" in said:
        named.insert(0, (said["model"], (*of, "model")))
    general = {key: said[key] for key in _OPTIONS if key in said}
    for each, at in named:
        own = each if isinstance(each, Mapping) else {"name": each}
        name = own.get("name")
        if not isinstance(name, str):
            native.problem(at, "expected the name of a model, or a mapping with `name`")
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


def _general(native: NativeDocument, data: Mapping[str, Any], done: Sequence[str]) -> None:
    """All beside the providers; what is called as here is taken over as it stands."""
    for key, value in data.items():
        if key == "load_balancer" and isinstance(value, Mapping):
            for name, each in value.items():
                path: Keys = ("health", "interval") if name == "health_check_interval" else (name,)
                native.put(path, each, of=(key, name))
        elif key == "retry" and isinstance(value, Mapping):
            _retry(native, value)
        elif key not in done:
            native.put((key,), value, of=(key,))


def _retry(native: NativeDocument, said: Mapping[str, Any]) -> None:
    native.put(("retry", "type"), said.get("type", "exponential"), of=("retry",))
    for key, value in said.items():
        if key == "max_attempts":
            native.put(("retry", "attempts"), value, of=("retry", key))
        elif key in ("backoff_multiplier", "jitter"):
            if value != (2 if key == "backoff_multiplier" else True):
                native.warn(("retry", key), _WAITS_DOUBLE)
        elif key != "type":
            native.put(("retry", key), value, of=("retry", key))


def _check_names(
    native: NativeDocument, data: Mapping[str, Any], key: str, services: Mapping[str, Any]
) -> None:
    """Those at `key` must be services; one that is not enabled is passed over."""
    said = data.get(key, [])
    named = [((key, n), each) for n, each in enumerate(said)] if isinstance(said, list) else [((key,), said)]
    for of, each in named:
        if not _is_one(each, services):
            native.problem(of, f"no service is called {each!r}", f"there are: {', '.join(services)}")


def _is_one(name: object, services: Mapping[str, Any]) -> bool:
    """Whether that names a service; a list or a mapping, of which none can be asked for, does not."""
    return isinstance(name, str) and name in services


BUILT_IN = (
    DialectFactory("ai_services", None, AiServices),
    DialectFactory("load_balancer", None, LoadBalancer),
)
