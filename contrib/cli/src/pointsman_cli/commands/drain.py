"""`pointsman drain`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from pointsman_cli.errors import FAILED, Failed
from pointsman_cli.operating import (
    Line,
    first_ready,
    in_flight,
    router_line,
    socket_option,
    tell_each,
)
from pointsman_cli.options import Asked, config_option, json_option, pass_asked
from pointsman_cli.output import say_over

_LOOK_AGAIN = 0.5
_LONGEST = 3600.0


@click.command("drain")
@click.argument("deployments", nargs=-1, required=True, metavar="DEPLOYMENT...")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, max=_LONGEST),
    metavar="SECONDS",
    help="How long to wait; by default as long as `timeouts.drain` of the router says.",
)
@socket_option
@config_option
@json_option
@pass_asked
def command(
    asked: Asked, /, deployments: tuple[str, ...], timeout: float | None, socket_file: Path | None
) -> int | None:
    """Disable DEPLOYMENT in a running router, and wait for the calls there.

    A deployment stays drained until `pointsman enable`, also when some calls were still running in the end
    (exit code 1) and when the waiting is given up with Ctrl-C. Several are drained at the same time.
    """
    answers: list[Mapping[str, Any]] = []
    with ExitStack() as stack:
        watch = stack.enter_context(router_line(asked, socket_file))
        lines = {each: stack.enter_context(router_line(asked, socket_file)) for each in deployments}
        for name, line in lines.items():
            more = {} if timeout is None else {"timeout": timeout}
            line.say("drain", deployment=name, **more)
        try:
            _collect(list(lines.values()), answers, _Progress(watch, deployments))
        finally:
            tell_each(asked, answers, _told)
    return None if all(each["drained"] for each in answers) else FAILED


def _told(answer: Mapping[str, Any]) -> str:
    return "drained" if answer["drained"] else f"still {in_flight(answer)}; it takes no new ones"


def _collect(waiting: list[Line], answers: list[Mapping[str, Any]], progress: _Progress) -> None:
    """Append the answer of each line as it comes. Raises Failed, after the others, when one is refused."""
    refused: Failed | None = None
    try:
        while waiting:
            for line in first_ready(waiting, _LOOK_AGAIN):
                waiting.remove(line)
                try:
                    answers.append(line.hear())
                except Failed as error:
                    refused = refused or error
            if waiting:
                progress.show()
    finally:
        progress.clear()
    if refused is not None:
        raise refused


class _Progress:
    """At a terminal, one line that says how many calls are still in flight."""

    def __init__(self, line: Line, deployments: Sequence[str]) -> None:
        self._line = line
        self._deployments = deployments
        self._wanted = sys.stderr.isatty()
        self._shown = False

    def show(self) -> None:
        if not self._wanted:
            return
        models = self._line.ask("status")["models"].values()
        counts = {each["id"]: each["in_flight"] for model in models for each in model["deployments"]}
        left = ", ".join(
            f"{each}: {counts[each]} still in flight" for each in self._deployments if counts.get(each)
        )
        say_over(left)
        self._shown = True

    def clear(self) -> None:
        if self._shown:
            say_over("")
