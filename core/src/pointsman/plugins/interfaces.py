"""What the object that a factory made lacks of the interface of its kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from typing import Any

from msgspec import Struct

from pointsman._internal.plugin_errors import OWN
from pointsman.http.client import Endpoint
from pointsman.resilience.retry_budget import BudgetSettings
from pointsman.wire.retry_after import RateHeaders


class _Interface(Struct, frozen=True):
    """The methods of one kind: those that are awaited, and those that are not."""

    awaited: Sequence[str] = ()
    plain: Sequence[str] = ()


INTERFACES = {
    "provider": _Interface(
        awaited=("chat", "stream", "generate", "embed", "models", "in_memory", "probe", "aclose")
    ),
    "auth": _Interface(plain=("current", "rejected")),
    "retry": _Interface(plain=("delay",)),
    "strategy": _Interface(plain=("pick", "members", "state", "restore")),
    "audit": _Interface(plain=("__call__", "close")),
    "dialect": _Interface(plain=("matches", "read")),
    "service": _Interface(awaited=("start", "aclose")),
    "transport": _Interface(awaited=("handle_async_request", "aclose")),
}
"""By kind, what an object that a factory makes must have."""


def lack(kind: str, made: Any) -> str | None:
    """What keeps `made` from being one of that `kind`, as the end of a sentence; None when nothing does."""
    if made is None:
        return "made None"
    if isinstance(made, type):
        return f"made the class {made.__name__}, expected an object of it"
    try:
        return _lack(kind, made)
    except OWN as error:
        return f"made a {type(made).__name__} that cannot be looked at: {type(error).__name__}"


def _lack(kind: str, made: Any) -> str | None:
    name = type(made).__name__
    interface = INTERFACES[kind]
    for method in (*interface.awaited, *interface.plain):
        # `__call__` of a class is what makes its objects; every other one may also hang on the object.
        found = getattr(type(made) if method == "__call__" else made, method, None)
        if not callable(found):
            return f"made a {name}, which has no method {method}()"
        if isgeneratorfunction(found) or isasyncgenfunction(found):
            return f"made a {name}, whose {method}() is a generator: it has a `yield`"
        if method in interface.plain and iscoroutinefunction(found):
            return f"made a {name}, whose {method}() is async; nobody awaits it"
    wrong = _ATTRIBUTES[kind](made) if kind in _ATTRIBUTES else None
    return None if wrong is None else f"made a {name}, {wrong}"


def _of_provider(made: Any) -> str | None:
    if not isinstance(getattr(made, "name", None), str):
        return "which has no `name`: call super().__init__(context)"
    endpoint = getattr(made, "endpoint", None)
    if endpoint is not None and not isinstance(endpoint, Endpoint):
        return f"whose `endpoint` is a {type(endpoint).__name__}; expected an Endpoint or None"
    return None if endpoint is None else _of_endpoint(endpoint)


def _of_endpoint(endpoint: Any) -> str | None:
    if not isinstance(endpoint.base_url, str):
        return f"whose `endpoint.base_url` is a {type(endpoint.base_url).__name__}; expected text"
    if not isinstance(endpoint.headers, Mapping):
        return f"whose `endpoint.headers` is a {type(endpoint.headers).__name__}; expected a mapping of text"
    for name, value in endpoint.headers.items():
        if not isinstance(name, str) or not isinstance(value, str):
            return f"whose `endpoint.headers` has a {type(value).__name__} for {name!r:.50}; expected text"
    if not callable(endpoint.authorize):
        return f"whose `endpoint.authorize` is a {type(endpoint.authorize).__name__}; expected a function"
    if endpoint.rates is not None and not isinstance(endpoint.rates, RateHeaders):
        return f"whose `endpoint.rates` is a {type(endpoint.rates).__name__}; expected RateHeaders or None"
    return None


def _of_retry(made: Any) -> str | None:
    attempts = getattr(made, "attempts", None)
    if isinstance(attempts, bool) or not isinstance(attempts, int):
        return f"whose `attempts` is a {type(attempts).__name__}; expected a whole number of 1 or more"
    if attempts < 1:
        return f"whose `attempts` is {attempts}; expected 1 or more"
    if not hasattr(made, "budget"):
        return "which has no `budget`: BudgetSettings, or None for no limit"
    if made.budget is not None and not isinstance(made.budget, BudgetSettings):
        return f"whose `budget` is a {type(made.budget).__name__}; expected BudgetSettings or None"
    return None


def _of_strategy(made: Any) -> str | None:
    if not isinstance(getattr(made, "wants_residency", None), bool):
        return "which has no `wants_residency`: inherit Strategy"
    if iscoroutinefunction(getattr(made, "observed", None)):
        return "whose observed() is async; nobody awaits it"
    return None


_ATTRIBUTES = {"provider": _of_provider, "retry": _of_retry, "strategy": _of_strategy}
