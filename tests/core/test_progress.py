"""How far a request has come: told to who asks for it, with what the caller said, and made for nobody else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from routers import config, router

from pointsman import Router
from pointsman.errors import Unavailable
from pointsman.events import (
    PROGRESS,
    AttemptEnded,
    AttemptStarted,
    Events,
    FirstToken,
    Progress,
    Queued,
    RequestEnded,
    RequestStarted,
    RetryPlanned,
)
from pointsman.testing import Scripted, ScriptedAnswer

BY_ANN: dict[str, Any] = {"caller": "ann", "tags": {"for": "help"}}


def followed(r: Router) -> list[Progress]:
    told: list[Progress] = []
    r.listen(told.append, kinds=PROGRESS)
    return told


async def test_a_call_that_fails_over_tells_of_each_attempt_and_of_what_is_planned_between_them() -> None:
    upstream = Scripted()
    upstream.default("a", Unavailable("no"))
    async with router(upstream, config("ab")) as r:
        told = followed(r)
        r.disable("b/x")
        with pytest.raises(Unavailable):
            await r.chat("m", "hi", timeout=0.01)
        r.enable("b/x")
        r.reset("a/x")
        told.clear()
        while not any(isinstance(each, RetryPlanned) for each in told):
            told.clear()
            reply = await r.chat("m", "hi", **BY_ANN)

    rest = ("ann", {"for": "help"})
    wall = next(each.wall for each in told if isinstance(each, RequestStarted))
    assert told == [
        RequestStarted(reply.request_id, "chat", "m", wall, *rest),
        AttemptStarted(reply.request_id, "m", "a/x", 1, *rest),
        RetryPlanned(reply.request_id, "m", 1, "unavailable", 0.0, *rest),
        AttemptStarted(reply.request_id, "m", "b/x", 2, *rest),
    ]


async def test_a_stream_tells_of_its_first_content_once_and_after_how_long() -> None:
    async with router(Scripted(), config("a")) as r:
        told = followed(r)
        heard: list[AttemptEnded] = []
        r.listen(heard.append, kinds=[AttemptEnded])
        async with r.stream("m", "hi", **BY_ANN) as stream:
            async for _event in stream:
                pass

    (first,) = [each for each in told if isinstance(each, FirstToken)]
    (end,) = heard
    assert first == FirstToken(end.request_id, "m", "a/x", 1, end.first_token or -1.0, "ann", {"for": "help"})


async def test_a_call_for_which_there_is_no_room_tells_that_it_waits() -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(after=300))
    given = config("a")
    given["models"]["m"]["deployments"] = [{"provider": "a", "model": "x", "max_in_flight": 1}]
    async with router(upstream, given) as r:
        told: list[Queued] = []
        r.listen(told.append, kinds=[Queued])
        calls = [asyncio.ensure_future(r.chat("m", "hi", request_id=f"req_{n}", **BY_ANN)) for n in range(2)]
        for _ in range(10):
            await asyncio.sleep(0)
        for each in calls:
            each.cancel()
        await asyncio.wait(calls)

    assert told == [Queued("req_1", "m", "ann", {"for": "help"})]


async def test_each_start_has_its_end() -> None:
    upstream = Scripted()
    upstream.default("a", Unavailable("no"))
    async with router(upstream, config("ab")) as r:
        told: list[Any] = []
        r.listen(told.append, kinds=[RequestStarted, AttemptStarted])
        r.listen(told.append, kinds=[RequestEnded, AttemptEnded])
        for _ in range(5):
            await r.chat("m", "hi")

    for start, end in ((RequestStarted, RequestEnded), (AttemptStarted, AttemptEnded)):
        began = [(each.request_id, getattr(each, "number", 0)) for each in told if isinstance(each, start)]
        ended = [(each.request_id, getattr(each, "number", 0)) for each in told if isinstance(each, end)]
        assert began == ended
        assert len(began) >= 5


@pytest.mark.parametrize("asked", [(), (FirstToken,), (Queued, RetryPlanned)])
async def test_what_nobody_asked_for_is_not_told(
    asked: tuple[type[Progress], ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream = Scripted()
    upstream.default("a", Unavailable("no"))
    told: list[type] = []
    monkeypatch.setattr(Events, "emit", lambda _self, event: told.append(type(event)))

    async with router(upstream, config("ab")) as r:
        r.listen(lambda _event: None, kinds=[AttemptEnded, RequestEnded, *asked])
        for _ in range(5):
            await r.chat("m", "hi")
        async with r.stream("m", "hi") as stream:
            assert [each async for each in stream]

    assert set(told).intersection(PROGRESS) == set(asked) - {Queued}
