"""How commands reach a running router: its control socket, and what the operating commands have in common."""

from __future__ import annotations

import json
import os
import re
import select
import socket
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from glob import escape, glob
from pathlib import Path
from typing import Any, TypeVar

import click

from pointsman_cli import completing
from pointsman_cli.errors import FAILED, USAGE, Failed
from pointsman_cli.options import Asked, config_option, json_option, pass_asked
from pointsman_cli.output import counted, print_json, print_text, say

F = TypeVar("F", bound=Callable[..., Any])

_PATIENCE = 30.0
"""Seconds for an answer; a router that takes longer hangs."""
_USAGE_CODES = ("config", "plugin", "unknown_deployment", "unknown_model", "invalid_request")


def socket_option(function: F) -> F:
    """Adds `--socket` and `--pid`; the command gets them as `socket_file` and `pid`."""
    for option in (
        click.option("--pid", type=int, metavar="N", help="Of several processes only this one."),
        click.option(
            "--socket",
            "socket_file",
            metavar="PATH",
            type=click.Path(path_type=Path),
            help="The control socket, a folder of them, or a path with {pid}; else what the configuration "
            "names.",
        ),
    ):
        function = option(function)
    return function


class Line:
    """A connection to the control socket of a running router."""

    def __init__(self, path: Path) -> None:
        """Connect. Raises Failed when no router listens there."""
        if not hasattr(socket, "AF_UNIX"):
            raise Failed("a control socket needs Unix-domain sockets, which are not to be had here")
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(_PATIENCE)
        self._read = b""
        try:
            self._socket.connect(os.fspath(path))
        except (FileNotFoundError, ConnectionRefusedError):
            self.close()
            raise Failed(f"no router listens at {path}: none runs, or it runs without `control`") from None
        except OSError as error:
            self.close()
            raise Failed(f"cannot connect to {path}: {error.strerror or error}") from None

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def fileno(self) -> int:
        """For `select`."""
        return self._socket.fileno()

    def ask(self, command: str, **more: Any) -> dict[str, Any]:
        """The answer. Raises Failed with what the router says when it is a refusal."""
        self.say(command, **more)
        return self.hear()

    def say(self, command: str, **more: Any) -> None:
        """Send a request; `hear` gets the answer."""
        line = json.dumps({"command": command, **more}).encode() + b"\n"
        with suppress(ConnectionError):  # what the router said before it hung up is still to be heard
            self._socket.sendall(line)

    def hear(self, *, within: float = _PATIENCE) -> dict[str, Any]:
        """The answer to what was said, at most `within` seconds later. Raises Failed as `ask` does."""
        self._socket.settimeout(within)
        while b"\n" not in self._read:
            try:
                more = self._socket.recv(65536)
            except TimeoutError:
                raise Failed(f"the router at {self._path} does not answer") from None
            except ConnectionError:
                more = b""
            if not more:
                raise Failed(f"the router at {self._path} closed the connection: it is shutting down")
            self._read += more
        return self._answer()

    def receive(self) -> bool:
        """Take what has come, where `select` says that something has. False when the router has hung up."""
        more = b""
        with suppress(ConnectionError):
            more = self._socket.recv(1 << 18)
        self._read += more
        return bool(more)

    def lines(self) -> list[dict[str, Any]]:
        """What has come, as far as its lines are whole."""
        *whole, self._read = self._read.split(b"\n")
        return [json.loads(each) for each in whole]

    def _answer(self) -> dict[str, Any]:
        line, _, self._read = self._read.partition(b"\n")
        said: dict[str, Any] = json.loads(line)
        if not said.pop("ok"):
            code = USAGE if said.get("code") in _USAGE_CODES else FAILED
            raise Failed(str(said.get("error")), code=code, problems=said.get("problems") or ())
        return said


class Process:
    """A running router, and a connection to it."""

    def __init__(self, path: Path) -> None:
        """Connect. Raises Failed when no router listens at `path`."""
        self.path = path
        self.line = Line(path)

    @cached_property
    def about(self) -> Mapping[str, Any]:
        """Its `pid`, its `version` and the file of its `config`."""
        return self.line.ask("ping")

    @property
    def pid(self) -> int:
        return int(self.about["pid"])


@dataclass(frozen=True, slots=True)
class Fleet:
    """The routers that were found. `many`: at a place that may hold several, however many there are now."""

    processes: Sequence[Process]
    many: bool


@contextmanager
def fleet(asked: Asked, socket_file: Path | None, pid: int | None) -> Iterator[Fleet]:
    """The running routers of the configuration that was asked for, connected; or of those the one with `pid`.

    A socket that a process left behind is passed over where there may be several.

    Raises: Failed, 2 when no socket is named anywhere and 1 when nobody listens there; ConfigError.
    """
    place = socket_file or _configured(asked)
    paths = sockets_at(place)
    with ExitStack() as stack:
        found: list[Process] = []
        for path in [place] if paths is None else paths:
            try:
                process = Process(path)
            except Failed:
                if paths is None:
                    raise
                continue
            found.append(process)
            stack.callback(process.line.close)
        if not found:
            raise Failed(f"no router listens at {place}: none runs, or it runs without `control`")
        if pid is not None:
            pids = [each.pid for each in found]
            found = [each for each in found if each.pid == pid]
            if not found:
                raise Failed(f"no process {pid} listens at {place}; there are {', '.join(map(str, pids))}")
        yield Fleet(found, many=paths is not None)


def sockets_at(place: Path) -> Sequence[Path] | None:
    """All sockets in the folder `place`, or where its `{pid}` stands for a number; None for a plain path."""
    from pointsman.control.commands import PID

    if PID in str(place):
        named = re.compile(re.escape(str(place)).replace(re.escape(PID), r"\d+"))
        there = glob(escape(str(place)).replace(PID, "*"))
        candidates = (Path(each) for each in there if named.fullmatch(each))
    elif place.is_dir():
        candidates = iter(place.iterdir())
    else:
        return None
    return sorted(each for each in candidates if each.is_socket())


def configured_socket(source: str | tuple[str, ...]) -> Path | None:
    """The control socket that the configuration in `source`, a file or several, names. Raises ConfigError."""
    from pointsman.config.one_key import one_key
    from pointsman.control.commands import socket_at

    return one_key(source, "control", socket_at)


def _configured(asked: Asked) -> Path:
    from pointsman_cli.configured import NAMES, VARIABLE, config_file

    file = config_file(asked, os.environ, Path())
    if file is None:
        raise Failed(
            f"which router? Name its configuration with --config or {VARIABLE}, have {NAMES[0]} here, or "
            "name its control socket with --socket",
            code=USAGE,
        )
    path = configured_socket(file)
    if path is None:
        raise Failed(
            f"{file} names no control socket, so its router cannot be reached while it runs. Add this line "
            "to it, and restart the application:\n  control: ./pointsman.sock",
            code=USAGE,
        )
    return path


Answers = Sequence[tuple[Process, Sequence[Mapping[str, Any]]]]
"""What each process did."""


def operating_command(name: str, help: str, told: Callable[[Mapping[str, Any]], str]) -> click.Command:
    """The command `name DEPLOYMENT…`, which says the same to the routers for each of them.

    Args:
        told: what to tell a person about an answer.
    """

    @click.command(name, help=help)
    @click.argument(
        "deployments", nargs=-1, required=True, metavar="DEPLOYMENT...", shell_complete=completing.deployments
    )
    @socket_option
    @config_option
    @json_option
    @pass_asked
    def command(
        asked: Asked, /, deployments: tuple[str, ...], socket_file: Path | None, pid: int | None
    ) -> None:
        def ask(process: Process) -> Iterator[Mapping[str, Any]]:
            for each in deployments:
                yield process.line.ask(name, deployment=each)

        with fleet(asked, socket_file, pid) as found:
            ask_each(asked, found, ask, told)

    return command


def ask_each(
    asked: Asked,
    found: Fleet,
    ask: Callable[[Process], Iterable[Mapping[str, Any]]],
    told: Callable[[Mapping[str, Any]], str],
) -> Answers:
    """What every process answers, told to whoever asked.

    Raises: Failed, after all have been asked and what was done has been told, when one refuses.
    """
    refused: Failed | None = None
    answers: list[tuple[Process, list[Mapping[str, Any]]]] = []
    for process in found.processes:
        answers.append((process, []))
        try:
            for each in ask(process):
                answers[-1][1].append(each)
        except Failed as error:
            refused = refused or error
    _tell(asked, answers, told, many=found.many)
    if refused is not None:
        raise refused
    return answers


def _tell(asked: Asked, answers: Answers, told: Callable[[Mapping[str, Any]], str], *, many: bool) -> None:
    """What was done, also when something else failed: one JSON document, or a line for each deployment."""
    if asked.json and many:
        print_json({"processes": [{"pid": process.pid, "deployments": each} for process, each in answers]})
    elif asked.json:
        for _, each in answers:
            if each:
                print_json({"deployments": each})
    else:
        for process, some in answers:
            where = f"process {process.pid}: " if many else ""
            for answer in some:
                print_text(f"{where}{answer['deployment']}: {told(answer)}")


def in_flight(answer: Mapping[str, Any]) -> str:
    """`1 call in flight`, `3 calls in flight`."""
    return f"{counted(answer['in_flight'], 'call')} in flight"


def followed(processes: Sequence[Process]) -> Iterator[tuple[Process, Mapping[str, Any]]]:
    """What happens in `processes` from now on, until all of them have ended; each is told as it ends.

    Raises: Failed; BrokenPipeError when nobody reads our output any more.
    """
    left = {process.line.fileno(): process for process in processes}
    waiting = select.poll()
    for number, process in left.items():
        _ = process.about  # behind what is asked for now nothing else can be
        process.line.ask("events")
        waiting.register(number, select.POLLIN)
    with suppress(OSError, ValueError):  # of a test it may be no file
        waiting.register(sys.stdout.fileno(), 0)  # for its end alone
    for process in processes:  # with its answer more may have come
        for each in process.line.lines():
            yield process, each
    while left:
        for number, _ in waiting.poll():
            if number not in left:
                raise BrokenPipeError
            process = left[number]
            if not process.line.receive():
                say(f"process {process.pid} has ended")
                waiting.unregister(number)
                del left[number]
            for each in process.line.lines():
                yield process, each


def first_ready(lines: Sequence[Line], seconds: float) -> Sequence[Line]:
    """Those of `lines` that have something to say within `seconds`."""
    readable, _, _ = select.select(lines, [], [], seconds)
    return readable
