"""Calls that are signed: what is signed is what is sent, to the byte, and nothing else proves who asks."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transports_by_name import open_transport

from pointsman.auth import Auth, Outgoing, Secret, SigningAuth
from pointsman.clock import LoopClock
from pointsman.errors import CallError, NotReady, PluginError
from pointsman.http.client import CallTimeouts, Client, Endpoint
from pointsman.http.failures import Used
from pointsman.testing import run

LONG = CallTimeouts(deadline=1e9)


def digest(outgoing: Outgoing) -> str:
    """Of all that is signed, in an order of its own."""
    lines = [
        outgoing.method,
        outgoing.url,
        *(f"{each}: {outgoing.headers[each]}" for each in sorted(outgoing.headers)),
    ]
    return hashlib.sha256("\n".join(lines).encode("latin-1") + b"\n\n" + outgoing.body).hexdigest()


class Signer(SigningAuth):
    """Signs everything, and remembers what."""

    def __init__(self) -> None:
        self.seen: list[Outgoing] = []

    def sign(self, outgoing: Outgoing) -> Mapping[str, str]:
        self.seen.append(outgoing)
        return {"X-Signature": digest(outgoing)}


# ── over real sockets ────────────────────────────────────────────────────────────────────────────────


class Received:
    """One request as it came over a socket."""

    def __init__(self, head: bytes, body: bytes) -> None:
        first, *lines = head.decode("latin-1").split("\r\n")[:-2]
        self.method, self.target, _ = first.split(" ")
        pairs = [line.split(":", 1) for line in lines]
        self.headers = {name.lower(): value.strip() for name, value in pairs}
        assert len(self.headers) == len(pairs), "a field came twice"
        self.body = body

    def signed(self, without: str = "x-signature") -> Outgoing:
        """What a server would check the signature over."""
        headers = {name: value for name, value in self.headers.items() if name != without}
        return Outgoing(self.method, f"http://{self.headers['host']}{self.target}", headers, self.body)


class Listener:
    """An HTTP/1.1 server that keeps what comes, and answers with `statuses`, the last of them for ever."""

    def __init__(self, *statuses: int, body: bytes = b"{}") -> None:
        self.statuses, self.body = list(statuses or (200,)), body
        self.received: list[Received] = []

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        server.close()
        await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
                self.received.append(
                    Received(head, await reader.readexactly(int(length[1]) if length else 0))
                )
                status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
                writer.write(
                    b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n" % (status, len(self.body)) + self.body
                )
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@contextmanager
def over(transport: str) -> Iterator[tuple[asyncio.Runner, Listener, str]]:
    """A loop with a server on it."""
    with asyncio.Runner() as runner:
        listener = Listener()
        listening = listener.listening()
        url = runner.run(listening.__aenter__())
        yield runner, listener, url
        runner.run(listening.__aexit__(None, None, None))


NAMES = st.from_regex(r"x-[a-z0-9!#$&'*+.^_`|~-]{1,12}", fullmatch=True).filter(
    lambda each: each != "x-signature"
)
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=30).map(str.strip)
HEADERS = st.dictionaries(NAMES, VALUES, max_size=4)
PARTS = st.lists(st.text(max_size=8).filter(lambda each: each not in (".", "..")), max_size=4)
PATHS = st.tuples(
    st.sampled_from(["", "/"]),
    PARTS.map(lambda parts: "/".join(quote(each, safe="!$&'()*+,;=:@~", errors="replace") for each in parts)),
    st.sampled_from(["", "?", "?a=1&a=2", "?q=%2F%20+b", "?=&&x", "?k=é~'!*()"]),
).map(lambda parts: (f"/{parts[1]}" if parts[1] else parts[0]) + parts[2])
BODIES = st.one_of(
    st.none(),
    st.binary(max_size=200),
    st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=20), max_size=3),
)


@pytest.mark.parametrize("transport", ["httpx", "aiohttp", "h1"])
def test_what_is_signed_is_what_a_server_receives_to_the_byte(transport: str) -> None:
    with over(transport) as (runner, listener, url):

        @settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(
            method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH"]),
            base=st.sampled_from(["", "/v1", "/v1/caf%C3%A9/%2e", "/a b"]),
            path=PATHS,
            endpoint=HEADERS,
            own=HEADERS,
            body=BODIES,
        )
        def holds(
            method: str, base: str, path: str, endpoint: dict[str, str], own: dict[str, str], body: Any
        ) -> None:
            async def work() -> None:
                auth = Signer()
                given = Endpoint(url + base, headers={**endpoint, "Authorization": "Bearer of-somebody"})
                made = Client(given, open_transport(transport), auth=auth, clock=LoopClock())
                await made.fetch(method, path, body, timeouts=made.within(10), headers=own)
                await made.aclose()
                received, (signed,) = listener.received.pop(), auth.seen
                assert received.signed() == signed
                assert received.headers["x-signature"] == digest(received.signed())
                assert "authorization" not in received.headers

            runner.run(work())

        holds()


@pytest.mark.parametrize("transport", ["httpx", "aiohttp", "h1"])
@pytest.mark.parametrize("stream", [False, True])
async def test_over_a_socket_streams_and_large_bodies_are_signed_as_they_are_sent(
    transport: str, stream: bool
) -> None:
    listener, auth, body = Listener(), Signer(), bytes(range(256)) * 20_000
    async with listener.listening() as url:
        made = Client(Endpoint(url), open_transport(transport), auth=auth, clock=LoopClock())
        for each in (body, {"stream": True}, None):
            answer = await made.send("POST", "/chat", each, timeouts=made.within(20), stream=stream)
            await answer.read()
        await made.aclose()

    assert [received.signed() for received in listener.received] == auth.seen
    assert listener.received[0].body == body


# ── what a signed call carries ───────────────────────────────────────────────────────────────────────


class Kept(httpx.AsyncBaseTransport):
    """Keeps requests, and answers with `statuses`, the last of them for ever."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses or (200,))
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return httpx.Response(status, stream=httpx.ByteStream(b"{}"))


def client(auth: Auth, upstream: httpx.AsyncBaseTransport, **more: Any) -> Client:
    return Client(
        Endpoint("http://host", **more), upstream, auth=auth, clock=LoopClock(), plugins=Used(auth="odd")
    )


async def sent(auth: Auth, *, headers: Mapping[str, str] | None = None, **more: Any) -> httpx.Request:
    upstream = Kept()
    made = client(auth, upstream, **more)
    await made.fetch("POST", "/x", {}, timeouts=LONG, headers=headers)
    return upstream.requests[0]


class Keyed(Signer):
    """Signs with a key that ends, and may be rejected."""

    def __init__(self) -> None:
        super().__init__()
        self.number = 0
        self.secret: Secret | None = None

    def current(self) -> Secret | None:
        if self.secret is None:
            raise NotReady("no key")
        return self.secret

    async def refresh(self) -> None:
        await asyncio.sleep(1)
        self.number += 1
        self.secret = Secret(f"key-{self.number}")

    def rejected(self, secret: Secret) -> bool:
        self.secret = None
        return True

    def sign(self, outgoing: Outgoing) -> Mapping[str, str]:
        assert self.secret is not None
        return {"x-signature": self.secret.reveal(), "x-seen": digest(outgoing)}


async def test_the_key_that_signs_is_not_sent_as_a_credential() -> None:
    auth = Keyed()
    auth.secret = Secret("key-0")

    request = await sent(
        auth, headers={"authorization": "Basic x"}, authorize=lambda secret: {"x-api-key": secret}
    )

    assert request.headers["x-signature"] == "key-0"
    assert not {"authorization", "x-api-key"} & set(request.headers)


async def test_a_signature_may_stand_in_the_header_of_a_credential() -> None:
    class Sig(SigningAuth):
        def sign(self, outgoing: Outgoing) -> Mapping[str, str]:
            assert "authorization" not in outgoing.headers
            return {"Authorization": "SIG abc"}

    assert (await sent(Sig(), headers={"Authorization": "Bearer x"})).headers["authorization"] == "SIG abc"


def test_a_signing_key_is_refreshed_and_a_rejected_call_is_signed_anew() -> None:
    async def work() -> None:
        auth, upstream = Keyed(), Kept(200, 401, 200)
        made = client(auth, upstream)
        for _ in range(2):
            answer, _ = await made.fetch("POST", "/x", {"a": 1}, timeouts=LONG)
            assert answer.status == 200
        assert [each.headers["x-signature"] for each in upstream.requests] == ["key-1", "key-1", "key-2"]
        assert len({each.content for each in upstream.requests}) == 1

    run(work())


async def test_a_call_that_is_signed_without_a_secret_is_sent_once_however_it_is_answered() -> None:
    upstream = Kept(401)
    answer, _ = await client(Signer(), upstream).fetch("GET", "/x", timeouts=LONG)

    assert (answer.status, len(upstream.requests)) == (401, 1)


async def test_nothing_of_a_call_is_in_the_repr_of_what_is_signed() -> None:
    auth = Signer()
    await sent(auth, headers={"x-own": "private"})

    assert repr(auth.seen[0]) == "Outgoing(method='POST')"


async def test_what_is_signed_cannot_be_changed() -> None:
    class Meddling(Signer):
        def sign(self, outgoing: Outgoing) -> Mapping[str, str]:
            outgoing.headers["x-own"] = "other"  # type: ignore[index]
            return {}

    with pytest.raises(PluginError, match=r"auth plugin 'odd' failed in sign\(\): TypeError"):
        await sent(Meddling())


async def promised() -> dict[str, str]:
    return {}


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (lambda: None, "returned a NoneType from sign(), expected a mapping"),
        (lambda: "x-sig: 1", "returned a str from sign(), expected a mapping"),
        (lambda: promised(), "returned a coroutine from sign()"),
        (lambda: {"x-sig": b"1"}, "headers that are no text"),
        (lambda: {1: "a"}, "headers that are no text"),
        (lambda: {"x-sig": "a\r\nx-evil: 1"}, "cannot be sent: the value of header 'x-sig' has a line break"),
        (lambda: {"x sig": "1"}, "cannot be the name of a header"),
        (lambda: {"Host": "evil.example"}, "a value of 'host', which it may not change"),
        (lambda: {"content-length": "7"}, "a value of 'content-length', which it may not change"),
    ],
)
async def test_what_sign_may_not_return_is_a_fault_of_its_plugin_and_nothing_is_sent(
    returned: Any, words: str
) -> None:
    class Odd(SigningAuth):
        def sign(self, outgoing: Outgoing) -> Any:
            return returned()

    upstream = Kept()
    with pytest.raises(PluginError) as raised:
        await client(Odd(), upstream).fetch("GET", "/x", timeouts=LONG)

    assert words in raised.value.message
    assert (raised.value.kind, raised.value.plugin, raised.value.method) == ("auth", "odd", "sign")
    assert raised.value.retry_elsewhere
    assert upstream.requests == []


async def test_what_sign_raises_of_ours_ends_the_attempt_as_it_is() -> None:
    class Refusing(SigningAuth):
        def sign(self, outgoing: Outgoing) -> Mapping[str, str]:
            raise CallError("the hardware key is not plugged in")

    with pytest.raises(CallError, match="not plugged in"):
        await sent(Refusing())
