"""What routers share: the store, and what becomes of limits without it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest
from proving import Given, Setting, ask, proves
from routers import config
from stores import Shelf

from pointsman import Router
from pointsman.testing import Scripted, ScriptedAnswer, run

T = TypeVar("T")
AWAY = 0.2
"""Seconds after which a store that is away has been found out."""


def sharing(given: Given, story: Callable[[Router, Shelf], Awaitable[T]], upstream: Scripted) -> T:
    """What `story` finds with a router for `given`, which may name the store `shelf`."""

    async def main() -> T:
        shelf = Shelf()
        async with Router.from_config(given, plugins=[upstream, shelf], rng=random.Random(1)) as router:
            return await story(router, shelf)

    return run(main())


def one_limit(**changes: Any) -> Given:
    given = config("a", retry="none", queue=None, **{"state": {"type": "shelf"}, **changes})
    given["models"]["m"]["deployments"] = [{"provider": "a", "model": "x", "limits": {"requests": "9/h"}}]
    return given


async def asked_when_away(router: Router, shelf: Shelf) -> list[str]:
    """How calls end before and after the store has gone."""
    first = await ask(router)
    shelf.away = True
    await asyncio.sleep(20)
    return [first, await ask(router)]


@proves("state", "state.type")
def the_store_is_asked_that_is_named(setting: Setting) -> None:
    async def story(router: Router, shelf: Shelf) -> int:
        await ask(router)
        return len(shelf.asked)

    assert sharing(setting.to("shelf", one_limit()), story, Scripted()) == 1
    assert sharing(setting.to("memory", one_limit()), story, Scripted()) == 0


@proves("state.url")
def the_store_is_told_its_address(setting: Setting) -> None:
    async def story(_router: Router, shelf: Shelf) -> str | None:
        address = shelf.contexts[0].address
        return None if address is None else address.reveal()

    for url in ("shelf://there/0", "shelf://there/1"):
        assert sharing(setting.to(url, one_limit()), story, Scripted()) == url


@proves("state.fail")
def without_the_store_limits_go_by_their_share_or_let_nothing_through(setting: Setting) -> None:
    local, closed = (
        sharing(setting.to(value, one_limit()), asked_when_away, Scripted()) for value in ("local", "closed")
    )
    assert local == ["ok", "ok"]
    assert closed == ["ok", "NoDeploymentAvailable"]


@proves("providers.<name>.limits.fail", "models.<name>.deployments[].limits.fail", "limits.<name>.fail")
def a_limit_fails_as_it_says_itself(setting: Setting) -> None:
    def ends(value: str, general: str) -> list[str]:
        given = config("a", retry="none", queue=None, state={"type": "shelf", "fail": general})
        given["providers"]["a"] |= {"shared_limits": ["both"], "limits": {"requests": "9/h"}}
        given["limits"] = {"both": {"requests": "9/h"}}
        given["models"]["m"]["deployments"] = [{"provider": "a", "model": "x", "limits": {"requests": "9/h"}}]
        if general == "closed":
            for limits in (
                given["providers"]["a"]["limits"],
                given["limits"]["both"],
                given["models"]["m"]["deployments"][0]["limits"],
            ):
                limits["fail"] = "local"
        return sharing(setting.to(value, given), asked_when_away, Scripted())

    assert ends("closed", "local") == ["ok", "NoDeploymentAvailable"]
    assert ends("local", "closed") == ["ok", "ok"]


@proves("state.lease")
def a_place_lives_so_long_that_nobody_renews(setting: Setting) -> None:
    def free_after(value: str) -> float:
        given = one_limit()
        given["models"]["m"]["deployments"] = [{"provider": "a", "model": "x", "max_in_flight": 1}]
        upstream = Scripted()
        upstream.default("a", ScriptedAnswer(after=100))

        async def story(router: Router, shelf: Shelf) -> float:
            call = asyncio.ensure_future(ask(router))
            await asyncio.sleep(0.01)
            taken = shelf.asked[0]
            await asyncio.sleep(0)
            call.cancel()
            await asyncio.wait([call])
            return taken.seconds

        return sharing(setting.to(value, given), story, upstream)

    assert free_after("3s") == pytest.approx(3)
    assert free_after("9s") == pytest.approx(9)


@proves("state.timeout")
def the_store_may_take_so_long(setting: Setting) -> None:
    async def story(router: Router, shelf: Shelf) -> float:
        shelf.latency = 60.0
        began = asyncio.get_running_loop().time()
        await ask(router)
        return asyncio.get_running_loop().time() - began

    assert sharing(setting.to("50ms", one_limit()), story, Scripted()) == pytest.approx(0.1, abs=0.01)
    assert sharing(setting.to("1s", one_limit()), story, Scripted()) == pytest.approx(2, abs=0.01)
