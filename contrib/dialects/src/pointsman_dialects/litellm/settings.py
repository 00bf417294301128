"""`router_settings`, `litellm_settings` and `general_settings`: what holds for all models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from pointsman_dialects.keys import Keys
from pointsman_dialects.litellm.document import NOTHING_HERE, Translation, listed, mapping
from pointsman_dialects.litellm.values import is_nothing, number, refers, whole

SECTIONS = ("router_settings", "litellm_settings", "general_settings")
"""In the order in which they are believed: the first that says a thing is right."""
_FIRST = "request_timeout"
"""What holds before its like in whatever section: before `timeout`."""


class Strategy(NamedTuple):
    """One of ours, and what is not the same about it."""

    ours: str
    differs: str | None = None


STRATEGIES: Mapping[str, Strategy] = {
    "simple-shuffle": Strategy("round_robin"),
    "least-busy": Strategy("least_connections"),
    "latency-based-routing": Strategy(
        "peak_ewma", "`peak_ewma` goes by the time to the first token, and by load"
    ),
    "cost-based-routing": Strategy("cheapest", "`cheapest` goes by the length of the request, too"),
    "usage-based-routing": Strategy(
        "weighted", "here who has used up its limit is passed over, and who used least is not preferred"
    ),
    "usage-based-routing-v2": Strategy(
        "weighted", "here who has used up its limit is passed over, and who used least is not preferred"
    ),
}
"""By LiteLLM's names of them."""

_SAME = (
    "enable_pre_call_checks",  # limits and windows hold here without being asked
    "turn_off_message_logging",  # what was asked is in no log of ours
    "fallbacks",
    "context_window_fallbacks",
    "content_policy_fallbacks",
    "default_fallbacks",
    "redis_host",
    "redis_port",
    "redis_password",
    "redis_url",
    "redis_db",
    "cache_params",
)
"""What is put elsewhere, or holds here anyway."""


def put_settings(to: Translation) -> None:
    """All three sections."""
    found: list[tuple[str, str, Any]] = []
    for section in SECTIONS:
        said = to.said.get(section)
        if said is not None and not isinstance(said, Mapping):
            to.warn((section,), "expected a mapping; it is left out")
        found += [(section, key, value) for key, value in mapping(said).items() if not is_nothing(value)]
    for section, key, value in sorted(found, key=lambda each: each[1] != _FIRST):
        _one(to, section, key, value)
    if to.shares and not to.holds(("strategy",)):
        to.put(("strategy",), "weighted", of=("model_list",))
    _put_state(to)


def _one(to: Translation, section: str, key: str, value: Any) -> None:
    of: Keys = (section, key)
    put = _PUT.get(key)
    if put is not None:
        put(to, value, of)
    elif key not in _SAME:
        to.leave_out(of, value)


def _put_once(to: Translation, path: Keys, value: object, of: Keys) -> None:
    """Put `value`, unless something else stands there: then say which of them holds."""
    if not to.holds(path):
        to.put(path, value, of=of)
    elif to.at(path) != value:
        before = ".".join(map(str, to.native.origins[path]))
        to.warn(of, f"is left out: {before} says it, too, and holds")


def _strategy(to: Translation, value: object, of: Keys) -> None:
    known = STRATEGIES.get(value) if isinstance(value, str) else None
    if known is None:
        to.warn(of, "no strategy here is like that; calls go to one after the other")
        return
    to.put(("strategy",), "weighted" if to.shares else known.ours, of=of)
    if known.differs:
        to.warn(of, f"is {known.ours!r} here: {known.differs}")


def _retries(to: Translation, value: object, of: Keys) -> None:
    retries = whole(value)
    if retries is None or retries < 0:
        to.warn(of, "is no number of retries; it is left out")
        return
    if retries > 19:
        to.warn(of, "a request is tried 20 times at most")
    _put_once(to, ("retry",), {"type": "exponential", "attempts": min(retries + 1, 20)}, of)


def _timeout(to: Translation, value: object, of: Keys) -> None:
    seconds = number(value)
    if seconds is None or seconds <= 0:
        to.warn(of, "is no number of seconds; it is left out")
        return
    if not to.holds(("timeouts", "attempt")):
        said = "bounds an attempt as a whole here, of a stream, too; there it bounds each wait for more of it"
        to.warn(of, said)
    _put_once(to, ("timeouts", "attempt"), seconds, of)
    if seconds > 600 and not to.holds(("timeouts", "total")):
        to.put(("timeouts", "total"), seconds, of=of)  # else the request would end before the attempt


def _stream_timeout(to: Translation, value: object, of: Keys) -> None:
    for key in ("first_token", "idle"):
        _put_once(to, ("timeouts", key), value if number(value) is None else number(value), of)


def _allowed_fails(to: Translation, value: object, of: Keys) -> None:
    fails = whole(value)
    if fails is None or fails < 0:
        to.warn(of, "is no number of failures; it is left out")
    else:
        _put_once(to, ("circuit_breaker", "failure_threshold"), fails + 1, of)


def _cooldown(to: Translation, value: object, of: Keys) -> None:
    seconds = number(value)
    if seconds is None or seconds <= 0:
        to.warn(of, "is no number of seconds; it is left out")
        return
    _put_once(to, ("circuit_breaker", "reset_timeout"), seconds, of)
    _put_once(to, ("overload", "base"), seconds, of)


def _no_cooldowns(to: Translation, value: object, of: Keys) -> None:
    if value is True:
        _put_once(to, ("circuit_breaker", "enabled"), False, of)


def _drop(to: Translation, value: object, of: Keys) -> None:
    if value is True:
        for name in to.models:
            if not to.holds(("models", name, "unsupported")):
                to.put(("models", name, "unsupported"), "drop", of=of)


_UNLISTED = "who shall not see it gets a key whose `models` do not list it"


def _aliases(to: Translation, value: object, of: Keys) -> None:
    if not isinstance(value, Mapping):
        to.leave_out(of, value, "expected a mapping; it is left out")
    for alias, meant in mapping(value).items():
        at = (*of, alias)
        model = meant.get("model") if isinstance(meant, Mapping) else meant
        if not isinstance(model, str) or model not in to.models:
            to.warn(at, "means no model that there is here; it is left out")
        elif alias in to.models:
            to.warn(at, "is the name of a model, too, and means that; it is left out")
        else:
            to.put(("aliases", alias), model, of=at)
            if mapping(meant).get("hidden") is True:
                to.warn((*at, "hidden"), "lists of models have it here", _UNLISTED)


def _default_model(to: Translation, value: object, of: Keys) -> None:
    if isinstance(value, str) and value in to.models and "*" not in value:
        to.put(("default_model",), value, of=of)
    else:
        to.warn(of, "names no model that there is here; it is left out")


_SHORTEST_KEY = 16


def _master_key(to: Translation, value: object, of: Keys) -> None:
    if not isinstance(value, str) or (refers(value) is None and len(value) < _SHORTEST_KEY):
        said = f"is left out: a key of the gateway has {_SHORTEST_KEY} characters at least"
        to.warn(of, said, "until one stands under `gateway.access.keys`, only this machine can ask it")
        return
    key = {"name": "master", "key": value, "operator": True}
    to.put(("gateway", "access", "keys", 0), key, of=of)
    to.put(("gateway", "access", "loopback"), False, of=of)  # there this machine needs it, too


_KEPT = ("local", "redis")


def _cache(to: Translation, value: object, of: Keys) -> None:
    if value is not True:
        return
    params = mapping(mapping(to.said.get("litellm_settings")).get("cache_params"))
    at: Keys = ("litellm_settings", "cache_params")
    kind = params.get("type", "local")
    if kind not in _KEPT or params.get("mode") == "default_off":
        to.warn(
            of, "there is no such cache here, and answers are not kept; docs/guards.md has the one there is"
        )
        return
    path: Keys = ("guards", 0)
    to.put(path, {"type": "cache", "shared": True}, of=of)
    for key, each in params.items():
        if key == "ttl" and number(each) is not None:
            to.put((*path, "ttl"), number(each), of=(*at, key))
        elif key not in ("type", "host", "port", "password", "url", "mode", "max_connections"):
            to.leave_out((*at, key), each)
    if kind == "redis":
        to.warn((*at, "type"), "answers are kept in the memory of each process here")


def _callbacks(to: Translation, value: object, of: Keys) -> None:
    several = listed(value)
    for n, name in enumerate(several):
        at = (*of, n) if isinstance(value, list) else of
        if name == "prometheus":
            said = (
                "the gateway answers `GET /metrics` without it; a router elsewhere does with `prometheus: {}`"
            )
            to.warn(at, said)
        elif name in ("otel", "opentelemetry"):
            to.warn(at, "`opentelemetry: {endpoint: …}` is a section here: docs/observability.md")
        else:
            to.leave_out(at, name, NOTHING_HERE, "docs/observing.md says who can be told what happens")


def _put_state(to: Translation) -> None:
    """The Redis that several routers share."""
    said = mapping(to.said.get("router_settings"))
    section: Keys = ("router_settings",)
    if not is_nothing(said.get("redis_url")):
        to.put(("state",), said["redis_url"], of=(*section, "redis_url"))
        return
    host = said.get("redis_host")
    if not isinstance(host, str) or is_nothing(host):
        return
    port = said.get("redis_port")
    port = 6379 if is_nothing(port) else port
    password = said.get("redis_password")
    parts = [to.written(each) for each in (host, str(port))]
    secret = "" if is_nothing(password) else f":{_in_a_url(to, str(password))}@"
    to.native.put(("state",), f"redis://{secret}{parts[0]}:{parts[1]}", of=(*section, "redis_host"))


def _in_a_url(to: Translation, secret: str) -> str:
    """A password as it can stand there; of a variable, nobody knows what that holds."""
    return str(to.written(secret)) if refers(secret) else quote(secret, safe="")


_PUT: Mapping[str, Callable[[Translation, Any, Keys], None]] = {
    "routing_strategy": _strategy,
    "num_retries": _retries,
    "timeout": _timeout,
    "request_timeout": _timeout,
    "stream_timeout": _stream_timeout,
    "allowed_fails": _allowed_fails,
    "cooldown_time": _cooldown,
    "disable_cooldowns": _no_cooldowns,
    "drop_params": _drop,
    "model_group_alias": _aliases,
    "completion_model": _default_model,
    "master_key": _master_key,
    "cache": _cache,
    "callbacks": _callbacks,
    "success_callback": _callbacks,
    "failure_callback": _callbacks,
    "service_callback": _callbacks,
}
"""What is done with each setting, in whichever of the sections it stands."""
