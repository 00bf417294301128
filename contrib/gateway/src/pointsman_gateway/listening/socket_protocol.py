"""WebSockets as uvicorn speaks them, with limits on what a caller can have kept for it."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

from pointsman_gateway.access.certificates import CERTIFICATE, peer_certificate

MOST_FRAGMENTS = 10_000
"""Frames of one message: of empty ones no limit on its size says how many there can be."""
_TOO_BIG = 1009


class LimitedSocket(WebSocketsSansIOProtocol):
    """One WebSocket. Who does not read what answers its pings is not read from either."""

    _fragments = 0

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        shown = peer_certificate(self.transport)
        if shown is not None and self.response.status_code == 101:
            told: Any = self.scope["extensions"]  # which the application, yet to run, is told
            told[CERTIFICATE] = shown

    def handle_ping(self) -> None:
        super().handle_ping()
        if not self.writable.is_set():
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.read_paused and not self.transport.is_closing():
            self.transport.resume_reading()

    def handle_cont(self, event: Frame) -> None:
        if self.close_sent:
            return
        super().handle_cont(event)
        self._fragments = 0 if event.fin else self._fragments + 1
        if self._fragments > MOST_FRAGMENTS:
            self.conn.fail(_TOO_BIG, "too many fragments")
            self.handle_parser_exception()

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True  # refused, which is no mistake of ours
