"""What operators can say to a running router, one line of JSON each way.

    {"command": "disable", "deployment": "gpu1/llama3.2"}  →  {"ok": true, "deployment": …, "in_flight": 2}
    {"command": "disable", "deployment": "gpu9/llama3.2"}  →  {"ok": false, "error": "no deployment …"}

What can be said stands in `COMMANDS`, and `answer` turns any line into an answer; around that stands the
socket. `following` tells what happens behind the answer to `events`. No answer holds a credential: all of
them are made of what `Router.status`, our events and our own errors say.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from pointsman._internal.jsonio import dumps, loads
from pointsman._internal.plugin_errors import Scrub, log_raised
from pointsman._internal.suggest import did_you_mean
from pointsman.errors import ConfigError, PointsmanError
from pointsman.types import JsonObject

if TYPE_CHECKING:
    from pointsman.config import Config
    from pointsman.events import Listener
    from pointsman.explanations import Explanation
    from pointsman.reports import DeploymentStatus, Status

log = logging.getLogger("pointsman")

PID = "{pid}"
"""What stands for the number of the process in the path of a socket."""
FOLLOW = "events"
"""The command behind whose answer everything is told that happens, until whoever asked hangs up."""
LONGEST_DRAIN = 3600.0
_LARGEST_PID = 4194304
_LONGEST_PATH = 107 if sys.platform == "linux" else 103


class Operated(Protocol):
    """What is operated: a `Router`."""

    @property
    def config(self) -> Config: ...
    def status(self) -> Status: ...
    @property
    def explain(self) -> Callable[..., Explanation]: ...
    def disable(self, deployment: str) -> None: ...
    def enable(self, deployment: str) -> None: ...
    def reset(self, deployment: str) -> None: ...
    def force_open(self, deployment: str) -> None: ...
    async def drain(self, deployment: str, *, timeout: float | None = None) -> bool: ...
    async def reload(self) -> None: ...
    def listen(self, listener: Listener) -> Callable[[], None]: ...


# ── what can be said ─────────────────────────────────────────────────────────────────────────────────


class WrongCommand(Exception):
    """A request that cannot be done; `code` is a stable name for programs."""

    def __init__(self, message: str, code: str = "invalid_request") -> None:
        super().__init__(message)
        self.code = code


async def answer(router: Operated, line: bytes, *, scrub: Scrub) -> bytes:
    """One line of JSON in answer to `line`, without the line break; whatever it is, nothing is raised.

    `ok` is true, beside what the command tells, or false, beside `error`, `code` and, where a configuration
    is wrong, its `problems`. What goes to the log goes through `scrub`.
    """
    problems: Sequence[object] = ()
    try:
        said = {"ok": True, **await _done(router, _request(line))}
        return dumps(said)
    except WrongCommand as error:
        code, message = error.code, str(error)
    except ConfigError as error:
        code, message, problems = error.code, error.message, error.problems
    except PointsmanError as error:
        code, message = error.code, error.message
    except Exception as error:  # a mistake of ours or of a plugin: its words may hold anything
        log_raised("a command on the control socket failed", error, scrub)
        code, message = "internal", f"the router failed with {type(error).__name__}; its log says more"
    return refusal(message, code, problems)


def follows(line: bytes) -> bool:
    """Whether `line` asks for all that happens from now on."""
    with suppress(WrongCommand):
        return FOLLOW.encode() in line and _request(line) == {"command": FOLLOW}
    return False


def refusal(message: str, code: str = "invalid_request", problems: Sequence[object] = ()) -> bytes:
    """The answer that says why not."""
    said: dict[str, Any] = {"ok": False, "error": message, "code": code}
    if problems:
        said["problems"] = [_problem(each) for each in problems]
    return dumps(said)


def _problem(problem: object) -> Mapping[str, Any]:
    names = ("code", "message", "path", "hint", "file", "line", "column", "source", "caret")
    return {name: getattr(problem, name, None) for name in names}


def _request(line: bytes) -> JsonObject:
    try:
        request = loads(line)
    except (ValueError, RecursionError):
        raise WrongCommand("a request is one line of JSON") from None
    if not isinstance(request, dict):
        raise WrongCommand('a request is a JSON object such as {"command": "status"}')
    return request


async def _done(router: Operated, request: JsonObject) -> Mapping[str, Any]:
    name = request.get("command")
    command = COMMANDS.get(name) if isinstance(name, str) else None
    if command is None:
        raise WrongCommand(f"no such command; {did_you_mean(str(name)[:100], COMMANDS, what='there are')}")
    for surplus in request.keys() - {"command", *command.takes}:
        takes = " and ".join(command.takes) or "nothing"
        raise WrongCommand(f"{name} takes {takes}, and not {surplus[:100]!r}")
    said = await command.run(router, request)
    if command.changes:
        log.info("control: %s", f"{name} {request['deployment']}" if "deployment" in request else name)
    return said


async def _ping(router: Operated, _request: JsonObject) -> Mapping[str, Any]:
    return {"pid": os.getpid(), "version": _version(), "config": router.config.file}


async def _status(router: Operated, _request: JsonObject) -> Mapping[str, Any]:
    return router.status().to_dict()


async def _explain(router: Operated, request: JsonObject) -> Mapping[str, Any]:
    options, stream = request.get("options", {}), request.get("stream", False)
    if not isinstance(options, dict) or not isinstance(stream, bool):
        raise WrongCommand("explain takes `options`, a mapping, and `stream`, true or false")
    if twice := options.keys() & {"self", "model", "messages", "stream"}:
        raise WrongCommand(f"{min(twice)!r} is none of the `options`")
    messages = request.get("messages", "")
    return router.explain(_text(request, "model"), messages, stream=stream, **options).to_dict()


async def _events(_router: Operated, _request: JsonObject) -> Mapping[str, Any]:
    return {}  # what is asked for comes behind it


async def _reload(router: Operated, _request: JsonObject) -> Mapping[str, Any]:
    await router.reload()
    return {"config": router.config.file, "deployments": len(_deployments(router))}


async def _drain(router: Operated, request: JsonObject) -> Mapping[str, Any]:
    deployment = _deployment(router, request)
    finished = await router.drain(deployment, timeout=_seconds(request, "timeout"))
    return {**_state(router, deployment), "drained": finished}


def _operation(name: str) -> Callable[[Operated, JsonObject], Awaitable[Mapping[str, Any]]]:
    """The command that calls the router's method `name` with a deployment."""

    async def operate(router: Operated, request: JsonObject) -> Mapping[str, Any]:
        deployment = _deployment(router, request)
        try:
            getattr(router, name)(deployment)
        except ValueError as error:  # a deployment without a breaker cannot be forced open
            raise WrongCommand(str(error)) from None
        return _state(router, deployment)

    return operate


class Command(Struct, frozen=True):
    """One thing that can be said.

    Attributes:
        takes: the keys of a request beside `command`.
        changes: it does something, which is logged.
    """

    run: Callable[[Operated, JsonObject], Awaitable[Mapping[str, Any]]]
    takes: tuple[str, ...] = ()
    changes: bool = False


COMMANDS: Mapping[str, Command] = {
    "ping": Command(_ping),
    "status": Command(_status),
    "explain": Command(_explain, ("model", "messages", "stream", "options")),
    "disable": Command(_operation("disable"), ("deployment",), changes=True),
    "enable": Command(_operation("enable"), ("deployment",), changes=True),
    "reset": Command(_operation("reset"), ("deployment",), changes=True),
    "force_open": Command(_operation("force_open"), ("deployment",), changes=True),
    "drain": Command(_drain, ("deployment", "timeout"), changes=True),
    "reload": Command(_reload, changes=True),
    FOLLOW: Command(_events),
}


def _text(request: JsonObject, key: str) -> str:
    value = request.get(key)
    if not isinstance(value, str) or not value:
        raise WrongCommand(f"{request['command']} needs {key!r}, a text")
    return value


def _seconds(request: JsonObject, key: str) -> float | None:
    value = request.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LONGEST_DRAIN:
        raise WrongCommand(f"{key!r} is a number of seconds from 0 to {LONGEST_DRAIN:.0f}")
    return float(value)


def _deployment(router: Operated, request: JsonObject) -> str:
    """The id of a deployment that is there. Raises WrongCommand."""
    id, known = _text(request, "deployment"), _deployments(router)
    if id not in known:
        hint = did_you_mean(id, known, what="there are")
        raise WrongCommand(f"no deployment is called {id[:200]!r}; {hint}", "unknown_deployment")
    return id


def _deployments(router: Operated) -> dict[str, DeploymentStatus]:
    """What the status says of each deployment, by id."""
    models = router.status().models.values()
    return {id: each for model in models for id, each in model.deployments.items()}


def _state(router: Operated, deployment: str) -> Mapping[str, Any]:
    # A reload meanwhile may have taken it away; then nothing runs there for all that is known.
    now = _deployments(router).get(deployment)
    state, in_flight = ("removed", 0) if now is None else (now.state, now.in_flight)
    return {"deployment": deployment, "state": state, "in_flight": in_flight}


@cache
def _version() -> str:
    from importlib.metadata import version  # for a `ping` alone

    return version("pointsman")


# ── where it is ──────────────────────────────────────────────────────────────────────────────────────


def socket_path(control: str | Path, directory: Path, *, pid: int | None = None) -> Path:
    """Where the socket is for `control: …` of a configuration in `directory`, absolute.

    `{pid}` in it stands for the number of the process, so that each worker has a socket of its own; without a
    `pid` it is left as it is.

    A relative path starts at that directory, so that router and operator find the same place wherever each
    was started.

    Raises: ValueError, in words for the configuration, when no Unix-domain socket can have that path.
    """
    if not hasattr(socket, "AF_UNIX") or os.name != "posix":
        raise ValueError("a control socket needs Unix-domain sockets, which are not to be had here")
    if "\0" in str(control):
        raise ValueError("a path cannot hold a zero character")
    pattern = os.path.abspath(directory / control)
    path = Path(pattern if pid is None else pattern.replace(PID, str(pid)))
    length = len(os.fsencode(pattern.replace(PID, str(_LARGEST_PID if pid is None else pid))))
    if length > _LONGEST_PATH:
        raise ValueError(
            f"{path} has {length} bytes, and the path of a socket at most {_LONGEST_PATH};"
            " choose a shorter one"
        )
    return path


def socket_at(value: object, directory: Path) -> Path:
    """The same for whatever stands at `control` in a file in `directory`. Raises ValueError."""
    if not isinstance(value, str) or not value:
        raise ValueError("expected a path")
    return socket_path(value, directory)
