"""What the object that a factory made lacks of the interface of its kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import CO_VARARGS, CO_VARKEYWORDS, isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from typing import Any

from msgspec import Struct

from pointsman._internal.plugin_errors import OWN
from pointsman.audit import AuditSink, AwaitedAuditSink, ReportingAuditSink
from pointsman.auth import Auth, RefreshingAuth, SigningAuth, TroubledAuth, VersionedAuth
from pointsman.discovery import Discovery
from pointsman.events import PROGRESS
from pointsman.guard import Guard
from pointsman.http.client import Endpoint
from pointsman.prices import PriceSource
from pointsman.provider import Provider
from pointsman.resilience.retry_budget import BudgetSettings
from pointsman.retry import RetryPolicy
from pointsman.selector import Selector
from pointsman.state import StateStore
from pointsman.strategy import Strategy
from pointsman.surface import Surface
from pointsman.wire.retry_after import RateHeaders


class _Interface(Struct, frozen=True):
    """The methods of one kind: those that are awaited, and those that are not.

    Attributes:
        whole: the class that an author inherits; None where it is not ours.
        own: the methods that it only describes. Who inherits one of these answers None with it, and so has
            no credential, never retries, or records nothing, without a word.
        optional: the classes that describe, by name, further methods; who has one has it as these do.
    """

    awaited: Sequence[str] = ()
    plain: Sequence[str] = ()
    whole: type | None = None
    own: Sequence[str] = ()
    optional: Mapping[str, type] = {}


INTERFACES = {
    "provider": _Interface(
        awaited=(
            *("chat", "stream", "generate", "embed", "relay", "relay_stream"),
            *("models", "in_memory", "probe", "aclose"),
        ),
        whole=Provider,
    ),
    "auth": _Interface(
        plain=("current", "rejected"),
        whole=Auth,
        own=("current",),
        optional={
            "refresh": RefreshingAuth,
            "sign": SigningAuth,
            "trouble": TroubledAuth,
            "versions": VersionedAuth,
        },
    ),
    "retry": _Interface(plain=("delay",), whole=RetryPolicy, own=("delay",)),
    "strategy": _Interface(
        plain=("pick", "place", "answered", "degraded", "members", "state", "restore"),
        whole=Strategy,
        own=("pick",),
    ),
    "audit": _Interface(
        plain=("__call__", "close"),
        whole=AuditSink,
        own=("__call__",),
        optional={"admit": AwaitedAuditSink, "status": ReportingAuditSink},
    ),
    "guard": _Interface(awaited=("before", "after"), plain=("stream",), whole=Guard),
    "selector": _Interface(awaited=("choose",), whole=Selector, own=("choose",)),
    "surface": _Interface(plain=("routes", "problem"), whole=Surface, own=("routes", "problem")),
    "dialect": _Interface(plain=("matches", "read")),
    "state": _Interface(
        awaited=("admit", "settle", "renew", "publish", "watch", "aclose"),
        whole=StateStore,
        own=("admit", "settle", "renew", "publish", "watch"),
    ),
    "prices": _Interface(plain=("look",), whole=PriceSource, own=("look",)),
    "discovery": _Interface(awaited=("find",), whole=Discovery, own=("find",)),
    "service": _Interface(awaited=("start", "aclose")),
    "transport": _Interface(awaited=("handle_async_request", "aclose")),
}
"""By kind, what an object that a factory makes must have."""


def lack(kind: str, made: Any) -> str | None:
    """What keeps `made` from being one of that `kind`, as the end of a sentence; None when nothing does."""
    if made is None:
        return f"made None; return the {kind} from its `make`"
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
        if interface.whole is not None:
            described = getattr(interface.whole, method)
            if method in interface.own and _function(found) is described:
                return f"made a {name}, which has no {method}() of its own: write it"
            if wrong := _other_arguments(method, found, described):
                return f"made a {name}, {wrong}"
    wrong = _of_methods(made) or _of_optional(made, interface.optional)
    wrong = wrong or (_ATTRIBUTES[kind](made) if kind in _ATTRIBUTES else None)
    return None if wrong is None else f"made a {name}, {wrong}"


def _function(method: Any) -> Any:
    return getattr(method, "__func__", method)


def _of_methods(made: Any) -> str | None:
    """What is wrong with those methods of `made` that its classes name in `to_override`."""
    for owner in type(made).__mro__:
        for method in vars(owner).get("to_override", ()):
            found, described = getattr(made, method, None), getattr(owner, method)
            if _function(found) is not described and (wrong := _of_method(method, found, described)):
                return wrong
    return None


def _of_optional(made: Any, optional: Mapping[str, type]) -> str | None:
    """What is wrong with those methods that `made` need not have, and has."""
    for method, whole in optional.items():
        if hasattr(made, method):
            found, described = getattr(made, method), getattr(whole, method)
            if _function(found) is described:
                return f"which has no {method}() of its own: write it"
            if wrong := _of_method(method, found, described):
                return wrong
            if iscoroutinefunction(described) and _returns_nothing(found):
                return f"whose {method}() is not async, and it is awaited: write `async def`"
    return None


def _returns_nothing(found: Any) -> bool:
    """Whether a method that is awaited says of itself that there is nothing to await."""
    annotations = getattr(_function(found), "__annotations__", {})
    return not iscoroutinefunction(found) and annotations.get("return", ...) in (None, "None")


def _of_method(method: str, found: Any, described: Any) -> str | None:
    if not callable(found):
        return f"which has no method {method}()"
    if isgeneratorfunction(found) or isasyncgenfunction(found):
        return f"whose {method}() is a generator: it has a `yield`"
    if iscoroutinefunction(found) and not iscoroutinefunction(described):
        return f"whose {method}() is async; nobody awaits it"
    return _other_arguments(method, found, described)


def _other_arguments(method: str, found: Any, described: Any) -> str | None:
    bound = method == "__call__" or _function(found) is not found
    if _is_called_like(found, described, bound=bound):
        return None
    by_position, by_name = _parameters(described)
    wanted = ", ".join((*by_position, *(("*", *by_name) if by_name else ())))
    return f"whose {method}() takes other arguments: write {method}({wanted})"


def _parameters(function: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of what a function takes by position, and of what it takes by name alone."""
    code = function.__code__
    names: tuple[str, ...] = code.co_varnames
    count = code.co_argcount
    return names[:count], names[count : count + code.co_kwonlyargcount]


def _is_called_like(found: Any, described: Any, *, bound: bool) -> bool:
    """Whether `found` can be given what `described` is given; True where that cannot be told.

    By its code: a signature takes 21 us in place of 0.4, and each start would pay for it, method by method.
    """
    function = _function(found)
    code = getattr(function, "__code__", None)
    if code is None or hasattr(function, "__wrapped__"):
        return True
    # One that hangs on the object is given no `self`, nor is a static one.
    given = described.__code__.co_argcount - (0 if bound else 1)
    by_position, by_name = _parameters(function)
    if not code.co_flags & CO_VARARGS and len(by_position) < given:
        return False
    wanted = _parameters(described)[1]
    least = len(by_position) - len(function.__defaults__ or ())
    needed = {*by_position[given:least], *(set(by_name) - set(function.__kwdefaults__ or ()))}
    if not needed.issubset(wanted):
        return False
    taken = {*by_position[max(given, code.co_posonlyargcount) :], *by_name}
    return bool(code.co_flags & CO_VARKEYWORDS) or taken.issuperset(wanted)


def _of_provider(made: Any) -> str | None:
    if not isinstance(getattr(made, "name", None), str):
        return "which has no `name`: call super().__init__(context)"
    wires = getattr(made, "wires", ())
    if isinstance(wires, str) or not (
        isinstance(wires, Sequence) and all(isinstance(each, str) for each in wires)
    ):
        return "whose `wires` are no sequence of names"
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
    return None if endpoint.patterns == () else _of_patterns(endpoint.patterns)


def _of_patterns(patterns: object) -> str | None:
    from pointsman.wire.error_patterns import ErrorPattern  # few providers have any

    if isinstance(patterns, tuple | list) and all(isinstance(each, ErrorPattern) for each in patterns):
        return None
    return "whose `endpoint.patterns` are no list of ErrorPattern"


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
    for method in ("learned", "heard"):  # who does not inherit them need not have them
        found = getattr(made, method, None)
        if found is not None and (wrong := _of_method(method, found, getattr(Strategy, method))):
            return wrong
    return None


def _of_guard(made: Any) -> str | None:
    if all(_function(getattr(made, name)) is getattr(Guard, name) for name in ("before", "after", "stream")):
        return "which does nothing: write before(), after() or stream()"
    return None


def _of_audit(made: Any) -> str | None:
    kinds = getattr(made, "kinds", ())
    if isinstance(kinds, Sequence) and all(kind in PROGRESS for kind in kinds):
        return None
    known = ", ".join(kind.__name__ for kind in PROGRESS)
    return f"whose `kinds` are no list of kinds of progress: {known}"


_ATTRIBUTES = {
    "audit": _of_audit,
    "provider": _of_provider,
    "retry": _of_retry,
    "strategy": _of_strategy,
    "guard": _of_guard,
}
