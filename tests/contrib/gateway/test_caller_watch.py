"""Whoever answers is ended when the caller goes away, however the server tells of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from pointsman_gateway.exchange.caller_watch import CallerWatch
from pointsman_gateway.exchange.head import head_of


async def never() -> Any:
    raise AssertionError("a server that tells by a call is not asked")


class Line:
    """A connection that can be lost."""

    def __init__(self, *, lost: bool = False) -> None:
        self.lost = lost
        self.told: list[Callable[[], None]] = []

    def on_gone(self, tell: Callable[[], None]) -> Callable[[], None]:
        if self.lost:
            tell()
        self.told.append(tell)
        return lambda: self.told.remove(tell)


async def test_the_call_of_a_server_ends_who_answers_and_nothing_after() -> None:
    line, ended = Line(), False
    asyncio.get_running_loop().call_soon(lambda: line.told[0]())

    with CallerWatch(never, line.on_gone) as watch:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended = True
    await asyncio.sleep(0)

    assert ended
    assert watch.why == "left"
    assert line.told == []


async def test_a_caller_who_was_gone_before_is_not_answered() -> None:
    with CallerWatch(never, Line(lost=True).on_gone) as watch:
        await asyncio.get_running_loop().create_future()

    assert watch.why == "left"


async def test_a_caller_who_goes_after_the_answer_ends_nobody() -> None:
    line = Line()
    with CallerWatch(never, line.on_gone) as watch:
        watch.over()
        assert line.told == []
        await asyncio.sleep(0)

    assert watch.why == ""


@pytest.mark.parametrize("times", [2, 3])
def test_a_header_that_comes_several_times_has_all_its_values_in_order(times: int) -> None:
    fields = [(b"host", b"h"), *[(b"via", b"%d" % n) for n in range(times)], (b"accept", b"*/*")]

    head = head_of({"headers": fields, "path": "/"})

    assert head.headers == {"host": "h", "via": ", ".join(map(str, range(times))), "accept": "*/*"}
    assert head.repeated == {"via"}
