"""Which connection is used again, and which is not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman_h1.pool import IdlePool

Fixture = Any


class Loop:
    """A clock that stands still until it is moved, and its timers."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.armed = 0

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None]) -> Any:
        self.timers.append((when, callback))
        self.armed += 1
        return self

    def call_later(self, delay: float, callback: Callable[[], None]) -> Any:
        return self.call_at(self.now + delay, callback)

    def cancel(self) -> None:
        self.timers.clear()

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        for timer in [each for each in self.timers if each[0] <= self.now]:
            self.timers.remove(timer)
            timer[1]()


class Idle:
    """A connection as the pool sees it."""

    def __init__(self, key: str, pool: IdlePool) -> None:
        self.key, self.pool = key, pool
        self.idle_since = 0.0
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True
        self.pool.discard(cast("Any", self))


def made(expiry: float = 10.0) -> tuple[IdlePool, Loop, Callable[..., Any]]:
    loop = Loop()
    pool = IdlePool(expiry, cast("Any", loop))

    def given(key: str = "a") -> Any:
        idle = Idle(key, pool)
        pool.give(cast("Any", idle))
        return idle

    return pool, loop, given


def test_the_connection_given_last_is_taken_first() -> None:
    pool, _, give = made()
    first, second, third = give(), give(), give()

    assert [pool.take("a") for _ in range(4)] == [third, second, first, None]


def test_a_connection_is_taken_for_its_origin_only() -> None:
    pool, _, give = made()
    give("a")

    assert pool.take("b") is None


def test_an_expired_connection_is_closed_instead_of_taken_though_no_timer_has_run() -> None:
    pool, loop, give = made(expiry=10)
    old = give()

    loop.now = 10.0

    assert pool.take("a") is None
    assert old.aborted


def test_one_timer_closes_all_that_grow_old_and_is_not_armed_for_each_call() -> None:
    pool, loop, give = made(expiry=10)
    used, unused = give(), give()
    for _ in range(100):
        pool.give(cast("Any", pool.take("a")))
    assert loop.armed == 1

    loop.pass_time(6)
    assert pool.take("a") is unused
    pool.give(cast("Any", unused))
    loop.pass_time(4)

    assert (used.aborted, unused.aborted, len(pool)) == (True, False, 1)
    loop.pass_time(6)
    assert unused.aborted
    assert (len(pool), loop.timers) == (0, [])


@given(
    st.lists(st.tuples(st.sampled_from(["give", "take", "lose", "wait"]), st.sampled_from("ab")), max_size=60)
)
def test_the_pool_is_a_stack_for_each_origin_without_what_is_old_or_lost(
    steps: list[tuple[str, str]],
) -> None:
    pool, loop, give = made(expiry=10)
    model: dict[str, list[Any]] = {"a": [], "b": []}
    for what, key in steps:
        match what:
            case "give":
                model[key].append(give(key))
            case "take":
                expected = model[key].pop() if model[key] else None
                assert pool.take(key) is expected
            case "lose" if model[key]:
                pool.discard(model[key].pop(0))
            case "wait":
                loop.pass_time(4)
                for stack in model.values():
                    stack[:] = [each for each in stack if loop.now - each.idle_since < 10]
        assert len(pool) == sum(map(len, model.values()))


# ── over sockets ─────────────────────────────────────────────────────────────────────────────────────


async def test_calls_in_a_row_after_a_crowd_use_the_connection_that_was_free_last(
    server: Fixture, transport: Fixture, fetch: Fixture, until: Fixture
) -> None:
    may_answer = [asyncio.Event() for _ in range(3)]

    async def script(talk: Any) -> None:
        number = server.talks.index(talk)
        while True:
            await talk.head()
            await may_answer[number].wait()
            talk.say(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number)

    server.script = script
    crowd = [asyncio.create_task(fetch(transport, server.url())) for _ in range(3)]
    await until(lambda: len(server.talks) == 3)
    for number in (2, 0, 1):
        may_answer[number].set()
        await asyncio.wait(crowd, return_when=asyncio.FIRST_COMPLETED)
        crowd = [call for call in crowd if not call.done()]

    assert [(await fetch(transport, server.url()))[1] for _ in range(3)] == [b"1"] * 3
    assert len(server.talks) == 3


async def test_a_connection_that_the_server_closes_is_forgotten_without_anybody_asking(
    server: Fixture, transport: Fixture, fetch: Fixture, until: Fixture
) -> None:
    await fetch(transport, server.url())
    assert len(transport._idle) == 1

    server.talks[0].writer.close()

    await until(lambda: not transport._idle and not transport._connections)


async def test_what_comes_unasked_closes_the_idle_connection(
    server: Fixture, transport: Fixture, fetch: Fixture, until: Fixture
) -> None:
    await fetch(transport, server.url())

    server.talks[0].say(b"HTTP/1.1 408 Request Timeout\r\n\r\n")

    await until(lambda: not transport._idle and not transport._connections)
    assert (await fetch(transport, server.url()))[1] == b"ok"
    assert len(server.talks) == 2


async def test_a_request_that_was_written_is_never_sent_again(
    server: Fixture, transport: Fixture, fetch: Fixture
) -> None:
    """Though it went out on a kept connection that the server was about to close."""

    async def script(talk: Any) -> None:
        await talk.head()
        talk.say(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await talk.head()

    server.script = script
    await fetch(transport, server.url())

    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        await fetch(transport, server.url())

    assert [len(talk.requests) for talk in server.talks] == [2]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n\r\n",
    ],
)
async def test_a_connection_that_cannot_carry_another_call_is_closed(
    answer: bytes, server: Fixture, transport: Fixture, fetch: Fixture
) -> None:
    async def script(talk: Any) -> None:
        await talk.head()
        talk.say(answer)
        await talk.until_closed()

    server.script = script
    for _ in range(2):
        assert (await fetch(transport, server.url()))[1] == b"ok"

    assert len(server.talks) == 2
    assert len(transport._idle) == 0


async def test_a_request_that_asks_to_close_is_the_last_of_its_connection(
    server: Fixture, transport: Fixture, fetch: Fixture
) -> None:
    for _ in range(2):
        await fetch(transport, server.url(), headers={"Connection": "close"})

    assert len(server.talks) == 2


async def test_a_call_over_a_kept_connection_makes_no_task_and_no_timer(
    server: Fixture, transport: Fixture, fetch: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fetch(transport, server.url())
    request = httpx.Request("GET", server.url())
    loop = asyncio.get_running_loop()
    made: list[str] = []
    monkeypatch.setattr(loop, "call_later", lambda *_: made.append("timer"))
    monkeypatch.setattr(loop, "call_at", lambda *_: made.append("timer"))
    monkeypatch.setattr(loop, "create_task", lambda *_, **__: made.append("task"))

    response = await transport.handle_async_request(request)
    pieces = [piece async for piece in response.stream]

    monkeypatch.undo()
    assert (pieces, made) == ([b"ok"], [])


async def test_a_body_that_is_here_is_read_without_suspending_and_its_connection_is_free(
    server: Fixture, transport: Fixture
) -> None:
    async def script(talk: Any) -> None:
        await talk.head()
        talk.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n3\r\nay!\r\n0\r\n\r\n")
        await talk.until_closed()

    server.script = script
    response = await transport.handle_async_request(httpx.Request("GET", server.url()))

    assert (transport._slots.in_use, len(transport._idle)) == (0, 1)
    pieces = aiter(response.stream)
    with pytest.raises(StopIteration) as first:
        pieces.__anext__().send(None)
    with pytest.raises(StopAsyncIteration):
        pieces.__anext__().send(None)
    assert first.value.value == b"okay!"


async def test_a_response_that_is_dropped_closes_its_connection_and_frees_its_slot(
    server: Fixture, opened: Fixture, until: Fixture
) -> None:
    async def script(talk: Any) -> None:
        await talk.head()
        talk.say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome")
        await talk.until_closed()

    server.script = script
    transport = opened(max_connections=1)

    for _ in range(3):
        response = await asyncio.wait_for(
            transport.handle_async_request(httpx.Request("GET", server.url())), 5
        )
        async for _piece in response.stream:
            break
        del response

    await until(lambda: transport._slots.in_use == 0 and not transport._connections)
