"""`pointsman status`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import time

import click

from pointsman_cli.errors import FAILED
from pointsman_cli.operating import Process, fleet, socket_option
from pointsman_cli.options import Asked, config_option, json_option, pass_asked, verbose_option
from pointsman_cli.output import print_json, print_text, say
from pointsman_cli.overview import (
    print_audit,
    print_budgets,
    print_credentials,
    print_deployments,
    print_discoveries,
    print_mirrors,
    print_names,
    print_providers,
    print_refused,
    print_selectors,
    print_state,
    unable,
)
from pointsman_cli.running import router_for, run

_SHORTEST, _LONGEST = 0.1, 3600.0


def _interval(_ctx: click.Context, _option: click.Parameter, text: str | None) -> float | None:
    from pointsman.units import parse_duration

    try:
        seconds = None if text is None else parse_duration(f"{text}s" if text.isdigit() else text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    if seconds is not None and not _SHORTEST <= seconds <= _LONGEST:
        raise click.BadParameter(f"from {_SHORTEST:g} s to an hour")
    return seconds


@click.command("status")
@click.option("--live", is_flag=True, help="Of the running router, by its control socket; asks no provider.")
@click.option(
    "--watch",
    "interval",
    is_flag=False,
    flag_value="2s",
    metavar="[TIME]",
    callback=_interval,
    help="Of the running router, again every 2s, or every TIME, with rates; until Ctrl-C.",
)
@click.option("--wide", is_flag=True, help="At a terminal: every column, however wide that is.")
@socket_option
@config_option
@json_option
@verbose_option
@pass_asked
def command(
    asked: Asked,
    /,
    live: bool,
    interval: float | None,
    wide: bool,
    socket_file: Path | None,
    pid: int | None,
) -> int | None:
    """Show providers and deployments, after asking each provider.

    Counts and circuit breakers are those of this process, which has just begun. Those of a router that runs
    elsewhere are shown with --live, --watch, --socket or --pid. The exit code is 1 when a model can take no
    call.
    """
    if interval is not None:
        from pointsman_cli.watching import watch

        with fleet(asked, socket_file, pid) as found:
            watch(asked, found, interval)
    if live or socket_file is not None or pid is not None:
        with fleet(asked, socket_file, pid) as found:
            return _live(asked, found.processes, many=found.many, wide=wide)
    return run(_status(asked, wide=wide))


def _live(asked: Asked, processes: Sequence[Process], *, many: bool, wide: bool) -> int | None:
    known = [(process.about, process.line.ask("status")) for process in processes]
    if asked.json:
        shown = [{"router": router, **status} for router, status in known]
        print_json({"processes": shown} if many else shown[0])
    left: list[str] = []
    for router, status in known:
        if not asked.json:
            file = router["config"] or "configured in code"
            say(f"process {router['pid']}, pointsman {router['version']}, {file}")
            print_deployments(status["models"], wide=wide)
            print_selectors(status.get("selectors", {}))
            print_names(status)
            print_credentials(status)
            print_discoveries(status)
            print_mirrors(status["models"])
            print_state(status.get("state"))
            print_budgets(status)
            print_audit(status)
            print_refused(status.get("configuration"), time())
        left += unable(status["models"], {})
    return _said(left, asked)


async def _status(asked: Asked, *, wide: bool) -> int | None:
    async with router_for(asked, looks=True) as router:
        health = (await router.health()).to_dict()
        status = router.status().to_dict()
    if asked.json:
        print_json({"providers": health, **status})
    else:
        print_providers(health)
        print_text("")
        print_deployments(status["models"], health=health, wide=wide)
        print_selectors(status["selectors"])
        print_names(status)
        print_credentials(status)
        print_discoveries(status)
        print_mirrors(status["models"])
    return _said(unable(status["models"], health), asked)


def _said(unable: Sequence[str], asked: Asked) -> int | None:
    """The exit code; who can take no call is said on stderr."""
    if unable and not asked.json:
        say(f"no call can be taken for {', '.join(dict.fromkeys(unable))}")
    return FAILED if unable else None
