"""Copies of answered requests that go to another model."""

from __future__ import annotations

import asyncio
from typing import Any

from proving import Given, Setting, ask, during, proves
from routers import config

from pointsman import Router
from pointsman.testing import Scripted, ScriptedAnswer


def mirrored(**mirror: Any) -> Given:
    """`m` at `a`, mirrored to `n` at `b`, each call of which costs a dollar."""
    base = config("abc")
    price = {"input": 0, "output": 0, "request": 1}
    base["models"] = {
        "m": {"deployments": ["a/x"], "mirror": {"to": "n", "share": 1, **mirror}},
        "n": {"deployments": [{"provider": "b", "model": "x", "price": price}]},
        "o": {"deployments": ["c/x"]},
    }
    return base


def copies(given: Given, *, requests: int = 1, after: float = 0.0) -> dict[str, int]:
    """How many calls `b` and `c` have had in the end."""
    upstream = Scripted()
    upstream.default("b", ScriptedAnswer(after=after))

    async def work(router: Router) -> None:
        for _ in range(requests):
            await ask(router)
            if not after:
                await asyncio.sleep(1)
        await asyncio.sleep(2 * after + 1)

    during(given, upstream, work)
    return {name: upstream.count(name) for name in "bc"}


@proves("models.<name>.mirror", "models.<name>.mirror.to")
def copies_go_there(setting: Setting) -> None:
    if setting.key.endswith("to"):
        assert copies(setting.to("n", mirrored())) == {"b": 1, "c": 0}
        assert copies(setting.to("o", mirrored())) == {"b": 0, "c": 1}
    else:
        assert copies(setting.to({"to": "o", "share": 1}, mirrored())) == {"b": 0, "c": 1}
        assert copies(setting.to(None, mirrored())) == {"b": 0, "c": 0}


@proves("models.<name>.mirror.share")
def about_that_part_of_the_requests_is_copied(setting: Setting) -> None:
    for share, least, most in (("10%", 5, 40), ("50%", 70, 130), (1, 200, 200)):
        assert least <= copies(setting.to(share, mirrored()), requests=200)["b"] <= most


@proves("models.<name>.mirror.budget")
def no_more_is_spent_on_copies(setting: Setting) -> None:
    for budget, made in (("2 USD/day", 2), ("5 USD/hour", 5), (None, 9)):
        assert copies(setting.to(budget, mirrored()), requests=9)["b"] == made


@proves("models.<name>.mirror.max_in_flight")
def no_more_copies_run_at_once(setting: Setting) -> None:
    for most in (1, 3):
        assert copies(setting.to(most, mirrored()), requests=9, after=5)["b"] == most
