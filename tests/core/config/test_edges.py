"""Every setting at its edges, from the check to a finished call: a ConfigError, or it works. Nothing else.

The settings are found by walking the models, those of the plugins of this repository too, so that a new one
is walked without a word here. Each is tried at a third of the edges, which third depends on its name; at all
of them with POINTSMAN_EDGES=all, which takes three times as long.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from functools import cache
from importlib.metadata import Distribution, distributions
from pathlib import Path
from types import FrameType
from typing import Any

import httpx
import pytest
from documented import settings_of_plugins

from pointsman import ConfigError, Overloaded, PointsmanError, Router, Unavailable
from pointsman.plugin import (
    Candidate,
    Guard,
    GuardCall,
    GuardFactory,
    PointsmanSpec,
    Selector,
    SelectorCall,
    SelectorFactory,
    hookimpl,
)
from pointsman.plugins import discovery
from pointsman.testing import Scripted, ScriptedAnswer, run
from pointsman.transports.factory import TransportFactory
from pointsman_cli.config_schema import config_table

Step = str | int
Way = tuple[Step, ...]

LONG = "x" * 100_000
EDGES: list[Any] = [
    0, 1, -1, 0.5, 5e-324, 1e-9, 1e300, 10**30, 10**400, math.nan, math.inf, True, False, None,
    "", "0", "1e-300", "9" * 400, "inf", "1ms", "0.000000001ms", "1000000000000d", "0%", "100%", "101%",
    "1/s", "0/s", "1/0.000001ms", "999999999999999999999/s", "none", "\ud800", "a\x00b", "a\nb", "\x1b[2J", LONG, "/dev/null/x",
    [], {}, [None], [""], {"": ""}, {"type": ""}, {"type": "none"}, {"x": None}, {"\ud800": 1}, {"a": math.nan},
]  # fmt: skip

THIRDS = 1 if os.environ.get("POINTSMAN_EDGES") == "all" else 3


def edges_for(key: str) -> list[Any]:
    """Those at which the setting of that name is tried; always one that no setting takes."""
    first = sum(key.encode()) % THIRDS
    return [[None], *EDGES[first::THIRDS]]


def full(folder: Path) -> dict[str, Any]:
    """A configuration that says everything that can be said but for the settings of plugins."""
    limits = {
        "requests": "600/min",
        "tokens": "900000/min",
        "burst_requests": 50,
        "burst_tokens": 90000,
        "oversize": "full",
        "fail": "local",
    }
    breaker = {
        "enabled": True, "failure_threshold": 2, "window": "30s", "minimum_calls": 3, "failure_rate": "50%", "slow_rate": "80%",
        "slow_after": "1s", "slow_call_duration": "5s", "reset_timeout": "1s", "max_reset_timeout": "2s", "half_open_max_calls": 2, "success_threshold": 1,
        "count_overload": False,
    }  # fmt: skip
    cool_down = {"base": "1s", "max": "2s"}
    timeouts = {"connect": "5s", "first_token": "5s", "idle": "5s", "attempt": "9s"}
    health = {"interval": "1s", "timeout": "1s", "rise": 1, "fall": 1}
    provider = {
        "type": "scripted", "base_url": "http://127.0.0.1:1", "auth": {
            "type": "static", "value": "a-long-key", "not_before": "2020-01-01", "not_after": "2090-01-01T00:00:00Z",
        },
        "models": [], "max_in_flight": 3, "labels": {"local": True}, "transport": "nowhere", "http2": False, "trust_env": False,
        "keepalive": "15s", "limits": dict(limits), "shared_limits": ["both"], "headers": {"x-a": "b"}, "timeouts": dict(timeouts),
        "health": dict(health),
    }  # fmt: skip
    charges = {"input": 1, "output": 2, "cached": 0.5, "cache_write": 1.5, "cache_write_hour": 2.5}
    price = {
        **charges,
        "request": 0.01,
        "tiers": [{"above": 200_000, **charges}],
        "service_tiers": {"batch": 0.5},
    }
    deployment = {
        "provider": "a", "model": "x", "name": "first", "weight": 2, "priority": 0, "max_in_flight": 3, "limits": dict(limits),
        "shared_limits": ["both"], "price": price, "context_window": 8192,
        "defaults": {"temperature": 1}, "forced": {"top_p": 1}, "system": {"prefix": "Be kind.", "suffix": "Be short."},
        "options": {}, "timeouts": dict(timeouts), "labels": {"eu": "yes"}, "circuit_breaker": dict(breaker),
        "overload": dict(cool_down), "refusal": dict(cool_down),
    }  # fmt: skip
    return {
        "state": {"type": "memory", "url": "memory://here", "fail": "local", "lease": "15s", "timeout": "50ms"},
        "providers": {"a": provider, "b": {"type": "scripted", "api_key": "another-key"}},
        "models": {
            "m": {
                "strategy": {"type": "round_robin"},
                "deployments": [deployment, {"provider": "b", "model": "y", "max_in_flight": 3}],
                "fallback": [{"to": "n", "on": ["unavailable"]}],
                "defaults": {"seed": 1},
                "forced": {"user": "us"},
                "unsupported": "drop",
                "system": {"prefix": "We are us.", "suffix": "That is all."},
                "timeouts": {"first_token": "5s", "idle": "5s", "total": "20s", "attempt": "9s"},
                "require": {},
                "retry": {"type": "exponential"},
                "circuit_breaker": dict(breaker),
                "overload": dict(cool_down),
                "refusal": dict(cool_down),
                "guards": [{"type": "open", "on_error": "refuse"}],
                "capabilities": {"can": ["tools"], "context_length": 8192, "family": "llama"},
                "mirror": {"to": "n", "share": "5%", "budget": "2 USD/day", "max_in_flight": 2},
            },
            "n": {"deployments": [{"provider": "b", "model": "z", "max_in_flight": 3, "price": {"input": 0, "output": 0}}]},
            "auto": {"selector": {"type": "first"}, "of": ["n"], "default": "n", "select_within": "1s"},
        },
        "guards": [{"type": "open", "on_error": "allow"}],
        "default_model": "m",
        "aliases": {"other": "n"},
        "fallback": [{"to": "n", "on": ["unavailable"]}],
        "strategy": {"type": "round_robin"},
        "retry": {"type": "exponential"},
        "circuit_breaker": dict(breaker),
        "overload": dict(cool_down),
        "refusal": dict(cool_down),
        "timeouts": {**timeouts, "total": "20s", "drain": "1s"},
        "limits": {"both": dict(limits)},
        "queue": {"length": 10, "wait": "5s", "lowest_share": "10%", "weights": {"one": 2}},
        "health": dict(health),
        "outliers": {
            "failure_threshold": 1, "base_ejection": "1s", "max_ejection": "2s", "interval": "1s", "max_ejected": "50%",
        },
        "warm_up": {"window": "1s", "minimum": "10%", "aggression": 2},
        "adaptive_concurrency": {"decrease": "90%", "increase": 1, "pace": "1s", "initial": 2},
        "hedging": {"quantile": "50%", "floor": "10ms", "budget": "100%", "minimum_samples": 1},
        "panic_threshold": "50%",
        "prices": ["shipped"],
        "audit": [{"type": "jsonl", "path": str(folder / "audit")}],
        "control": str(folder / "control.sock"),
        "reload": {"watch": "poll", "interval": "1s"},
        "transport": "nowhere",
        "plugins": {"allow": ["x"], "deny": ["y"], "pin": {"z": "1.0"}},
    }  # fmt: skip


FOLDER = Path("unused")

# Said elsewhere in the walk, or not beside what stands there.
NOT_SAID = {
    "providers.<name>.preset", "providers.<name>.api_key", "providers.<name>.proxy", "providers.<name>.ca_file",
    "providers.<name>.client_cert", "providers.<name>.client_key", "providers.<name>.client_key_password",
    "providers.<name>.min_tls", "providers.<name>.address",
    "providers.<name>.discover", "providers.<name>.discover.type", "providers.<name>.discover.interval",
    "providers.<name>.models.discover", "providers.<name>.models.interval", "providers.<name>.models.include",
    "providers.<name>.models.exclude",
}  # fmt: skip


def key_of(way: Way) -> str:
    """The row of the table of settings that `way` belongs to."""
    named = {("providers", 1), ("models", 1), ("limits", 1)}
    key = ""
    for n, step in enumerate(way):
        if isinstance(step, int):
            key += "[]"
        elif (way[0], n) in named:
            key += ".<name>"
        else:
            key += f".{step}" if key else step
    return key


def ways(data: Any, way: Way = ()) -> Iterator[Way]:
    """The ways to every value in `data`, the mappings and lists between included."""
    if way:
        yield way
    if isinstance(data, dict):
        for key, each in data.items():
            yield from ways(each, (*way, key))
    elif isinstance(data, list):
        for n, each in enumerate(data):
            yield from ways(each, (*way, n))


def around(key: str, folder: Path) -> dict[str, Any]:
    """`full`, without guards where it is not them that are tried: most calls meet none."""
    given = full(folder)
    if "guards" not in key:
        del given["guards"], given["models"]["m"]["guards"]
    if "mirror" not in key:
        del given["models"]["m"]["mirror"]
    return given


def one_way_each() -> dict[str, Way]:
    """One way for each row of the table of settings."""
    rows = {row.key for row in config_table()}
    found: dict[str, Way] = {}
    for way in ways(full(FOLDER)):
        if key_of(way) in rows:
            found.setdefault(key_of(way), way)
    for key in sorted(NOT_SAID):
        found[key] = ("providers", "b", key.rpartition(".")[2])
    return found


WAYS = one_way_each()


def test_the_walk_knows_every_setting() -> None:
    files_only = {"include"}
    assert {row.key for row in config_table()} - WAYS.keys() == files_only


# ── one configuration, from the check to a call ──────────────────────────────────────────────────────


class Nowhere(httpx.AsyncBaseTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nowhere", request=request)


class Open(Guard):
    async def before(self, request: Any, call: GuardCall) -> Any:
        return request


class First(Selector):
    async def choose(self, request: Any, candidates: Sequence[Candidate], call: SelectorCall, /) -> str:
        return candidates[0].name


class NowherePlugin(PointsmanSpec):
    """A transport that reaches nobody, so that no test touches a network, and what stands before models."""

    @hookimpl
    def pointsman_guards(self) -> Sequence[GuardFactory]:
        return [GuardFactory("open", None, lambda _context: Open())]

    @hookimpl
    def pointsman_selectors(self) -> Sequence[SelectorFactory]:
        return [SelectorFactory("first", None, lambda _context: First())]

    @hookimpl
    def pointsman_transports(self) -> Sequence[TransportFactory]:
        return [TransportFactory("nowhere", None, lambda _context: Nowhere())]


def upstream() -> Scripted:
    it = Scripted()
    it.script(
        "a",
        Unavailable("down"),
        Overloaded("busy"),
        Overloaded("busy", retry_after=0.1),
        ScriptedAnswer(after=2),
    )
    it.script("b", Unavailable("down"), ScriptedAnswer("two words", after=0.1, gap=0.1))
    return it


class ReadOnce(Distribution):
    """An installed distribution whose files are read once."""

    def __init__(self, installed: Distribution) -> None:
        self._read = cache(installed.read_text)
        self.locate_file = installed.locate_file  # type: ignore[method-assign]

    def read_text(self, filename: str) -> str | None:
        return self._read(filename)

    def locate_file(self, path: Any) -> Any:
        raise NotImplementedError  # that of the other one hides it


INSTALLED = [ReadOnce(each) for each in distributions()]


@pytest.fixture(autouse=True)
def what_is_installed_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a quarter of these thousands of checks is reading the same metadata."""
    monkeypatch.setattr(discovery, "distributions", lambda: INSTALLED)


@contextmanager
def no_hang(what: object, seconds: int = 20) -> Iterator[None]:
    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise AssertionError(f"hangs with {what!r:.200}")

    old = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, old)


async def use(r: Router, models: Sequence[str]) -> None:
    """A few calls of each kind, some beside each other; what they end with is a matter of the settings."""

    async def streamed(model: str) -> str:
        async with r.stream(model, "hi") as stream:
            return "".join([event.text async for event in stream])

    for model in models[:2]:
        calls = [
            r.chat(model, "hi"),
            streamed(model),
            r.embed(model, "hi"),
            r.chat(model, "hi", priority="low"),
        ]
        for each in await asyncio.gather(*calls, return_exceptions=True):
            if isinstance(each, BaseException) and not isinstance(each, PointsmanError):
                raise each
        with suppress(PointsmanError):
            await r.chat(model, "hi")
    r.status()
    r.explain(models[0])


def tried(given: dict[str, Any], base: dict[str, Any] | None = None) -> str:
    """`wrong` for a ConfigError, else `works`. Whatever else happens comes out."""
    plugins: list[object] = [upstream(), NowherePlugin()]

    async def main() -> str:
        try:
            checked = Router.check(given, plugins=plugins)
        except ConfigError as error:
            message = str(error)
            message.encode()
            assert len(message) < 10_000, "a message that nobody can read"
            return "wrong"
        try:
            r = Router.from_config(base or checked, plugins=plugins, rng=random.Random(1))
        except ConfigError:
            return "wrong"  # what only opening a file can tell
        try:
            async with r:
                if base is not None:
                    await use(r, ["m"])
                    await r.reload(checked)
                await use(r, list(checked.public_models())[:3] or ["a/x"])
        except ConfigError:
            return "wrong"
        return "works"

    with no_hang(given):
        return run(main())


def changed(data: dict[str, Any], way: Way, value: Any) -> dict[str, Any]:
    """`data` with `value` in that place."""
    copy: Any = deepcopy(data)
    target = copy
    for step in way[:-1]:
        target = target[step]
    target[way[-1]] = value
    return dict(copy)


def test_the_whole_configuration_works_as_it_is(tmp_path: Path) -> None:
    assert tried(full(tmp_path)) == "works"


@pytest.mark.parametrize("key", WAYS)
def test_a_setting_at_any_edge_is_refused_or_works(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    base = around(key, tmp_path)
    found = [tried(changed(base, WAYS[key], each)) for each in edges_for(key)]
    assert "wrong" in found, "not even a list, a mapping and a number at once are refused"


RELOADED = [
    key for key in WAYS if key.startswith(("circuit", "outliers", "warm_up", "adaptive", "health", "queue"))
]


@pytest.mark.parametrize("key", [*RELOADED, "models.<name>.deployments[].max_in_flight"])
def test_a_setting_at_any_edge_can_be_reloaded_under_what_has_run(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    base = around(key, tmp_path)
    for each in edges_for(key):
        tried(changed(base, WAYS[key], each), base)


# ── settings of plugins ──────────────────────────────────────────────────────────────────────────────


def with_plugin(kind: str, name: str, field: str, value: Any) -> dict[str, Any]:
    """A configuration that uses the plugin with `value` for that setting."""
    settings: dict[str, Any] = {"type": name, field: value}
    given: dict[str, Any] = {
        "providers": {"a": {"type": "scripted"}, "b": {"type": "scripted"}},
        "models": {"m": {"deployments": ["a/x", "b/x"]}},
        "transport": "nowhere",
    }
    if kind in ("provider", "options"):
        real: dict[str, Any] = {"type": name, "base_url": "http://127.0.0.1:1", "api_key": "a-long-key"}
        given["providers"]["a"] = {**real, **({field: value} if kind == "provider" else {})}
        if kind == "options":
            given["models"]["m"]["deployments"][0] = {
                "provider": "a",
                "model": "x",
                "options": {field: value},
            }
    elif kind == "auth":
        given["providers"]["a"]["auth"] = settings
    elif kind == "selector":
        given["models"]["auto"] = {"selector": settings, "of": ["m"]}
    elif kind == "audit":
        given["audit"] = [{**({} if name != "jsonl" else {"path": "audit"}), **settings}]
    else:
        given[kind] = settings
    return given


@pytest.mark.parametrize(("kind", "name", "field"), list(settings_of_plugins(Scripted())))
def test_a_setting_of_a_plugin_at_any_edge_is_refused_or_works(
    kind: str, name: str, field: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = [tried(with_plugin(kind, name, field, each)) for each in edges_for(f"{kind}.{name}.{field}")]
    assert "wrong" in found


def test_the_walk_finds_the_settings_of_every_kind_of_plugin() -> None:
    found = set(settings_of_plugins(Scripted()))
    assert {
        ("provider", "openai", "system_role"),
        ("options", "openai", "system_role"),
        ("auth", "file", "path"),
        ("retry", "exponential", "budget"),
        ("strategy", "peak_ewma", "decay"),
        ("audit", "jsonl", "buffer"),
        ("selector", "rules", "rules"),
    } <= found
