"""Services of routers that share a state store tell one another things by it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from pydantic import BaseModel
from routers import config
from stores import Shelf

from pointsman import Router
from pointsman.plugin import (
    Notice,
    PointsmanSpec,
    SectionFactory,
    ServiceContext,
    ServiceFactory,
    SharedNotices,
    hookimpl,
)
from pointsman.testing import Scripted, run


class Empty(BaseModel):
    pass


class Talking:
    def __init__(self, context: ServiceContext, plugin: Talk) -> None:
        plugin.states.append(context.state)

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...


class Talk(PointsmanSpec):
    """Its service does nothing but have what services are given."""

    def __init__(self) -> None:
        self.states: list[SharedNotices | None] = []

    @hookimpl
    def pointsman_sections(self) -> Sequence[SectionFactory]:
        return [SectionFactory("talk", Empty, service="talk")]

    @hookimpl
    def pointsman_services(self) -> Sequence[ServiceFactory]:
        return [ServiceFactory("talk", Empty, lambda context: Talking(context, self))]


def test_what_one_router_publishes_all_are_told_also_those_that_begin_later() -> None:
    shelf, first, second, late = Shelf(), Talk(), Talk(), Talk()
    told: dict[str, list[str]] = {"first": [], "second": [], "late": []}

    def hear(name: str, talk: Talk) -> SharedNotices:
        (state,) = talk.states
        assert state is not None
        state.subscribe("keys", lambda notice: told[name].append(notice.about))
        state.subscribe("keys", lambda _notice: 1 / 0)  # is logged, and the others hear it
        return state

    def made(talk: Talk) -> Router:
        return Router.from_config(
            {**config("a"), "state": "shelf", "talk": {}}, plugins=[Scripted(), shelf, talk]
        )

    async def main() -> None:
        async with made(first), made(second):
            state = hear("first", first)
            hear("second", second)
            await asyncio.sleep(0.1)
            state.publish("keys", "k1", "revoked", 60.0)
            await asyncio.sleep(0.1)
            assert told == {"first": ["k1"], "second": ["k1"], "late": []}
            shelf.away = True
            state.publish("keys", "k2", "revoked", 60.0)
            await asyncio.sleep(20.0)
            assert told["second"] == ["k1"]
            shelf.away = False
            await asyncio.sleep(10.0)
            assert told["second"] == ["k1", "k2"]
            third = made(late)
            hear("late", late)
            async with third:
                await asyncio.sleep(0.1)
                assert told["late"] == ["k1", "k2"]
            await asyncio.sleep(60.0)
            with pytest.raises(ValueError, match="own"):
                state.publish("breaker", "a/x", "", 1.0)

    run(main())


def test_a_notice_that_is_over_before_the_store_is_back_is_not_told() -> None:
    shelf, talk, told = Shelf(), Talk(), list[Notice]()

    async def main() -> None:
        given = {**config("a"), "state": "shelf", "talk": {}}
        async with Router.from_config(given, plugins=[Scripted(), shelf, talk]):
            (state,) = talk.states
            assert state is not None
            stop = state.subscribe("keys", told.append)
            shelf.away = True
            state.publish("keys", "k", "revoked", 5.0)
            await asyncio.sleep(10.0)
            shelf.away = False
            await asyncio.sleep(10.0)
            assert told == []
            stop()
            state.publish("keys", "k", "revoked", 5.0)
            await asyncio.sleep(1.0)
            assert told == []

    run(main())


def test_where_routers_share_nothing_services_have_nobody_to_tell() -> None:
    talk = Talk()

    async def main() -> None:
        async with Router.from_config({**config("a"), "talk": {}}, plugins=[Scripted(), talk]):
            assert talk.states == [None]

    run(main())
