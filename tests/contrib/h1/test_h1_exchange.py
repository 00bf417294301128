"""What goes out, how fast, and what is not sent at all."""

from __future__ import annotations

import asyncio
import gc
import shutil
import socket
import ssl
import subprocess
import tomllib
import weakref
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.build.contexts import Contexts
from pointsman.clock import LoopClock, system_rng
from pointsman.plugins.registry import Plugins
from pointsman.transports import TransportOptions, TransportUnavailable
from pointsman.transports.httpx_messages import HttpxRequest
from pointsman.transports.raw import RequestTemplate, Whole
from pointsman_h1 import H1Transport, plugin
from pointsman_h1.connection import HIGH_WATER, READ_BYTES, Connection
from pointsman_h1.request import JOINED, Template, encoded

Fixture = Any
ROOT = Path(__file__).resolve().parents[3]


def raw(name: bytes, value: bytes) -> httpx.Headers:
    return httpx.Headers([(name, value)])


@pytest.mark.parametrize(
    ("method", "headers", "body"),
    [
        ("GET", raw(b"x", b"a\r\nInjected: 1"), b""),
        ("GET", raw(b"x", b"a\nInjected: 1"), b""),
        ("GET", raw(b"x", b"a\rInjected: 1"), b""),
        ("GET", raw(b"x", b"a\0b"), b""),
        ("GET", raw(b"x\r\nInjected", b"1"), b""),
        ("GET", raw(b"x: 1\r\nInjected", b"1"), b""),
        ("GET", raw(b"x\0", b"1"), b""),
        ("GET", raw(b"x y", b"1"), b""),
        ("GET", raw(b"", b"1"), b""),
        ("GET", raw(b"host", b"a\r\nInjected: 1"), b""),
        ("GET / HTTP/1.1\r\nInjected: 1\r\n\r\n", raw(b"x", b"1"), b""),
        ("GET ", raw(b"x", b"1"), b""),
        ("POST", raw(b"content-length", b"4"), b"hello"),
        ("POST", raw(b"content-length", b"6"), b"hello"),
        ("POST", raw(b"content-length", b"five"), b"hello"),
        ("POST", raw(b"transfer-encoding", b"gzip"), b"hello"),
        ("POST", httpx.Headers([(b"transfer-encoding", b"chunked"), (b"content-length", b"5")]), b"hello"),
        ("POST", httpx.Headers([(b"content-length", b"5"), (b"Content-Length", b"5")]), b"hello"),
        ("GET", httpx.Headers([(b"host", b"a"), (b"Host", b"b")]), b""),
    ],
)
async def test_what_cannot_be_sent_as_one_request_is_refused_before_anything_is_sent(
    method: str, headers: httpx.Headers, body: bytes, server: Fixture, transport: Fixture
) -> None:
    request = httpx.Request("GET", server.url(), headers=headers, stream=httpx.ByteStream(body))
    request.method = method

    with pytest.raises(httpx.LocalProtocolError) as caught:
        await transport.handle_async_request(request)

    assert "Injected" not in str(caught.value)
    assert server.talks == []
    assert transport._slots.in_use == 0


@pytest.mark.parametrize(
    ("shared", "own"),
    [
        ({b"x": b"a\r\nInjected: 1"}, ()),
        ({b"x": b"a\0b"}, ()),
        ({b"x\nInjected": b"1"}, ()),
        ({}, (b"x\r\nInjected",)),
        ({}, (b"x y",)),
        ({b"host": b"a"}, (b"Host",)),
        ({}, (b"host",)),
        ({b"content-length": b"2"}, (b"content-length",)),
        ({}, (b"content-length",)),
        ({b"content-length": b"3"}, ()),
        ({b"transfer-encoding": b"gzip"}, ()),
    ],
)
async def test_what_requests_share_is_checked_with_the_names_of_what_each_has_of_its_own(
    shared: dict[bytes, bytes], own: tuple[bytes, ...], server: Fixture, transport: Fixture
) -> None:
    several = RequestTemplate("GET", httpx.URL(server.url()), shared, own)

    for _ in range(2):
        with pytest.raises(httpx.LocalProtocolError) as caught:
            await transport.exchange(several, ("1",) * len(own), b"{}")
        assert "Injected" not in str(caught.value)

    assert server.talks == []
    assert transport._slots.in_use == 0


TEXTS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=9)


@given(
    st.sampled_from([("POST", True), ("DELETE", False), ("HEAD", True)]),
    st.dictionaries(st.sampled_from([b"x", b"y%d", b"connection"]), TEXTS, max_size=3),
    st.lists(TEXTS, max_size=2),
    st.binary(max_size=20) | st.just(b"x" * 100_000),
)
def test_a_filled_template_is_the_request_that_is_put_together_from_the_same_parts(
    how: tuple[str, bool], fields: dict[bytes, str], values: list[str], content: bytes
) -> None:
    method, counted = how
    content = content if counted else b""
    encoded_fields = {name: value.encode("latin-1") for name, value in fields.items()}
    own = (b"a%d", b"b")[: len(values)]
    shared = RequestTemplate(method, httpx.URL("http://here/%41?%s"), encoded_fields, own, counted=counted)
    plain = encoded(HttpxRequest(shared, tuple(values), content))

    template = Template(shared)

    assert template.plain
    assert template.filled(tuple(values), content) == plain.data + plain.rest
    assert (template.close, template.origin) == (plain.close, plain.origin)


@pytest.mark.parametrize("size", [0, 1000, JOINED, JOINED + 1, 1_000_000])
async def test_a_content_of_any_size_follows_the_head_that_says_how_long_it_is(
    size: int, server: Fixture, transport: Fixture
) -> None:
    bodies: list[bytes] = []

    async def script(talk: Any) -> None:
        head = await talk.head()
        bodies.append(await talk.reader.readexactly(int(head.rpartition(b": ")[2])))
        talk.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await talk.until_closed()

    server.script = script
    shared = RequestTemplate("POST", httpx.URL(server.url()), {}, counted=True)

    reply = await transport.exchange(shared, (), b"x" * size)

    assert isinstance(reply, Whole)
    assert reply.body == b"ok"
    assert bodies == [b"x" * size]
    assert (transport._slots.in_use, len(transport._idle)) == (0, 1)


async def test_a_reply_is_whole_when_all_of_its_body_is_here_and_not_before(
    server: Fixture, transport: Fixture, until: Fixture
) -> None:
    more = asyncio.Event()

    async def script(talk: Fixture) -> None:
        await talk.head()
        talk.say(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nA: 1\r\na:2\r\n\r\nhe")
        await more.wait()
        talk.say(b"llo")
        await talk.until_closed()

    server.script = script
    reply = await transport.exchange(RequestTemplate("GET", httpx.URL(server.url()), {}), (), b"")

    assert (reply.status, reply.fields) == (200, {"content-length": "5", "a": "1, 2"})
    assert not isinstance(reply, Whole)
    more.set()
    await until(lambda: transport._slots.in_use == 0)
    assert (reply.ready(), reply.ready()) == (b"hello", b"")
    reply.abort()
    assert len(transport._idle) == 1


async def test_requests_that_share_a_head_go_out_each_with_its_own_fields(
    server: Fixture, transport: Fixture
) -> None:
    several = RequestTemplate("GET", httpx.URL(server.url("/a")), {b"host": b"here", b"x": b"50%"}, (b"y",))

    for n in range(3):
        reply = await transport.exchange(several, (f"{n}%s",), b"")
        assert isinstance(reply, Whole)
        assert reply.body == b"ok"
        assert (reply.ready(), reply.ready()) == (b"ok", b"")

    assert [request for talk in server.talks for request in talk.requests] == [
        b"GET /a HTTP/1.1\r\nhost: here\r\nx: 50%%\r\ny: %d%%s\r\n\r\n" % n for n in range(3)
    ]
    assert len(server.talks) == 1


@pytest.mark.parametrize("pieces", [[b"hello"], [b"he", b"llo"]], ids=["at once", "in two"])
async def test_what_has_come_of_a_body_can_be_taken_without_waiting(
    pieces: list[bytes], server: Fixture, transport: Fixture
) -> None:
    more = asyncio.Event()

    async def script(talk: Fixture) -> None:
        await talk.head()
        talk.say(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + pieces[0])
        await more.wait()
        for piece in pieces[1:]:
            talk.say(piece)
        await talk.until_closed()

    server.script = script
    response = await transport.handle_async_request(httpx.Request("GET", server.url()))
    body = response.stream

    assert body.ready() == pieces[0]
    more.set()
    if len(pieces) == 2:
        assert body.ready() is None
        assert await anext(aiter(body)) == pieces[1]
    assert body.ready() == b""
    assert transport._slots.in_use == 0
    body.abort()
    assert len(transport._idle) == 1


async def test_a_body_that_was_aborted_has_nothing_ready(server: Fixture, transport: Fixture) -> None:
    response = await transport.handle_async_request(httpx.Request("GET", server.url()))
    response.stream.abort()

    assert response.stream.ready() is None
    with pytest.raises(httpx.StreamClosed):
        aiter(response.stream)


async def test_a_url_with_a_line_break_is_refused(server: Fixture, transport: Fixture) -> None:
    class Url(httpx.URL):
        raw_path = b"/ HTTP/1.1\r\nInjected: 1\r\n\r\nGET /"

    request = httpx.Request("GET", server.url())
    request.url = Url(server.url())

    with pytest.raises(httpx.LocalProtocolError):
        await transport.handle_async_request(request)
    assert server.talks == []


async def test_a_body_of_declared_length_is_sent_as_it_is_and_must_have_that_length(
    server: Fixture, transport: Fixture, fetch: Fixture
) -> None:
    bodies: list[bytes] = []

    async def script(talk: Any) -> None:
        while True:
            await talk.head()
            bodies.append(await talk.reader.readexactly(6))
            talk.say(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    server.script = script
    length = {"Content-Length": "6"}
    await fetch(transport, server.url(), "POST", headers=length, content=pieces(b"one", b"", b"two"))
    for wrong in ((b"one",), (b"one", b"two", b"three")):
        with pytest.raises(httpx.LocalProtocolError, match="Content-Length"):
            await fetch(transport, server.url(), "POST", headers=length, content=pieces(*wrong))

    assert bodies[0] == b"onetwo"
    assert transport._slots.in_use == 0
    assert not transport._connections


async def test_a_source_that_fails_closes_the_connection_and_its_error_arrives(
    server: Fixture, transport: Fixture, fetch: Fixture
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        await fetch(transport, server.url(), "POST", content=pieces())

    assert (transport._slots.in_use, transport._connections) == (0, set())


async def test_a_server_that_reads_nothing_holds_the_source_of_the_body_up(
    server: Fixture, transport: Fixture, fetch: Fixture
) -> None:
    go_on = asyncio.Event()
    piece, count = b"x" * 65536, 400
    drawn = 0

    async def script(talk: Any) -> None:
        talk.writer.transport.pause_reading()
        await go_on.wait()
        talk.writer.transport.resume_reading()
        await talk.head()
        size = 0
        while b"0\r\n\r\n" not in (data := await talk.reader.read(1 << 20)):
            size += len(data)
        talk.say(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await talk.until_closed()

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal drawn
        for _ in range(count):
            drawn += 1
            yield piece

    server.script = script
    call = asyncio.create_task(fetch(transport, server.url(), "POST", content=pieces()))
    settled = -1
    while drawn != settled or not drawn:  # until it stands still
        settled = drawn
        for _ in range(200):
            await asyncio.sleep(0)

    assert drawn < count / 2, "the buffers of the sockets take some, but not all"
    go_on.set()
    await call
    assert drawn == count


async def test_a_reader_who_takes_nothing_holds_the_server_up(server: Fixture, transport: Fixture) -> None:
    total = 30_000_000
    sent = 0

    async def script(talk: Any) -> None:
        nonlocal sent
        await talk.head()
        talk.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        while sent < total:
            talk.say(b"x" * 100_000)
            sent += 100_000
            await talk.writer.drain()
        await talk.until_closed()

    server.script = script
    response = await transport.handle_async_request(httpx.Request("GET", server.url()))
    (connection,) = transport._connections
    reader, settled = connection.reader, -1
    while sent != settled:
        settled = sent
        for _ in range(200):
            await asyncio.sleep(0)

    assert sent < total
    assert HIGH_WATER < reader.buffered <= HIGH_WATER + READ_BYTES
    size = 0
    async for piece in response.stream:
        size += len(piece)
        assert len(piece) <= HIGH_WATER + READ_BYTES
    assert size == total


@pytest.mark.parametrize("ends", [True, False])
async def test_a_refusal_that_comes_before_the_body_is_out_is_the_answer(
    ends: bool, server: Fixture, transport: Fixture, fetch: Fixture
) -> None:
    done = asyncio.Event()

    async def script(talk: Any) -> None:
        await talk.head()
        talk.writer.transport.pause_reading()
        talk.say(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 8\r\n\r\ntoo ")
        if ends:
            talk.say(b"much")
        await done.wait()
        talk.say(b"much")

    server.script = script
    body = b"x" * 20_000_000

    response = await asyncio.wait_for(
        transport.handle_async_request(httpx.Request("POST", server.url(), content=body)), 10
    )
    done.set()

    assert (response.status_code, await response.aread()) == (413, b"too much")
    assert len(transport._idle) == 0, "a connection with half a request on it is not used again"


async def test_an_answer_that_comes_early_but_refuses_nothing_waits_for_the_rest_of_the_body(
    server: Fixture, transport: Fixture, fetch: Fixture
) -> None:
    said = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        await said.wait()
        yield b"two"

    async def script(talk: Any) -> None:
        await talk.head()
        talk.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nyes\r\n")
        said.set()
        await talk.reader.readuntil(b"two\r\n0\r\n\r\n")
        talk.say(b"0\r\n\r\n")
        await talk.until_closed()

    server.script = script

    assert (await fetch(transport, server.url(), "POST", content=pieces()))[1] == b"yes"
    assert len(transport._idle) == 1


async def test_two_tasks_cannot_read_one_body(server: Fixture, transport: Fixture) -> None:
    async def script(talk: Any) -> None:
        await talk.head()
        talk.say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        await talk.until_closed()

    server.script = script
    response = await transport.handle_async_request(httpx.Request("GET", server.url()))
    pieces = aiter(response.stream)
    first = asyncio.ensure_future(anext(pieces))
    await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="two tasks"):
        await anext(pieces)

    with pytest.raises(httpx.ReadError, match="aborted"):
        await first


async def test_what_came_before_a_break_is_delivered_before_the_error(
    server: Fixture, transport: Fixture, until: Fixture
) -> None:
    async def script(talk: Any) -> None:
        await talk.head()
        talk.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\nbroken")

    server.script = script
    response = await transport.handle_async_request(httpx.Request("GET", server.url()))
    await until(lambda: not transport._connections)
    pieces = aiter(response.stream)

    assert await anext(pieces) == b"onetwo"
    with pytest.raises(httpx.RemoteProtocolError, match="chunk"):
        await anext(pieces)


async def test_an_answer_that_is_kept_keeps_nothing_of_a_connection_that_is_closed(
    server: Fixture, transport: Fixture, until: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transport of asyncio has buffers: over TLS those of a hundred took 28 MiB."""

    async def script(talk: Any) -> None:
        await talk.head()
        talk.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        await talk.until_closed()

    made: list[weakref.ref[asyncio.BaseTransport]] = []
    connect = Connection.connection_made

    def keep(connection: Connection, given: asyncio.BaseTransport) -> None:
        made.append(weakref.ref(given))
        connect(connection, given)

    monkeypatch.setattr(Connection, "connection_made", keep)
    server.script = script
    response = await transport.handle_async_request(httpx.Request("GET", server.url()))
    await response.aclose()
    await until(lambda: not server._tasks)
    gc.collect()

    assert response.stream
    assert [each() for each in made] == [None]


async def test_an_ipv6_literal_is_reached_and_named_in_brackets(server: Fixture, fetch: Fixture) -> None:
    try:
        listener = await asyncio.start_server(server.serve, "::1", 0)
    except OSError:
        pytest.skip("no IPv6 here")
    port = listener.sockets[0].getsockname()[1]
    transport = H1Transport(TransportOptions())

    _, body = await fetch(transport, f"http://[::1]:{port}/")

    assert body == b"ok"
    assert b"\r\nHost: [::1]:%d\r\n" % port in server.talks[0].requests[0]
    await transport.aclose()
    listener.close()


async def test_the_next_address_of_a_name_is_tried_when_one_refuses(
    server: Fixture, transport: Fixture, fetch: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))

        async def resolved(host: str, port: int, **_: Any) -> Any:
            assert host == "two.example"
            numbers = (unused.getsockname()[1], server.port)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", each)) for each in numbers]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolved)

        _, body = await fetch(transport, "http://two.example/")

    assert body == b"ok"
    assert b"\r\nHost: two.example\r\n" in server.talks[0].requests[0]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost that signs itself, and beside it its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    asked = [
        *("req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=test"),
        *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
        *("-addext", "subjectAltName=DNS:localhost"),
        *("-addext", "keyUsage=critical,digitalSignature,keyCertSign"),
    ]
    files = ["-out", str(folder / "cert.pem"), "-keyout", str(folder / "key.pem")]
    subprocess.run([openssl, *asked, *files], check=True, capture_output=True)
    return folder / "cert.pem"


async def test_over_tls_the_name_is_told_checked_and_the_connection_kept(
    authority: Path, server: Fixture, opened: Fixture, fetch: Fixture
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority, authority.with_name("key.pem"))
    names: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context)
    port = listener.sockets[0].getsockname()[1]
    transport = opened(ca_file=authority)

    for _ in range(3):
        assert (await fetch(transport, f"https://localhost:{port}/"))[1] == b"ok"
    with pytest.raises(httpx.ConnectError, match="certificate"):
        await fetch(transport, f"https://127.0.0.1:{port}/")

    assert names == ["localhost", None]
    assert (transport._slots.in_use, len(transport._connections)) == (0, 1)
    listener.close()


async def test_over_tls_a_large_answer_waits_for_its_reader_too(
    authority: Path, server: Fixture, opened: Fixture
) -> None:
    total = 5_000_000

    async def script(talk: Any) -> None:
        await talk.head()
        talk.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        for _ in range(total // 100_000):
            talk.say(b"x" * 100_000)
            await talk.writer.drain()
        await talk.until_closed()

    server.script = script
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority, authority.with_name("key.pem"))
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context)
    url = f"https://localhost:{listener.sockets[0].getsockname()[1]}/"
    transport = opened(ca_file=authority)

    response = await transport.handle_async_request(httpx.Request("GET", url))
    for _ in range(500):
        await asyncio.sleep(0)
    (connection,) = transport._connections
    # asyncio decrypts what it has read already, 256 KiB at most, though reading is paused.
    assert connection.reader.buffered <= HIGH_WATER + READ_BYTES + (256 << 10)

    assert len(await response.aread()) == total
    assert len(transport._idle) == 1
    listener.close()


def test_a_proxy_is_refused_when_opened_and_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@proxy.example")

    with pytest.raises(TransportUnavailable, match="no proxies") as caught:
        H1Transport(TransportOptions(trust_env=True))
    assert "secret" not in str(caught.value)
    H1Transport(TransportOptions())


def test_the_entry_point_leads_to_the_transport() -> None:
    project = tomllib.loads((ROOT / "contrib/h1/pyproject.toml").read_text("utf-8"))["project"]

    assert project["entry-points"]["pointsman.transports"] == {"h1": "pointsman_h1:plugin"}
    context = Contexts(LoopClock(), system_rng()).transport("h1", options=TransportOptions())
    made = Plugins([plugin]).transport("h1").make(context)
    assert isinstance(made, H1Transport)
