"""`pointsman reload`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from pointsman_cli.errors import Failed
from pointsman_cli.operating import Process, fleet, socket_option
from pointsman_cli.options import Asked, config_option, json_option, pass_asked
from pointsman_cli.output import counted, print_json, print_text


@click.command("reload")
@socket_option
@config_option
@json_option
@pass_asked
def command(asked: Asked, socket_file: Path | None, pid: int | None) -> None:
    """Have a running router read its configuration again.

    It reads the file that it was started with. When that has a mistake, nothing changes. Calls that run keep
    what they started with.
    """
    refused: Failed | None = None
    with fleet(asked, socket_file, pid) as found:
        answers: list[tuple[Process, Mapping[str, Any]]] = []
        for process in found.processes:
            try:
                answers.append((process, process.line.ask("reload")))
            except Failed as error:
                refused = refused or error
        _tell(asked, answers, many=found.many)
    if refused is not None:
        raise refused


def _tell(asked: Asked, answers: Sequence[tuple[Process, Mapping[str, Any]]], *, many: bool) -> None:
    if asked.json and many:
        print_json({"processes": [{"pid": process.pid, **each} for process, each in answers]})
        return
    for process, answer in answers:
        if asked.json:
            print_json(answer)
            continue
        where, count = f"process {process.pid}: " if many else "", answer["deployments"]
        print_text(f"{where}reloaded {answer['config']}: {counted(count, 'deployment')}")
