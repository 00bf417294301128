"""The HTTP seam: one transport per deployment, called directly, with our own timers around it.

There is no `AsyncClient` on the path: it costs ten to twenty times the call. What a transport raises becomes
our errors in `failures`, once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from msgspec import Struct, field
from msgspec.structs import replace

from pointsman._internal import httpx_lazy, jsonio
from pointsman._internal.plugin_errors import OWN
from pointsman._internal.scrubber import Scrubber
from pointsman._internal.timeouts import Timeouts, TimerHeap
from pointsman.auth import Auth, Discreet, Fixed, Secret, is_plain
from pointsman.clock import Clock
from pointsman.errors import InvalidRequest
from pointsman.http.answer import MAX_BODY, Answer, OpenAnswer
from pointsman.http.failures import ExchangeErrors, Used
from pointsman.http.headers import bearer, raw_fields
from pointsman.transports.raw import RawTransport, Reply, RequestTemplate, Whole
from pointsman.wire.retry_after import RateHeaders
from pointsman.wire.status_errors import json_or_none

if TYPE_CHECKING:
    import httpx

    from pointsman.http.attaching import Attaching
    from pointsman.http.rotation import AttachingInTurn
    from pointsman.wire.error_patterns import ErrorPattern

_CLOSE_WITHIN = 1.0


class Endpoint(Discreet, frozen=True):
    """Where a provider's calls go, and what every one of them carries.

    `base_url` has no trailing slash; paths are appended to it. `authorize` makes the headers that carry
    a credential, and is asked once for each. `rates` names the headers that tell what is left of the
    upstream's rate limits. `patterns` say what its errors mean where they are not as usual; the first that
    fits counts. `address` is connected to in place of where the host of `base_url` leads; that stays what the
    server is called, in `Host` and for TLS.
    """

    unshown = ("base_url", "headers")
    base_url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    authorize: Callable[[str], Mapping[str, str]] = bearer
    rates: RateHeaders | None = None
    patterns: Sequence[ErrorPattern] = ()
    address: str = ""


class CallTimeouts(Struct, frozen=True):
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


class Client:
    """One upstream's HTTP: requests out, answers in, transport failures as our errors.

    One for each deployment, so that a busy one cannot use up another's connections. It never follows a
    redirect and never retries, but for a 401 when the source of the credential has another one by then. The
    credential is attached last, and only for the configured origin.
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
        self.endpoint = endpoint
        self.connect_timeout = connect_timeout
        self._base_url = endpoint.base_url.rstrip("/")
        self.scrubber = scrubber or Scrubber()
        """What upstreams say goes through it before it is in an error; it knows our credentials."""
        self.errors = ExchangeErrors(self._base_url, self.scrubber, plugins or Used(), endpoint.patterns)
        """Makes the errors of all exchanges with this upstream."""
        self._attaching = None if is_plain(auth) else self._attach(auth, clock)
        """Attaches what takes more than a header that stays."""
        self.transport = transport
        self.on_head: Callable[[Mapping[str, str]], None] | None = None
        """Hears the headers of answers that have those of `endpoint.rates`; must neither block nor raise."""
        rates = endpoint.rates
        self._heeded = frozenset(
            () if rates is None else (rates.requests[0].lower(), rates.tokens[0].lower())
        )
        self._auth = auth
        self._clock = clock
        self._alarms = TimerHeap()
        self._templates: dict[tuple[str | bool, ...], RequestTemplate] = {}
        # By name in lower case: what comes later replaces what came before, and nothing is sent twice.
        self._headers = raw_fields(
            {"accept": "application/json", "accept-encoding": "identity", "user-agent": "pointsman"}
        )
        self._headers |= raw_fields(endpoint.headers)
        self._extensions: dict[str, Any] = {
            "timeout": {"connect": connect_timeout, "read": None, "write": None, "pool": None}
        }
        self._authorized: Secret | None = None
        self._settled = self._attaching is not None
        """Whether the source of the credential need not be asked here: it has no other, or is asked later."""
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
        # Decided and bound here, not in every call.
        self._exchange = transport.exchange if isinstance(transport, RawTransport) else self._over
        if self._attaching is not None:
            self._exchange = partial(self._attaching.exchange, self._exchange)

    async def fetch(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        timeouts: CallTimeouts,
        headers: Mapping[str, str] | None = None,
        again: bool = True,
    ) -> tuple[Answer, bytes]:
        """Send one request and return its answer with the whole body, whatever its status.

        Arguments as of `send`. Raises: what `send` and `OpenAnswer.read` raise.
        """
        # Not `send` and `read`: an answer that came whole takes one coroutine, and no `OpenAnswer`.
        template, values, content = self._outgoing(method, path, body, headers)
        secret = self._authorized
        until = timeouts.deadline if timeouts.attempt is None else timeouts.until(self._clock.now())
        time = timeouts.time or Timeouts(self._alarms)
        try:
            asked = self._exchange(template, values, content)
            # Where the router's limit ends no later there is no need of one more.
            reply = await (asked if time.when <= until else _by(until, asked, time, self.errors.timed_out))
        except BaseException as failure:
            time.close()
            raise self.errors.unanswered(failure)  # noqa: B904 - it has its cause
        if (
            type(reply) is Whole
            and reply.status < 300
            and "content-encoding" not in reply.fields
            and len(reply.body) <= MAX_BODY
        ):  # exactly that, and a success that is taken as it came
            if timeouts.time is None:  # the router gives its own back
                time.close()
            whole = Answer(reply.status, reply.fields, self.errors)
            if self.on_head is not None and not reply.fields.keys().isdisjoint(self._heeded):
                self.on_head(whole.headers)
            return whole, reply.body
        answer = OpenAnswer(reply.status, reply.fields, self.errors, until, reply, self, time)
        if not (self._heard(answer, secret) and again):
            return answer, await answer.read()
        await answer.aclose()
        rest = replace(timeouts, deadline=until, attempt=None)
        return await self.fetch(method, path, body, timeouts=rest, headers=headers, again=False)

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        timeouts: CallTimeouts,
        headers: Mapping[str, str] | None = None,
        stream: bool = False,
        again: bool = True,
    ) -> OpenAnswer:
        """Send one request and return its answer as soon as the head is here, whatever its status.

        Args:
            path: appended to the base URL; already percent-encoded.
            body: a JSON value, or None for no body.
            headers: more of them; they replace those of the endpoint that have the same name.
            stream: the head must come within `timeouts.first_token`, not only within the attempt's time.
            again: send it once more, within the same time, when the credential is rejected and its source
                has another one.

        Raises: ConnectionFailed (`sent` tells whether anything left) or its kinds NoConnectionFree
            and OutOfResources, FirstTokenTimeout, AttemptTimeout, BadResponse for a redirect, InvalidRequest
            for what cannot be sent.
        """
        template, values, content = self._outgoing(method, path, body, headers)
        secret = self._authorized
        now = self._clock.now()
        until = head_until = timeouts.deadline if timeouts.attempt is None else timeouts.until(now)
        error: Callable[[], Exception] = self.errors.timed_out
        if stream and now + timeouts.first_token < until:
            head_until, error = now + timeouts.first_token, self.errors.no_first_token
        time = timeouts.time or Timeouts(self._alarms)
        try:
            asked = self._exchange(template, values, content)
            reply = await (asked if time.when <= head_until else _by(head_until, asked, time, error))
        except BaseException as failure:
            time.close()
            raise self.errors.unanswered(failure)  # noqa: B904 - it has its cause
        answer = OpenAnswer(reply.status, reply.fields, self.errors, until, reply, self, time)
        if (answer.status >= 300 or self.on_head is not None) and self._heard(answer, secret) and again:
            await answer.aclose()
            rest = replace(timeouts, deadline=until, attempt=None, first_token=head_until - self._clock.now())
            return await self.send(
                method, path, body, timeouts=rest, headers=headers, stream=stream, again=False
            )
        return answer

    async def json(
        self, method: str, path: str, body: Any = None, *, timeouts: CallTimeouts
    ) -> tuple[Answer, Any]:
        """Send one request and return its answer with the JSON value of its body, whatever its status.

        The value is None for an empty body and for an error whose body is not JSON.
        """
        answer, content = await self.fetch(method, path, body, timeouts=timeouts)
        if answer.status >= 400:
            return answer, json_or_none(content)
        return answer, answer.value(content) if content.strip() else None

    def within(self, seconds: float) -> CallTimeouts:
        """Limits for a call outside of any request: `seconds` in all."""
        return CallTimeouts(deadline=self._clock.now() + seconds, first_token=seconds, idle=seconds)

    def now(self) -> float:
        """Seconds on the clock that `CallTimeouts.deadline` is measured by."""
        return self._clock.now()

    def wall(self) -> float:
        """Seconds since 1970-01-01 UTC."""
        return self._clock.wall()

    def rehearsal(self, transport: RawTransport) -> Client:
        """A twin that sends by `transport` alone: nothing is fetched or signed for what it sends.

        A credential that would be fetched first is `-` there.
        """
        twin = copy(self)
        twin._templates, twin.on_head = {}, None
        if self._attaching is not None:
            twin._attaching, twin._authorization = None, raw_fields(self.endpoint.authorize("-"))
        twin.transport = cast("httpx.AsyncBaseTransport", transport)
        return twin

    async def aclose(self) -> None:
        """Close the transport and with it all connections."""
        for task in tuple(self._closing):
            with suppress(Exception):
                await task
        if self._attaching is not None:
            await self._attaching.aclose()
        await self.transport.aclose()
        self._alarms.close()

    def close_later(self, answer: OpenAnswer) -> None:
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

    def _attach(self, auth: Auth, clock: Clock) -> Attaching | AttachingInTurn:
        from pointsman.http.attaching import Attaching  # most credentials need nothing of it
        from pointsman.http.rotation import AttachingInTurn, CredentialRotation

        more: Any = {"clock": clock, "scrubber": self.scrubber, "errors": self.errors}
        if isinstance(auth, CredentialRotation):
            return AttachingInTurn(auth, self.endpoint.authorize, **more)
        return Attaching(auth, self.endpoint.authorize, **more)

    async def _over(self, template: RequestTemplate, values: tuple[str, ...], content: bytes) -> Reply:
        from pointsman.transports.httpx_messages import exchange_over  # this needs httpx

        return await exchange_over(self.transport, template, values, content)

    def _heard(self, answer: OpenAnswer, secret: Secret | None) -> bool:
        """Act on the head of an answer to a request that carried `secret`. BadResponse for a redirect.

        Returns: whether `secret` was rejected, and there is another credential now.
        """
        status, named = answer.status, answer.named
        if 300 <= status < 400:
            answer.abort()
            raise self.errors.redirected(status, named.get("location", ""))
        if self.on_head is not None and not named.keys().isdisjoint(self._heeded):
            self.on_head(answer.headers)
        return status == 401 and secret is not None and self._is_replaced(secret)

    def _is_replaced(self, secret: Secret) -> bool:
        """Tell where `secret` came from that it was rejected; whether there is another one now."""
        try:
            return self._auth.rejected(secret) is True
        except OWN as error:
            self.errors.auth_fault("rejected", error)  # which logs it
            return False

    def _authorize(self) -> None:
        """From now on requests carry the credential that is the current one."""
        try:
            secret = self._auth.current()
        except OWN as failure:
            raise self.errors.auth_fault("current", failure) from failure
        if secret is not self._authorized:
            kind: type = type(secret)
            if secret is not None and not issubclass(kind, Secret):
                did = f"returned a {kind.__name__} from current(), expected a Secret or None"
                raise self.errors.auth_fault("current", did)
            authorization: dict[bytes, bytes] = {}
            if secret is not None:
                self.scrubber.learn(secret.reveal())
                authorization = raw_fields(self.endpoint.authorize(secret.reveal()))
            # Together: where one that no header can hold is refused, that of before is what it was.
            self._authorized, self._authorization = secret, authorization
            self._templates.clear()
        self._settled = type(self._auth) is Fixed

    def _outgoing(
        self, method: str, path: str, body: Any, headers: Mapping[str, str] | None
    ) -> tuple[RequestTemplate, tuple[str, ...], bytes]:
        """What `RawTransport.exchange` takes: all is checked here."""
        if not self._settled:
            self._authorize()
        content = b""
        if body is not None:
            try:
                content = body if type(body) is bytes else jsonio.dumps(body)
            except (TypeError, ValueError, RecursionError) as error:
                raise InvalidRequest(f"the request cannot be written as JSON: {error}") from error
        headers = headers or {}
        template = self._templates.get((method, path, body is None, *headers))
        if template is None:
            template = self._template(method, path, headers, body is None)
        if not template.own:
            return template, (), content
        values = tuple(headers.values())
        text = "".join(values)
        if not (text.isascii() and text.isprintable()):
            raw_fields(headers)  # is surer, and slower
        return template, values, content

    def _template(
        self, method: str, path: str, headers: Mapping[str, str], bodiless: bool
    ) -> RequestTemplate:
        """What all requests have in common that go to `path` and have `headers` of the same names.

        It is kept for the next one, unless `headers` replace others: then it is for this one alone.
        """
        own = raw_fields(headers)
        taken = _OURS | self._headers.keys() | self._authorization.keys()
        alone = len(own) < len(headers) or not taken.isdisjoint(own)
        url = self._url(path)
        # All that httpx would add to a request is here, because it takes half of the time to find out.
        fields = {b"host": url.netloc, **self._headers}
        extensions: dict[str, Any] = self._extensions
        if self.endpoint.address:
            extensions = {**extensions, "sni_hostname": url.host}
            url = url.copy_with(host=self.endpoint.address)
        if alone:
            fields |= own
        if not bodiless and b"content-type" not in own:
            fields[b"content-type"] = b"application/json"
        fields |= self._authorization
        counted = not bodiless or method in _WITH_BODY
        if counted:
            fields.pop(b"content-length", None)  # each says its own
        template = RequestTemplate(
            method, url, fields, () if alone else tuple(own), counted=counted, extensions=extensions
        )
        if not alone:
            if len(self._templates) >= _KEPT_AT_MOST:
                self._templates.clear()
            self._templates[method, path, bodiless, *headers] = template
        return template

    def _url(self, path: str) -> httpx.URL:
        if path[:1] not in ("", "/", "?"):
            # It would go on where the host ends, and the credential would go with it.
            raise InvalidRequest(f"the path {path[:100]!r} does not begin with a slash")
        try:
            # An empty query is one that not every transport sends, so that what is signed would differ.
            return httpx_lazy.httpx.URL((self._base_url + path).removesuffix("?"))
        except httpx_lazy.httpx.InvalidURL as error:
            raise InvalidRequest(f"{self.errors.shown} and {path[:100]!r} make no URL: {error}") from error


_KEPT_AT_MOST = 64
"""Paths of a client, beyond which it forgets what it keeps of them."""
_WITH_BODY = ("POST", "PUT", "PATCH")
"""These say how long their body is, also when there is none."""
_OURS = frozenset((b"connection", b"content-length", b"content-type", b"host", b"transfer-encoding"))
"""Fields for which no request may have a value of its own without a closer look."""


async def _by(until: float, asked: Awaitable[Reply], time: Timeouts, error: Callable[[], Exception]) -> Reply:
    with time.until(until, error):
        return await asked
