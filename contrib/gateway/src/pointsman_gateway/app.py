"""The ASGI application: one request from its head to the last byte of its answer."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from urllib.parse import parse_qsl, unquote

from msgspec import Struct
from msgspec.structs import replace

from pointsman.plugin import (
    CallError,
    FaultDomain,
    ProblemDetails,
    ProblemKind,
    Route,
    SocketRoute,
    StreamReply,
    Surface,
    SurfaceRequest,
    WholeReply,
)
from pointsman_gateway.access.origins import is_foreign
from pointsman_gateway.admission import Access, Denied, Head
from pointsman_gateway.answers import answer_fields, refusal
from pointsman_gateway.bodies import (
    BodyGone,
    BodySilent,
    BodyTooLarge,
    BodyWrong,
    Receive,
    check_object,
    read_body,
)
from pointsman_gateway.caller_watch import CallerWatch
from pointsman_gateway.head import Networks, Scope, head_of, own_id
from pointsman_gateway.health import Health
from pointsman_gateway.problems import problem_of
from pointsman_gateway.sending import Send, send_stream, send_whole
from pointsman_gateway.settings import HeaderChoice
from pointsman_gateway.sockets import deny_socket, speak
from pointsman_gateway.table import Found, Table
from pointsman_gateway.tickets import SocketTickets

log = logging.getLogger("pointsman.gateway")

ABORT = "pointsman.abort"
"""The extension of a server of ours that ends a connection at once."""
_NO_WEBSOCKET = WholeReply(
    426,
    b'{"error":{"message":"no WebSocket is spoken here; ask by HTTP","type":"invalid_request_error"}}',
    fields={"upgrade": "HTTP/1.1", "connection": "close"},
)
BODY_IDLE = 30.0
"""Seconds without any of a body that is still to come."""


class Exchange:
    """What the server gives for one request."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self.receive = receive
        self.send = send

    def abort(self) -> None:
        """End the connection although not all is written, for nobody reads it."""
        abort = self._scope.get("extensions", {}).get(ABORT)
        if abort is not None:
            abort()


class Serving(Struct, frozen=True, eq=False):
    """What requests are answered by; a reload replaces it, and requests that run keep theirs.

    Attributes:
        body_limit: bytes of a body.
        heartbeat: seconds of silence of a stream.
        headers: which fields of ours answers have.
        trusted: the proxies that are believed.
        origins: of web pages that may ask.
        tickets: with which browsers open WebSockets.
    """

    table: Table
    access: Access
    body_limit: int
    heartbeat: float
    headers: HeaderChoice = "full"
    trusted: Networks = ()
    origins: frozenset[str] = frozenset()
    tickets: SocketTickets | None = None


class App:
    """Answers what comes to one listener.

    Args:
        request_id: makes an id.
        health: what is told of it here; None where it has a listener of its own.
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
        health: Health | None = None,
        listener: str = "",
    ) -> None:
        self.serving = serving
        self.draining = False
        self._request_id = request_id
        self._health = health
        self._listener = listener
        self._lasting: set[Callable[[], object]] = set()

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
            await self._http(scope, Exchange(scope, receive, send))
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)

    async def _http(self, scope: Scope, exchange: Exchange) -> None:
        serving = self.serving
        head = head_of(scope, trusted=serving.trusted, listener=self._listener)
        id = own_id(head.headers) or self._request_id()
        aside = self._aside(head)
        found = None if aside is not None else serving.table.find(head.method, head.path)
        if found is None:
            reply = aside or WholeReply(404)
            fields = answer_fields(reply.fields, id, serving.headers)
            await send_whole(exchange.send, reply, fields, bare=head.method == "HEAD")
            return
        surface = found.mounted.surface
        try:
            route = self._route(head, found)
            asked = await self._asked(head, found, route, exchange.receive, id)
        except BodyGone:
            return
        except Denied as denied:
            # What is left of its body is not read: the connection goes with it.
            reply = refusal(surface, denied.problem, id, {"connection": "close", **denied.fields})
            fields = answer_fields(reply.fields, id, serving.headers)
            await send_whole(exchange.send, reply, fields, bare=head.method == "HEAD")
            return
        await self._answer(asked, surface, route, exchange, serving)

    def _aside(self, head: Head) -> WholeReply | None:
        """The answer to what no surface is asked; None for all else."""
        if head.path == "/favicon.ico":
            return WholeReply(204)
        if head.headers.get("upgrade", "").lower() == "websocket":
            return _NO_WEBSOCKET  # one that is spoken here never comes this way
        return None if self._health is None else self._health.reply(head.method, head.path)

    def _route(self, head: Head, found: Found) -> Route:
        """The route that is asked for. Raises Denied."""
        if self.draining:
            raise _denied("overloaded", "gateway: it is shutting down", "shutting_down", retry_after=1.0)
        if isinstance(found.route, Route):
            return found.route
        if found.allowed:
            message = f"caller: {head.method} is not for this path; it takes {', '.join(found.allowed)}"
            problem = ProblemDetails("method", message, code="method_not_allowed", domain="caller")
            raise Denied(problem, {"allow": ", ".join(found.allowed)})
        raise _denied("no_route", f"caller: there is no {head.path[:200]!r} here", "no_route")

    async def _asked(
        self, head: Head, found: Found, route: Route, receive: Receive, id: str
    ) -> SurfaceRequest:
        """The request, once it is complete. Raises Denied, BodyGone."""
        caller = await self.serving.access.admit(head, route)
        body = b""
        if "content-length" in head.headers or "transfer-encoding" in head.headers:
            body = await self._body(head, receive)
        if route.json and head.method not in ("GET", "HEAD"):
            self._check(body)
        return SurfaceRequest(
            head.method,
            found.path,
            found.params,
            dict(parse_qsl(head.query, keep_blank_values=True)) if head.query else {},
            head.headers,
            body,
            caller,
            id,
            head.secure,
        )

    async def _body(self, head: Head, receive: Receive) -> bytes:
        declared = head.headers.get("content-length", "")
        try:
            if declared.isdigit() and int(declared) > self.serving.body_limit:
                raise BodyTooLarge
            return await read_body(receive, limit=self.serving.body_limit, idle=BODY_IDLE)
        except BodyTooLarge:
            message = f"caller: the body is larger than {self.serving.body_limit} bytes"
            raise _denied("too_large", message, "body_too_large") from None
        except BodySilent:
            raise _denied("timeout", "caller: the body did not come in time", "body_timeout") from None

    def _check(self, body: bytes) -> None:
        try:
            check_object(body)
        except BodyWrong as wrong:
            raise _denied("invalid", f"caller: the body {wrong}", "invalid_request") from None

    # ── answering ────────────────────────────────────────────────────────────────────────────────────

    async def _answer(
        self, asked: SurfaceRequest, surface: Surface, route: Route, exchange: Exchange, serving: Serving
    ) -> None:
        unread = False
        with CallerWatch(exchange.receive) as watch:
            reply = await self._reply(asked, surface, route)
            fields = answer_fields(reply.fields, asked.request_id, serving.headers)
            if isinstance(reply, WholeReply):
                watch.over()
                await send_whole(exchange.send, reply, fields, bare=asked.method == "HEAD")
                return
            forget = self._ended_by_drain(watch.cancel_owner) if reply.lasting else None
            try:
                unread = await send_stream(exchange.send, reply, watch, fields, heartbeat=serving.heartbeat)
            finally:
                if forget is not None:
                    forget()
        if unread:
            exchange.abort()
        elif watch.gone and self.draining:
            await exchange.send({"type": "http.response.body", "body": b""})

    async def _reply(self, asked: SurfaceRequest, surface: Surface, route: Route) -> WholeReply | StreamReply:
        try:
            return await route.handler(asked)
        except Denied as denied:
            return refusal(surface, denied.problem, asked.request_id, denied.fields)
        except CallError as error:
            return refusal(surface, problem_of(error, asked.request_id), asked.request_id)
        except Exception:
            log.exception("request %s failed in its surface", asked.request_id)
            message = "gateway: this is a mistake of ours; the log has it by the id of the request"
            problem = ProblemDetails("internal", message, code="internal", domain="gateway")
            return refusal(surface, problem, asked.request_id)

    def _ended_by_drain(self, end: Callable[[], object]) -> Callable[[], None]:
        """Have `end` called when nothing is to be served any more; returns what takes that back."""
        if self.draining:
            end()
        self._lasting.add(end)
        return partial(self._lasting.discard, end)

    # ── WebSockets ───────────────────────────────────────────────────────────────────────────────────

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        serving = self.serving
        head = head_of(scope, trusted=serving.trusted, listener=self._listener)
        id = own_id(head.headers) or self._request_id()
        found = serving.table.find("GET", head.path)
        await receive()  # that it is to be opened
        if found is None or found.socket is None:
            await send({"type": "websocket.close"})
            return
        query = dict(parse_qsl(head.query, keep_blank_values=True))
        try:
            head = self._with_credential(head, query.pop("ticket", ""), serving)
            caller = await serving.access.admit(head, _as_route("GET", found.socket))
        except Denied as denied:
            await deny_socket(send, refusal(found.mounted.surface, denied.problem, id, denied.fields))
            return
        asked = SurfaceRequest("GET", found.path, found.params, query, head.headers, b"", caller, id)

        async def admit() -> ProblemDetails | None:
            try:
                await serving.access.admit(head, _as_route("POST", socket))
            except Denied as denied:
                return denied.problem
            return None

        socket = found.socket
        await speak(asked, socket, receive, send, admit=admit, ending=self._ended_by_drain)

    def _with_credential(self, head: Head, ticket: str, serving: Serving) -> Head:
        """`head` with the credential that a ticket stands for, if there is one. Raises Denied."""
        if self.draining:
            raise _denied("overloaded", "gateway: it is shutting down", "shutting_down", retry_after=1.0)
        if not ticket:
            return head
        if is_foreign(head.headers, secure=head.secure, origins=serving.origins):
            raise _denied("forbidden", "caller: a page of this origin may not", "origin_not_allowed")
        redeemed = None if serving.tickets is None else serving.tickets.redeem(ticket)
        if redeemed is None:
            raise _denied("authentication", "caller: the ticket is not good (any more)", "invalid_ticket")
        return replace(head, headers=redeemed)


def _as_route(method: str, socket: SocketRoute) -> Route:
    return Route(method, socket.path, _nothing, socket.operator, socket.public, False)


async def _nothing(_asked: SurfaceRequest) -> WholeReply:
    return WholeReply(404)


def _denied(kind: ProblemKind, message: str, code: str, *, retry_after: float | None = None) -> Denied:
    domain: FaultDomain = "gateway" if message.startswith("gateway") else "caller"
    return Denied(ProblemDetails(kind, message, code=code, domain=domain, retry_after=retry_after))
