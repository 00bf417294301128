"""What older shapes say beside their providers: balancing, retries, the breaker, and the proxy in between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pointsman.plugin import NativeDocument
from pointsman_dialects.keys import Keys

_WAITS_DOUBLE = "waits double with each failure and are cut at random (full jitter), whatever stands here"
_SECTIONS = ("load_balancer", "retry")
_LIMIT = "proxy"
"""The name of the limit that all providers share."""
_OF_THE_PROXY: Mapping[str, tuple[str, str]] = {
    "timeout": ("timeouts", "attempt"),
    "max_retries": ("retry", "attempts"),
    "circuit_max_fails": ("circuit_breaker", "failure_threshold"),
    "circuit_reset_time": ("circuit_breaker", "reset_timeout"),
}
"""What `ai.proxy` says, and what that is here."""


def put_general(
    native: NativeDocument, data: Mapping[str, Any], done: Sequence[str], within: Keys = ()
) -> None:
    """All beside the providers; what is called as here is taken over as it stands.

    Args:
        data: the sections, which stand at `within` in the document.
        done: those that somebody else puts.
    """
    for key, value in data.items():
        of = (*within, key)
        if key == "load_balancer" and isinstance(value, Mapping):
            for name, each in value.items():
                path: Keys = ("health", "interval") if name == "health_check_interval" else (name,)
                native.put(path, each, of=(*of, name))
        elif key == "retry" and isinstance(value, Mapping):
            _retry(native, value, of)
        elif key not in done and (key,) not in native.origins:
            native.put((key,), value, of=of)
        elif key not in done:
            native.warn(of, f"is left out: {_shown(native.origins[(key,)])} says it, too, and holds")


def _retry(native: NativeDocument, said: Mapping[str, Any], of: Keys) -> None:
    native.put(("retry", "type"), said.get("type", "exponential"), of=of)
    for key, value in said.items():
        if key == "max_attempts":
            native.put(("retry", "attempts"), value, of=(*of, key))
        elif key in ("backoff_multiplier", "jitter"):
            if value != (2 if key == "backoff_multiplier" else True):
                native.warn((*of, key), _WAITS_DOUBLE)
        elif key != "type":
            native.put(("retry", key), value, of=(*of, key))


def settle_retries(native: NativeDocument) -> None:
    """Give models whose provider says `max_retries` the waits of the general `retry`, and say who wins."""
    general = native.data.get("retry")
    models = native.data.get("models")
    if not isinstance(general, Mapping) or not isinstance(models, Mapping):
        return
    said: set[Keys] = set()
    for name, model in models.items():
        own = model.get("retry")
        of = native.origins.get(("models", name, "retry"), ())
        if not isinstance(own, Mapping) or of[-1:] != ("max_retries",):
            continue
        for key in (each for each in general if each not in ("type", "attempts")):
            native.put(("models", name, "retry", key), general[key], of=native.origins["retry", key])
        if general.get("attempts", own["attempts"]) != own["attempts"] and of not in said:
            said.add(of)
            before = _shown(native.origins["retry", "attempts"])
            native.warn(of, f"holds for what it lists, in place of {before}: {own['attempts']} attempts")


# ── the proxy ────────────────────────────────────────────────────────────────────────────────────────


def put_proxy(native: NativeDocument, said: object) -> None:
    """`ai: {proxy: …}`: what it says holds where nobody else says it; where both do, that is said."""
    if not isinstance(said, Mapping):
        native.problem(("ai",), "expected a mapping with `proxy`", code="PM1103")
        return
    for key in said:
        if key != "proxy":
            native.warn(("ai", key), "has no counterpart here")
    of: Keys = ("ai", "proxy")
    proxy = said.get("proxy", {})
    if not isinstance(proxy, Mapping):
        native.problem(of, "expected a mapping", code="PM1103")
        return
    for key, value in proxy.items():
        at = (*of, key)
        if key == "python_addr":
            native.warn(at, "has no counterpart here: upstreams are called by the router itself")
        elif key == "rate_limit":
            _rate(native, value, at)
        elif key in _OF_THE_PROXY:
            _one(native, key, value, at)
        else:
            known = ", ".join((*_OF_THE_PROXY, "rate_limit", "python_addr"))
            native.problem(at, f"unknown key {key!r}", f"there are: {known}", code="PM1101")


def _one(native: NativeDocument, key: str, value: object, of: Keys) -> None:
    path = _OF_THE_PROXY[key]
    if key == "max_retries" and isinstance(value, int):
        value = value + 1
    section = native.data.get(path[0])
    if isinstance(section, Mapping) and path[1] in section:
        if section[path[1]] != value:
            native.warn(of, f"is left out: {_shown(_origin(native, path))} says it, too, and holds")
        return
    if section is not None and not isinstance(section, dict):
        return  # which is wrong, and said to be
    if key == "max_retries" and section is None:
        native.put(("retry", "type"), "exponential", of=of)
    native.put(path, value, of=of)
    if key == "timeout":
        own = [name for name, each in _providers(native).items() if "timeouts" in each]
        if own:
            native.warn(of, f"is left out where a provider has a `timeout` of its own: {', '.join(own)}")


def _rate(native: NativeDocument, value: object, of: Keys) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        native.problem(of, "expected requests in a second, 1 or more", code="PM1106")
        return
    native.put(("limits", _LIMIT, "requests"), f"{value}/s", of=of)
    for name, each in _providers(native).items():
        if "shared_limits" not in each:
            native.put(("providers", name, "shared_limits"), [_LIMIT], of=of)


def _providers(native: NativeDocument) -> dict[str, dict[str, Any]]:
    providers = native.data.get("providers")
    known = providers if isinstance(providers, dict) else {}
    return {name: each for name, each in known.items() if isinstance(each, dict)}


def _origin(native: NativeDocument, path: Keys) -> Keys:
    """Where what stands at `path` comes from."""
    for length in range(len(path), 0, -1):
        if path[:length] in native.origins:
            return native.origins[path[:length]] + path[length:]
    return path


def _shown(path: Keys) -> str:
    return ".".join(map(str, path))
