"""The control socket of a router: who may connect, how much they may say, and what becomes of the file.

What is said over it stands in `control.commands`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import stat
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from pointsman._internal.idle import IdleNotice
from pointsman._internal.plugin_errors import Scrub, log_raised
from pointsman.control.commands import Operated, answer, follows, refusal
from pointsman.control.following import Following
from pointsman.errors import ConfigError

log = logging.getLogger("pointsman")

LONGEST_LINE = 64 * 1024
"""Bytes of one request."""
CONNECTIONS = 32
"""At the same time; a further one is told so."""
IDLE = 60.0
"""Seconds in which a connection says its next line; after them it is closed."""
_PATIENCE = 5.0
_LOCAL_PEERPID = 2  # of macOS; Python has no name for it


class Control:
    """The socket of one router, and whoever is connected to it.

    Making it opens the socket; `start` begins to answer, on the running loop. There is a task for each
    connection and none without.

    Raises: ConfigError when it cannot be opened; a live router that holds it is named by its process.
    """

    def __init__(self, router: Operated, path: Path, *, scrub: Scrub, wall: Callable[[], float]) -> None:
        self.path = path
        self._scrub = scrub
        self._wall = wall
        self._following: dict[Following, asyncio.StreamWriter] = {}
        self._router = router
        self._socket, self._identity = _listening(path)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: set[asyncio.StreamWriter] = set()
        self._idle = IdleNotice()
        self._open = True

    def start(self) -> None:
        """Answer from now on."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._accept)

    def close(self) -> None:
        """Take no further connections and remove the file; what is being answered still gets its answer."""
        if not self._open:
            return
        self._open = False
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._socket)
        self._socket.close()
        with _alone_in(self.path.parent), suppress(OSError):
            if _identity(self.path) == self._identity:
                self.path.unlink()
        for writer in self._waiting:
            writer.close()
        for following, writer in self._following.items():
            following.end()
            if self._loop is not None:  # one that does not read gets no more than a moment
                self._loop.call_later(_PATIENCE, writer.transport.abort)

    async def aclose(self) -> None:
        """The same, and end at once whatever is still being answered. Safe to repeat."""
        self.close()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def when_idle(self, tell: Callable[[], None]) -> None:
        """Call `tell` once nobody is connected: now, or after the last."""
        self._idle.add(tell, idle=not self._tasks)

    def _accept(self) -> None:
        assert self._loop is not None
        try:
            connection, _ = self._socket.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:  # out of file descriptors: it stays readable, so look away for a moment
            log.warning("the control socket cannot accept a connection: %s", error.strerror)
            self._loop.remove_reader(self._socket)
            self._loop.call_later(1.0, self._look_again)
            return
        connection.setblocking(False)
        task = self._loop.create_task(self._serve(connection), name="control")
        self._tasks.add(task)
        task.add_done_callback(partial(self._served, connection))

    def _look_again(self) -> None:
        if self._open and self._loop is not None:
            self._loop.add_reader(self._socket, self._accept)

    def _served(self, connection: socket.socket, task: asyncio.Task[None]) -> None:
        connection.close()  # by now it is, unless the task was cancelled before it began
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log_raised("a connection to the control socket failed", error, self._scrub)
        if not self._tasks:
            self._idle.tell()

    async def _serve(self, connection: socket.socket) -> None:
        reader, writer = await asyncio.open_unix_connection(sock=connection, limit=LONGEST_LINE)
        try:
            if len(self._tasks) > CONNECTIONS:
                await _send(writer, refusal(f"{CONNECTIONS} connections are open already", "busy"))
                return
            while self._open and (line := await self._line(reader, writer)):
                if follows(line):
                    await self._follow(reader, writer, line)
                    return
                await _send(writer, await answer(self._router, line, scrub=self._scrub))
        except _TooLong:
            with suppress(OSError, TimeoutError):
                await _send(writer, refusal(f"a request has at most {LONGEST_LINE} bytes"))
        except (OSError, TimeoutError):  # whoever asked has left, or has nothing to ask
            pass
        finally:
            await _hang_up(writer)

    async def _line(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        """The next request; b"" when there is none any more."""
        self._waiting.add(writer)
        try:
            async with asyncio.timeout(IDLE):
                return await reader.readline()
        except ValueError:
            raise _TooLong from None
        finally:
            self._waiting.discard(writer)

    async def _follow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: bytes) -> None:
        """Answer, and tell what happens until this is closed, or whoever asked says anything or hangs up."""
        following = Following(self._router.listen, self._wall)  # from before the answer: nothing is missed
        self._following[following] = writer
        ended = asyncio.ensure_future(reader.read(1))
        ended.add_done_callback(lambda _: following.end())
        try:
            await _send(writer, await answer(self._router, line, scrub=self._scrub))
            while said := await following.lines():
                writer.write(said)
                await writer.drain()  # as long as it takes: to look at what one has is no fault
        finally:
            following.close()
            del self._following[following]
            ended.cancel()
            await asyncio.gather(ended, return_exceptions=True)


class _TooLong(Exception):
    pass


async def _send(writer: asyncio.StreamWriter, line: bytes) -> None:
    writer.write(line + b"\n")
    async with asyncio.timeout(_PATIENCE):
        await writer.drain()


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    """Close the connection after what was written; who does not read it is not waited for."""
    writer.close()
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            await writer.wait_closed()
        return
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()


# ── the file ─────────────────────────────────────────────────────────────────────────────────────────


def _listening(path: Path) -> tuple[socket.socket, tuple[int, int]]:
    """A socket that listens at `path`, and which file that is. Raises ConfigError."""
    try:
        with _alone_in(path.parent):
            _make_room(path)
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                listener.setblocking(False)
                listener.bind(str(path))
                # Before `listen` nobody can connect, so there is no moment in which others could.
                os.chmod(path, 0o600)
                listener.listen(CONNECTIONS)
                return listener, _identity(path)
            except BaseException:
                listener.close()
                raise
    except OSError as error:
        lack = f"; make the directory {path.parent}" if isinstance(error, FileNotFoundError) else ""
        raise ConfigError(f"the control socket {path} cannot be opened: {error.strerror}{lack}") from error


def _make_room(path: Path) -> None:
    """Remove the socket of a process that is gone. Raises ConfigError when something else is at `path`."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ConfigError(f"the control socket cannot be at {path}: something else is there")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:  # so many wait there that nobody more is let in: it is alive
            holder = "another process"
        else:
            holder = _peer(probe)
    raise ConfigError(
        f"{holder} holds the control socket {path};"
        " each router needs one of its own: write `{pid}` into its name, such as"
        " `control: ./pointsman-{pid}.sock`, or have none (`control: null`)"
    )


def _peer(connection: socket.socket) -> str:
    """Who is at the other end: the process that listens."""
    pid = 0
    with suppress(OSError, struct.error):
        if sys.platform == "darwin":
            pid = connection.getsockopt(0, _LOCAL_PEERPID)
        elif sys.platform == "linux":
            pid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
    if not pid:  # in another container, for one
        return "another process"
    return f"this process ({pid})" if pid == os.getpid() else f"process {pid}"


def _identity(path: Path) -> tuple[int, int]:
    found = os.lstat(path)
    return found.st_dev, found.st_ino


@contextmanager
def _alone_in(directory: Path) -> Iterator[None]:
    """While routers look whether a socket is stale and replace it, each does so alone.

    A file system that cannot lock a directory is no reason to fail: only two that begin in the same
    millisecond could then take one for stale that is new.
    """
    import fcntl

    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:  # whatever is to be done there will say what is wrong
        yield
        return
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
