"""A small Courier to try the provider against: `python -m pointsman_courier.server`.

It answers as a test wants it to: the writer `echo` writes back what it was told, `busy` has no time, and
`ill` breaks off. Its key is "stamp". No part of the provider needs this module.
"""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WRITERS = ("echo", "busy", "ill")


class Courier(ThreadingHTTPServer):
    """Listens on a port of this machine; 0: any that is free. It serves in `serve_forever`."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Desk)
        self.bodies: list[dict[str, Any]] = []
        """What was asked, in order."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


def parcel(kind: str, content: bytes | dict[str, Any]) -> bytes:
    """One parcel; a mapping as JSON."""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return struct.pack(">cI", kind.encode(), len(data)) + data


class _Desk(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(200, json.dumps({"writers": WRITERS}).encode())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        assert isinstance(self.server, Courier)
        self.server.bodies.append(body)
        if self.headers.get("authorization") != "Bearer stamp":
            self._refuse(401, "no_stamp", "the stamp is not ours")
        elif body["writer"] == "busy":
            self._refuse(503, "desk_full", "come back later", {"retry-after": "1"})
        elif body["writer"] not in WRITERS:
            self._refuse(404, "no_such_writer", f"nobody here is called {body['writer']}")
        elif self.path == "/v2/letters":
            self._send(_letter(body))
        else:
            self._send(_vectors(body["texts"], body.get("width", 4)))

    def _send(self, parcels: Iterator[bytes]) -> None:
        """Each parcel as it is ready: HTTP's chunks say where the answer ends."""
        self.send_response(200)
        self.send_header("content-type", "application/x-parcels")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for each in (*parcels, b""):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(each), each))

    def _refuse(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        self._answer(status, json.dumps({"error": {"code": code, "message": message}}).encode(), headers)

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what callers ask is not for the terminal."""


def _letter(body: dict[str, Any]) -> Iterator[bytes]:
    said: str = body["lines"][-1]["text"]
    words = said.split(" ")
    tokens = {"in": sum(len(each["text"].split()) for each in body["lines"]), "out": len(words)}
    if body.get("tools") and "answers" not in body["lines"][-1]:
        yield parcel("C", {"number": 0, "id": "c-1", "tool": body["tools"][0]["tool"], "with": '{"of": '})
        yield parcel("C", {"number": 0, "with": json.dumps(said) + "}"})
        yield parcel("Z", {"reason": "asks", "tokens": tokens})
        return
    for n, word in enumerate(words):
        yield parcel("T", (" " * (n > 0) + word).encode())
        if body["writer"] == "ill":
            yield parcel("E", {"code": "cramp", "message": "the hand will not write"})
            return
    yield parcel("Z", {"reason": "signed", "tokens": tokens})


def _vectors(texts: list[str], width: int) -> Iterator[bytes]:
    for text in texts:
        yield parcel("V", struct.pack(f">{width}f", *(len(text) + n for n in range(width))))
    yield parcel("Z", {"tokens": {"in": sum(len(each.split()) for each in texts)}})


if __name__ == "__main__":
    with Courier(int(sys.argv[1]) if len(sys.argv) > 1 else 7020) as courier:
        courier.serve_forever()
