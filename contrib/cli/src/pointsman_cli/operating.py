"""How commands reach a running router: its control socket, and what the operating commands have in common."""

from __future__ import annotations

import json
import os
import select
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import click

from pointsman_cli.errors import FAILED, USAGE, Failed
from pointsman_cli.options import Asked, config_option, json_option, pass_asked
from pointsman_cli.output import print_json, print_text

F = TypeVar("F", bound=Callable[..., Any])

_PATIENCE = 30.0
"""Seconds for an answer; a router that takes longer hangs."""
_USAGE_CODES = ("config", "plugin", "unknown_deployment", "unknown_model", "invalid_request")


def socket_option(function: F) -> F:
    """Adds `--socket`; the command gets it as `socket_file`."""
    return click.option(
        "--socket",
        "socket_file",
        metavar="PATH",
        type=click.Path(path_type=Path),
        help="The control socket; else the one that the configuration names.",
    )(function)


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
        line, _, self._read = self._read.partition(b"\n")
        said: dict[str, Any] = json.loads(line)
        if not said.pop("ok"):
            code = USAGE if said.get("code") in _USAGE_CODES else FAILED
            raise Failed(str(said.get("error")), code=code)
        return said


def router_line(asked: Asked, socket_file: Path | None) -> Line:
    """A connection to the running router of the configuration that was asked for.

    Raises: Failed, 2 when no socket is named anywhere and 1 when nobody listens there; ConfigError.
    """
    return Line(socket_file or _configured(asked))


def _configured(asked: Asked) -> Path:
    from pointsman.control import socket_in
    from pointsman_cli.configured import NAMES, VARIABLE, config_file

    file = config_file(asked, os.environ, Path())
    if file is None:
        raise Failed(
            f"which router? Name its configuration with --config or {VARIABLE}, have {NAMES[0]} here, or "
            "name its control socket with --socket",
            code=USAGE,
        )
    path = socket_in(file)
    if path is None:
        raise Failed(
            f"{file} names no control socket, so its router cannot be reached while it runs. Add this line "
            "to it, and restart the application:\n  control: ./pointsman.sock",
            code=USAGE,
        )
    return path


def operating_command(name: str, help: str, told: Callable[[Mapping[str, Any]], str]) -> click.Command:
    """The command `name DEPLOYMENT…`, which says the same to the router for each of them.

    Args:
        told: what to tell a person about an answer.
    """

    @click.command(name, help=help)
    @click.argument("deployments", nargs=-1, required=True, metavar="DEPLOYMENT...")
    @socket_option
    @config_option
    @json_option
    @pass_asked
    def command(asked: Asked, /, deployments: tuple[str, ...], socket_file: Path | None) -> None:
        answers: list[Mapping[str, Any]] = []
        with router_line(asked, socket_file) as line:
            try:
                for each in deployments:
                    answers.append(line.ask(name, deployment=each))  # noqa: PERF401 - those before a refusal are done
            finally:
                tell_each(asked, answers, told)

    return command


def tell_each(
    asked: Asked, answers: Sequence[Mapping[str, Any]], told: Callable[[Mapping[str, Any]], str]
) -> None:
    """What was done, also when something else failed: one JSON document, or a line for each deployment."""
    if asked.json:
        if answers:
            print_json({"deployments": answers})
        return
    for each in answers:
        print_text(f"{each['deployment']}: {told(each)}")


def in_flight(answer: Mapping[str, Any]) -> str:
    """`1 call in flight`, `3 calls in flight`."""
    count = answer["in_flight"]
    return f"{count} call{'' if count == 1 else 's'} in flight"


def first_ready(lines: Sequence[Line], seconds: float) -> Sequence[Line]:
    """Those of `lines` that have something to say within `seconds`."""
    readable, _, _ = select.select(lines, [], [], seconds)
    return readable
