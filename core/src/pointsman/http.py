"""The HTTP seam: one transport per deployment, called directly, with our own timers around it.

This module and the transports are the only ones that import httpx. There is no `AsyncClient` on the path:
it costs ten to twenty times the call. What a transport raises becomes our errors here, once.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pointsman import jsonio, lean
from pointsman.auth import Auth, Secret
from pointsman.clock import Clock
from pointsman.errors import (
    AttemptTimeout,
    BadResponse,
    CallError,
    ConnectionFailed,
    FirstTokenTimeout,
    IdleTimeout,
    InvalidRequest,
    NoConnectionFree,
    Truncated,
)
from pointsman.frozen import frozen
from pointsman.hints import RateHeaders
from pointsman.statuses import json_or_none, request_id_of
from pointsman.timers import TimeLimits

if TYPE_CHECKING:
    import httpx

    from pointsman.transports.messages import Shared

MAX_BODY = 64 << 20
MAX_STREAM = 256 << 20
_CLOSE_WITHIN = 1.0
_MASKED_FROM = 8
_END_WITHIN = 0.05
_ERROR_WITHIN = 5.0
"""Seconds for the body of an error: its status and headers say enough to act on."""


def bearer(secret: str) -> dict[str, str]:
    """`Authorization: Bearer <secret>`."""
    return {"authorization": f"Bearer {secret}"}


@frozen
class Endpoint:
    """Where a provider's calls go, and what every one of them carries.

    `base_url` has no trailing slash; paths are appended to it. `authorize` makes the headers that carry
    a credential, and is asked once for each. `rates` names the headers that tell what is left of the
    upstream's rate limits.
    """

    base_url: str = field(repr=False)  # both may hold a secret
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    authorize: Callable[[str], Mapping[str, str]] = bearer
    rates: RateHeaders | None = None


@dataclass(slots=True)  # one for each attempt, and freezing it would triple what that costs
class Limits:
    """The time limits of one attempt, in seconds; `deadline` is an instant of the clock. Not to be changed.

    `first_token` and `idle` hold for streams; an answer in one piece has until the deadline, or `attempt`.
    """

    deadline: float
    first_token: float = 60.0
    idle: float = 60.0
    attempt: float | None = None

    def until(self, now: float) -> float:
        """The instant at which an attempt that starts now ends."""
        return self.deadline if self.attempt is None else min(self.deadline, now + self.attempt)


class Fields(Mapping[str, str]):
    """The header fields of an answer, by name in any case; several of one name are joined by commas."""

    __slots__ = ("_values",)

    def __init__(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        values: dict[str, str] = {}
        for raw_name, raw_value in pairs:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            values[name] = f"{values[name]}, {value}" if name in values else value
        self._values = values

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def get(self, name: str, default: Any = None) -> Any:
        # That of Mapping fails first and is caught, for all the headers that are not there.
        return self._values.get(name.lower(), default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Fields({self._values!r})"


class Answer:
    """An HTTP answer whose head is here and whose body is read on demand.

    It must be read to its end or closed; `abort` closes the connection at once, without awaiting.
    """

    __slots__ = (
        "_body",
        "_client",
        "_iterator",
        "_limits",
        "_ready",
        "_secret",
        "_started_at",
        "_taken",
        "_time",
        "headers",
        "status",
    )

    def __init__(
        self,
        response: httpx.Response,
        client: Client,
        limits: Limits,
        started_at: float,
        time: TimeLimits,
        secret: Secret | None = None,
    ) -> None:
        self._secret = secret
        self.status: int = response.status_code
        fields = getattr(response, "fields", None)
        self.headers: Mapping[str, str] = Fields(response.headers.raw if fields is None else fields)
        self._body = response.stream
        self._ready: Callable[[], bytes | None] = getattr(self._body, "ready", _never)
        self._iterator: AsyncIterator[bytes] | None = None
        self._client = client
        self._limits = limits
        self._started_at = started_at
        self._time = time
        self._taken = 0

    @property
    def request_id(self) -> str:
        """The upstream's own id of this call, "" when it gives none."""
        return request_id_of(self.headers)

    async def read(self) -> bytes:
        """The whole body, decoded, within the attempt's time. Closes the answer.

        The body of an error (400 and above) has 5 seconds at most, and is empty when it cannot be read: that
        must not hide what the status and the headers say.

        Raises: AttemptTimeout, ConnectionFailed, Truncated; BadResponse above 64 MiB. None for an error.
        """
        until = self._limits.until(self._started_at)
        if self.status < 400:
            return await self._read(until)
        try:
            return await self._read(min(until, self._client.now() + _ERROR_WITHIN))
        except CallError:
            return b""

    async def _read(self, until: float) -> bytes:
        pieces: list[bytes] = []
        try:
            # What is here needs no time limit. Often that is all of it: it came together with the head.
            while piece := self._ready():
                self._collect(piece, pieces)
            if piece is None:
                with self._time.until(until, self._client.timed_out):
                    async for piece in self._pieces():
                        self._collect(piece, pieces)
        except BaseException as failure:
            self.abort()
            if isinstance(failure, (lean.httpx.TransportError, OSError)):
                raise _broken(failure) from failure
            raise
        if piece == b"":
            self._time.close()
        else:
            await self.aclose()
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if encoding := self.headers.get("content-encoding"):
            body = _decoded(body, encoding)
        return body if self.status < 400 else self._masked(body)

    def _collect(self, piece: bytes, pieces: list[bytes]) -> None:
        self._taken += len(piece)
        if self._taken > MAX_BODY:
            raise BadResponse(f"the upstream's answer is longer than {MAX_BODY} bytes")
        pieces.append(piece)

    def mask(self, error: CallError) -> CallError:
        """`error` without our credential in its message, should the upstream have quoted it."""
        if error.args and (credential := self._credential()):
            error.args = (str(error.args[0]).replace(credential, "***"), *error.args[1:])
        return error

    def _masked(self, body: bytes) -> bytes:
        credential = self._credential()
        return body.replace(credential.encode(), b"***") if credential else body

    def _credential(self) -> str:
        """Our credential, "" for none and for a short one.

        That could be any word, and hiding it would garble every message.
        """
        credential = "" if self._secret is None else self._secret.reveal()
        return credential if len(credential) >= _MASKED_FROM else ""

    async def json(self) -> Any:
        """The whole body as a JSON value. Raises BadResponse when it is none, and what `read` raises."""
        return self.value(await self.read())

    def value(self, body: bytes) -> Any:
        """`body`, which was read from here, as a JSON value. Raises BadResponse when it is none."""
        try:
            return jsonio.loads(body)
        except ValueError as error:
            raise BadResponse(
                f"the upstream's answer is not JSON: {error}",
                status=self.status,
                upstream_request_id=self.request_id,
            ) from error

    async def chunk(self, until: float | None, timed_out: Callable[[], Exception]) -> bytes | None:
        """The next piece of the body, None at its end; `timed_out()` is raised at the instant `until`."""
        if not self._taken:
            _plain_only(self.headers.get("content-encoding", ""))
        piece = self._ready()  # what is here needs no time limit
        if piece is None:
            try:
                with self._time.until(until, timed_out):
                    piece = await anext(self._pieces())
            except StopAsyncIteration:
                return None
            except (lean.httpx.TransportError, OSError) as failure:
                raise _broken(failure) from failure
        elif not piece:
            return None
        self._taken += len(piece)
        if self._taken > MAX_STREAM:
            raise BadResponse(f"the upstream's stream is longer than {MAX_STREAM} bytes")
        return piece

    async def expect_end(self) -> None:
        """Read the end of a body whose end marker was seen, so that its connection can be used again.

        When more data comes, or nothing within 50 ms, the connection is closed instead.
        """
        with suppress(CallError):
            if await self.chunk(self._client.now() + _END_WITHIN, self._client.timed_out) is None:
                return
        self.abort()

    async def aclose(self) -> None:
        """Close the answer: the connection goes back to the pool, or away when the body is not at its end."""
        self._time.close()
        if isinstance(self._body, lean.httpx.AsyncByteStream):
            await self._body.aclose()

    def abort(self) -> None:
        """Close the connection now, without awaiting; where the transport cannot, in a task of its own."""
        self._time.close()
        abort = getattr(self._body, "abort", None)
        if abort is not None:
            abort()
        else:
            self._client.close_later(self)

    def _pieces(self) -> AsyncIterator[bytes]:
        """The body from where it was read to."""
        if self._iterator is None:
            if not isinstance(self._body, lean.httpx.AsyncByteStream):
                raise BadResponse("the transport gave a body that cannot be read asynchronously")
            self._iterator = aiter(self._body)
        return self._iterator


class Client:
    """One upstream's HTTP: requests out, answers in, transport failures as our errors.

    One for each deployment, so that a busy one cannot use up another's connections. It never retries and
    never follows a redirect. The credential is attached last, and only for the configured origin.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        transport: httpx.AsyncBaseTransport,
        *,
        auth: Auth,
        clock: Clock,
        connect_timeout: float = 5.0,
    ) -> None:
        self.endpoint = endpoint
        self.transport = transport
        self.on_head: Callable[[Mapping[str, str]], None] | None = None
        """Hears of the headers of every answer; must neither block nor raise."""
        self._auth = auth
        self._clock = clock
        self._base_url = endpoint.base_url.rstrip("/")
        self._shown = _without_userinfo(self._base_url)
        self._shared: dict[tuple[str, str, bool], Shared] = {}
        # By name in lower case: what comes later replaces what came before, and nothing is sent twice.
        self._headers = _raw(
            {"accept": "application/json", "accept-encoding": "identity", "user-agent": "pointsman"}
        )
        self._headers |= _raw(endpoint.headers)
        self._extensions = {
            "timeout": {"connect": connect_timeout, "read": None, "write": None, "pool": None}
        }
        self._authorized: Secret | None = None
        self._authorization: dict[bytes, bytes] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        limits: Limits,
        headers: Mapping[str, str] | None = None,
        stream: bool = False,
    ) -> Answer:
        """Send one request and return its answer as soon as the head is here, whatever its status.

        Args:
            path: appended to the base URL; already percent-encoded.
            body: a JSON value, or None for no body.
            headers: more of them; they replace those of the endpoint that have the same name.
            stream: the head must come within `limits.first_token`, not only within the attempt's time.

        Raises: ConnectionFailed (`sent` tells whether anything left) or its kind NoConnectionFree,
            FirstTokenTimeout, AttemptTimeout, BadResponse for a redirect, InvalidRequest for what cannot
            be sent.
        """
        started_at = self._clock.now()
        secret = self._auth.current()
        request = self._request(method, path, body, headers, secret)
        until = limits.until(started_at)
        error: Callable[[], Exception] = self.timed_out
        if stream and started_at + limits.first_token < until:
            until, error = started_at + limits.first_token, self.no_first_token
        time = TimeLimits()
        try:
            with time.until(until, error):
                response = await self.transport.handle_async_request(request)
        except BaseException as failure:
            time.close()
            if isinstance(failure, (lean.httpx.TransportError, OSError)):
                raise self._unanswered(failure) from failure
            raise
        answer = Answer(response, self, limits, started_at, time, secret)
        if 300 <= answer.status < 400:
            answer.abort()
            host = _host(answer.headers.get("location", "")) or "somewhere"
            raise BadResponse(
                f"{self._shown} redirects to {host}; redirects are not followed, correct base_url",
                status=answer.status,
            )
        if answer.status == 401 and secret is not None:
            self._auth.rejected(secret)
        if self.on_head is not None:
            self.on_head(answer.headers)
        return answer

    async def json(self, method: str, path: str, body: Any = None, *, limits: Limits) -> tuple[Answer, Any]:
        """Send one request and return its answer with the JSON value of its body, whatever its status.

        The value is None for an empty body and for an error whose body is not JSON.
        """
        answer = await self.send(method, path, body, limits=limits)
        if answer.status >= 400:
            return answer, json_or_none(await answer.read())
        content = await answer.read()
        return answer, answer.value(content) if content.strip() else None

    def within(self, seconds: float) -> Limits:
        """Limits for a call outside of any request: `seconds` in all."""
        return Limits(deadline=self._clock.now() + seconds, first_token=seconds, idle=seconds)

    def now(self) -> float:
        """Seconds on the clock that `Limits.deadline` is measured by."""
        return self._clock.now()

    def wall(self) -> float:
        """Seconds since 1970-01-01 UTC."""
        return self._clock.wall()

    async def aclose(self) -> None:
        """Close the transport and with it all connections."""
        for task in tuple(self._closing):
            with suppress(Exception):
                await task
        await self.transport.aclose()

    def close_later(self, answer: Answer) -> None:
        """Close `answer` in a task that this client owns, for at most a second."""

        async def close() -> None:
            with suppress(Exception):
                await asyncio.wait_for(answer.aclose(), _CLOSE_WITHIN)

        try:
            task = asyncio.get_running_loop().create_task(close())
        except RuntimeError:  # the loop is gone, and the connection with it
            return
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def timed_out(self) -> AttemptTimeout:
        """The error of an attempt that took too long."""
        return AttemptTimeout(f"{self._shown} did not answer in time")

    def no_first_token(self) -> FirstTokenTimeout:
        """The error of a stream whose first token did not come in time."""
        return FirstTokenTimeout(f"{self._shown} sent no first token in time")

    def silent(self) -> IdleTimeout:
        """The error of a stream that fell silent."""
        return IdleTimeout(f"{self._shown} fell silent in the middle of the answer")

    def _unanswered(self, failure: Exception) -> ConnectionFailed:
        if isinstance(failure, lean.httpx.PoolTimeout):
            return NoConnectionFree(
                f"no connection to {self._shown} came free in time: {_why(failure)}", sent=False
            )
        if isinstance(failure, _never_sent()):
            return ConnectionFailed(f"no connection to {self._shown}: {_why(failure)}", sent=False)
        return ConnectionFailed(f"the connection to {self._shown} broke before an answer: {_why(failure)}")

    def _request(
        self, method: str, path: str, body: Any, headers: Mapping[str, str] | None, secret: Secret | None
    ) -> httpx.Request:
        content = b""
        if body is not None:
            try:
                content = jsonio.dumps(body)
            except (TypeError, ValueError, RecursionError) as error:
                raise InvalidRequest(f"the request cannot be written as JSON: {error}") from error
        says_length = body is not None or method in _WITH_BODY
        if secret is not self._authorized:
            self._shared.clear()
            self._authorization = {} if secret is None else _raw(self.endpoint.authorize(secret.reveal()))
            self._authorized = secret
        key = method, path, body is None
        shared = self._shared.get(key)
        if shared is None:
            shared = self._share(method, path, {}, body is None)
            if len(self._shared) >= _KEPT_AT_MOST:
                self._shared.clear()
            self._shared[key] = shared
        own = _raw(headers) if headers else {}
        if not shared.names.isdisjoint(own):
            shared, own = self._share(method, path, own, body is None), {}
        if says_length:
            own[b"content-length"] = b"%d" % len(content)
        return shared.request(tuple(own.items()), content, self._extensions)

    def _share(self, method: str, path: str, headers: Mapping[bytes, bytes], bodiless: bool) -> Shared:
        """What all requests have in common that go to `path`, with `headers` for those of the endpoint."""
        from pointsman.transports.messages import Shared  # this needs httpx

        url = self._url(path)
        # All that httpx would add to a request is here, because it takes half of the time to find out.
        fields = {b"host": url.netloc, **self._headers, **headers}
        if not bodiless:
            fields[b"content-type"] = b"application/json"
        fields |= self._authorization
        if not bodiless or method in _WITH_BODY:
            fields.pop(b"content-length", None)  # each says its own
        return Shared(method, url, fields)

    def _url(self, path: str) -> httpx.URL:
        if path[:1] not in ("", "/", "?"):
            # It would go on where the host ends, and the credential would go with it.
            raise InvalidRequest(f"the path {path[:100]!r} does not begin with a slash")
        try:
            return lean.httpx.URL(self._base_url + path)
        except lean.httpx.InvalidURL as error:
            raise InvalidRequest(f"{self._shown} and {path[:100]!r} make no URL: {error}") from error


_KEPT_AT_MOST = 64
"""Paths of a client, beyond which it forgets what it keeps of them."""
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_WITH_BODY = ("POST", "PUT", "PATCH")
"""These say how long their body is, also when there is none."""


def _raw(headers: Mapping[str, str]) -> dict[bytes, bytes]:
    """`headers` as they go out, by name in lower case. Raises InvalidRequest; no message holds a value."""
    fields = {}
    for name, value in headers.items():
        raw_name = _raw_name(name)
        if "\r" in value or "\n" in value or "\0" in value:
            raise InvalidRequest(f"the value of header {name!r} has a line break or NUL")
        if not value.isascii() and max(value) > "\xff":
            raise InvalidRequest(f"the value of header {name!r} has characters outside Latin-1")
        fields[raw_name] = value.encode("latin-1")
    return fields


@lru_cache(maxsize=256)
def _raw_name(name: str) -> bytes:
    if not _HEADER_NAME.fullmatch(name):
        raise InvalidRequest(f"{name[:100]!r} cannot be the name of a header")
    return name.lower().encode("ascii")


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "")[:200]
    except ValueError:
        return ""


def _without_userinfo(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"


def _plain_only(encoding: str) -> None:
    if encoding.strip().lower() not in ("", "identity"):
        raise BadResponse(f"the upstream's stream is encoded as {encoding[:50]!r}, which we did not ask for")


def _decoded(body: bytes, encoding: str) -> bytes:
    """`body` without its content encoding; we ask for none, but some edges compress error pages anyway."""
    match encoding.strip().lower():
        case _ if not body:
            return body
        case "" | "identity":
            return body
        case "gzip" | "x-gzip" | "deflate":
            try:
                decoder = zlib.decompressobj(zlib.MAX_WBITS | 32)
                plain = decoder.decompress(body, MAX_BODY)
            except zlib.error as error:
                raise BadResponse(f"the upstream's {encoding} answer cannot be decoded: {error}") from error
            if len(plain) >= MAX_BODY:
                raise BadResponse(f"the upstream's answer is longer than {MAX_BODY} bytes when decoded")
            if not decoder.eof:
                raise Truncated(f"the upstream's {encoding} answer ends too early")
            return plain
        case other:
            raise BadResponse(f"the upstream's answer is encoded as {other[:50]!r}, which we did not ask for")


def _never() -> None:
    """Of a body that cannot tell what is here without waiting."""


def _broken(failure: Exception) -> CallError:
    """What it means that a body broke off."""
    if isinstance(failure, lean.httpx.RemoteProtocolError):
        return Truncated(f"the upstream's answer broke off: {failure}")
    return ConnectionFailed(f"the connection to the upstream broke: {_why(failure)}")


def _never_sent() -> tuple[type[Exception], ...]:
    httpx = lean.httpx
    return httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol


def _why(error: BaseException) -> str:
    return str(error) or type(error).__name__
