"""`pointsman drain`."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from pointsman_cli import completing
from pointsman_cli.errors import FAILED, Failed
from pointsman_cli.operating import (
    Line,
    Process,
    ask_each,
    first_ready,
    fleet,
    in_flight,
    socket_option,
)
from pointsman_cli.options import Asked, config_option, json_option, pass_asked
from pointsman_cli.output import say_over

_LOOK_AGAIN = 0.5
_LONGEST = 3600.0


@click.command("drain")
@click.argument(
    "deployments", nargs=-1, required=True, metavar="DEPLOYMENT...", shell_complete=completing.deployments
)
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
    asked: Asked,
    /,
    deployments: tuple[str, ...],
    timeout: float | None,
    socket_file: Path | None,
    pid: int | None,
) -> int | None:
    """Disable DEPLOYMENT in a running router; wait for its calls.

    A deployment stays drained until `pointsman enable`, also when some calls were still running in the end
    (exit code 1) and when the waiting is given up with Ctrl-C. Several are drained at the same time, and by
    several processes.
    """
    more = {} if timeout is None else {"timeout": timeout}
    with ExitStack() as stack:
        found = stack.enter_context(fleet(asked, socket_file, pid))
        waiting: dict[Process, list[Line]] = {}
        for process in found.processes:
            waiting[process] = [stack.enter_context(Line(process.path)) for _ in deployments]
            for name, line in zip(deployments, waiting[process], strict=True):
                line.say("drain", deployment=name, **more)
        progress = _Progress(found.processes, deployments)
        answers = ask_each(asked, found, lambda process: _answers(waiting[process], progress), _told)
    return None if all(each["drained"] for _, some in answers for each in some) else FAILED


def _told(answer: Mapping[str, Any]) -> str:
    return "drained" if answer["drained"] else f"still {in_flight(answer)}; it takes no new ones"


def _answers(waiting: list[Line], progress: _Progress) -> Iterator[Mapping[str, Any]]:
    """The answer of each line as it comes. Raises Failed, after the others, when one is refused."""
    refused: Failed | None = None
    try:
        while waiting:
            for line in first_ready(waiting, _LOOK_AGAIN):
                waiting.remove(line)
                try:
                    yield line.hear()
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

    def __init__(self, processes: Sequence[Process], deployments: Sequence[str]) -> None:
        self._processes = processes
        self._deployments = deployments
        self._wanted = sys.stderr.isatty()
        self._shown = False

    def show(self) -> None:
        if not self._wanted:
            return
        counts: Counter[str] = Counter()
        for process in self._processes:
            models = process.line.ask("status")["models"].values()
            counts.update({each["id"]: each["in_flight"] for some in models for each in some["deployments"]})
        left = ", ".join(
            f"{each}: {counts[each]} still in flight" for each in self._deployments if counts[each]
        )
        say_over(left)
        self._shown = True

    def clear(self) -> None:
        if self._shown:
            say_over("")
