"""HTTP as uvicorn reads it, with limits on heads: their size, their fields, and how long they take.

Three things are done in another way. Whoever offers to go on in another protocol, as clients do that know
HTTP/2, is answered in this one, and its body is read. What is wrong about a request that came behind one
which still runs never stands in the answer to that one. And what nearly all requests are, with a body that is
here and an answer that is whole, goes by a `Shortcut`: by no event, timer or coroutine, and in one write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from itertools import chain
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from pointsman_gateway.access.certificates import CERTIFICATE, PeerCertificate, peer_certificate
from pointsman_gateway.exchange.shortcut import SHORTCUT, Fields, Shortcut

HEAD_WITHIN = 10.0
"""Seconds from the first byte of a connection, or of a request, to the end of its head."""
HEAD_BYTES = 32 * 1024
FIELDS = 100
READ_WITHIN = 60.0
"""Seconds in which a caller has to read some of what waits for it."""
_CHUNKED = (b"transfer-encoding", b"chunked")


class LimitedProtocol(HttpToolsProtocol, Shortcut):
    """One connection. What is too large, too slow or ambiguous ends it before the application hears of it.

    The shortcut is that of the request which runs; those behind it wait until it is answered.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._certificate: PeerCertificate | None = None
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._in_head = False
        self._in_body = False
        self._behind = 0
        """Bytes since the last of the body: of what follows it, or of an extension of a chunk."""
        self._declined = False
        self._wrong: tuple[int, str] | None = None
        self._unread_timer: asyncio.TimerHandle | None = None
        self._unread = 0
        self._running: RequestResponseCycle | None = None
        self._lost = False
        self._held = b""
        """The head of a stream that goes out with its first piece."""
        self._idle_since: float | None = None
        self._watching: set[Callable[[], None]] = set()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._certificate = peer_certificate(transport) if self.scheme == "https" else None
        self._in_head = True
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_ends()
        self._unset_keepalive_if_required()
        self._reads_on()
        self._lost = True
        for tell in tuple(self._watching):
            tell()
        super().connection_lost(exc)
        # Of several requests that were sent at once uvicorn tells the last one; it is the first that runs.
        running = self._running
        if running is not None and not running.response_complete:
            running.disconnected = True
            running.message_event.set()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.transport.get_write_buffer_size()
        self._unread_timer = self.loop.call_later(READ_WITHIN, self._look_at_unread)

    def resume_writing(self) -> None:
        self._reads_on()
        super().resume_writing()

    def _look_at_unread(self) -> None:
        unread = self.transport.get_write_buffer_size()
        if unread >= self._unread:
            self.transport.abort()
            return
        self._unread = unread
        self._unread_timer = self.loop.call_later(READ_WITHIN, self._look_at_unread)

    def _reads_on(self) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None

    # ── the short way ────────────────────────────────────────────────────────────────────────────────

    def abort(self) -> None:
        self.transport.abort()

    def on_gone(self, tell: Callable[[], None]) -> Callable[[], None]:
        if self._lost:
            tell()
        self._watching.add(tell)
        return partial(self._watching.discard, tell)

    def body(self) -> bytes | None:
        cycle = self._running
        if cycle is None or cycle.more_body or cycle.disconnected or cycle.waiting_for_100_continue:
            return None
        self.flow.resume_reading()
        cycle.message_event.clear()
        body, cycle.body = bytes(cycle.body), bytearray()
        return body

    def answer(self, status: int, fields: Fields, body: bytes) -> bool:
        cycle = self._cycle_with_room()
        if cycle is None or cycle.response_started:
            return False
        self.transport.write(b"%b\r\n%b" % (_head(cycle, status, fields), body))
        self._answered(cycle)
        return True

    def begin(self, status: int, fields: Fields) -> bool:
        cycle = self._cycle_with_room()
        if cycle is None or cycle.response_started or cycle.scope["method"] == "HEAD":
            return False
        self._held = _head(cycle, status, (*fields, _CHUNKED)) + b"\r\n"
        cycle.response_started = cycle.chunked_encoding = True
        # With its first piece, which is mostly here; else alone.
        self.loop.call_soon(self._let_go)
        return True

    def more(self, piece: bytes) -> bool:
        cycle = self._cycle_with_room()
        if cycle is None or not cycle.chunked_encoding:
            self._let_go()
            return False
        if piece:  # an empty one would be the end
            self.transport.write(b"%b%x\r\n%b\r\n" % (self._held, len(piece), piece))
            self._held = b""
        return True

    def end(self) -> bool:
        cycle = self._cycle_with_room()
        if cycle is None or not cycle.chunked_encoding:
            self._let_go()
            return False
        self.transport.write(self._held + b"0\r\n\r\n")
        self._held = b""
        self._answered(cycle)
        return True

    def _cycle_with_room(self) -> RequestResponseCycle | None:
        """What of uvicorn's answers the request that runs; None where nothing can be written just now."""
        cycle = self._running
        return None if cycle is None or cycle.disconnected or self.flow.write_paused else cycle

    def _let_go(self) -> None:
        """Write what is held."""
        held, self._held = self._held, b""
        if held and not self.transport.is_closing():
            self.transport.write(held)

    def _answered(self, cycle: RequestResponseCycle) -> None:
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────

    def data_received(self, data: bytes) -> None:
        begins = self._idle_since is not None  # the first of another request
        if begins:
            self._idle_since = None
            self._in_head, self._head_bytes = True, len(data)
        elif self._in_head:
            self._head_bytes += len(data)
        elif self._in_body:
            self._behind += len(data)
        self._feed(data)
        if self._behind > HEAD_BYTES and self._in_body:
            self._refuse(431, "what follows the body is larger than 32 KiB")
        elif self._in_head:
            if self._head_bytes > HEAD_BYTES:
                self._refuse(431, "the head is larger than 32 KiB")
            elif begins and not self._is_answering():  # only now, for nearly all heads come in one piece
                self._wait_for_head()

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self._refuse(*(self._wrong or (400, "this is no HTTP request")))
        except httptools.HttpParserUpgrade as upgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
            elif self._declined:
                self._feed_without_offer(data[upgrade.args[0] :])

    def _feed_without_offer(self, rest: bytes) -> None:
        """Read the request once more as if it had offered nothing, for the parser passes over its body."""
        version = self.parser.get_http_version().encode()
        head = [b"%b %b HTTP/%b\r\n" % (self.parser.get_method(), self.url, version)]
        head += [b"%b: %b\r\n" % (name, value) for name, value in self.headers if name != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self._feed(b"".join((*head, b"\r\n", rest)))

    def on_message_begin(self) -> None:
        self._in_body = self._declined = False
        if not self._in_head:  # behind a request that still runs
            self._in_head, self._head_bytes = True, 0
        super().on_message_begin()
        told: dict[str, Any] = {SHORTCUT: self}
        if self._certificate is not None:
            told[CERTIFICATE] = self._certificate
        self.scope["extensions"] = told

    def on_header(self, name: bytes, value: bytes) -> None:
        # What follows a body is none of the head: whoever looks at heads before us has not seen it.
        if not self._in_body:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        self._behind = 0
        super().on_body(body)

    def on_headers_complete(self) -> None:
        self._in_body, self._behind = True, 0
        self._head_ends()
        self._wrong = _wrong_with(self.parser.get_method(), self.headers, self.url)
        if self._wrong is not None:
            raise ValueError  # the parser stops at once
        self._declined = self.parser.should_upgrade() and not _offers_websocket(self.headers)
        if not self._declined:
            super().on_headers_complete()
            if not self.pipeline:
                self._running = self.cycle

    def on_response_complete(self) -> None:
        if self.pipeline:
            self._running = self.pipeline[-1][0]
            super().on_response_complete()
            return
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self._in_head:  # the next one has begun
            self._wait_for_head()
            return
        # The timer runs on through requests, and looks at this when it rings: one for each would cost more.
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._look_at_idle()

    def _look_at_idle(self) -> None:
        self.timeout_keep_alive_task = None
        if self._idle_since is None:
            return
        until = self._idle_since + self.timeout_keep_alive
        if until > self.loop.time():
            self.timeout_keep_alive_task = self.loop.call_at(until, self._look_at_idle)
        else:
            self.timeout_keep_alive_handler()

    def on_message_complete(self) -> None:
        self._in_body = False
        if not self._declined:
            super().on_message_complete()

    def _should_upgrade(self) -> bool:
        # Only where a WebSocket is spoken; elsewhere the application says what is.
        speaks = getattr(self.app, "speaks_websocket", None)
        return speaks is not None and super()._should_upgrade() and speaks(self.url)

    def _wait_for_head(self) -> None:
        if not self.transport.is_closing():
            self._head_timer = self.loop.call_later(HEAD_WITHIN, self._head_late)

    def _head_ends(self) -> None:
        self._in_head = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_late(self) -> None:
        if self._head_bytes:
            self._refuse(408, "the head did not come in time")
        else:
            self.transport.close()

    def _is_answering(self) -> bool:
        """Whether an earlier request runs, so that what is written now would be taken for its answer."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            return False
        return bool(self.pipeline) or cycle.response_started or not cycle.more_body

    def _refuse(self, status: int, message: str) -> None:
        """Answer in a few words and end the connection."""
        self._head_ends()
        if self.transport.is_closing():
            return
        if self._is_answering():
            self.transport.close()
            return
        body = message.encode("ascii")
        self.transport.write(
            b"".join(
                (
                    STATUS_LINE[status],
                    b"content-type: text/plain; charset=utf-8\r\nconnection: close\r\ncontent-length: ",
                    b"%d\r\n\r\n" % len(body),
                    body,
                )
            )
        )
        self.transport.close()


def _head(cycle: RequestResponseCycle, status: int, fields: Fields) -> bytes:
    """The head of an answer but for the empty line at its end. Raises ValueError for a control character."""
    lines = [STATUS_LINE[status]]
    for name, value in (*cycle.default_headers, *fields):
        if name != b"connection":
            lines.append(b"%b: %b\r\n" % (name, value))
        elif value == b"close":
            cycle.keep_alive = False
    if not cycle.keep_alive:
        lines.append(b"connection: close\r\n")
    head = b"".join(lines)
    # A line too many, or half of one, would begin an answer that somebody else wrote.
    if not head.count(b"\n") == head.count(b"\r") == len(lines) or b"\0" in head:
        raise ValueError("a field of the answer's head holds a control character")
    return head


def _offers_websocket(headers: list[tuple[bytes, bytes]]) -> bool:
    return any(name == b"upgrade" and value.lower() == b"websocket" for name, value in headers)


def _wrong_with(method: bytes, headers: list[tuple[bytes, bytes]], url: bytes) -> tuple[int, str] | None:
    """The status and the words for a head that is not taken; None for one that is."""
    if len(headers) > FIELDS:
        return 431, f"the head has more than {FIELDS} fields"
    size = len(url) + 4 * len(headers) + sum(map(len, chain.from_iterable(headers)))
    names = [name for name, _ in headers]
    if size > HEAD_BYTES:
        return 431, "the head is larger than 32 KiB"
    if names.count(b"host") != 1:
        return 400, "there must be one Host"
    if method == b"CONNECT" or not url.startswith(b"/"):
        return 400, "the target must be a path"
    if b"transfer-encoding" in names and not _is_chunked_alone(headers):
        return 501, "of transfer codings only chunked is read"
    return None


def _is_chunked_alone(headers: list[tuple[bytes, bytes]]) -> bool:
    """A body that was packed on its way would be read as it stands there."""
    codings = [value.strip().lower() for name, value in headers if name == b"transfer-encoding"]
    return codings == [b"chunked"]
