"""What a proof is: a function that sets one setting to several values, and fails unless each does what it says.

    @proves("circuit_breaker.failure_threshold")
    def failures_in_a_row_open_it(setting: Setting) -> None:
        for value in (2, 4):
            with_value = setting.to(value, config("a", retry="none"))
            ...

One function may prove a setting in all the places where it can stand: `setting.to` knows where.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from routers import router

from pointsman import Router
from pointsman.errors import PointsmanError
from pointsman.testing import Scripted, run

T = TypeVar("T")
Given = dict[str, Any]


@dataclass(frozen=True)
class Setting:
    """The setting that is to be proven.

    Attributes:
        key: as `documented` lists it.
        folder: an empty directory.
        environment: where variables can be set for the time of the proof.
    """

    key: str
    folder: Path
    environment: pytest.MonkeyPatch

    def to(self, value: object, base: Mapping[str, Any]) -> Given:
        """`base` with `value` for this setting: of the first provider, model, deployment or name there is."""
        given: Given = deepcopy(dict(base))
        if ":" in self.key:
            kind, _, rest = self.key.partition(":")
            name, _, field = rest.partition(".")
            _plugin_setting(given, kind, name, field, value)
        else:
            _put(given, self.key.replace("[]", ".[]").split("."), value)
        return given


Proof = Callable[[Setting], None]
PROOFS: dict[str, Proof] = {}
"""The table: what proves each setting."""


def proves(*keys: str) -> Callable[[Proof], Proof]:
    """Enters the function into the table, for each of these settings."""

    def enter(proof: Proof) -> Proof:
        for key in keys:
            assert key not in PROOFS, f"{key} is proven twice"
            PROOFS[key] = proof
        return proof

    return enter


def _put(target: Any, steps: list[str], value: object) -> None:
    for n, step in enumerate(steps):
        key: Any = step
        if step == "<name>":
            key = next(iter(target))
        elif step == "[]":
            key = 0
            if isinstance(target[0], str):
                provider, _, model = target[0].partition("/")
                target[0] = {"provider": provider, "model": model}
        if n == len(steps) - 1:
            target[key] = value
        elif isinstance(target, dict):
            target = target.setdefault(key, {})
        else:
            target = target[key]


def _plugin_setting(given: Given, kind: str, name: str, field: str, value: object) -> None:
    model = given["models"].get("m", {})
    if kind == "provider":
        given["providers"]["a"] |= {"type": name, field: value}
    elif kind == "options":
        given["providers"]["a"]["type"] = name
        model["deployments"][0] = {"provider": "a", "model": "x", "options": {field: value}}
    elif kind == "auth":
        given["providers"]["a"]["auth"] = {
            **given["providers"]["a"].get("auth", {}),
            "type": name,
            field: value,
        }
    elif kind == "selector":
        given["models"]["auto"]["selector"] = {"type": name, field: value}
    elif kind == "guard":
        given["guards"] = [{**(given.get("guards") or [{}])[0], "type": name, field: value}]
    elif kind == "audit":
        given["audit"] = [{**(given.get("audit") or [{}])[0], "type": name, field: value}]
    else:
        said = given.get(kind)
        given[kind] = {**(said if isinstance(said, dict) else {}), "type": name, field: value}


# ── what proofs do ───────────────────────────────────────────────────────────────────────────────────


def during(given: Given, upstream: Scripted, story: Callable[[Router], Awaitable[T]]) -> T:
    """What `story` finds with a router for `given`, on a virtual clock that begins at 0."""

    async def main() -> T:
        async with router(upstream, given) as r:
            return await story(r)

    return run(main())


async def ask(r: Router, model: str = "m", text: str = "hi", **options: Any) -> str:
    """The text of a chat, or the name of the error that it ended with."""
    try:
        return (await r.chat(model, text, **options)).text
    except PointsmanError as error:
        return type(error).__name__


async def ask_often(r: Router, times: int, *, pause: float = 0, model: str = "m") -> list[str]:
    """`times` chats one after the other, with `pause` seconds after each."""
    ends = []
    for _ in range(times):
        ends.append(await ask(r, model))
        await asyncio.sleep(pause)
    return ends


async def listen(r: Router, model: str = "m", **options: Any) -> str:
    """The text of a stream, or the name of the error that it ended with."""
    try:
        async with r.stream(model, "hi", **options) as stream:
            return "".join([event.text async for event in stream if hasattr(event, "text")])
    except PointsmanError as error:
        return type(error).__name__


async def until_called(r: Router, upstream: Scripted, provider: str, *, step: float = 0.25) -> float:
    """Seconds until `provider` gets another call, to a `step`; callers ask all the time."""
    before = upstream.count(provider)
    began = asyncio.get_running_loop().time()
    while upstream.count(provider) == before:
        assert asyncio.get_running_loop().time() < began + 10_000, "it is never called again"
        await asyncio.sleep(step)
        await ask(r)
    return asyncio.get_running_loop().time() - began
