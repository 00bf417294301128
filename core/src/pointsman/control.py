"""The control socket: operators look at a running router and operate it, one line of JSON each way.

    {"command": "disable", "deployment": "gpu1/llama3.2"}  →  {"ok": true, "deployment": …, "in_flight": 2}
    {"command": "disable", "deployment": "gpu9/llama3.2"}  →  {"ok": false, "error": "no deployment …"}

What can be said stands in `COMMANDS`, and `answer` turns any line into an answer; around that stands the
socket (`Control`). Whoever may open the socket may operate the router, so its mode is 0600. No answer holds
a credential: all of them are made of what `Router.status` and our own errors say.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import stat
import struct
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Protocol

from pointsman.config import Config
from pointsman.config.interpolate import interpolate
from pointsman.config.locate import read
from pointsman.errors import ConfigError, PointsmanError
from pointsman.jsonio import dumps, loads
from pointsman.suggest import did_you_mean

log = logging.getLogger("pointsman")

LONGEST_LINE = 64 * 1024
"""Bytes of one request."""
CONNECTIONS = 32
"""At the same time; a further one is told so."""
IDLE = 60.0
"""Seconds in which a connection says its next line; after them it is closed."""
LONGEST_DRAIN = 3600.0
_PATIENCE = 5.0
_LONGEST_PATH = 107 if sys.platform == "linux" else 103
_LOCAL_PEERPID = 2  # of macOS; Python has no name for it


class Operated(Protocol):
    """What is operated: a `Router`."""

    @property
    def config(self) -> Config: ...
    def status(self) -> dict[str, Any]: ...
    def explain(self, model: str) -> dict[str, Any]: ...
    def disable(self, deployment: str) -> None: ...
    def enable(self, deployment: str) -> None: ...
    def reset(self, deployment: str) -> None: ...
    def force_open(self, deployment: str) -> None: ...
    async def drain(self, deployment: str, *, timeout: float | None = None) -> bool: ...
    async def reload(self) -> None: ...


# ── what can be said ─────────────────────────────────────────────────────────────────────────────────


class Refused(Exception):
    """A request that cannot be done; `code` is a stable name for programs."""

    def __init__(self, message: str, code: str = "invalid_request") -> None:
        super().__init__(message)
        self.code = code


Request = Mapping[str, Any]


async def answer(router: Operated, line: bytes) -> bytes:
    """One line of JSON in answer to `line`, without the line break; whatever it is, nothing is raised.

    `ok` is true, beside what the command tells, or false, beside `error` and `code`.
    """
    try:
        said = {"ok": True, **await _done(router, _request(line))}
        return dumps(said)
    except Refused as error:
        code, message = error.code, str(error)
    except PointsmanError as error:
        code, message = error.code, error.message
    except Exception as error:  # a mistake of ours or of a plugin: its words may hold anything
        log.exception("a command on the control socket failed")
        code, message = "internal", f"the router failed with {type(error).__name__}; its log says more"
    return dumps({"ok": False, "error": message, "code": code})


def _request(line: bytes) -> Request:
    try:
        request = loads(line)
    except (ValueError, RecursionError):
        raise Refused("a request is one line of JSON") from None
    if not isinstance(request, dict):
        raise Refused('a request is a JSON object such as {"command": "status"}')
    return request


async def _done(router: Operated, request: Request) -> Mapping[str, Any]:
    name = request.get("command")
    command = COMMANDS.get(name) if isinstance(name, str) else None
    if command is None:
        raise Refused(f"no such command; {did_you_mean(str(name)[:100], COMMANDS, what='there are')}")
    for surplus in request.keys() - {"command", *command.takes}:
        takes = " and ".join(command.takes) or "nothing"
        raise Refused(f"{name} takes {takes}, and not {surplus[:100]!r}")
    said = await command.run(router, request)
    if command.changes:
        log.info("control: %s %s", name, request.get("deployment", ""))
    return said


async def _ping(router: Operated, _request: Request) -> Mapping[str, Any]:
    return {"pid": os.getpid(), "version": _version(), "config": router.config.file}


async def _status(router: Operated, _request: Request) -> Mapping[str, Any]:
    return router.status()


async def _explain(router: Operated, request: Request) -> Mapping[str, Any]:
    return router.explain(_text(request, "model"))


async def _reload(router: Operated, _request: Request) -> Mapping[str, Any]:
    await router.reload()
    return {"config": router.config.file, "deployments": len(_deployments(router))}


async def _drain(router: Operated, request: Request) -> Mapping[str, Any]:
    deployment = _deployment(router, request)
    finished = await router.drain(deployment, timeout=_seconds(request, "timeout"))
    return {**_state(router, deployment), "drained": finished}


def _operation(name: str) -> Callable[[Operated, Request], Awaitable[Mapping[str, Any]]]:
    """The command that calls the router's method `name` with a deployment."""

    async def operate(router: Operated, request: Request) -> Mapping[str, Any]:
        deployment = _deployment(router, request)
        try:
            getattr(router, name)(deployment)
        except ValueError as error:  # a deployment without a breaker cannot be forced open
            raise Refused(str(error)) from None
        return _state(router, deployment)

    return operate


@dataclass(frozen=True, slots=True)
class Command:
    """One thing that can be said.

    Attributes:
        takes: the keys of a request beside `command`.
        changes: it does something, which is logged.
    """

    run: Callable[[Operated, Request], Awaitable[Mapping[str, Any]]]
    takes: tuple[str, ...] = ()
    changes: bool = False


COMMANDS: Mapping[str, Command] = {
    "ping": Command(_ping),
    "status": Command(_status),
    "explain": Command(_explain, ("model",)),
    "disable": Command(_operation("disable"), ("deployment",), changes=True),
    "enable": Command(_operation("enable"), ("deployment",), changes=True),
    "reset": Command(_operation("reset"), ("deployment",), changes=True),
    "force_open": Command(_operation("force_open"), ("deployment",), changes=True),
    "drain": Command(_drain, ("deployment", "timeout"), changes=True),
    "reload": Command(_reload, changes=True),
}


def _text(request: Request, key: str) -> str:
    value = request.get(key)
    if not isinstance(value, str) or not value:
        raise Refused(f"{request['command']} needs {key!r}, a text")
    return value


def _seconds(request: Request, key: str) -> float | None:
    value = request.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LONGEST_DRAIN:
        raise Refused(f"{key!r} is a number of seconds from 0 to {LONGEST_DRAIN:.0f}")
    return float(value)


def _deployment(router: Operated, request: Request) -> str:
    """The id of a deployment that is there. Raises Refused."""
    id, known = _text(request, "deployment"), _deployments(router)
    if id not in known:
        hint = did_you_mean(id, known, what="there are")
        raise Refused(f"no deployment is called {id[:200]!r}; {hint}", "unknown_deployment")
    return id


def _deployments(router: Operated) -> dict[str, dict[str, Any]]:
    """What the status says of each deployment, by id."""
    models = router.status()["models"].values()
    return {each["id"]: each for model in models for each in model["deployments"]}


def _state(router: Operated, deployment: str) -> Mapping[str, Any]:
    # A reload meanwhile may have taken it away; then nothing runs there for all that is known.
    now = _deployments(router).get(deployment, {"state": "removed", "in_flight": 0})
    return {"deployment": deployment, "state": now["state"], "in_flight": now["in_flight"]}


@cache
def _version() -> str:
    from importlib.metadata import version

    return version("pointsman")


# ── where it is ──────────────────────────────────────────────────────────────────────────────────────


def socket_path(control: str | Path, file: str | None) -> Path:
    """Where the socket is for `control: …` of a configuration, absolute.

    A relative path starts at the directory of the configuration's `file`, so that router and operator find
    the same place wherever each was started; without a file, at the working directory.

    Raises: ValueError, in words for the configuration, when no Unix-domain socket can have that path.
    """
    if not hasattr(socket, "AF_UNIX") or os.name != "posix":
        raise ValueError("a control socket needs Unix-domain sockets, which are not to be had here")
    if "\0" in str(control):
        raise ValueError("a path cannot hold a zero character")
    path = Path(os.path.abspath(Path(file or ".").parent / control))
    length = len(os.fsencode(path))
    if length > _LONGEST_PATH:
        raise ValueError(
            f"{path} has {length} bytes, and the path of a socket at most {_LONGEST_PATH};"
            " choose a shorter one"
        )
    return path


def socket_in(file: str | Path) -> Path | None:
    """Where the router of the configuration in `file` listens; None when it has no `control`.

    Nothing else in the file needs to be right: its keys may be in variables that an operator does not have.

    Raises: ConfigError.
    """
    document = read(file)
    control = document.data.get("control") if isinstance(document.data, Mapping) else None
    if control is None:
        return None
    found, faults = interpolate(control, environ=os.environ, read_file=lambda path: Path(path).read_text())
    message = faults[0][1] if faults else "" if isinstance(found, str) and found else "expected a path"
    if not message:
        try:
            return socket_path(found, document.file)
        except ValueError as error:
            message = str(error)
    raise ConfigError(f"{document.problem(('control',), message)}")


# ── the socket ───────────────────────────────────────────────────────────────────────────────────────


class Control:
    """The socket of one router, and whoever is connected to it.

    Making it opens the socket; `start` begins to answer, on the running loop. There is a task for each
    connection and none without.

    Raises: ConfigError when it cannot be opened; a live router that holds it is named by its process.
    """

    def __init__(self, router: Operated, path: Path) -> None:
        self.path = path
        self._router = router
        self._socket, self._identity = _listening(path)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: set[asyncio.StreamWriter] = set()
        self._on_idle: list[Callable[[], None]] = []
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
        if self._tasks:
            self._on_idle.append(tell)
        else:
            tell()

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
        if not task.cancelled() and task.exception() is not None:
            log.error("a connection to the control socket failed", exc_info=task.exception())
        if not self._tasks:
            waiting, self._on_idle = self._on_idle, []
            for tell in waiting:
                tell()

    async def _serve(self, connection: socket.socket) -> None:
        reader, writer = await asyncio.open_unix_connection(sock=connection, limit=LONGEST_LINE)
        try:
            if len(self._tasks) > CONNECTIONS:
                await _send(writer, _refusal(f"{CONNECTIONS} connections are open already", "busy"))
                return
            while self._open and (line := await self._line(reader, writer)):
                await _send(writer, await answer(self._router, line))
        except _TooLong:
            with suppress(OSError, TimeoutError):
                await _send(writer, _refusal(f"a request has at most {LONGEST_LINE} bytes"))
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


class _TooLong(Exception):
    pass


def _refusal(message: str, code: str = "invalid_request") -> bytes:
    return dumps({"ok": False, "error": message, "code": code})


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


# ── opening it ───────────────────────────────────────────────────────────────────────────────────────


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
        raise ConfigError(f"the control socket {path} cannot be opened: {error.strerror}") from error


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
        " each router needs one of its own, or none (`control: null`)"
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
