"""The ASGI application: one request from its head to the last byte of its answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, unquote

from msgspec import Raw, Struct
from msgspec.structs import replace

from pointsman._internal.plugin_errors import log_raised
from pointsman._internal.timeouts import TimerHeap
from pointsman.plugin import (
    CallError,
    ConfigError,
    ProblemDetails,
    ProblemKind,
    Route,
    SocketRoute,
    StreamReply,
    Surface,
    SurfaceRequest,
    WholeReply,
)
from pointsman_gateway.access.admission import Access, Denied, Head
from pointsman_gateway.access.denials import problem_in
from pointsman_gateway.access.origins import has_body, is_foreign
from pointsman_gateway.access.scopes import check_surface
from pointsman_gateway.calls.accounts import Account
from pointsman_gateway.calls.answers import answer_fields, refusal
from pointsman_gateway.calls.call_headers import call_options
from pointsman_gateway.calls.observing import GONE, Observer
from pointsman_gateway.calls.problems import problem_of
from pointsman_gateway.exchange.bodies import (
    BodyGone,
    BodySilent,
    BodyTooLarge,
    BodyWrong,
    Receive,
    read_body,
    read_object,
)
from pointsman_gateway.exchange.caller_watch import CallerWatch
from pointsman_gateway.exchange.cors import cors_fields, is_preflight, preflight
from pointsman_gateway.exchange.exposing import PATH as METRICS
from pointsman_gateway.exchange.exposing import metrics_reply
from pointsman_gateway.exchange.head import Networks, Scope, head_of, own_id
from pointsman_gateway.exchange.health import Health
from pointsman_gateway.exchange.sending import WRITE_WITHIN, Send, send_stream, send_whole
from pointsman_gateway.exchange.shortcut import SHORTCUT, Shortcut
from pointsman_gateway.exchange.socket_calls import SocketCalls
from pointsman_gateway.exchange.sockets import deny_socket, speak
from pointsman_gateway.exchange.table import Found, Table
from pointsman_gateway.exchange.tickets import SocketTickets
from pointsman_gateway.settings import HeaderChoice

_NO_WEBSOCKET = WholeReply(
    426,
    b'{"error":{"message":"no WebSocket is spoken here; ask by HTTP","type":"invalid_request_error"}}',
    fields={"upgrade": "HTTP/1.1", "connection": "close"},
)
_ONLY_WEBSOCKET = WholeReply(
    426,
    b'{"error":{"message":"a WebSocket is spoken here, and nothing else","type":"invalid_request_error"}}',
    fields={"upgrade": "websocket", "connection": "close"},
)
BODY_IDLE = 30.0
"""Seconds without any of a body that is still to come."""


class Serving(Struct, frozen=True, eq=False):
    """What requests are answered by; a reload replaces it, and requests that run keep theirs.

    Attributes:
        body_limit: bytes of a body.
        heartbeat: seconds of silence of a stream.
        headers: which fields of ours answers have.
        trusted: the proxies that are believed.
        origins: of web pages that may ask.
        tickets: with which browsers open WebSockets.
        write_within: seconds in which a caller has to make room for an event of a stream.
        health: what is told of it here; None where it has a listener of its own.
        check_body: raises Denied for a body that is not the one that the head promised.
        scrub: hides secrets in what is logged.
    """

    table: Table
    access: Access
    body_limit: int
    heartbeat: float
    headers: HeaderChoice = "full"
    trusted: Networks = ()
    origins: frozenset[str] = frozenset()
    tickets: SocketTickets | None = None
    write_within: float = WRITE_WITHIN
    health: Health | None = None
    check_body: Callable[[Mapping[str, str], bytes], None] | None = None
    scrub: Callable[[str], str] = str


class Exchange:
    """One request, with what the server gives for it and what it is answered by."""

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, head: Head, id: str, serving: Serving
    ) -> None:
        self.shortcut: Shortcut | None = scope.get("extensions", {}).get(SHORTCUT)
        self.receive = receive
        self.send = send
        self.head = head
        self.id = id
        self.serving = serving
        self.status = 0
        self.account = Account(0.0)

    def fields(self, reply: WholeReply | StreamReply) -> list[tuple[bytes, bytes]]:
        """Those of the head of `reply`, with which the answer begins."""
        self.status = reply.status
        fields = answer_fields(reply.fields, self.id, self.serving.headers)
        if self.serving.origins:
            fields += cors_fields(self.head.headers, self.serving.origins)
        return fields

    async def write(self, reply: WholeReply) -> None:
        """Answer with `reply`."""
        bare = self.head.method == "HEAD"
        await send_whole(self.send, reply, self.fields(reply), bare=bare, shortcut=self.shortcut)

    def watch(self) -> CallerWatch:
        """What sees to it that nobody answers a caller who has gone away."""
        return CallerWatch(self.receive, None if self.shortcut is None else self.shortcut.on_gone)

    def abort(self) -> None:
        """End the connection although not all is written, for nobody reads it."""
        if self.shortcut is not None:
            self.shortcut.abort()


class App:
    """Answers what comes to one listener.

    Args:
        request_id: makes an id.
        observer: what is told of its requests.
        listener: as of `Head.scope`.

    Attributes:
        serving: what new requests are answered by.
        draining: nothing further is taken.
    """

    def __init__(
        self,
        serving: Serving,
        *,
        request_id: Callable[[], str],
        observer: Observer,
        listener: str = "",
    ) -> None:
        self.serving = serving
        self.draining = False
        self._request_id = request_id
        self._observer = observer
        self._listener = listener
        self._lasting: set[Callable[[], object]] = set()
        self._of_keys: dict[str, set[Callable[[], object]]] = {}
        self._alarms = TimerHeap()

    def drain(self) -> None:
        """Take nothing further, and end the streams that would never end by themselves."""
        self.draining = True
        for end in tuple(self._lasting):
            end()

    def speaks_websocket(self, target: bytes) -> bool:
        """Whether a WebSocket can be opened at that target of a request."""
        found = self.serving.table.find("GET", unquote(target.partition(b"?")[0].decode("latin-1")))
        return found is not None and found.socket is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._observed(self._exchange(scope, receive, send))
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)

    def _exchange(self, scope: Scope, receive: Receive, send: Send) -> Exchange:
        serving = self.serving
        head = head_of(scope, trusted=serving.trusted, listener=self._listener)
        id = own_id(head.headers)
        if not id or self._observer.of(id) is not None:  # what is known of one that runs is not for another
            id = self._request_id()
        return Exchange(scope, receive, send, head, id, serving)

    async def _observed(self, exchange: Exchange) -> None:
        account = exchange.account = self._observer.begin(exchange.id)
        try:
            await self._http(exchange)
        finally:
            self._observer.over(exchange.head, exchange.id, account, exchange.status or GONE)

    async def _http(self, exchange: Exchange) -> None:
        head = exchange.head
        found = exchange.serving.table.find(head.method, head.path)
        if found is None or found.route is None or "upgrade" in head.headers:
            aside = await self._aside(exchange)
            if aside is not None or found is None:
                await exchange.write(_leaving_its_body(head, aside or WholeReply(404)))
                return
            if found.route is None and found.socket is not None:
                await exchange.write(_ONLY_WEBSOCKET)
                return
        surface, exchange.account.surface = found.mounted.surface, found.mounted.name
        try:
            route = self._route(head, found)
            asked = await self._asked(exchange, found, route)
        except BodyGone:
            return
        except Denied as denied:
            exchange.account.refuse(denied.problem)
            exchange.account.caller = denied.caller or exchange.account.caller
            reply = refusal(surface, denied.problem, exchange.id, denied.fields)
            await exchange.write(_leaving_its_body(head, reply))
            return
        await self._answer(asked, surface, route, exchange)

    async def _aside(self, exchange: Exchange) -> WholeReply | None:
        """The answer to what no surface is asked; None for all else."""
        head = exchange.head
        if head.path == METRICS:
            return await metrics_reply(head, exchange.serving.access, self._observer)
        if head.path == "/favicon.ico":
            return WholeReply(204)
        if is_preflight(head.method, head.headers):
            return preflight(head.headers, exchange.serving.origins)
        if head.headers.get("upgrade", "").lower() == "websocket":
            # One that is spoken here comes this way only where it is not asked for as it has to be.
            spoken = exchange.serving.table.find("GET", head.path)
            return _NO_WEBSOCKET if spoken is None or spoken.socket is None else _ONLY_WEBSOCKET
        health = exchange.serving.health
        return None if health is None else health.reply(head.method, head.path)

    def _route(self, head: Head, found: Found) -> Route:
        """The route that is asked for. Raises Denied."""
        if self.draining:
            raise _shutting_down()
        if isinstance(found.route, Route):
            return found.route
        if found.allowed:
            allowed = ", ".join(found.allowed)
            message = f"{head.method} is not for this path; it takes {allowed}"
            raise Denied(problem_in("caller", "method", "method_not_allowed", message), {"allow": allowed})
        raise _denied("no_route", "no_route", f"there is no {head.path[:200]!r} here")

    async def _asked(self, exchange: Exchange, found: Found, route: Route) -> SurfaceRequest:
        """The request, once it is complete. Raises Denied, BodyGone."""
        head = exchange.head
        caller = await exchange.serving.access.admit(head, route)
        exchange.account.caller = caller
        if caller.surfaces is not None:
            check_surface(caller, found.mounted.name)
        body = await self._body(exchange) if has_body(head.headers) else b""
        if exchange.serving.check_body is not None:
            exchange.serving.check_body(head.headers, body)
        has_object = route.json and head.method not in ("GET", "HEAD")
        document, members = _object_in(body) if has_object else (None, None)
        return SurfaceRequest(
            head.method,
            found.path,
            found.params,
            dict(parse_qsl(head.query, keep_blank_values=True)) if head.query else {},
            head.headers,
            body,
            caller,
            exchange.id,
            head.secure,
            document,
            members,
        )

    async def _body(self, exchange: Exchange) -> bytes:
        limit = exchange.serving.body_limit
        declared = exchange.head.headers.get("content-length", "")
        try:
            if exchange.shortcut is not None and (body := exchange.shortcut.body()) is not None:
                if len(body) > limit:
                    raise BodyTooLarge
                return body
            if declared.isdigit() and int(declared) > limit:
                raise BodyTooLarge
            return await read_body(exchange.receive, limit=limit, idle=BODY_IDLE, alarms=self._alarms)
        except BodyTooLarge:
            message = f"the body is larger than {limit} bytes"
            raise _denied("too_large", "body_too_large", message) from None
        except BodySilent:
            raise _denied("timeout", "body_timeout", "the body did not come in time") from None

    # ── answering ────────────────────────────────────────────────────────────────────────────────────

    async def _answer(
        self, asked: SurfaceRequest, surface: Surface, route: Route, exchange: Exchange
    ) -> None:
        with exchange.watch() as watch:
            reply = await self._reply(asked, surface, route, exchange.account)
            if isinstance(reply, WholeReply):
                watch.over()
                await exchange.write(reply)
                return
            forget = None
            if reply.lasting:
                forget = self._ended_early(asked.caller.key_id, partial(watch.cancel_owner, "ending"))
            try:
                await send_stream(
                    exchange.send,
                    reply,
                    watch,
                    exchange.fields(reply),
                    heartbeat=exchange.serving.heartbeat,
                    write_within=exchange.serving.write_within,
                    shortcut=exchange.shortcut,
                )
            finally:
                if forget is not None:
                    forget()
        if watch.why == "unread":
            exchange.abort()
        elif watch.why == "ending":
            await exchange.send({"type": "http.response.body", "body": b""})

    async def _reply(
        self, asked: SurfaceRequest, surface: Surface, route: Route, account: Account
    ) -> WholeReply | StreamReply:
        fields: Mapping[str, str] = {}
        try:
            return await route.handler(asked)
        except Denied as denied:
            problem, fields = denied.problem, denied.fields
        except CallError as error:
            problem = problem_of(error, asked.request_id, to_operator=route.operator)
        except Exception as error:
            problem = self._mistake(asked, route, error)
        account.refuse(problem)
        return refusal(surface, problem, asked.request_id, fields)

    def _mistake(self, asked: SurfaceRequest, route: Route, error: Exception) -> ProblemDetails:
        """What is said of an error that no surface expects; the log has what the answer may not."""
        scrub = self.serving.scrub
        if route.operator and isinstance(error, ConfigError):  # a database that is away, most of all
            return problem_in("gateway", "overloaded", "unavailable", scrub(error.message))
        log_raised(f"request {asked.request_id} failed in its surface", error, scrub)
        message = "this is a mistake of ours; the log has it by the id of the request"
        return problem_in("gateway", "internal", "internal", message)

    def _ended_by_drain(self, end: Callable[[], object]) -> Callable[[], None]:
        """Have `end` called when nothing is to be served any more; returns what takes that back."""
        if self.draining:
            end()
        self._lasting.add(end)
        return partial(self._lasting.discard, end)

    def end_of(self, key_id: str) -> None:
        """End what lasts and was opened with the key of that id."""
        for end in tuple(self._of_keys.get(key_id, ())):
            end()

    def _ended_early(self, key_id: str, end: Callable[[], object]) -> Callable[[], None]:
        """As `_ended_by_drain`, and when the key of that id ends."""
        forget = self._ended_by_drain(end)
        if not key_id:
            return forget
        of_key = self._of_keys.setdefault(key_id, set())
        of_key.add(end)

        def over() -> None:
            forget()
            of_key.discard(end)
            if not of_key:
                self._of_keys.pop(key_id, None)

        return over

    # ── WebSockets ───────────────────────────────────────────────────────────────────────────────────

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = self._exchange(scope, receive, send)
        found = exchange.serving.table.find("GET", exchange.head.path)
        await receive()  # that it is to be opened
        if found is None or found.socket is None:
            await send({"type": "websocket.close"})
            return
        opened = await self._opened(exchange, found, found.socket)
        if opened is not None:
            asked, calls = opened
            ending = partial(self._ended_early, asked.caller.key_id)
            await speak(
                asked,
                found.socket,
                receive,
                send,
                begin=calls.begin,
                ending=ending,
                scrub=exchange.serving.scrub,
            )

    async def _opened(
        self, exchange: Exchange, found: Found, socket: SocketRoute
    ) -> tuple[SurfaceRequest, SocketCalls] | None:
        """What a WebSocket is opened with, and its calls; None for one that was refused."""
        head, id, serving = exchange.head, exchange.id, exchange.serving
        account = exchange.account = self._observer.begin(id)
        account.surface = found.mounted.name
        query = dict(parse_qsl(head.query, keep_blank_values=True))
        exchange.status = 101
        try:
            head = self._with_credential(head, query.pop("ticket", ""), serving)
            caller = await serving.access.admit(head, _as_route("GET", socket))
            account.caller = caller
            check_surface(caller, found.mounted.name)
            said = {**exchange.head.headers, **head.headers}
            call_options(said)  # which hold for each call: one that nobody knows is told now
        except (Denied, CallError) as error:
            await self._refuse_socket(exchange, found, error)
            return None
        finally:
            self._observer.over(exchange.head, id, account, exchange.status)
        asked = SurfaceRequest(
            "GET", found.path, found.params, query, head.headers, b"", caller, id, head.secure
        )
        route = _as_route("POST", socket)
        return asked, SocketCalls(self._observer, serving.access, route, head, id, account, self._request_id)

    async def _refuse_socket(self, exchange: Exchange, found: Found, error: Denied | CallError) -> None:
        denied = error if isinstance(error, Denied) else Denied(problem_of(error, exchange.id))
        account = exchange.account
        account.refuse(denied.problem)
        account.caller = denied.caller or account.caller
        reply = refusal(found.mounted.surface, denied.problem, exchange.id, denied.fields)
        await deny_socket(exchange.send, reply, exchange.fields(reply))

    def _with_credential(self, head: Head, ticket: str, serving: Serving) -> Head:
        """`head` with the credential that a ticket stands for, if there is one. Raises Denied."""
        if self.draining:
            raise _shutting_down()
        if not ticket:
            return head
        if is_foreign(head.headers, secure=head.secure, origins=serving.origins):
            raise _denied("forbidden", "origin_not_allowed", "a page of this origin may not")
        redeemed = None if serving.tickets is None else serving.tickets.redeem(ticket)
        if redeemed is None:
            raise _denied("authentication", "invalid_ticket", "the ticket is not good (any more)")
        return replace(head, headers=redeemed)


def _leaving_its_body(head: Head, reply: WholeReply) -> WholeReply:
    """`reply` to a request of whose body something may be left: then the connection goes with that."""
    close = {"connection": "close"}
    return replace(reply, fields={**close, **reply.fields}) if has_body(head.headers) else reply


def _as_route(method: str, socket: SocketRoute) -> Route:
    return Route(method, socket.path, _nothing, socket.operator, socket.public, False)


def _object_in(body: bytes) -> tuple[dict[str, Any], dict[str, Raw]]:
    try:
        return read_object(body)
    except BodyWrong as wrong:
        raise _denied("invalid", "invalid_request", f"the body {wrong}") from None


async def _nothing(_asked: SurfaceRequest) -> WholeReply:
    return WholeReply(404)


def _denied(kind: ProblemKind, code: str, message: str) -> Denied:
    return Denied(problem_in("caller", kind, code, message))


def _shutting_down() -> Denied:
    message = "it is shutting down"
    return Denied(problem_in("gateway", "overloaded", "shutting_down", message, retry_after=1.0))
