"""What a server sends beyond its answer never reaches anybody, least of all the next caller.

A connection on which such bytes have come is not used again. The one thing that HTTP/1.1 cannot tell apart
is what comes after the next request was written: that may be its answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

# conftest.py describes `server`, `opened`, `transport`, `fetch` and `authority`.
Fixture = Any

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
FOREIGN = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nforeign"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"

ANSWERS = {
    "plain": ("GET", OK, b"ok"),
    "empty": ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
    "chunked": ("GET", CHUNKED + b"0\r\n\r\n", b"ok"),
    "chunked with a trailer": ("GET", CHUNKED + b"0\r\nX-Sum: 1\r\n\r\n", b"ok"),
    "204": ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    "304": ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", b""),
    "to a HEAD": ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", b""),
    "after hints": ("GET", HINTS + OK, b"ok"),
    "an error": ("GET", b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno", b"no"),
}
EXTRAS = {
    "another answer": FOREIGN,
    "two more answers": FOREIGN * 2,
    "a body": b"foreign",
    "the beginning of another answer": FOREIGN[:20],
    "the head of another answer": FOREIGN[:-7],
    "a header that never ends": b"HTTP/1.1 200 OK\r\nX-Swallow: ",
    "hints": HINTS,
    "an empty line": b"\r\n",
    "a last chunk": b"0\r\n\r\n",
    "one byte": b"H",
    "64 KiB": b"x" * 65536,
}


@pytest.fixture(params=["tcp", "tls"])
async def url(request: pytest.FixtureRequest, server: Fixture) -> AsyncIterator[Callable[[str], str]]:
    """Where the server is, without TLS and with it."""
    if request.param == "tcp":
        yield server.url
        return
    authority: Path = request.getfixturevalue("authority")
    listener = await server.secured(authority)
    port = listener.sockets[0].getsockname()[1]
    yield lambda path: f"https://127.0.0.1:{port}{path}"
    listener.close()


@pytest.fixture
def trusting(request: pytest.FixtureRequest, opened: Fixture) -> Fixture:
    """A transport that trusts the server's certificate."""
    return opened(ca_file=request.getfixturevalue("authority"))


async def _call(transport: Fixture, method: str, url: str, *, piecewise: bool = False) -> bytes:
    async with asyncio.timeout(5):
        response = await transport.handle_async_request(httpx.Request(method, url))
        if piecewise:
            body = b"".join([piece async for piece in response.stream])
        else:
            body = await response.aread()
        await response.aclose()
        return bytes(body)


async def _first(transport: Fixture, name: str, method: str, url: str, **how: Any) -> bytes | None:
    """The body of an answer behind which more comes; None when the transport refuses all of it.

    aiohttp's parser does that when what comes in one segment with an answer is no further one.
    """
    try:
        return await _call(transport, method, url, **how)
    except httpx.RemoteProtocolError as error:
        assert name == "aiohttp"
        assert "foreign" not in str(error)
        return None


async def _turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("answer", "extra"),
    [("plain", each) for each in EXTRAS]
    + [
        (each, extra)
        for each in ANSWERS
        if each != "plain"
        for extra in ("another answer", "a body", "one byte")
    ],
)
async def test_what_comes_together_with_an_answer_but_behind_it_reaches_nobody(
    answer: str, extra: str, server: Fixture, trusting: Fixture, url: Fixture, name: str
) -> None:
    method, said, body = ANSWERS[answer]
    server.scripts["/first"] = lambda wire: wire.transport.write(said + EXTRAS[extra])

    assert await _first(trusting, name, method, url("/first"), piecewise=True) in (body, None)
    assert await _call(trusting, "GET", url("/second")) == b"/second"
    assert await _call(trusting, "GET", url("/third")) == b"/third"

    assert [len(wire.requests) for wire in server.wires] == [1, 2]


@pytest.mark.parametrize("turns", [0, 1, 50])
@pytest.mark.parametrize("extra", EXTRAS)
@pytest.mark.parametrize("answer", ["plain"])
async def test_what_comes_on_an_idle_connection_reaches_nobody(
    answer: str, extra: str, turns: int, server: Fixture, trusting: Fixture, url: Fixture
) -> None:
    method, said, body = ANSWERS[answer]
    server.scripts["/first"] = lambda wire: wire.transport.write(said)

    assert await _call(trusting, method, url("/first")) == body
    server.wires[0].transport.write(EXTRAS[extra])
    await _turns(turns)
    assert await _call(trusting, "GET", url("/second")) == b"/second"
    assert await _call(trusting, "GET", url("/third")) == b"/third"

    assert [len(wire.requests) for wire in server.wires] == [1, 2]


@pytest.mark.parametrize("extra", ["another answer", "a body", "one byte", "64 KiB"])
async def test_what_comes_in_writes_of_its_own_right_behind_an_answer_reaches_nobody(
    extra: str, server: Fixture, trusting: Fixture, url: Fixture, name: str
) -> None:
    def script(wire: Fixture) -> None:
        wire.transport.write(OK)
        for start in range(0, len(EXTRAS[extra]), 16384):
            wire.transport.write(EXTRAS[extra][start : start + 16384])

    server.scripts["/first"] = script

    assert await _first(trusting, name, "GET", url("/first")) in (b"ok", None)
    assert await _call(trusting, "GET", url("/second")) == b"/second"

    assert [len(wire.requests) for wire in server.wires] == [1, 1]


@pytest.mark.parametrize("how", ["closed", "aborted", "cancelled"])
@pytest.mark.parametrize("late", [b"", b"56789", b"56789" + FOREIGN], ids=["nothing", "its end", "more"])
async def test_the_rest_of_an_answer_that_was_given_up_reaches_nobody(
    how: str, late: bytes, server: Fixture, trusting: Fixture, url: Fixture
) -> None:
    server.scripts["/first"] = lambda wire: wire.transport.write(
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234"
    )
    response = await trusting.handle_async_request(httpx.Request("GET", url("/first")))
    pieces = aiter(response.stream)
    assert await anext(pieces) == b"01234"

    if how == "cancelled":
        reading = asyncio.ensure_future(anext(pieces))
        await _turns(3)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    elif how == "aborted":
        response.stream.abort()
    if not server.wires[0].transport.is_closing():
        server.wires[0].transport.write(late)
    await response.aclose()

    assert await _call(trusting, "GET", url("/second")) == b"/second"
    assert [len(wire.requests) for wire in server.wires] == [1, 1]


async def test_two_callers_who_take_turns_get_their_own_answers_from_a_server_that_says_everything_twice(
    server: Fixture, trusting: Fixture, url: Fixture
) -> None:
    def twice(path: str) -> Callable[[Fixture], None]:
        body = path.encode()
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        return lambda wire: wire.transport.write(answer * 2)

    async def caller(name: str) -> None:
        for n in range(10):
            path = f"/{name}{n}"
            server.scripts[path] = twice(path)
            assert await _call(trusting, "GET", url(path), piecewise=bool(n % 2)) == path.encode()

    await asyncio.gather(caller("a"), caller("b"))

    assert all(len(wire.requests) == 1 for wire in server.wires)


@pytest.mark.parametrize("answer", ANSWERS)
async def test_an_answer_with_nothing_behind_it_keeps_its_connection(
    answer: str, server: Fixture, trusting: Fixture, url: Fixture
) -> None:
    method, said, body = ANSWERS[answer]
    server.scripts["/first"] = lambda wire: wire.transport.write(said)

    for _ in range(3):
        assert await _call(trusting, method, url("/first")) == body

    assert [len(wire.requests) for wire in server.wires] == [3]


@pytest.mark.parametrize("name", ["httpx", "aiohttp"])
async def test_a_proxy_that_sends_more_than_its_answer_is_heard_no_more(
    server: Fixture, opened: Fixture
) -> None:
    server.scripts["http://up.invalid/first"] = lambda wire: wire.transport.write(OK + FOREIGN)
    server.scripts["http://up.invalid/second"] = lambda wire: wire.send(body=b"second")
    transport = opened(proxy=f"http://127.0.0.1:{server.port}")

    assert await _call(transport, "GET", "http://up.invalid/first") == b"ok"
    for _ in range(2):
        assert await _call(transport, "GET", "http://up.invalid/second") == b"second"

    assert [len(wire.requests) for wire in server.wires] == [1, 2]


@pytest.mark.parametrize("size", [16384, 65536, 262144])
async def test_what_lies_behind_an_answer_that_fills_a_buffer_exactly_reaches_nobody(
    size: int, server: Fixture, trusting: Fixture, url: Fixture
) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %06d\r\n\r\n"
    body = b"x" * (size - len(head % 0))
    server.scripts["/first"] = lambda wire: wire.transport.write(head % len(body) + body + FOREIGN)

    assert await _call(trusting, "GET", url("/first")) == body
    assert await _call(trusting, "GET", url("/second")) == b"/second"

    assert [len(wire.requests) for wire in server.wires] == [1, 1]
