"""One listener: a socket with uvicorn behind it, which leaves signals and logs to us."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Generator
from pathlib import Path
from typing import Any, cast

import uvicorn

from pointsman_gateway.listening.addresses import Address
from pointsman_gateway.listening.protocol import LimitedProtocol

KEEP_ALIVE = 75
"""Seconds for which a connection without a request stays open."""
_BACKLOG = 2048
_TICK = 1.0
"""Seconds for which the date in the heads of answers stands."""
_LOOK_EVERY = 0.01
"""Seconds between looks at whether all connections have ended, once the end has begun."""
_AFTER_DRAIN = 2.0
"""Seconds that the last answers have to leave in, once their calls were ended."""


class _Server(uvicorn.Server):
    """Leaves signals to us, and sleeps until it is told to stop."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.stopping = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def main_loop(self) -> None:
        while not self.stopping.is_set():
            await self.on_tick(0)  # the date of answers
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK):
                    await self.stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        state, now = self.server_state, asyncio.get_running_loop().time
        until = now() + self.last_words
        while (state.connections or state.tasks) and now() < until:
            if self.force_exit:
                break
            await asyncio.sleep(_LOOK_EVERY)
        for task in state.tasks:
            task.cancel()
        for connection in list(state.connections):
            connection.transport.abort()

    @property
    def last_words(self) -> float:
        """Seconds that connections have to end in."""
        return float(self.config.timeout_graceful_shutdown or 0)


def _limited_socket(*arguments: Any, **named: Any) -> asyncio.Protocol:
    """The protocol of one WebSocket; its library is imported with the first."""
    from pointsman_gateway.listening.socket_protocol import LimitedSocket

    return LimitedSocket(*arguments, **named)


class Bound:
    """A socket that is open at an address and that nothing is taken from yet. Raises OSError."""

    def __init__(self, at: Address) -> None:
        self.at = at
        self.socket = opened(at)

    def close(self) -> None:
        """Give it back."""
        self.socket.close()
        if self.at.path is not None:
            self.at.path.unlink(missing_ok=True)


class Listening:
    """An application behind one open socket; messages of WebSockets have `largest` bytes at most."""

    def __init__(
        self, app: Any, bound: Bound, *, drain: float, tls: ssl.SSLContext | None = None, largest: int
    ) -> None:
        self._socket = bound.socket
        self._at, self._path = bound.at, bound.at.path
        config = uvicorn.Config(
            app,
            http=LimitedProtocol,
            ws=cast("type[asyncio.Protocol]", _limited_socket),
            ws_per_message_deflate=False,
            ws_max_size=largest,
            interface="asgi3",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=round(drain + _AFTER_DRAIN),
            backlog=_BACKLOG,
        )
        config.load()
        config.ssl = tls
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None

    @property
    def address(self) -> Address:
        """Where it listens, with the port that it got."""
        if self._at.path is not None:
            return self._at
        host, port, *_ = self._socket.getsockname()
        return Address(host, port)

    async def start(self) -> None:
        """Take connections."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        while not self._server.started:
            await asyncio.sleep(0)
            if self._task.done():
                await self._task
                return

    def stop(self) -> None:
        """Take no further connections; idle ones are closed, the others when they have their answer."""
        self._unlink()
        self._server.stopping.set()

    def hurry(self) -> None:
        """Wait for nobody any more."""
        self._server.force_exit = True
        self._server.stopping.set()

    async def ended(self) -> None:
        """Return when all connections are closed."""
        if self._task is not None:
            await self._task
        self._unlink()

    def _unlink(self) -> None:
        """Give back the path, once: while this one drains, its successor may have it already."""
        path, self._path = self._path, None
        if path is not None:
            path.unlink(missing_ok=True)


def opened(at: Address) -> socket.socket:
    """A socket that listens there. Raises OSError."""
    if at.path is not None:
        return _opened_at_path(at.path)
    family = socket.AF_INET6 if ":" in at.host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((at.host, at.port))
        opened.listen(_BACKLOG)
    except BaseException:
        opened.close()
        raise
    opened.setblocking(False)
    return opened


def _opened_at_path(path: Path) -> socket.socket:
    """For the user alone. What an earlier process left there is taken away; what still answers is not."""
    if path.is_socket():
        with socket.socket(socket.AF_UNIX) as trial:
            try:
                trial.connect(os.fspath(path))
            except OSError:
                path.unlink(missing_ok=True)
            else:
                raise OSError(98, "another process listens there")
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        opened.bind(os.fspath(path))
        opened.listen(_BACKLOG)
    except BaseException:
        opened.close()
        raise
    finally:
        os.umask(before)
    opened.setblocking(False)
    return opened
