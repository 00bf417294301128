"""Two older shapes of configurations as dialects: services of AI, and providers under a load balancer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pointsman.plugin import DialectContext, DialectFactory, ForeignDocument, NativeDocument
from pointsman_dialects.general import put_general, put_proxy, settle_retries
from pointsman_dialects.keys import Keys
from pointsman_dialects.providers import put_provider

_NAMED = "default"
"""The model that callers ask for who asked for none in particular."""
_PROXY = "ai"


class AiServices:
    """`ai_services`: each under a name of its own, or `providers` under a load balancer.

    Callers ask for a service by its name, which is its first model, or for a model by its own; `default` is
    the default service. What a service cannot answer goes on in the order of `fallback_order`.
    """

    def __init__(self, _context: DialectContext) -> None:
        pass

    def matches(self, document: ForeignDocument) -> bool:
        """It has `ai_services`, or the proxy of such alone, and no `providers`."""
        data = document.data
        if "providers" in data or "model_list" in data:
            return False
        return isinstance(data.get("ai_services"), Mapping) or (
            "ai_services" not in data and isinstance(data.get(_PROXY), Mapping) and "proxy" in data[_PROXY]
        )

    def read(self, document: ForeignDocument) -> NativeDocument:
        """With a model for each service, too."""
        native, data = NativeDocument(), document.data
        services = data.get("ai_services")
        if not isinstance(services, Mapping):
            native.problem(
                (_PROXY,),
                "says how upstreams are asked, and there is none",
                "add `ai_services`",
                code="PM1501",
            )
            return native
        if isinstance(services.get("providers"), Mapping):
            _balanced(native, services, ("ai_services",))
            put_general(native, data, ("ai_services", _PROXY))
        else:
            _services(native, data, services)
            put_general(native, data, ("ai_services", "default_service", "fallback_order", _PROXY))
        _finish(native, data)
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
        _balanced(native, data, ())
        _finish(native, data)
        return native


def _balanced(native: NativeDocument, data: Mapping[str, Any], within: Keys) -> None:
    """Providers and what holds for all of them, which stand at `within`."""
    for name, provider in data["providers"].items():
        put_provider(native, name, provider, (*within, "providers", name))
    put_general(native, data, ("providers", _PROXY), within)


def _services(native: NativeDocument, data: Mapping[str, Any], services: Mapping[str, Any]) -> None:
    first = {
        name: model
        for name, service in services.items()
        if (model := put_provider(native, name, service, ("ai_services", name))) is not None
    }
    said = data.get("fallback_order")
    order = [each for each in said if _is_one(each, first)] if isinstance(said, Sequence) else []
    models = native.data.get("models", {})
    for name in first:
        if name not in models:  # else a model that is called so
            _put_service(native, name, first[name] | {"provider": name}, ("ai_services", name))
            _put_order(native, name, order[order.index(name) + 1 :] if name in order else order)
    default = data.get("default_service")
    if isinstance(default, str) and default in first:
        if _NAMED not in models:
            _put_service(native, _NAMED, first[default] | {"provider": default}, ("default_service",))
            _put_order(native, _NAMED, [each for each in order if each != default])
        native.put(("default_model",), _NAMED, of=("default_service",))
    elif _is_one(default, services):
        native.warn(("default_service",), "is not enabled, or has no model; callers have to name one")
    for key in ("default_service", "fallback_order"):
        _check_names(native, data, key, services)


def _put_service(native: NativeDocument, public: str, deployment: Mapping[str, Any], of: Keys) -> None:
    first = {"provider": deployment["provider"], **deployment}
    native.put(("models", public, "deployments", 0), first, of=of)


def _put_order(native: NativeDocument, public: str, later: list[str]) -> None:
    if later:
        native.put(("models", public, "fallback"), later, of=("fallback_order",))


def _finish(native: NativeDocument, data: Mapping[str, Any]) -> None:
    """What is known only when all else is there."""
    if _PROXY in data:
        put_proxy(native, data[_PROXY])
    settle_retries(native)


def _check_names(
    native: NativeDocument, data: Mapping[str, Any], key: str, services: Mapping[str, Any]
) -> None:
    """Those at `key` must be services; one of the order that is not enabled is passed over."""
    said = data.get(key, [])
    named = [((key, n), each) for n, each in enumerate(said)] if isinstance(said, list) else [((key,), said)]
    for of, each in named:
        if not _is_one(each, services):
            native.problem(
                of, f"no service is called {each!r}", f"there are: {', '.join(services)}", code="PM1504"
            )


def _is_one(name: object, services: Mapping[str, Any]) -> bool:
    """Whether that names a service; a list or a mapping, of which none can be asked for, does not."""
    return isinstance(name, str) and name in services


DIALECTS = (
    DialectFactory("ai_services", None, AiServices),
    DialectFactory("load_balancer", None, LoadBalancer),
)
