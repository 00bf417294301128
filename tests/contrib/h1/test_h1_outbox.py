"""When a request is written, and what becomes of one that is not."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, cast

import httpx
import pytest

from pointsman_h1.connection import READ_BYTES, Connection
from pointsman_h1.framing import ResponseReader
from pointsman_h1.heads import KnownHeads
from pointsman_h1.outbox import Outbox
from pointsman_h1.request import encoded

Fixture = Any
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Turns:
    """An event loop of which only `call_soon` is there; `turn` runs what was called before."""

    def __init__(self) -> None:
        self.soon: list[Callable[[], None]] = []

    def call_soon(self, callback: Callable[..., None], *args: Any) -> None:
        self.soon.append(lambda: callback(*args))

    def turn(self) -> int:
        now, self.soon = self.soon, []
        for each in now:
            each()
        return len(now)


class Line:
    """A connection that notes that it begins."""

    def __init__(self, name: str, begun: list[str]) -> None:
        self.name, self.begun = name, begun

    def begin(self) -> None:
        self.begun.append(self.name)


def test_requests_of_one_turn_go_out_in_a_row_after_the_loop_has_looked_at_its_sockets() -> None:
    loop, begun = Turns(), list[str]()
    outbox = Outbox(cast("Any", loop))
    one, two, three = (cast("Any", Line(name, begun)) for name in "abc")

    outbox.put(one)
    outbox.put(two)
    loop.turn()  # what the loop has found at the sockets would come now
    assert begun == []
    outbox.put(three)

    assert loop.turn() == 1
    assert begun == ["a", "b", "c"]
    assert loop.turn() == 0

    outbox.put(two)
    loop.turn()
    loop.turn()
    assert begun == ["a", "b", "c", "b"]


async def test_one_who_leaves_before_the_request_is_written_closes_nothing(
    server: Fixture, opened: Fixture, fetch: Fixture
) -> None:
    transport = opened(max_connections=1)
    await fetch(transport, server.url("/first"))
    call = asyncio.create_task(fetch(transport, server.url("/given-up")))
    await asyncio.sleep(0)
    assert (transport._slots.in_use, len(transport._idle)) == (1, 0)

    call.cancel()
    with suppress(asyncio.CancelledError):
        await call

    assert (transport._slots.in_use, len(transport._idle)) == (0, 1)
    assert (await fetch(transport, server.url("/last")))[1] == b"ok"
    (talk,) = server.talks
    assert [head.split()[1] for head in talk.requests] == [b"/first", b"/last"]


async def test_who_takes_the_connection_of_one_who_left_sends_their_own_request(
    server: Fixture, transport: Fixture, fetch: Fixture
) -> None:
    """Both of them ask before anything is written."""
    await fetch(transport, server.url("/first"))
    left = asyncio.create_task(fetch(transport, server.url("/given-up")))
    await asyncio.sleep(0)

    left.cancel()
    stays = asyncio.create_task(fetch(transport, server.url("/stays")))
    await asyncio.sleep(0)
    assert len(transport._outbox._waiting) == 2

    assert (await stays)[1] == b"ok"
    (talk,) = server.talks
    assert [head.split()[1] for head in talk.requests] == [b"/first", b"/stays"]


async def test_a_crowd_that_leaves_before_anything_is_written_leaves_all_connections(
    server: Fixture, transport: Fixture, fetch: Fixture, until: Fixture
) -> None:
    await asyncio.gather(*(fetch(transport, server.url("/first")) for _ in range(20)))
    kept = len(transport._idle)

    calls = [asyncio.create_task(fetch(transport, server.url("/given-up"))) for _ in range(kept)]
    await asyncio.sleep(0)
    for call in calls:
        call.cancel()
    await asyncio.wait(calls)

    assert (transport._slots.in_use, len(transport._idle)) == (0, kept)
    assert all(head.split()[1] == b"/first" for talk in server.talks for head in talk.requests)


async def test_a_transport_that_closes_says_so_to_those_whose_request_is_not_written_yet(
    server: Fixture, transport: Fixture, fetch: Fixture
) -> None:
    await fetch(transport, server.url())
    call = asyncio.create_task(fetch(transport, server.url("/late")))
    await asyncio.sleep(0)

    await transport.aclose()

    with pytest.raises(RuntimeError, match="closed"):
        await call
    assert transport._slots.in_use == 0


class Counted(httpx.AsyncByteStream):
    """A body in two pieces that counts how often it was asked for."""

    def __init__(self) -> None:
        self.begun = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.begun += 1
        yield b"to"
        yield b"day"


@pytest.mark.parametrize("unasked", [b"", b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"])
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_request_goes_out_once_and_elsewhere_when_its_connection_ends_before(
    unasked: bytes, streamed: bool, transport: Fixture, fetch: Fixture
) -> None:
    """The loop has not heard of the end when the connection is taken; what the server said last is no answer."""
    heard: list[bytes] = []
    may_end, ended = threading.Event(), threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for number in range(2):
            with listener.accept()[0] as line:
                got = line.recv(4096)
                while streamed and number and not got.endswith(b"0\r\n\r\n"):
                    got += line.recv(4096)
                heard.append(got)
                line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number)
                if number == 0:
                    may_end.wait(10)
                    line.sendall(unasked)
            ended.set()

    thread = threading.Thread(target=serve)
    thread.start()
    url = "http://127.0.0.1:%d/" % listener.getsockname()[1]
    body = Counted()
    try:
        first = await fetch(transport, url)
        may_end.set()
        assert ended.wait(10)  # the loop stands still meanwhile

        _, answer = await fetch(transport, url, "POST", **({"content": body} if streamed else {}))
    finally:
        thread.join(10)
        listener.close()

    assert (first[1], answer, len(heard), body.begun) == (b"0", b"1", 2, int(streamed))
    assert transport._slots.in_use == 0


class Lent:
    """Whoever lends a connection out, and hears whether it can be used again."""

    buffer = memoryview(bytearray(READ_BYTES))
    heads = KnownHeads()

    def __init__(self) -> None:
        self.kept: list[bool] = []

    def opened(self, connection: Connection) -> None:
        """Nothing."""

    def ended(self, connection: Connection, *, keep: bool) -> None:
        self.kept.append(keep)

    def closed(self, connection: Connection) -> None:
        """Nothing."""


class Wire(asyncio.Transport):
    """Takes whatever is written."""

    def write(self, data: Any) -> None:
        """Nothing."""

    def abort(self) -> None:
        """Nothing."""


async def test_an_answer_before_the_rest_of_its_request_leaves_no_connection_to_use_again() -> None:
    """Though it comes before the task that sends the rest has had its turn."""
    owner, reader = Lent(), ResponseReader()
    connection = Connection("a", owner, asyncio.get_running_loop())
    connection.connection_made(Wire())
    outgoing = encoded(httpx.Request("POST", "http://a/", content=Counted()))
    answer: asyncio.Future[Any] = asyncio.Future()
    connection.next = outgoing.data, answer, reader, True
    call = asyncio.create_task(connection.send_rest(outgoing, reader))
    await asyncio.sleep(0)

    connection.begin()
    connection.get_buffer(-1)[: len(OK)] = OK
    connection.buffer_updated(len(OK))
    await call

    assert (reader.status, owner.kept, answer.result()) == (200, [False], reader)


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("cancelled", ["before its turn", "after it", "never"])
async def test_a_request_that_is_given_up_ends_once_whenever_that_is(closed: bool, cancelled: str) -> None:
    owner, answer = Lent(), asyncio.get_running_loop().create_future()
    connection = Connection("a", owner, asyncio.get_running_loop())
    connection.connection_made(Wire())
    connection.next = b"GET", answer, None, False
    if closed:
        connection.abort()

    if cancelled == "before its turn":
        answer.cancel()
    connection.begin()
    if cancelled == "after it":
        answer.cancel()
    connection.give_up(answer)

    assert owner.kept == [cancelled == "before its turn" and not closed]
