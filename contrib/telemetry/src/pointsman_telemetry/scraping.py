"""The server that answers scrapes, in a thread of its own."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from socketserver import ThreadingMixIn
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app


class Scraped:
    """Answers `GET /metrics` at the first of `ports` of `host` that nobody has. Raises OSError.

    Attributes:
        port: where it listens.
    """

    def __init__(self, host: str, ports: Sequence[int], registry: CollectorRegistry) -> None:
        self._server = _listening(host, ports, make_wsgi_app(registry))
        self.port: int = self._server.server_port
        self._thread = Thread(target=self._server.serve_forever, name="pointsman-metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Listen no longer. Blocks until the thread has ended."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    # Else some versions of Python let two processes have one port, and a scrape sees either of them.
    allow_reuse_port = False


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: scrapes are no events."""


def _listening(host: str, ports: Sequence[int], app: Any) -> WSGIServer:
    family, *_, address = socket.getaddrinfo(host, ports[0], type=socket.SOCK_STREAM)[0]
    kind = _Server6 if family == socket.AF_INET6 else _Server
    for port in ports:
        try:
            return make_server(str(address[0]), port, app, kind, _Silent)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or port == ports[-1]:
                raise
    raise AssertionError("at least one port")
