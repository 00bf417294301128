"""`pointsman explain`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from pointsman_cli import completing
from pointsman_cli.dry_runs import asked_call, call_options
from pointsman_cli.errors import FAILED, USAGE, Failed
from pointsman_cli.operating import fleet, socket_option
from pointsman_cli.options import Asked, config_option, json_option, pass_asked, verbose_option
from pointsman_cli.output import print_json
from pointsman_cli.running import router_for, run


@click.command("explain")
@click.argument("model", required=False, shell_complete=completing.models)
@click.argument("message", required=False)
@call_options
@click.option("--wire", is_flag=True, help="Show the request as it would be sent, too.")
@click.option(
    "--test",
    "cases",
    metavar="FILE",
    help="Try the cases in FILE: which picks, orders and refusals are expected.",
)
@click.option(
    "--replay",
    "logs",
    multiple=True,
    metavar="LOG",
    help="Decide the requests of an audit log anew: which would go elsewhere? A file or a folder.",
)
@click.option("--than", metavar="CONFIG", help="With --replay: compare with this configuration, not the log.")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of the file that --test takes.")
@click.option("--live", is_flag=True, help="By what the running router knows now.")
@socket_option
@config_option
@json_option
@verbose_option
@pass_asked
def command(
    asked: Asked,
    /,
    model: str | None,
    message: str | None,
    *,
    wire: bool,
    cases: str | None,
    logs: tuple[str, ...],
    than: str | None,
    schema: bool,
    live: bool,
    socket_file: Path | None,
    pid: int | None,
    **said: Any,
) -> int | None:
    """Say where a call for MODEL would go; nobody is called.

    Every deployment is told with why it is left out, and fallbacks in their order. The exit code is 1 when
    nothing would take the call, or when a case of --test is not as expected.
    """
    if (cases is not None or logs) and model is not None:
        raise click.UsageError("a MODEL is for a single call: cases and logs name theirs")
    if than is not None and not logs:
        raise click.UsageError("--than is for --replay")
    if logs:
        return _replay()(asked, logs, than)
    if schema:
        from pointsman.dry_run.cases import cases_schema

        print_json(cases_schema())
        return None
    if cases is not None:
        from pointsman_cli.case_results import tried

        return run(tried(asked, cases))
    if model is None:
        raise click.UsageError("which MODEL is to be explained? Try: pointsman models list")
    if not live and socket_file is None and pid is None:
        return _told(asked, [("", run(_explained(asked, model, message, said)))], many=False, wire=wire)
    if said["files"]:
        raise click.UsageError("a running router is asked without files")
    messages, options = asked_call(message, **said)
    question = {
        "messages": messages,
        "stream": options.pop("stream", False),
        "options": options,
    }
    with fleet(asked, socket_file, pid) as found:
        answers = [
            (f"process {each.pid}" if found.many else "", each.line.ask("explain", model=model, **question))
            for each in found.processes
        ]
        return _told(asked, answers, many=found.many, wire=wire)


def _replay() -> Callable[[Asked, Sequence[str], str | None], None]:
    """What replays logs. Raises Failed where that is not installed."""
    try:
        from pointsman_forecast.replayed import print_replay
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "pointsman_forecast":
            raise
        raise Failed(
            "--replay needs the package pointsman-forecast: pip install pointsman-forecast", code=USAGE
        ) from None
    return print_replay


async def _explained(
    asked: Asked, model: str, message: str | None, said: Mapping[str, Any]
) -> Mapping[str, Any]:
    messages, options = asked_call(message, **said)
    async with router_for(asked, looks=True) as router:
        return router.explain(model, messages, **options).to_dict()


def _told(
    asked: Asked, answers: Sequence[tuple[str, Mapping[str, Any]]], *, many: bool, wire: bool = False
) -> int | None:
    if asked.json:
        print_json([each for _, each in answers] if many else answers[0][1])
    else:
        from pointsman_cli.explained import print_explained

        for process, each in answers:
            print_explained(each, process=process, wire=wire)
    return None if all(each["pick"] is not None for _, each in answers) else FAILED
