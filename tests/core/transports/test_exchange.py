"""What goes over the wire, what comes back, and which error says what went wrong."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from pointsman.transports import Abortable

# conftest.py describes `server`, `opened`, `transport` and `fetch`.
Fixture = Any


async def test_the_request_is_sent_as_it_is(server: Fixture, transport: Fixture) -> None:
    headers = [(b"Host", b"elsewhere:1"), (b"X-Twice", b"1"), (b"accept", b"application/json")]
    headers += [(b"X-Twice", b"2"), (b"Authorization", b"Bearer k"), (b"Content-Length", b"13")]
    request = httpx.Request(
        "POST",
        server.url("/v1/a%2Fb/%7Ec?q=a+b%20c&d=%5B"),
        headers=headers,
        stream=httpx.ByteStream(b'{"some":"one"}'[:13]),
    )

    response = await transport.handle_async_request(request)
    await response.aclose()

    head, _, body = server.wires[0].requests[0].partition(b"\r\n\r\n")
    line, *lines = head.split(b"\r\n")
    assert line == b"POST /v1/a%2Fb/%7Ec?q=a+b%20c&d=%5B HTTP/1.1"
    assert sorted(lines) == sorted(key + b": " + value for key, value in headers)
    assert [value for value in lines if value.startswith(b"X-Twice")] == [b"X-Twice: 1", b"X-Twice: 2"]
    assert body == b'{"some":"one"'


async def test_credentials_in_a_url_do_not_become_a_header(server: Fixture, transport: Fixture) -> None:
    url = server.url("/x").replace("http://", "http://user:word@")

    response = await transport.handle_async_request(httpx.Request("GET", url))
    await response.aclose()

    assert b"uthorization" not in server.wires[0].requests[0]


async def test_host_and_length_are_added_where_they_are_missing(server: Fixture, transport: Fixture) -> None:
    body = httpx.ByteStream(b"hello")
    request = httpx.Request("POST", server.url("/x"), headers={"Content-Length": "5"}, stream=body)
    assert "host" not in request.headers

    response = await transport.handle_async_request(request)
    await response.aclose()

    sent = server.wires[0].requests[0]
    assert sent.endswith(b"\r\n\r\nhello")
    assert f"Host: 127.0.0.1:{server.port}\r\n".encode() in sent


@pytest.mark.parametrize("size", [0, 1, 300_000, 3_000_000])
async def test_a_body_of_any_size_arrives_whole(size: int, server: Fixture, fetch: Fixture) -> None:
    body = bytes(range(256)) * (size // 256 + 1)

    response, _ = await fetch("POST", "/x", content=body[:size])

    assert response.status_code == 200
    assert server.wires[0].requests[0].endswith(b"\r\n\r\n" + body[:size])
    assert f"content-length: {size}\r\n".encode() in server.wires[0].requests[0].lower()


async def test_a_body_of_unknown_length_is_sent_in_chunks(server: Fixture, fetch: Fixture) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    response, _ = await fetch("POST", "/x", content=pieces())

    assert response.status_code == 200
    assert server.wires[0].requests[0].endswith(b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")
    assert server.wires[0].requests[0].lower().count(b"transfer-encoding: chunked") == 1


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/echo", 200, b"/echo"),
        ("HEAD", "/head", 200, b""),
        ("GET", "/nothing", 204, b""),
        ("GET", "/chunked", 200, b"onetwothree"),
        ("GET", "/until-close", 200, b"until the end"),
        ("GET", "/big/1000000", 200, b"x" * 1_000_000),
        ("GET", "/early-hints", 200, b"ok"),
        ("GET", "/redirect", 302, b""),
        ("GET", "/gzip", 200, b"not really"),
    ],
)
async def test_a_body_comes_as_it_was_sent(
    method: str, path: str, status: int, body: bytes, fetch: Fixture
) -> None:
    response, found = await fetch(method, path)

    assert (response.status_code, found) == (status, body)
    assert response.extensions["http_version"] == b"HTTP/1.1"


async def test_response_headers_keep_order_case_and_duplicates(fetch: Fixture) -> None:
    response, _ = await fetch("GET", "/raw-headers")

    assert [(bytes(key), bytes(value)) for key, value in response.headers.raw] == [
        (b"Content-Length", b"2"),
        (b"X-One", b"1"),
        (b"set-cookie", b"a=1"),
        (b"X-TWO", b"2"),
        (b"Set-Cookie", b"b=2"),
    ]


async def test_a_cookie_is_not_sent_back(server: Fixture, fetch: Fixture) -> None:
    await fetch("GET", "/raw-headers")
    await fetch("GET", "/x")

    assert b"ookie" not in server.wires[0].requests[1]


async def test_a_header_of_30_kilobytes_is_read(fetch: Fixture) -> None:
    response, _ = await fetch("GET", "/large-header")

    assert len(response.headers["x-large"]) == 30_000


async def test_a_refused_connection_is_a_connect_error(transport: Fixture) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]

        with pytest.raises(httpx.ConnectError) as caught:
            await transport.handle_async_request(httpx.Request("GET", f"http://127.0.0.1:{port}/?key=secret"))

    assert caught.value.__cause__ is not None
    assert "secret" not in str(caught.value)


async def test_an_unknown_host_is_a_connect_error(transport: Fixture) -> None:
    with pytest.raises(httpx.ConnectError):
        await transport.handle_async_request(httpx.Request("GET", "http://no-such-host.invalid/"))


@pytest.mark.parametrize("by", ["request", "options"])
async def test_a_connection_that_is_not_accepted_times_out(by: str, opened: Fixture) -> None:
    """Given a listener whose backlog is full, so that the kernel leaves a further SYN unanswered."""
    extensions = {"timeout": {"connect": 0.1}} if by == "request" else {}
    transport = opened(connect_timeout=0.1 if by == "options" else 60.0)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        try:
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(address)
            url = f"http://127.0.0.1:{address[1]}/?key=secret"

            with pytest.raises(httpx.ConnectTimeout) as caught:
                await transport.handle_async_request(httpx.Request("GET", url, extensions=extensions))
        finally:
            for filler in fillers:
                filler.close()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "/relative"])
async def test_only_http_urls_are_supported(url: str, transport: Fixture) -> None:
    with pytest.raises(httpx.UnsupportedProtocol):
        await transport.handle_async_request(httpx.Request("GET", url))


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("path", "errors"),
    [
        ("/reset", (httpx.ReadError,)),
        ("/hang-up", (httpx.RemoteProtocolError,)),
        ("/cut-head", (httpx.RemoteProtocolError,)),
        ("/giant-header", (httpx.RemoteProtocolError,)),
        ("/conflict", (httpx.RemoteProtocolError,)),
        ("/not-http", (httpx.RemoteProtocolError,)),
    ],
)
async def test_a_failure_before_the_response_is_an_error_and_is_not_repeated(
    method: str, path: str, errors: tuple[type[Exception], ...], server: Fixture, fetch: Fixture
) -> None:
    with pytest.raises(errors) as caught:
        await fetch(method, path)

    assert caught.value.__cause__ is not None
    assert server.served == 1
    await server.until_empty()


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/cut", httpx.RemoteProtocolError),
        ("/cut-chunked", httpx.RemoteProtocolError),
        ("/reset-mid-body", httpx.ReadError),
    ],
)
async def test_a_body_that_is_cut_raises_and_never_just_ends(
    path: str, error: type[Exception], server: Fixture, fetch: Fixture
) -> None:
    with pytest.raises(error) as caught:
        await fetch("GET", path)

    assert caught.value.__cause__ is not None
    await server.until_empty()
    response, _ = await fetch("GET", "/x")
    assert response.status_code == 200


async def test_fifty_calls_in_a_row_use_one_connection(server: Fixture, fetch: Fixture) -> None:
    for _ in range(50):
        await fetch("POST", "/x", content=b"hello")

    assert len(server.wires) == 1


async def test_a_body_closed_early_closes_its_connection_and_no_other(
    server: Fixture, transport: Fixture, fetch: Fixture
) -> None:
    await asyncio.gather(fetch("GET", "/meet/2"), fetch("GET", "/meet/2"))
    response = await transport.handle_async_request(httpx.Request("GET", server.url("/hang")))

    async for _ in response.stream:
        break
    await response.aclose()

    await asyncio.wait_for(next(w for w in server.wires if len(w.requests) == 2).closed.wait(), 5)
    assert len(server.open) == 1
    _, body = await fetch("GET", "/x")
    assert body == b"/x"
    assert len(server.wires) == 2


async def test_a_body_is_iterated_once(server: Fixture, transport: Fixture) -> None:
    response = await transport.handle_async_request(httpx.Request("GET", server.url("/x")))
    assert await response.aread() == b"/x"

    with pytest.raises(httpx.StreamConsumed):
        await anext(aiter(response.stream))
    unread = await transport.handle_async_request(httpx.Request("GET", server.url("/x")))
    await unread.aclose()
    with pytest.raises(httpx.StreamClosed):
        await anext(aiter(unread.stream))


async def test_a_server_that_closes_after_each_answer_is_survived(server: Fixture, fetch: Fixture) -> None:
    """Every kept connection is dead by the time of the next call, which must notice before sending."""
    for _ in range(200):
        response, _ = await fetch("POST", "/close-after", content=b"hello")
        assert response.status_code == 200
        await server.until_empty()

    assert server.served == 200


@pytest.mark.parametrize("turns", [0, 5])
async def test_an_answer_that_nobody_asked_for_is_given_to_nobody(
    turns: int, server: Fixture, fetch: Fixture
) -> None:
    """Such as the 408 of a server that closes an idle connection; seen by the loop already, or not yet."""
    await fetch("GET", "/x")
    server.wires[0].send(status="408 Request Timeout", body=b"too late")
    for _ in range(turns):
        await asyncio.sleep(0)

    response, body = await fetch("GET", "/x")

    assert (response.status_code, body) == (200, b"/x")
    assert len(server.wires) == 2


@pytest.mark.parametrize("others", ["resting", "busy"])
async def test_a_call_costs_the_same_however_many_connections_there_are(
    others: str, server: Fixture, opened: Fixture
) -> None:
    """Cost is counted in calls of functions, which no other load of the machine changes."""

    async def cost(transport: httpx.AsyncBaseTransport) -> int:
        counts = []

        def seen(_frame: object, event: str, _argument: object) -> None:
            counts[-1] += event == "call"

        await exchange(transport, "/x")  # what is done only once is done
        for _ in range(5):  # now and then the server's own work falls into it
            counts.append(0)
            sys.setprofile(seen)
            try:
                await exchange(transport, "/x")
            finally:
                sys.setprofile(None)
        return min(counts)

    async def exchange(transport: httpx.AsyncBaseTransport, path: str) -> None:
        response = await transport.handle_async_request(httpx.Request("POST", server.url(path), content=b"x"))
        await response.aread()

    costs = []
    for number in (2, 200):
        transport = opened(max_connections=None)
        path = f"/meet/{number}" if others == "resting" else "/wait"
        calls = [asyncio.create_task(exchange(transport, path)) for _ in range(number)]
        if others == "resting":
            await asyncio.gather(*calls)
        costs.append(await cost(transport))
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    print(f"calls of functions with 2 and 200 connections {others}: {costs}")
    assert costs[1] < costs[0] * 1.2


async def test_of_many_connections_that_the_server_has_closed_none_is_used_again(
    server: Fixture, transport: Fixture, fetch: Fixture
) -> None:
    await asyncio.gather(*(fetch("GET", "/meet/20") for _ in range(20)))
    for wire in server.wires:
        wire.transport.close()
    await server.until_empty()

    response, body = await fetch("POST", "/x", content=b"hello")

    assert (response.status_code, body) == (200, b"/x")
    assert len(server.wires) == 21
    assert len(server.open) == 1


async def test_a_connection_that_has_rested_too_long_is_closed_not_used(
    server: Fixture, opened: Fixture
) -> None:
    transport = opened(keepalive_expiry=0.0)

    for _ in range(3):
        response = await transport.handle_async_request(httpx.Request("GET", server.url("/x")))
        await response.aread()

    assert len(server.wires) == 3


async def test_no_more_connections_than_allowed_and_waiters_are_served_in_order(
    server: Fixture, opened: Fixture
) -> None:
    transport = opened(max_connections=2)
    order: list[int] = []

    async def call(number: int) -> None:
        response = await transport.handle_async_request(httpx.Request("GET", server.url("/delay/1")))
        order.append(number)
        await response.aread()

    await asyncio.gather(*(call(number) for number in range(10)))

    assert len(server.wires) <= 2
    assert [number // 2 for number in order] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


@pytest.mark.parametrize("limit", [None, 0])
async def test_without_a_limit_nobody_waits(limit: int | None, server: Fixture, opened: Fixture) -> None:
    transport = opened(max_connections=limit)

    async def call() -> None:
        response = await transport.handle_async_request(httpx.Request("GET", server.url("/meet/60")))
        await response.aread()

    await asyncio.wait_for(asyncio.gather(*(call() for _ in range(60))), 10)

    assert len(server.wires) == 60


async def test_closing_the_transport_ends_what_is_running(server: Fixture, opened: Fixture) -> None:
    transport = opened(max_connections=2)

    def begin(path: str) -> asyncio.Task[httpx.Response]:
        return asyncio.create_task(transport.handle_async_request(httpx.Request("GET", server.url(path))))

    chunks = aiter((await begin("/hang")).stream)
    await anext(chunks)
    reading = asyncio.ensure_future(anext(chunks))
    server.arrived.clear()
    unanswered = begin("/wait")
    await server.next_request()
    queued = begin("/x")
    await asyncio.sleep(0)

    await asyncio.wait_for(transport.aclose(), 5)

    for running in (reading, unanswered):
        with pytest.raises(httpx.TransportError):
            await asyncio.wait_for(running, 5)
    with pytest.raises(RuntimeError, match="closed"):
        await asyncio.wait_for(queued, 5)
    with pytest.raises(RuntimeError, match="closed"):
        await begin("/x")
    await server.until_empty()
    await transport.aclose()


async def test_another_event_loop_is_refused(server: Fixture, transport: Fixture, fetch: Fixture) -> None:
    await fetch("GET", "/x")

    def elsewhere() -> None:
        asyncio.run(transport.handle_async_request(httpx.Request("GET", server.url("/x"))))

    with pytest.raises(RuntimeError, match="another event loop"):
        await asyncio.to_thread(elsewhere)


@pytest.mark.parametrize("when", ["head", "body", "reading", "done"])
async def test_abort_closes_at_once_and_may_be_repeated(
    when: str, server: Fixture, transport: Fixture, fetch: Fixture
) -> None:
    path = "/x" if when == "done" else "/hang"
    response = await transport.handle_async_request(httpx.Request("GET", server.url(path)))
    stream, reading = response.stream, None
    assert isinstance(stream, Abortable)
    chunks = aiter(stream)
    if when in ("body", "reading"):
        await anext(chunks)
    if when == "reading":
        reading = asyncio.ensure_future(anext(chunks))
        await asyncio.sleep(0)
    if when == "done":
        assert [chunk async for chunk in chunks] == [b"/x"]
    wire = server.wires[0]

    stream.abort()
    stream.abort()
    await response.aclose()
    stream.abort()

    if when == "done":
        await fetch("GET", "/x")
        assert len(server.wires) == 1
    else:
        await asyncio.wait_for(wire.closed.wait(), 0.1)
    if reading is not None:
        with pytest.raises(httpx.ReadError, match="aborted"):
            await reading
    if when == "body":
        with pytest.raises(httpx.ReadError, match="aborted"):
            await anext(chunks)
