"""The HTTP seam: what goes out, what comes in, and what every failure becomes."""

from __future__ import annotations

import asyncio
import gc
import gzip
import itertools
import re
import zlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transports_by_name import open_transport

from pointsman.auth import Auth, Fixed, Secret
from pointsman.clock import LoopClock
from pointsman.errors import (
    AttemptTimeout,
    AuthenticationFailed,
    BadResponse,
    CallError,
    ConnectionFailed,
    FirstTokenTimeout,
    IdleTimeout,
    InvalidRequest,
    ModelNotFound,
    NoConnectionFree,
    Outcome,
    Overloaded,
    PermissionDenied,
    PointsmanError,
    QuotaExhausted,
    RateLimited,
    Truncated,
    Unavailable,
)
from pointsman.http.answer import MAX_BODY
from pointsman.http.client import CallTimeouts, Client, Endpoint
from pointsman.http.event_stream import HttpEventStream
from pointsman.http.framing import SseEvent, SseFramer
from pointsman.http.headers import Fields
from pointsman.testing import run
from pointsman.transports.httpx_messages import HttpxReply, HttpxRequest
from pointsman.transports.raw import RawTransport, Reply, RequestTemplate, Whole, named
from pointsman.types import Started, StreamEvent, TextDelta
from pointsman.wire.retry_after import RateHeaders
from pointsman.wire.status_errors import error_for_status, json_or_none, request_id_of, snippet

CANARY = "sk-canary-7f3a"
LONG = CallTimeouts(deadline=1e9)

Step = bytes | float | Exception
"""A piece of a body, seconds of silence, or how it breaks."""


class Body(httpx.AsyncByteStream):
    """A body that comes in steps, and remembers how it ended."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps
        self.ended = ""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for step in self._steps:
            if self.ended:
                raise httpx.ReadError("the response was aborted")
            if isinstance(step, Exception):
                raise step
            if isinstance(step, bytes):
                yield step
            else:
                await asyncio.sleep(step)
        self.ended = self.ended or "read"

    async def aclose(self) -> None:
        self.ended = self.ended or "closed"


class AbortableBody(Body):
    def abort(self) -> None:
        self.ended = self.ended or "aborted"


class Upstream(httpx.AsyncBaseTransport):
    """Answers every request alike, after `wait` seconds, and keeps the requests."""

    def __init__(
        self,
        *steps: Step,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        wait: float = 0.0,
        raises: Exception | None = None,
        body: type[Body] = AbortableBody,
    ) -> None:
        self.requests: list[httpx.Request] = []
        self.bodies: list[Body] = []
        self.closed = False
        self._make = lambda: body(steps)
        self._status, self._headers, self._wait, self._raises = status, headers or {}, wait, raises

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self._wait:
            await asyncio.sleep(self._wait)
        if self._raises is not None:
            raise self._raises
        self.bodies.append(self._make())
        return httpx.Response(self._status, headers=self._headers, stream=self.bodies[-1])

    async def aclose(self) -> None:
        self.closed = True


class Rotating:
    """A credential that is another one each time somebody asks."""

    def __init__(self) -> None:
        self.given = 0
        self.refused: list[str] = []

    def current(self) -> Secret:
        self.given += 1
        return Secret(f"key-{self.given}")

    def rejected(self, secret: Secret) -> bool:
        self.refused.append(secret.reveal())
        return True


def client(
    upstream: Upstream, base_url: str = "http://host/v1", *, auth: Auth | None = None, **more: Any
) -> Client:
    endpoint = Endpoint(base_url, **more)
    return Client(endpoint, upstream, auth=auth or Fixed(Secret(CANARY)), clock=LoopClock())


def sent(upstream: Upstream) -> httpx.Request:
    (request,) = upstream.requests
    return request


def now() -> float:
    return asyncio.get_running_loop().time()


# ── what goes out ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("base", "path", "target"),
    [
        ("http://host", "/api/chat", b"/api/chat"),
        ("http://host/", "/api/chat", b"/api/chat"),
        ("http://host:8080/openai/v1", "/models", b"/openai/v1/models"),
        ("http://host/v1", "/models/a%2Fb%20c", b"/v1/models/a%2Fb%20c"),
        ("http://host/v1", "/models?limit=2", b"/v1/models?limit=2"),
        ("http://host/v1", "", b"/v1"),
    ],
)
async def test_paths_are_appended_to_the_base_and_stay_as_they_are_encoded(
    base: str, path: str, target: bytes
) -> None:
    upstream = Upstream(b"{}")

    await client(upstream, base).json("GET", path, timeouts=LONG)

    assert sent(upstream).url.raw_path == target
    assert sent(upstream).url.host == "host"


@pytest.mark.parametrize("path", ["@evil.example/x", ".evil.example/x", ":99/x", "models"])
async def test_a_path_that_would_change_the_host_is_refused_before_anything_is_sent(path: str) -> None:
    upstream = Upstream(b"{}")

    with pytest.raises(InvalidRequest, match="slash"):
        await client(upstream, "http://host").send("GET", path, timeouts=LONG)

    assert upstream.requests == []


@pytest.mark.parametrize("path", ["/a\nb", "/" + "x" * 100_000])
async def test_a_path_that_makes_no_url_is_an_invalid_request(path: str) -> None:
    with pytest.raises(InvalidRequest, match="no URL"):
        await client(Upstream()).send("GET", path, timeouts=LONG)


async def test_these_headers_go_out_and_no_others() -> None:
    upstream = Upstream(b"{}")
    made = client(upstream, headers={"X-Org": "o"})

    await (await made.send("POST", "/chat", {"a": "é"}, timeouts=LONG, headers={"X-Try": "1"})).read()

    request = sent(upstream)
    assert sorted((name.lower(), value) for name, value in request.headers.raw) == [
        (b"accept", b"application/json"),
        (b"accept-encoding", b"identity"),
        (b"authorization", f"Bearer {CANARY}".encode()),
        (b"content-length", b"10"),
        (b"content-type", b"application/json"),
        (b"host", b"host"),
        (b"user-agent", b"pointsman"),
        (b"x-org", b"o"),
        (b"x-try", b"1"),
    ]
    assert request.content == '{"a":"é"}'.encode()


async def test_a_request_without_body_and_credential_says_so() -> None:
    upstream = Upstream(b"[]")

    await client(upstream, auth=Fixed(None)).json("GET", "/models", timeouts=LONG)

    assert sorted(sent(upstream).headers) == ["accept", "accept-encoding", "host", "user-agent"]
    assert sent(upstream).content == b""


async def test_calls_to_one_path_do_not_leave_their_traces_in_each_other() -> None:
    upstream = Upstream(b"{}")
    made = client(upstream, auth=Rotating(), headers={"Content-Length": "77", "X-A": "endpoint"})

    for headers in ({"x-a": "call"}, {"x-try": "1", "Content-Length": "99"}, {}):
        await (await made.send("POST", "/", {}, timeouts=LONG, headers=headers)).read()
        await (await made.send("POST", "/", timeouts=LONG, headers=headers)).read()

    seen = [
        [request.headers.get(name) for name in ("authorization", "x-a", "x-try", "content-length")]
        for request in upstream.requests
    ]
    assert seen == [
        ["Bearer key-1", "call", None, "2"],
        ["Bearer key-2", "call", None, "0"],
        ["Bearer key-3", "endpoint", "1", "2"],
        ["Bearer key-4", "endpoint", "1", "0"],
        ["Bearer key-5", "endpoint", None, "2"],
        ["Bearer key-6", "endpoint", None, "0"],
    ]
    assert ["content-type" in request.headers for request in upstream.requests] == [True, False] * 3


class Renewed(Rotating):
    """A credential that is another one after each rejection; `more` is what it says then."""

    def __init__(self, more: Any = True) -> None:
        super().__init__()
        self.number, self.more = 1, more

    def current(self) -> Secret:
        return Secret(f"key-{self.number}")

    def rejected(self, secret: Secret) -> Any:
        self.refused.append(secret.reveal())
        self.number += 1
        return self.more


class Guarded(Upstream):
    """An upstream that takes one key alone."""

    def __init__(self, takes: str) -> None:
        super().__init__(b'{"a": 1}')
        self._takes = f"Bearer {takes}"

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._status = 200 if request.headers["authorization"] == self._takes else 401
        return await super().handle_async_request(request)


async def status(made: Client, way: str) -> int:
    if way == "fetch":
        answer, _body = await made.fetch("POST", "/x", {"q": 1}, timeouts=LONG)
        return answer.status
    opened = await made.send("POST", "/x", {"q": 1}, timeouts=LONG, stream=way == "stream")
    await opened.read()
    return opened.status


@pytest.mark.parametrize("way", ["fetch", "send", "stream"])
async def test_a_request_goes_out_once_more_with_the_credential_that_replaced_a_rejected_one(
    way: str,
) -> None:
    upstream, auth = Guarded("key-2"), Renewed()

    assert await status(client(upstream, auth=auth), way) == 200
    assert [each.headers["authorization"] for each in upstream.requests] == ["Bearer key-1", "Bearer key-2"]
    assert {each.content for each in upstream.requests} == {b'{"q":1}'}
    assert auth.refused == ["key-1"]
    assert all(body.ended for body in upstream.bodies)


@pytest.mark.parametrize("way", ["fetch", "send", "stream"])
async def test_a_credential_that_replaced_another_and_is_rejected_too_is_the_last_that_is_sent(
    way: str,
) -> None:
    upstream, auth = Guarded("key-9"), Renewed()

    assert await status(client(upstream, auth=auth), way) == 401
    assert (len(upstream.requests), auth.refused) == (2, ["key-1", "key-2"])


@pytest.mark.parametrize("says", [False, None, "yes", 1])
async def test_a_rejected_credential_that_was_not_replaced_is_sent_once(says: Any) -> None:
    upstream = Guarded("key-2")

    assert await status(client(upstream, auth=Renewed(says)), "fetch") == 401
    assert len(upstream.requests) == 1


async def test_a_credential_that_goes_away_is_not_sent_again() -> None:
    class Leaving:
        secret: Secret | None = Secret(CANARY)

        def current(self) -> Secret | None:
            return self.secret

        def rejected(self, secret: Secret) -> bool:
            return False

    upstream, auth = Upstream(b"{}"), Leaving()
    made = client(upstream, auth=auth)

    for secret in (auth.secret, None, auth.secret):
        auth.secret = secret
        await (await made.send("POST", "/", {}, timeouts=LONG)).read()

    assert ["authorization" in request.headers for request in upstream.requests] == [True, False, True]


async def test_a_credential_that_no_header_can_hold_takes_that_of_before_from_no_request() -> None:
    class Faltering:
        secret = Secret(CANARY)

        def current(self) -> Secret:
            return self.secret

        def rejected(self, secret: Secret) -> bool:
            return False

    upstream, auth = Upstream(b"{}"), Faltering()
    made, good = client(upstream, auth=auth), auth.secret

    for secret in (good, Secret("two\nlines"), good):
        auth.secret = secret
        with suppress(InvalidRequest):
            await made.fetch("POST", "/", {}, timeouts=LONG)

    assert [each.headers["authorization"] for each in upstream.requests] == [f"Bearer {CANARY}"] * 2


_NAMES = st.sampled_from([b"A", b"a", b"B-c", b"b-C", b"d"])


@given(
    st.lists(st.tuples(_NAMES, st.binary(max_size=5))),
    st.sampled_from(["a", "A", "b-c", "B-C", "D", "\u20ac"]),
)
def test_fields_are_found_as_httpx_finds_them(pairs: list[tuple[bytes, bytes]], name: str) -> None:
    ours, theirs = Fields(named(pairs)), httpx.Headers(pairs, encoding="latin-1")

    assert dict(ours) == dict(theirs.items())
    assert len(ours) == len({each.lower() for each, _ in pairs})
    if name.isascii():
        assert ours.get(name, "-") == theirs.get(name, "-")
        assert (name in ours) == (name in theirs)
    else:
        assert name not in ours
        assert ours.get(name) is None


class Ready(AbortableBody):
    """A body that tells what is here: all steps up to the first that is no piece."""

    def ready(self) -> bytes | None:
        steps = list(self._steps)
        if steps and not isinstance(steps[0], bytes):
            return None
        self._steps = steps[1:]
        return steps[0] if steps else b""  # type: ignore[return-value]


@given(st.lists(st.one_of(st.binary(min_size=1, max_size=3), st.just(1.0)), max_size=8), st.booleans())
def test_a_body_that_tells_what_is_here_is_read_like_any_other(steps: list[Step], chunks: bool) -> None:
    async def read(body: type[Body]) -> tuple[bytes, float]:
        answer = await client(Upstream(*steps, body=body)).send("GET", "/", timeouts=LONG)
        begun = asyncio.get_running_loop().time()
        if chunks:
            pieces = []
            while (piece := await answer.chunk(None, TimeoutError)) is not None:
                pieces.append(piece)
            await answer.aclose()
            content = b"".join(pieces)
        else:
            content = await answer.read()
        return content, asyncio.get_running_loop().time() - begun

    assert run(read(Ready)) == run(read(AbortableBody))


class Quick(httpx.AsyncBaseTransport, RawTransport):
    """A transport that can do without httpx, and whose replies are whole when there is nothing to wait for."""

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream

    async def exchange(self, shared: RequestTemplate, values: tuple[str, ...], content: bytes) -> Reply:
        response = await self.upstream.handle_async_request(HttpxRequest(shared, values, content))
        body = self.upstream.bodies[-1]
        pieces = [each for each in body._steps if isinstance(each, bytes)]
        if len(pieces) < len(body._steps):
            return HttpxReply(response)
        body.ended = "read"
        return Whole(response.status_code, named(response.headers.raw), b"".join(pieces))


_BODIES = st.sampled_from(
    [b"", b"{}", f"no {CANARY} here".encode(), gzip.compress(b"[1]"), gzip.compress(b"[1]")[:9]]
)


@given(
    st.sampled_from([200, 201, 204, 302, 400, 401, 503]),
    st.lists(st.one_of(_BODIES, st.sampled_from([1.0, 9.0, httpx.ReadError("no")])), max_size=2),
    st.sampled_from(["", "identity", "gzip", "br"]),
)
def test_it_is_the_same_answer_whichever_way_the_transport_goes(
    status: int, steps: list[Step], encoding: str
) -> None:
    headers = {"content-encoding": encoding, "x-request-id": "u1"}

    async def fetched(quick: bool, at_once: bool) -> Any:
        upstream = Upstream(*steps, status=status, headers=headers)
        made = client(upstream)
        if quick:
            made.transport = Quick(upstream)
        try:
            if at_once:
                answer, content = await made.fetch("POST", "/", {}, timeouts=made.within(60))
            else:
                answer = await made.send("POST", "/", {}, timeouts=made.within(60))
                content = await answer.read()
        except CallError as error:
            return type(error), str(error), upstream.bodies[0].ended != ""
        assert status < 400 or CANARY.encode() not in content
        return answer.status, dict(answer.headers), answer.request_id, content, upstream.bodies[0].ended

    ways = [run(fetched(quick, at_once)) for quick in (True, False) for at_once in (True, False)]
    assert ways == ways[:1] * 4


@pytest.mark.parametrize("quick", [True, False])
async def test_whoever_wants_to_know_what_is_left_hears_of_answers_that_say_so(quick: bool) -> None:
    rates = RateHeaders(requests=("X-Left", "x-reset"), tokens=("x-tokens", "x-reset"))
    heard: list[Mapping[str, str]] = []
    for headers in ({"x-left": "1"}, {"X-Tokens": "2"}, {"x-reset": "3"}, {}):
        made = client(upstream := Upstream(b"{}", headers=headers), rates=rates)
        if quick:
            made.transport = Quick(upstream)
        made.on_head = heard.append
        await made.fetch("GET", "/", timeouts=LONG)

    assert [dict(each) for each in heard] == [{"x-left": "1"}, {"x-tokens": "2"}]


async def test_a_header_is_sent_once_and_the_nearest_to_the_call_wins() -> None:
    upstream = Upstream(b"{}")
    made = client(upstream, headers={"Accept": "text/plain", "User-Agent": "mine", "X-A": "endpoint"})

    await (
        await made.send("GET", "/", timeouts=LONG, headers={"x-a": "call", "Accept": "text/event-stream"})
    ).read()

    headers = sent(upstream).headers
    assert len(headers.raw) == len({name.lower() for name, _ in headers.raw})
    assert (headers["accept"], headers["user-agent"], headers["x-a"]) == ("text/event-stream", "mine", "call")


async def test_the_credential_travels_only_as_the_endpoint_authorizes_and_wins_over_any_header() -> None:
    upstream = Upstream(b"{}")
    made = client(upstream, headers={"x-api-key": "spoofed"}, authorize=lambda secret: {"X-Api-Key": secret})

    await (await made.send("POST", "/", {}, timeouts=LONG, headers={"X-API-KEY": "spoofed too"})).read()

    request = sent(upstream)
    assert request.headers["x-api-key"] == CANARY
    assert "authorization" not in request.headers
    assert str(request.headers.raw).count("spoofed") == 0
    assert "canary" not in str(request.url)


async def test_the_headers_of_a_credential_are_made_once_and_again_for_the_next_credential() -> None:
    made_for: list[str] = []

    def authorize(secret: str) -> dict[str, str]:
        made_for.append(secret)
        return {"x-key": secret}

    secrets = Fixed(Secret("first")), Rotating()
    for auth in secrets:
        upstream = Upstream(b"{}")
        made = client(upstream, auth=auth, authorize=authorize)
        for _ in range(2):
            await made.json("GET", "/", timeouts=LONG)
        made_for.append(" ".join(each.headers["x-key"] for each in upstream.requests))

    assert made_for == ["first", "first first", "key-1", "key-2", "key-1 key-2"]


@pytest.mark.parametrize(
    ("method", "length"), [("GET", None), ("DELETE", None), ("POST", "0"), ("PUT", "0"), ("PATCH", "0")]
)
async def test_a_request_says_how_long_its_body_is_also_when_it_should_have_one_and_has_none(
    method: str, length: str | None
) -> None:
    upstream = Upstream(b"{}")

    await client(upstream).json(method, "/", timeouts=LONG)

    assert sent(upstream).headers.get("content-length") == length
    assert sent(upstream).content == b""


@pytest.mark.parametrize(
    ("base", "host"),
    [("http://host:80/v1", "host"), ("https://Host:8443", "host:8443"), ("http://[::1]:9/", "[::1]:9"),
     ("http://me:pw@bücher.example", "xn--bcher-kva.example")],
)  # fmt: skip
async def test_a_request_names_its_host_unless_the_endpoint_names_another(base: str, host: str) -> None:
    plain, named = Upstream(b"{}"), Upstream(b"{}")

    await client(plain, base).json("GET", "/", timeouts=LONG)
    await client(named, base, headers={"Host": "virtual"}).json("GET", "/", timeouts=LONG)

    assert sent(plain).headers.get_list("host") == [host]
    assert sent(named).headers.get_list("host") == ["virtual"]


NAMES = ["x\r\ny", "x y", "x:", "", "é", "x\0", "x\n"]
VALUES = ["a\r\nevil: 1", "a\nb", "a\rb", "a\0b", "☃", "\ud800"]


@pytest.mark.parametrize(("name", "value"), [*((n, "v") for n in NAMES), *(("x-h", v) for v in VALUES)])
async def test_what_cannot_stand_in_a_header_is_refused_wherever_it_comes_from(name: str, value: str) -> None:
    upstream = Upstream(b"{}")

    with pytest.raises(InvalidRequest):
        client(upstream, headers={name: value})
    with pytest.raises(InvalidRequest):
        await client(upstream).send("GET", "/", timeouts=LONG, headers={name: value})
    with pytest.raises(InvalidRequest) as raised:
        await client(upstream, authorize=lambda secret: {name: secret + value}).send(
            "GET", "/", timeouts=LONG
        )

    assert upstream.requests == []
    error: BaseException | None = raised.value
    while error is not None:
        assert "canary" not in repr(error)
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("value", VALUES)
async def test_a_value_is_looked_at_also_where_another_was_sent_under_its_name(value: str) -> None:
    upstream = Upstream(b"{}")
    made = client(upstream)
    for fine in ("fine", "\xe9\t", ""):
        await made.fetch("GET", "/", timeouts=LONG, headers={"x-a": "1", "x-h": fine})

    with pytest.raises(InvalidRequest, match="x-h"):
        await made.fetch("GET", "/", timeouts=LONG, headers={"x-a": "1", "x-h": value})

    assert [dict(each.headers.raw)[b"x-h"] for each in upstream.requests] == [b"fine", b"\xe9\t", b""]


async def test_what_is_kept_of_requests_is_bounded() -> None:
    upstream = Upstream(b"{}")
    made = client(upstream)

    for n in range(200):
        await made.fetch("GET", f"/{n % 90}", timeouts=LONG, headers={f"x-{n}": "1"})

    assert len(made._templates) <= 64
    assert [each.headers[f"x-{n}"] for n, each in enumerate(upstream.requests)] == ["1"] * 200


async def test_one_name_in_two_cases_is_one_header_and_the_later_counts() -> None:
    upstream = Upstream(b"{}")

    for _ in range(2):
        await client(upstream).fetch("GET", "/", timeouts=LONG, headers={"X-A": "1", "x-b": "2", "x-a": "3"})

    for request in upstream.requests:
        assert (request.headers.get_list("x-a"), request.headers.get_list("x-b")) == (["3"], ["2"])


@pytest.mark.parametrize("body", [float("nan"), {"a": object()}, [{1, 2}]])
async def test_a_body_that_is_no_json_is_refused_before_anything_is_sent(body: Any) -> None:
    upstream = Upstream(b"{}")

    with pytest.raises(InvalidRequest, match="JSON"):
        await client(upstream).send("POST", "/", body, timeouts=LONG)

    assert upstream.requests == []


# ── what a failure becomes ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("failure", "was_sent"),
    [
        (httpx.ConnectError("refused"), False), (httpx.ConnectTimeout(""), False),
        (httpx.PoolTimeout(""), False), (httpx.UnsupportedProtocol("ftp"), False),
        (httpx.ReadError("reset"), True), (httpx.WriteError(""), True), (httpx.ReadTimeout(""), True),
        (httpx.RemoteProtocolError("gone"), True), (httpx.ProxyError("no"), True),
        (httpx.LocalProtocolError(""), True), (ConnectionResetError(104, "reset"), True),
    ],
)  # fmt: skip
async def test_a_transport_failure_says_whether_anything_left(failure: Exception, was_sent: bool) -> None:
    with pytest.raises(ConnectionFailed) as raised:
        await client(Upstream(raises=failure)).send("GET", "/", timeouts=LONG)

    assert raised.value.sent is was_sent
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__
    assert "http://host/v1" in raised.value.message
    assert not raised.value.message.endswith(": ")


async def test_waiting_in_vain_for_a_connection_of_our_own_is_not_the_fault_of_the_upstream() -> None:
    with pytest.raises(NoConnectionFree) as raised:
        await client(Upstream(raises=httpx.PoolTimeout("full"))).send("GET", "/", timeouts=LONG)

    error = raised.value
    assert (error.outcome, error.sent) == (Outcome.NEUTRAL, False)
    assert (error.retry_elsewhere, error.retry_same) == (True, False)


async def test_no_error_shows_the_password_of_a_base_url() -> None:
    base = f"http://me:{CANARY}@host/v1"
    for upstream in (
        Upstream(raises=httpx.ConnectError("no")),
        Upstream(status=302),
        Upstream(raises=httpx.ReadError("")),
    ):
        with pytest.raises(CallError) as raised:
            await client(upstream, base).send("GET", "/", timeouts=LONG)
        assert "http://host/v1" in raised.value.message
        assert "canary" not in raised.value.message
    made = client(Upstream(), base)
    assert "canary" not in f"{made.errors.timed_out()} {made.errors.no_first_token()} {made.errors.silent()}"


@pytest.mark.parametrize(
    ("location", "host"),
    [("https://user:pw@Other.example/secret?token=1", "other.example"), ("/login", "host"),
     ("", "somewhere"), ("http://[::1", "somewhere"), ("//h.example/x", "h.example")],
)  # fmt: skip
@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_an_error_that_names_the_host_and_nothing_more(
    location: str, host: str, status: int
) -> None:
    upstream = Upstream(b"moved", status=status, headers={"location": location})

    with pytest.raises(BadResponse) as raised:
        await client(upstream).send("GET", "/", timeouts=LONG)

    assert f"redirects to {host};" in raised.value.message
    assert raised.value.status == status
    assert not any(word in raised.value.message for word in ("secret", "token", "pw", "login"))
    assert upstream.bodies[0].ended == "aborted"
    assert len(upstream.requests) == 1


async def test_a_401_rejects_the_credential_that_was_sent_and_not_the_next_one() -> None:
    auth = Rotating()
    upstream = Upstream(b"{}", status=401)

    await (await client(upstream, auth=auth).send("GET", "/", timeouts=LONG)).read()

    assert [each.headers["authorization"] for each in upstream.requests] == ["Bearer key-1", "Bearer key-2"]
    assert auth.refused == ["key-1", "key-2"]


@pytest.mark.parametrize("status", [200, 400, 403, 429, 500])
async def test_no_other_status_rejects_the_credential(status: int) -> None:
    auth = Rotating()

    await (await client(Upstream(b"{}", status=status), auth=auth).send("GET", "/", timeouts=LONG)).read()

    assert auth.refused == []


# ── what comes in ────────────────────────────────────────────────────────────────────────────────────


async def test_a_body_is_read_whole_and_given_back() -> None:
    upstream = Upstream(b'{"a"', b":1}", headers={"x-request-id": "u" * 300})

    answer = await client(upstream).send("GET", "/", timeouts=LONG)

    assert await answer.json() == {"a": 1}
    assert answer.request_id == "u" * 200
    assert upstream.bodies[0].ended == "read"


@pytest.mark.parametrize(
    ("status", "body", "value"),
    [(200, b"", None), (200, b"\n", None), (200, b"[1]", [1]), (204, b"", None), (500, b"<html>", None),
     (500, b'{"e":1}', {"e": 1}), (404, b"", None)],
)  # fmt: skip
async def test_json_gives_the_value_and_none_where_there_is_none(
    status: int, body: bytes, value: Any
) -> None:
    answer, got = await client(Upstream(body, status=status)).json("GET", "/", timeouts=LONG)

    assert (answer.status, got) == (status, value)


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"[" * 50_000, b"Nan"])
async def test_a_body_that_is_no_json_is_a_bad_response(body: bytes) -> None:
    answer = await client(Upstream(body, headers={"request-id": "u1"})).send("GET", "/", timeouts=LONG)

    with pytest.raises(BadResponse, match="not JSON") as raised:
        await answer.json()

    assert (raised.value.status, raised.value.upstream_request_id) == (200, "u1")


async def test_a_body_above_the_cap_is_refused_and_its_connection_closed() -> None:
    piece = bytes(1 << 20)
    upstream = Upstream(*[piece] * (MAX_BODY // len(piece) + 1), b"more", b"and more")

    with pytest.raises(BadResponse, match="longer than"):
        await (await client(upstream).send("GET", "/", timeouts=LONG)).read()

    assert upstream.bodies[0].ended == "aborted"


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip", "deflate", "identity", " gzip "])
async def test_an_encoded_error_page_is_decoded(encoding: str) -> None:
    squeeze: Callable[[bytes], bytes] = {"deflate": zlib.compress, "identity": bytes}.get(
        encoding, gzip.compress
    )
    upstream = Upstream(squeeze(b'{"error":1}'), status=500, headers={"content-encoding": encoding})

    _, value = await client(upstream).json("GET", "/", timeouts=LONG)

    assert value == {"error": 1}


async def test_an_encoding_of_nothing_is_nothing() -> None:
    answer = await client(Upstream(headers={"content-encoding": "gzip"})).send("GET", "/", timeouts=LONG)

    assert await answer.read() == b""


@pytest.mark.parametrize(
    ("encoding", "body", "error"),
    [("br", b"x", BadResponse), ("gzip, br", b"x", BadResponse), ("x" * 9000, b"x", BadResponse),
     ("gzip", b"plain", BadResponse), ("gzip", gzip.compress(b"whole")[:-4], Truncated),
     ("gzip", gzip.compress(b"whole")[:12], Truncated),
     ("gzip", gzip.compress(bytes(MAX_BODY + 1)), BadResponse),
     ("deflate", zlib.compress(bytes(2 * MAX_BODY)), BadResponse)],
    ids=["br", "two", "long", "none", "cut", "cut early", "bomb by one", "bomb"],
)  # fmt: skip
async def test_what_cannot_be_decoded_is_an_error(encoding: str, body: bytes, error: type[CallError]) -> None:
    answer = await client(Upstream(body, headers={"content-encoding": encoding})).send(
        "GET", "/", timeouts=LONG
    )

    with pytest.raises(error) as raised:
        await answer.read()

    assert type(raised.value) is error
    assert len(raised.value.message) < 300


async def test_an_encoded_stream_is_refused_rather_than_read_as_noise() -> None:
    upstream = Upstream(gzip.compress(b"data: 1\n\n"), headers={"content-encoding": "gzip"})
    events = HttpEventStream(
        await client(upstream).send("POST", "/", {}, timeouts=LONG), SseFramer(), Words()
    )

    with pytest.raises(BadResponse, match="encoded as 'gzip'"):
        await events.next(1e9)


@pytest.mark.parametrize(
    ("failure", "error"),
    [(httpx.RemoteProtocolError("cut"), Truncated), (httpx.ReadError("reset"), ConnectionFailed),
     (ConnectionResetError(104, "reset"), ConnectionFailed)],
)  # fmt: skip
async def test_a_body_that_breaks_off_is_an_error_and_closed(
    failure: Exception, error: type[CallError]
) -> None:
    upstream = Upstream(b'{"a":', failure)

    with pytest.raises(error) as raised:
        await (await client(upstream).send("GET", "/", timeouts=LONG)).read()

    assert type(raised.value) is error
    assert upstream.bodies[0].ended == "aborted"


# ── time ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("limits", "stream", "error", "at"),
    [
        (CallTimeouts(deadline=30), False, AttemptTimeout, 30),
        (CallTimeouts(deadline=30), True, AttemptTimeout, 30),
        (CallTimeouts(deadline=900), True, FirstTokenTimeout, 60),
        (CallTimeouts(deadline=900, first_token=5), False, AttemptTimeout, 900),
        (CallTimeouts(deadline=900, attempt=20), False, AttemptTimeout, 20),
        (CallTimeouts(deadline=900, attempt=20), True, AttemptTimeout, 20),
        (CallTimeouts(deadline=10, attempt=20), True, AttemptTimeout, 10),
    ],
)
def test_a_server_that_says_nothing_is_left_at_the_first_limit(
    limits: CallTimeouts, stream: bool, error: type[CallError], at: float
) -> None:
    async def work() -> None:
        with pytest.raises(error) as raised:
            await client(Upstream(wait=1e6)).send("POST", "/", {}, timeouts=limits, stream=stream)
        assert type(raised.value) is error
        assert now() == pytest.approx(at, abs=0.01)

    run(work())


def test_a_dripping_server_is_cut_at_the_end_of_the_attempt() -> None:
    async def work() -> None:
        upstream = Upstream(*[b"x", 1.0] * 1000)
        with pytest.raises(AttemptTimeout):
            await (
                await client(upstream).send("GET", "/", timeouts=CallTimeouts(deadline=900, attempt=20))
            ).read()
        assert now() == pytest.approx(20, abs=0.01)
        assert upstream.bodies[0].ended == "aborted"

    run(work())


def test_time_for_the_head_counts_for_the_body_too() -> None:
    async def work() -> None:
        upstream = Upstream(*[b"x", 1.0] * 1000, wait=15)
        answer = await client(upstream).send("GET", "/", timeouts=CallTimeouts(deadline=900, attempt=20))
        with pytest.raises(AttemptTimeout):
            await answer.read()
        assert now() == pytest.approx(20, abs=0.01)

    run(work())


def test_a_cancelled_caller_is_cancelled_and_the_connection_closed() -> None:
    async def work() -> None:
        upstream = Upstream(b"x", 1e6)
        answer = await client(upstream).send("GET", "/", timeouts=LONG)
        reading = asyncio.ensure_future(answer.read())
        await asyncio.sleep(1)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert upstream.bodies[0].ended == "aborted"

    run(work())


def test_a_body_that_cannot_be_aborted_is_closed_by_a_task_that_the_client_waits_for() -> None:
    async def work() -> None:
        upstream = Upstream(b"x", 5.0, b"y", body=Body)
        made = client(upstream)
        answer = await made.send("GET", "/", timeouts=LONG)
        answer.abort()
        await made.aclose()
        assert upstream.bodies[0].ended == "closed"
        assert upstream.closed

    run(work())


def test_limits_outside_a_request_hold_for_everything() -> None:
    async def work() -> None:
        limits = client(Upstream()).within(5)
        assert limits == CallTimeouts(deadline=now() + 5, first_token=5, idle=5)
        assert limits.until(now() + 4) == limits.deadline
        assert CallTimeouts(deadline=100, attempt=5).until(3) == 8

    run(work())


# ── streams ──────────────────────────────────────────────────────────────────────────────────────────


class Words:
    """One word per event: `[DONE]` ends it, `!` is an error, `.` a sign of life, `hi` no content."""

    done = False

    def decode(self, frame: SseEvent) -> Sequence[StreamEvent]:
        match frame.data:
            case b"[DONE]":
                self.done = True
                return ()
            case b"!":
                raise Unavailable("the upstream said so")
            case b".":
                return ()
            case b"hi":
                return (Started(),)
            case word:
                return (TextDelta(word.decode()),)

    def close(self) -> Sequence[StreamEvent]:
        raise Truncated("no [DONE]")


class PlainWords(Words):
    """Takes them many at a time, too."""

    def decode_plain(self, values: Sequence[bytes], events: list[StreamEvent]) -> None:
        for value in values:
            if not self.done:
                events += self.decode(SseEvent("", value))


def sse(*words: str) -> bytes:
    return "".join(f"data: {word}\n\n" for word in words).encode()


async def opened(upstream: Upstream, make: Callable[[], Words] = Words) -> HttpEventStream:
    answer = await client(upstream).send("POST", "/", {}, timeouts=LONG, stream=True)
    return HttpEventStream(answer, SseFramer(), make())


async def heard(events: HttpEventStream, until: float = 1e9) -> tuple[str, str]:
    """The words, and how it ended: `done` or the name of the error."""
    words = ""
    try:
        while (some := await events.next(until)) is not None:
            words += "".join(each.text for each in some)
    except PointsmanError as error:
        return words, type(error).__name__
    return words, "done"


@pytest.mark.parametrize(
    ("tail", "end"),
    [(sse("c", "[DONE]"), "done"), (sse("c", "[DONE]", "d"), "done"), (sse("c"), "Truncated"),
     (sse("c", "!", "d", "[DONE]"), "Unavailable"), (sse("c") + b"data: [DONE]", "done"),
     (sse("c") + b"data: " + b"x" * (5 << 20) + b"\n\n", "BadResponse")],
    ids=["done", "more after", "cut", "error", "no blank line", "line too long"],
)  # fmt: skip
@pytest.mark.parametrize("make", [Words, PlainWords])
@settings(deadline=None)
@given(cuts=st.lists(st.integers(0, 80), max_size=8))
def test_how_the_bytes_are_cut_does_not_decide_what_is_heard(
    tail: bytes, end: str, make: Callable[[], Words], cuts: list[int]
) -> None:
    body = sse("hi", "a", ".", "b") + tail
    at = [0, *sorted({cut % len(body) for cut in cuts}), len(body)]

    async def work() -> tuple[str, str]:
        upstream = Upstream(*(body[a:b] for a, b in itertools.pairwise(at)))
        return await heard(await opened(upstream, make))

    assert run(work()) == ("abc", end)


class QuickWords(Words):
    """Has a quick way beside `decode`."""

    def decode_plain(self, values: Sequence[bytes], events: list[StreamEvent]) -> None:
        self.done = b"[DONE]" in values
        events += [TextDelta(value.decode()) for value in values if value != b"[DONE]"]


class LoudWords(QuickWords):
    def decode(self, frame: SseEvent) -> Sequence[StreamEvent]:
        return [TextDelta(each.text.upper()) for each in super().decode(frame)]


class LoudPlainWords(LoudWords):
    def decode_plain(self, values: Sequence[bytes], events: list[StreamEvent]) -> None:
        super().decode_plain([value.swapcase() if value != b"[DONE]" else value for value in values], events)


@pytest.mark.parametrize(("make", "words"), [(QuickWords, "ab"), (LoudWords, "AB"), (LoudPlainWords, "AB")])
async def test_a_decoder_that_changes_what_decode_does_sees_every_frame(
    make: Callable[[], Words], words: str
) -> None:
    """Though the class that it derives from has a quick way around it."""
    assert await heard(await opened(Upstream(sse("a", "b", "[DONE]")), make)) == (words, "done")


async def test_a_failure_is_told_again_to_whoever_asks_again() -> None:
    events = await opened(Upstream(sse("a", "!")))

    assert await heard(events) == ("a", "Unavailable")
    assert await heard(events) == ("", "Unavailable")


@pytest.mark.parametrize("body", [sse(".", "!"), sse(".")], ids=["an error", "cut"])
def test_a_stream_that_fails_at_once_is_freed_with_its_error(body: bytes) -> None:
    """Whoever asks elsewhere after it would else keep all of the attempt until the collector comes by."""

    async def main() -> None:
        events = await opened(Upstream(body))
        with suppress(Unavailable, Truncated):
            while await events.next(1e9) is not None:
                pass
        events.abort()
        held = [each for each in gc.get_objects() if type(each) is HttpEventStream]
        assert held == [events]
        del events, held
        assert not [each for each in gc.get_objects() if type(each) is HttpEventStream]

    gc.collect()
    gc.disable()
    try:
        run(main())
    finally:
        gc.enable()


def test_silence_is_a_first_token_timeout_before_content_and_an_idle_timeout_after() -> None:
    async def work() -> None:
        silent = await opened(Upstream(sse("hi", "."), 1e6))
        assert await heard(silent, until=5.0) == ("", "FirstTokenTimeout")
        assert now() == pytest.approx(5, abs=0.01)
        falling = await opened(Upstream(sse("hi", "a"), 1e6))
        assert await heard(falling, until=9.0) == ("a", "IdleTimeout")
        assert now() == pytest.approx(9, abs=0.01)

    run(work())
    assert issubclass(IdleTimeout, AttemptTimeout)


@pytest.mark.parametrize(
    ("after", "ended"),
    [((), "read"), ((0.01,), "read"), ((0.06,), "aborted"), ((b"",), "aborted"), ((b"more",), "aborted"),
     ((0.01, b"more"), "aborted"), ((1e6,), "aborted"), ((httpx.ReadError("reset"),), "aborted")],
    ids=repr,
)  # fmt: skip
def test_after_the_end_marker_a_connection_is_kept_only_if_the_body_ends_right_there(
    after: tuple[Step, ...], ended: str
) -> None:
    async def work() -> None:
        upstream = Upstream(sse("a", "[DONE]"), *after)
        events = await opened(upstream)
        assert await heard(events) == ("a", "done")
        before = now()
        await events.aclose()
        assert upstream.bodies[0].ended == ended
        assert now() - before < 0.06

    run(work())


async def test_a_stream_left_early_is_closed_at_once() -> None:
    upstream = Upstream(sse("a"), sse("b"), sse("[DONE]"))
    events = await opened(upstream)
    await events.next(1e9)

    events.abort()

    assert upstream.bodies[0].ended == "aborted"
    await events.aclose()


# ── status → error ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("status", "headers", "kind", "outcome"),
    [
        (400, {}, InvalidRequest, Outcome.CLIENT_FAULT),
        (401, {}, AuthenticationFailed, Outcome.UPSTREAM_FAULT),
        (402, {}, QuotaExhausted, Outcome.UPSTREAM_FAULT),
        (403, {}, PermissionDenied, Outcome.UPSTREAM_FAULT),
        (404, {}, ModelNotFound, Outcome.NEUTRAL),
        (408, {}, Unavailable, Outcome.UPSTREAM_FAULT),
        (409, {}, Unavailable, Outcome.UPSTREAM_FAULT),
        (413, {}, InvalidRequest, Outcome.CLIENT_FAULT),
        (422, {}, InvalidRequest, Outcome.CLIENT_FAULT),
        (429, {}, RateLimited, Outcome.OVERLOAD),
        (500, {}, Unavailable, Outcome.UPSTREAM_FAULT),
        (502, {"retry-after": "1"}, Unavailable, Outcome.UPSTREAM_FAULT),
        (503, {}, Unavailable, Outcome.UPSTREAM_FAULT),
        (503, {"retry-after": "1"}, Overloaded, Outcome.OVERLOAD),
        (503, {"retry-after": "soon"}, Unavailable, Outcome.UPSTREAM_FAULT),
        (529, {}, Unavailable, Outcome.UPSTREAM_FAULT),
        (529, {"retry-after-ms": "100"}, Overloaded, Outcome.OVERLOAD),
        (599, {}, Unavailable, Outcome.UPSTREAM_FAULT),
        (204, {}, BadResponse, Outcome.UPSTREAM_FAULT),
    ],
)
def test_a_status_means_this(
    status: int, headers: dict[str, str], kind: type[CallError], outcome: Outcome
) -> None:
    error = error_for_status(status, headers, "no", wall=0)

    assert (type(error), error.outcome, error.status) == (kind, outcome, status)
    assert error.message == f"HTTP {status}: no"


@pytest.mark.parametrize("status", range(400, 500))
def test_what_speaks_of_the_way_is_tried_elsewhere_and_what_speaks_of_the_request_is_not(status: int) -> None:
    error = error_for_status(status, {}, "no", wall=0)

    of_the_way = {405, 407, 410, 421, 425, 426, 451, 499}
    of_us = {401, 402, 403, 404}
    elsewhere = of_the_way | of_us | {408, 409, 429}
    assert error.retry_elsewhere is (status in elsewhere)
    assert error.retry_same is (status in {408, 409, 429})
    if status in of_the_way:
        assert (type(error), error.outcome) == (Unavailable, Outcome.UPSTREAM_FAULT)


def test_a_provider_that_knows_better_what_a_status_of_the_way_means_is_believed() -> None:
    assert error_for_status(451, {}, "no", wall=0, kind=Unavailable).retry_same


def test_an_error_carries_what_the_answer_said() -> None:
    headers = httpx.Headers({"Retry-After": "7", "X-Request-Id": "u" * 300})

    error = error_for_status(429, headers, "x" * 1000, wall=0, code="rate_limit", kind=QuotaExhausted)

    assert isinstance(error, QuotaExhausted)
    assert (error.retry_after, error.upstream_code, len(error.upstream_request_id)) == (7, "rate_limit", 200)
    assert len(error.message) < 600
    assert error_for_status(500, {"x-correlation-id": "c"}, "", wall=0).upstream_request_id == "c"
    assert error_for_status(500, {}, "", wall=0).message == "HTTP 500"


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
@pytest.mark.parametrize("word", ["true", "false", "True ", "perhaps"])
def test_an_upstream_that_says_whether_to_retry_is_heard(status: int, word: str) -> None:
    usual = error_for_status(status, {}, "", wall=0)

    told = error_for_status(status, {"x-should-retry": word}, "", wall=0)

    match word.strip().lower():
        case "true":
            assert (told.retry_same, told.retry_elsewhere) == (True, True)
        case "false":
            assert (told.retry_same, told.retry_elsewhere) == (False, usual.retry_elsewhere)
        case _:
            assert (told.retry_same, told.retry_elsewhere) == (usual.retry_same, usual.retry_elsewhere)
    assert error_for_status(status, {}, "", wall=0).retry_same is usual.retry_same


@pytest.mark.parametrize(
    "page",
    [b"<html>x</html>", b"  \n<!DOCTYPE html><p>", b"\xef\xbb\xbf<html>", b"<?xml version='1.0'?>", b"<b"],
)
def test_a_page_is_named_and_not_quoted(page: bytes) -> None:
    assert snippet(page) == "an HTML page instead of an API answer"


@settings(deadline=None)
@given(
    st.one_of(
        st.binary(max_size=300),
        st.text("<>/!?abhtmlscript \n\r\x1b[31m\u202e", max_size=300).map(str.encode),
    )
)
def test_a_snippet_is_one_short_printable_line_without_markup(body: bytes) -> None:
    text = snippet(body)

    assert len(text) <= 200
    assert text.isprintable()
    assert not re.search("<[a-zA-Z!/?]", text)


def test_a_snippet_keeps_what_was_said() -> None:
    assert snippet(b"upstream\n  is <b>down</b>, 3 < 4") == "upstream is down , 3 < 4"


def test_json_or_none_is_a_value_or_none() -> None:
    assert [json_or_none(body) for body in (b"", b"{", b"<html>", b"[1]", b"null")] == [
        None,
        None,
        None,
        [1],
        None,
    ]


# ── over a real socket ───────────────────────────────────────────────────────────────────────────────


class Server:
    """A real HTTP/1.1 server of one answer on each request, which counts its connections."""

    def __init__(self, *pieces: bytes | float) -> None:
        self._pieces = pieces
        self.connections = 0
        self.gone = asyncio.Event()

    async def __aenter__(self) -> Server:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
                await reader.readexactly(int(length[1]) if length else 0)
                for piece in self._pieces:
                    if isinstance(piece, bytes):
                        writer.write(piece)
                        await writer.drain()
                    else:
                        await asyncio.sleep(piece)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.gone.set()
            writer.close()


def chunked(*parts: bytes) -> list[bytes]:
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    return [head, *(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)]


@pytest.mark.parametrize("transport", ["httpx", "aiohttp", "h1"])
@pytest.mark.parametrize("more", [b"", b"data: more\n\n"], ids=["ends", "goes on"])
async def test_over_a_socket_a_connection_is_used_again_when_the_body_ends_with_its_marker(
    transport: str, more: bytes
) -> None:
    pieces: list[bytes | float] = [*chunked(sse("a"), sse("[DONE]"))]
    if more:
        pieces += [0.01, chunked(more)[1], 0.1]
    async with Server(*pieces, b"0\r\n\r\n") as server:
        made = Client(Endpoint(server.url), open_transport(transport), auth=Fixed(None), clock=LoopClock())
        for _ in range(3):
            answer = await made.send("POST", "/", {}, timeouts=made.within(10), stream=True)
            events = HttpEventStream(answer, SseFramer(), Words())
            assert await heard(events, made.now() + 10) == ("a", "done")
            await events.aclose()
        await made.aclose()

    assert server.connections == (1 if not more else 3)


@pytest.mark.parametrize("transport", ["httpx", "aiohttp", "h1"])
async def test_over_a_socket_a_dripping_server_is_cut_and_sees_it(transport: str) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n"
    async with Server(head, *[b"x", 0.005] * 10_000) as server:
        made = Client(Endpoint(server.url), open_transport(transport), auth=Fixed(None), clock=LoopClock())
        answer = await made.send("GET", "/", timeouts=CallTimeouts(deadline=made.now() + 0.2))
        with pytest.raises(AttemptTimeout):
            await answer.read()
        await asyncio.wait_for(server.gone.wait(), 5)
        await made.aclose()


async def test_over_a_socket_nobody_listens_to_nothing_was_sent() -> None:
    async with Server() as server:
        pass
    made = Client(Endpoint(server.url), open_transport("httpx"), auth=Fixed(None), clock=LoopClock())

    with pytest.raises(ConnectionFailed) as raised:
        await made.send("GET", "/", timeouts=made.within(5))

    assert raised.value.sent is False
    await made.aclose()


@pytest.mark.parametrize("status", [400, 401, 403, 429, 500])
async def test_a_credential_that_the_upstream_quotes_back_is_not_passed_on(status: int) -> None:
    key = "sk-canary-1234567890"
    upstream = Upstream(f"bad key {key} for you".encode(), status=status)
    answer = await client(upstream, auth=Fixed(Secret(key))).send("GET", "/", timeouts=LONG)

    assert await answer.read() == b"bad key *** for you"
    assert answer.mask(Unavailable(f"the key {key} is unknown")).message == "the key *** is unknown"


@settings(max_examples=300)
@given(st.lists(st.text(max_size=300) | st.text(st.characters(max_codepoint=255), max_size=300), max_size=3))
def test_the_id_of_a_call_is_one_short_printable_line_whatever_the_upstream_sends(given: list[str]) -> None:
    names = ("x-request-id", "request-id", "x-correlation-id")

    found = request_id_of(dict(zip(names, given, strict=False)))

    assert len(found) <= 200
    assert found == "".join(each for each in found if " " <= each <= "~").strip()


def test_the_id_of_a_call_is_otherwise_left_as_it_came() -> None:
    assert request_id_of({"x-request-id": "req_011CSHoEeqs5C35K2UUqR7Fy"}) == "req_011CSHoEeqs5C35K2UUqR7Fy"
    assert request_id_of({"x-request-id": "\r\n", "request-id": "b"}) == "b"
    assert request_id_of({"request-id": "a\r\nlevel=error forged\x1b[31m"}) == "alevel=error forged[31m"
