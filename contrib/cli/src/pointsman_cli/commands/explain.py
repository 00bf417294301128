"""`pointsman explain`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from pointsman_cli.errors import FAILED
from pointsman_cli.operating import fleet, socket_option
from pointsman_cli.options import Asked, config_option, json_option, pass_asked, verbose_option
from pointsman_cli.output import one_line, print_groups, print_json, print_table, say
from pointsman_cli.running import router_for, run


@click.command("explain")
@click.argument("model")
@click.argument("message", required=False)
@click.option("--live", is_flag=True, help="By what the running router knows now, which takes no MESSAGE.")
@socket_option
@config_option
@json_option
@verbose_option
@pass_asked
def command(
    asked: Asked, model: str, message: str | None, live: bool, socket_file: Path | None, pid: int | None
) -> int | None:
    """Say where a call for MODEL would go; nobody is called.

    Every deployment is told with why it is left out, and fallbacks in their order. The exit code is 1 when
    nothing would take the call.
    """
    if not live and socket_file is None and pid is None:
        return _told(asked, [("", run(_explained(asked, model, message or "")))], many=False)
    if message is not None:
        raise click.UsageError("a running router is asked without a MESSAGE")
    with fleet(asked, socket_file, pid) as found:
        answers = [
            (f"process {each.pid}" if found.many else "", each.line.ask("explain", model=model))
            for each in found.processes
        ]
        return _told(asked, answers, many=found.many)


async def _explained(asked: Asked, model: str, message: str) -> Mapping[str, Any]:
    async with router_for(asked, looks=True) as router:
        return router.explain(model, message).to_dict()


def _told(asked: Asked, answers: Sequence[tuple[str, Mapping[str, Any]]], *, many: bool) -> int | None:
    if asked.json:
        print_json([each for _, each in answers] if many else answers[0][1])
    else:
        for process, each in answers:
            _print(process, each)
    return None if all(each["pick"] is not None for _, each in answers) else FAILED


def _before(explained: Mapping[str, Any]) -> Iterator[str]:
    """What stands before it, in words."""
    if (meant := explained.get("alias_of")) is not None:
        yield f"it is another name of {meant}"
    if (pattern := explained.get("pattern")) is not None:
        yield f"what holds for it is said of {pattern}"
    if guards := explained.get("guards"):
        yield f"it passes the guards {', '.join(guards)} first"
    if (selector := explained.get("selector")) is not None:
        models = (
            f"{each['model']}{'' if each['ready'] else ' (not ready)'}" for each in selector["candidates"]
        )
        yield (
            f"the selector {selector['selector']}, which was not asked, picks one of {', '.join(models)}; "
            f"this is for its default, {selector['default']}"
        )


def _print(process: str, explained: Mapping[str, Any]) -> None:
    pick = explained["pick"] or "nowhere: nothing would take it now"
    say(f"{process}{': ' if process else ''}a call for {explained['model']} goes to {pick}")
    for line in _before(explained):
        say(line)
    groups = [
        (f"{pool['model']} ({pool['strategy']})", _verdicts(pool, first=n == 0))
        for n, pool in enumerate(explained["chain"])
    ]
    if sys.stdout.isatty():
        from pointsman_cli.layout import Row

        shown = [(title, [Row([one_line(cell) for cell in row]) for row in rows]) for title, rows in groups]
        print_groups(["deployment", "verdict"], shown)
        return
    print_table(
        ["model", "deployment", "verdict"],
        [
            [pool["model"], *row]
            for pool, (_, rows) in zip(explained["chain"], groups, strict=True)
            for row in rows
        ],
    )


def _verdicts(pool: Mapping[str, Any], *, first: bool) -> list[tuple[str, str]]:
    """Each deployment of the pool, those that could take the call before the others."""
    ready = [(id, "the pick" if id == pool["pick"] else "ready") for id in pool["ready"]]
    if not first:
        ready = [(id, "ready, if all before fail") for id in pool["ready"]]
    return [*sorted(ready, key=lambda row: row[1] != "the pick"), *pool["refused"].items()]
