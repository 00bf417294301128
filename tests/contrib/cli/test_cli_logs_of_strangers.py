"""`pointsman logs --url` where something else than a gateway answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from pointsman_cli import gateway_client

REQUEST = {
    "id": "x",
    "at": "2026-12-01T00:00:00",
    "seconds": 1e300,
    "attempts": [],
    "deployment": "",
    "error": None,
}
NONE = b'{"requests": []}'


@contextmanager
def stranger(requests: bytes, events: bytes = b"") -> Iterator[str]:
    """What answers so, at its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = events if self.path.endswith("/events") else requests
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_said: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    "answer",
    [
        b"[]",
        b'{"requests": null}',
        b'{"requests": ["a"]}',
        b'{"requests": [{}]}',
        b"[" * 200_000,
        json.dumps({"requests": [{**REQUEST, "model": "m", "caller": "", "pool": None}]}).encode(),
    ],
)
def test_an_answer_that_no_gateway_gives_is_said_to_be_one(cli, answer: bytes) -> None:
    with stranger(answer) as url:
        ran = cli("logs", "--url", url)

    assert (ran.code, ran.err) == (1, f"error: what answers at {url} is no gateway of ours\n")


@pytest.mark.parametrize("event", [b"{not json", b"[]", b'{"type": "request_ended"}', b"{}"])
def test_an_event_that_no_gateway_tells_is_said_to_be_one(cli, event: bytes) -> None:
    with stranger(NONE, b"data: " + event + b"\n\n") as url:
        ran = cli("logs", "--follow", "--url", url)

    assert (ran.code, ran.err) == (1, f"error: what answers at {url} is no gateway of ours\n")


@pytest.mark.parametrize("options", [(), ("--follow",)])
def test_no_more_is_read_than_a_gateway_says(cli, options, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_client, "_LARGEST", 100)
    long = b" " * 200
    with stranger(NONE if options else long + NONE, b"data: {}" + long + b"\n") as url:
        ran = cli("logs", *options, "--url", url)

    assert (ran.code, ran.err) == (1, f"error: what answers at {url} is no gateway of ours\n")
