"""The HTTP seam: one transport per deployment, called directly, with our own timers around it.

This module and the transports are the only ones that import httpx. There is no `AsyncClient` on the path:
it costs ten to twenty times the call. What a transport raises becomes our errors here, once.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from msgspec import Struct, field

from pointsman._internal import httpx_lazy, jsonio
from pointsman._internal.plugin_errors import OWN, during_attempt, fault, is_own
from pointsman._internal.scrubber import Scrubber
from pointsman._internal.timeouts import Timeouts, TimerHeap
from pointsman.auth import Auth, Discreet, Secret
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
    OutOfResources,
    PluginError,
    Truncated,
)
from pointsman.transports.options import TransportUnavailable
from pointsman.transports.raw import RawTransport, Reply, RequestTemplate
from pointsman.transports.shortage import shortage
from pointsman.wire.retry_after import RateHeaders
from pointsman.wire.status_errors import ID_NAMES, json_or_none, request_id_of, snippet

if TYPE_CHECKING:
    import httpx

MAX_BODY = 64 << 20
MAX_STREAM = 256 << 20
_CLOSE_WITHIN = 1.0
_END_WITHIN = 0.05
_ERROR_WITHIN = 5.0
"""Seconds for the body of an error: its status and headers say enough to act on."""
_ERROR_BYTES = 256 << 10
"""As much of it is looked at."""


def bearer(secret: str) -> dict[str, str]:
    """`Authorization: Bearer <secret>`."""
    return {"authorization": f"Bearer {secret}"}


class Endpoint(Discreet, frozen=True):
    """Where a provider's calls go, and what every one of them carries.

    `base_url` has no trailing slash; paths are appended to it. `authorize` makes the headers that carry
    a credential, and is asked once for each. `rates` names the headers that tell what is left of the
    upstream's rate limits.
    """

    unshown = ("base_url", "headers")
    base_url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    authorize: Callable[[str], Mapping[str, str]] = bearer
    rates: RateHeaders | None = None


class AttemptTimeouts(Struct, frozen=True):
    """The time limits of one attempt, in seconds; `deadline` is an instant of the clock.

    `first_token` and `idle` hold for streams; an answer in one piece has until the deadline, or `attempt`.
    `time` is where the router keeps them itself, so that a client need not keep them once more; None outside
    of its calls.
    """

    deadline: float
    first_token: float = 60.0
    idle: float = 60.0
    attempt: float | None = None
    time: Timeouts | None = None

    def until(self, now: float) -> float:
        """The instant at which an attempt that starts now ends."""
        return self.deadline if self.attempt is None else min(self.deadline, now + self.attempt)


class Fields(Mapping[str, str]):
    """The header fields of an answer, by name in any case; several of one name are joined by commas."""

    __slots__ = ("_values",)

    def __init__(self, values: dict[str, str]) -> None:
        """`values`: by name in lower case."""
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

    Attributes:
        named: the header fields by name in lower case.
    """

    __slots__ = ("_client", "_reply", "_taken", "_time", "_until", "named", "status")

    def __init__(self, reply: Reply, client: Client, until: float, time: Timeouts) -> None:
        self.status: int = reply.status
        self.named = reply.named()
        self._reply = reply
        self._client = client
        self._until = until
        self._time = time
        self._taken = 0

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields by name in any case."""
        return Fields(self.named)

    @property
    def request_id(self) -> str:
        """The upstream's own id of this call, "" when it gives none."""
        if self.named.keys().isdisjoint(ID_NAMES):  # looks for the few among the many
            return ""
        return self._client.scrubber.ours(request_id_of(self.named))

    async def read(self) -> bytes:
        """The whole body, decoded, within the attempt's time. Closes the answer.

        The body of an error (400 and above) has 5 seconds at most, and is empty when it cannot be read: that
        must not hide what the status and the headers say. It is cut at 256 KiB, and holds no secret of ours.

        Raises: AttemptTimeout, ConnectionFailed, Truncated; BadResponse above 64 MiB. None for an error.
        """
        if self.status < 400:
            return await self._read(self._until)
        try:
            body = await self._read(min(self._until, self._client.now() + _ERROR_WITHIN))
        except CallError:
            return b""
        return self._client.scrubber.data(body[:_ERROR_BYTES])

    async def _read(self, until: float) -> bytes:
        # What is here needs no time limit. Often that is all of it: it came together with the head.
        if (body := self._reply.whole()) is not None:
            self._time.close()
            return self._plain(body)
        pieces: list[bytes] = []
        try:
            while piece := self._reply.ready():
                self._collect(piece, pieces)
            if piece is None:
                if self._time.when <= until:
                    await self._rest(pieces)
                else:
                    with self._time.until(until, self._client.timed_out):
                        await self._rest(pieces)
        except BaseException as failure:
            self.abort()
            if not isinstance(failure, CallError) and isinstance(
                failure, (httpx_lazy.httpx.TransportError, OSError)
            ):
                raise self.mask(_broken(failure)) from None
            if (fault := self._client.transport_fault(failure)) is not None:
                raise fault from failure
            raise
        if piece == b"":
            self._time.close()
        else:
            await self.aclose()
        return self._plain(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    async def _rest(self, pieces: list[bytes]) -> None:
        try:
            while True:
                self._collect(await self._reply.next(), pieces)
        except StopAsyncIteration:
            return

    def _collect(self, piece: bytes, pieces: list[bytes]) -> None:
        if not isinstance(piece, bytes | bytearray):
            raise TypeError(f"a {type(piece).__name__} is no piece of a body")
        self._taken += len(piece)
        if self._taken > MAX_BODY:
            raise BadResponse(f"the upstream's answer is longer than {MAX_BODY} bytes")
        pieces.append(piece)

    def here(self) -> bytes | None:
        """What `read` would return, when all of the body is here and it is that of a success; else None."""
        if self.status >= 400 or (body := self._reply.whole()) is None:
            return None
        self._time.close()
        return self._plain(body)

    def _plain(self, body: bytes) -> bytes:
        """All of the body, without the encoding that the upstream may have given it."""
        if len(body) > MAX_BODY:
            raise BadResponse(f"the upstream's answer is longer than {MAX_BODY} bytes")
        encoding = self.named.get("content-encoding")
        if not encoding:
            return body
        try:
            return _decoded(body, encoding)
        except CallError as error:
            raise self.mask(error) from None

    def mask(self, error: CallError) -> CallError:
        """`error` without our secrets, should the upstream have quoted them."""
        return self._client.scrubber.error(error)

    async def json(self) -> Any:
        """The whole body as a JSON value. Raises BadResponse when it is none, and what `read` raises."""
        return self.value(await self.read())

    def value(self, body: bytes, *, hint: str = "") -> Any:
        """`body`, which was read from here, as a JSON value.

        Raises: BadResponse when it is none, which shows how the body begins, and the `hint` at what may help.
        """
        try:
            return jsonio.loads(body)
        except ValueError:
            came = snippet(body) or "nothing"
            raise self.mask(
                BadResponse(
                    f"the upstream's answer is not JSON, but {came}" + (f"; {hint}" if hint else ""),
                    status=self.status,
                    upstream_request_id=self.request_id,
                )
            ) from None

    async def chunk(self, until: float | None, timed_out: Callable[[], Exception]) -> bytes | None:
        """The next piece of the body, None at its end; `timed_out()` is raised at the instant `until`."""
        if not self._taken and (encoding := self.named.get("content-encoding")):
            self._expect_plain(encoding)
        piece = self._reply.ready()  # what is here needs no time limit
        if piece is None:
            try:
                if until is not None and self._time.when <= until:
                    piece = await self._reply.next()
                else:
                    with self._time.until(until, timed_out):
                        piece = await self._reply.next()
            except StopAsyncIteration:
                return None
            except CallError:  # a time limit, which is an OSError, too
                raise
            except (httpx_lazy.httpx.TransportError, OSError) as failure:
                raise self.mask(_broken(failure)) from None
            except BaseException as failure:
                if (fault := self._client.transport_fault(failure)) is not None:
                    raise fault from failure
                raise
        elif not piece:
            return None
        self._taken += len(piece)
        if self._taken > MAX_STREAM:
            raise BadResponse(f"the upstream's stream is longer than {MAX_STREAM} bytes")
        return piece

    def _expect_plain(self, encoding: str) -> None:
        if encoding.strip().lower() not in ("", "identity"):
            shown = self._client.scrubber.text(encoding)[:50]
            raise BadResponse(f"the upstream's stream is encoded as {shown!r}, which we did not ask for")

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
        try:
            await self._reply.aclose()
        except (httpx_lazy.httpx.TransportError, OSError):
            return  # what was to be read has been
        except BaseException as failure:
            if self._client.transport_fault(failure) is None:
                raise

    def abort(self) -> None:
        """Close the connection now, without awaiting; where the transport cannot, in a task of its own."""
        self._time.close()
        if (abort := self._reply.abort) is not None:
            abort()
        else:
            self._client.close_later(self)


class Used(NamedTuple):
    """The plugins that a client works with, by the names that the configuration has for them."""

    auth: str = ""
    transport: str = ""


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
        scrubber: Scrubber | None = None,
        plugins: Used | None = None,
    ) -> None:
        self._plugins = plugins or Used()
        self.endpoint = endpoint
        self.connect_timeout = connect_timeout
        self.scrubber = scrubber or Scrubber()
        """What upstreams say goes through it before it is in an error; it knows our credentials."""
        self.transport = transport
        self.on_head: Callable[[Mapping[str, str]], None] | None = None
        """Hears the headers of answers that have those of `endpoint.rates`; must neither block nor raise."""
        rates = endpoint.rates
        self._heeded = frozenset(
            () if rates is None else (rates.requests[0].lower(), rates.tokens[0].lower())
        )
        self._auth = auth
        self._clock = clock
        self._base_url = endpoint.base_url.rstrip("/")
        self._shown = _without_userinfo(self._base_url)
        self._alarms = TimerHeap()
        self._shared: dict[tuple[str, str, tuple[str, ...], bool], RequestTemplate] = {}
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

    @property
    def transport(self) -> httpx.AsyncBaseTransport:
        """What the exchanges go over; another one serves from the next of them on."""
        return self._transport

    @transport.setter
    def transport(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport
        self._exchange: Callable[[RequestTemplate, tuple[str, ...], bytes], Awaitable[Reply]]
        self._exchange = transport.exchange if isinstance(transport, RawTransport) else self._over

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        limits: AttemptTimeouts,
        headers: Mapping[str, str] | None = None,
        stream: bool = False,
    ) -> Answer:
        """Send one request and return its answer as soon as the head is here, whatever its status.

        Args:
            path: appended to the base URL; already percent-encoded.
            body: a JSON value, or None for no body.
            headers: more of them; they replace those of the endpoint that have the same name.
            stream: the head must come within `limits.first_token`, not only within the attempt's time.

        Raises: ConnectionFailed (`sent` tells whether anything left) or its kinds NoConnectionFree
            and OutOfResources, FirstTokenTimeout, AttemptTimeout, BadResponse for a redirect, InvalidRequest
            for what cannot be sent.
        """
        try:
            secret = self._auth.current()
        except OWN as failure:
            raise self._auth_fault("current", failure) from failure
        if secret is not self._authorized:
            self._authorize(secret)
        shared, values, content = self._request(method, path, body, headers)
        until = head_until = limits.deadline
        error: Callable[[], Exception] = self.timed_out
        if stream or limits.attempt is not None:
            now = self._clock.now()
            until = head_until = limits.until(now)
            if stream and now + limits.first_token < until:
                head_until, error = now + limits.first_token, self.no_first_token
        time = limits.time
        if time is None:
            time = Timeouts(self._alarms)
        try:
            if time.when <= head_until:
                reply = await self._exchange(shared, values, content)
            else:
                with time.until(head_until, error):
                    reply = await self._exchange(shared, values, content)
        except BaseException as failure:
            time.close()
            if not isinstance(failure, CallError) and isinstance(
                failure, (httpx_lazy.httpx.TransportError, OSError, TransportUnavailable)
            ):
                raise self.scrubber.error(self._unanswered(failure)) from None
            if (fault := self.transport_fault(failure)) is not None:
                raise fault from failure
            raise
        answer = Answer(reply, self, until, time)
        if 300 <= answer.status < 400:
            answer.abort()
            location = self.scrubber.text(answer.named.get("location", ""))
            host = _host(self._base_url if location[:1] == "/" != location[1:2] else location) or "somewhere"
            raise BadResponse(
                f"{self._shown} redirects to {host}; redirects are not followed, correct base_url",
                status=answer.status,
            )
        if answer.status == 401 and secret is not None:
            self._reject(secret)
        if self.on_head is not None and not answer.named.keys().isdisjoint(self._heeded):
            self.on_head(answer.headers)
        return answer

    async def fetch(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        limits: AttemptTimeouts,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[Answer, bytes]:
        """Send one request and return its answer with the whole body, whatever its status.

        Arguments as of `send`. Raises: what `send` and `Answer.read` raise.
        """
        answer = await self.send(method, path, body, limits=limits, headers=headers)
        content = answer.here()
        return answer, await answer.read() if content is None else content

    async def json(
        self, method: str, path: str, body: Any = None, *, limits: AttemptTimeouts
    ) -> tuple[Answer, Any]:
        """Send one request and return its answer with the JSON value of its body, whatever its status.

        The value is None for an empty body and for an error whose body is not JSON.
        """
        answer, content = await self.fetch(method, path, body, limits=limits)
        if answer.status >= 400:
            return answer, json_or_none(content)
        return answer, answer.value(content) if content.strip() else None

    def within(self, seconds: float) -> AttemptTimeouts:
        """Limits for a call outside of any request: `seconds` in all."""
        return AttemptTimeouts(deadline=self._clock.now() + seconds, first_token=seconds, idle=seconds)

    def now(self) -> float:
        """Seconds on the clock that `AttemptTimeouts.deadline` is measured by."""
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
        self._alarms.close()

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
        if isinstance(failure, httpx_lazy.httpx.PoolTimeout):
            return NoConnectionFree(
                f"no connection to {self._shown} came free in time: {_why(failure)}", sent=False
            )
        if (lack := shortage(failure, _host(self._base_url))) is not None:
            return OutOfResources(f"no connection to {self._shown}: {lack}", sent=False)
        if isinstance(failure, _never_sent()):
            return ConnectionFailed(f"no connection to {self._shown}: {_why(failure)}", sent=False)
        return ConnectionFailed(f"the connection to {self._shown} broke before an answer: {_why(failure)}")

    async def _over(self, shared: RequestTemplate, values: tuple[str, ...], content: bytes) -> Reply:
        from pointsman.transports.httpx_messages import exchange_over  # this needs httpx

        return await exchange_over(self.transport, shared, values, content)

    def transport_fault(self, failure: BaseException) -> PluginError | None:
        """What `failure`, which came out of the transport, counts as when it is none that one may raise."""
        if isinstance(failure, CallError) or not is_own(failure):
            return None
        return self._fault("transport", self._plugins.transport, "exchange", failure)

    def _fault(self, kind: str, plugin: str, method: str, did: BaseException | str) -> PluginError:
        return during_attempt(fault(kind, plugin, method, did, scrub=self.scrubber.text))

    def _auth_fault(self, method: str, error: BaseException) -> CallError:
        """What it counts as that the source of credentials raised `error`."""
        if isinstance(error, CallError):
            return error
        return self._fault("auth", self._plugins.auth, method, error)

    def _reject(self, secret: Secret) -> None:
        """Tell where `secret` came from that it was rejected; the answer says so in any case."""
        try:
            self._auth.rejected(secret)
        except OWN as error:
            self._auth_fault("rejected", error)  # which logs it

    def _authorize(self, secret: Secret | None) -> None:
        """From now on requests carry `secret`."""
        kind: type = type(secret)
        if secret is not None and not issubclass(kind, Secret):
            did = f"returned a {kind.__name__} from current(), expected a Secret or None"
            raise self._fault("auth", self._plugins.auth, "current", did)
        self._shared.clear()
        self._authorization = {}
        if secret is not None:
            self.scrubber.learn(secret.reveal())
            self._authorization = _raw(self.endpoint.authorize(secret.reveal()))
        self._authorized = secret

    def _request(
        self, method: str, path: str, body: Any, headers: Mapping[str, str] | None
    ) -> tuple[RequestTemplate, tuple[str, ...], bytes]:
        """What `RawTransport.exchange` takes: all that is checked of a request is checked here."""
        content = b""
        if body is not None:
            try:
                content = body if type(body) is bytes else jsonio.dumps(body)
            except (TypeError, ValueError, RecursionError) as error:
                raise InvalidRequest(f"the request cannot be written as JSON: {error}") from error
        names, values = (tuple(headers), tuple(headers.values())) if headers else ((), ())
        shared = self._shared.get((method, path, names, body is None))
        if shared is None:
            shared = self._share(method, path, headers or {}, body is None)
            return shared, values if shared.own else (), content
        text = "".join(values)
        if not (text.isascii() and text.isprintable()):
            _raw(headers or {})  # is surer, and slower
        return shared, values, content

    def _share(self, method: str, path: str, headers: Mapping[str, str], bodiless: bool) -> RequestTemplate:
        """What all requests have in common that go to `path` and have `headers` of the same names.

        It is kept for the next one, unless `headers` replace others: then it is for this one alone.
        """
        own = _raw(headers)
        taken = _OURS | self._headers.keys() | self._authorization.keys()
        alone = len(own) < len(headers) or not taken.isdisjoint(own)
        url = self._url(path)
        # All that httpx would add to a request is here, because it takes half of the time to find out.
        fields = {b"host": url.netloc, **self._headers}
        if alone:
            fields |= own
        if not bodiless:
            fields[b"content-type"] = b"application/json"
        fields |= self._authorization
        counted = not bodiless or method in _WITH_BODY
        if counted:
            fields.pop(b"content-length", None)  # each says its own
        shared = RequestTemplate(
            method, url, fields, () if alone else tuple(own), counted=counted, extensions=self._extensions
        )
        if not alone:
            if len(self._shared) >= _KEPT_AT_MOST:
                self._shared.clear()
            self._shared[method, path, tuple(headers), bodiless] = shared
        return shared

    def _url(self, path: str) -> httpx.URL:
        if path[:1] not in ("", "/", "?"):
            # It would go on where the host ends, and the credential would go with it.
            raise InvalidRequest(f"the path {path[:100]!r} does not begin with a slash")
        try:
            return httpx_lazy.httpx.URL(self._base_url + path)
        except httpx_lazy.httpx.InvalidURL as error:
            raise InvalidRequest(f"{self._shown} and {path[:100]!r} make no URL: {error}") from error


_KEPT_AT_MOST = 64
"""Paths of a client, beyond which it forgets what it keeps of them."""
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_WITH_BODY = ("POST", "PUT", "PATCH")
"""These say how long their body is, also when there is none."""
_OURS = frozenset((b"connection", b"content-length", b"content-type", b"host", b"transfer-encoding"))
"""Fields for which no request may have a value of its own without a closer look."""


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
        case _:
            raise BadResponse(
                f"the upstream's answer is encoded as {encoding[:50]!r}, which we did not ask for"
            )


def _broken(failure: Exception) -> CallError:
    """What it means that a body broke off."""
    if isinstance(failure, httpx_lazy.httpx.RemoteProtocolError):
        return Truncated(f"the upstream's answer broke off: {failure}")
    return ConnectionFailed(f"the connection to the upstream broke: {_why(failure)}")


def _never_sent() -> tuple[type[Exception], ...]:
    httpx = httpx_lazy.httpx
    return httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol, TransportUnavailable


def _why(error: BaseException) -> str:
    return str(error) or type(error).__name__
