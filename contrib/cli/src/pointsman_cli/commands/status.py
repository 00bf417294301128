"""`pointsman status`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pointsman_cli.operating import router_line, socket_option
from pointsman_cli.options import Asked, config_option, json_option, pass_asked, verbose_option
from pointsman_cli.output import print_json, print_table, print_text, say
from pointsman_cli.running import router_for, run


@click.command("status")
@click.option("--live", is_flag=True, help="Of the running router, by its control socket; asks no provider.")
@socket_option
@config_option
@json_option
@verbose_option
@pass_asked
def command(asked: Asked, live: bool, socket_file: Path | None) -> None:
    """Show providers and deployments, after asking each provider.

    Counts and circuit breakers are those of this process, which has just begun. Those of a router that runs
    elsewhere are shown with --live, or with --socket.
    """
    if live or socket_file is not None:
        _live(asked, socket_file)
    else:
        run(_status(asked))


def _live(asked: Asked, socket_file: Path | None) -> None:
    with router_line(asked, socket_file) as line:
        router, status = line.ask("ping"), line.ask("status")
    if asked.json:
        print_json({"router": router, **status})
        return
    say(f"process {router['pid']}, pointsman {router['version']}, {router['config'] or 'configured in code'}")
    _print_deployments(status)


async def _status(asked: Asked) -> None:
    async with router_for(asked) as router:
        health = await router.health()
        status = router.status()
    if asked.json:
        print_json({"providers": health, **status})
        return
    _print_providers(health)
    print_text("")
    _print_deployments(status)


def _print_providers(health: dict[str, Any]) -> None:
    rows = [
        [name, "ok" if each["ok"] else "down", f"{each['ms']:.0f}", each.get("error", "")]
        for name, each in health.items()
    ]
    print_table(["provider", "state", "ms", "error"], rows)


def _print_deployments(status: dict[str, Any]) -> None:
    rows = [
        [name, model["strategy"], each["id"], each["weight"], each["priority"], each["state"],
         each["breaker"]["state"], _load(each), _left(each), why_not(each)]
        for name, model in status["models"].items()
        for each in model["deployments"]
    ]  # fmt: skip
    columns = ["model", "strategy", "deployment", "weight", "priority", "state", "breaker"]
    print_table([*columns, "in flight", "limits left", "why not now"], rows)
    for name, model in status["models"].items():
        queue = model["queue"]
        if queue is not None and queue["waiting"]:
            print_text(f"{name}: {queue['waiting']} waiting for room, one goes every {queue['pace']:.1f} s")


def _load(deployment: dict[str, Any]) -> str:
    """`3`, or `3/4` where so many places are."""
    places = deployment["places"]
    return f"{deployment['in_flight']}" if places is None else f"{deployment['in_flight']}/{places}"


def _left(deployment: dict[str, Any]) -> str:
    """`498/500 requests, 12000/200000 tokens`"""
    return ", ".join(
        f"{scope[unit]['remaining']}/{scope[unit]['burst']} {unit}"
        for scope in deployment["limits"]
        for unit in ("requests", "tokens")
        if scope[unit] is not None
    )


def why_not(deployment: dict[str, Any]) -> str:
    """Why a call would not be sent there now, or would get less than its share; "" when nothing is wrong."""
    refused, blocked, warm_up = deployment["refused"], deployment["blocked"], deployment["warm_up"]
    if refused is None and blocked is not None:
        return f"used although it is {_in_words(deployment, blocked)}: too few others are well"
    if refused is not None:
        return _in_words(deployment, refused)
    if warm_up is not None and warm_up["active"]:
        return f"warming up: {warm_up['share']:.0%} of its share, {warm_up['seconds_left']:.0f} s left"
    return ""


def _in_words(deployment: dict[str, Any], why: str) -> str:
    """`why`, and what else is known of it: since when, for how long, what a check said."""
    ejection, checks, breaker = deployment["ejection"], deployment["checks"], deployment["breaker"]
    if why == "unhealthy: ejected" and ejection is not None and ejection["ejected"]:
        return f"{why} for failures in a row, back in {ejection['seconds_left']:.0f} s"
    if why == "unhealthy: its checks fail" and checks is not None and checks["last_error"]:
        return f"{why}: {checks['last_error']}"
    if why == "circuit breaker open" and breaker["seconds_left"] is not None:
        return f"{why}, a probe in {breaker['seconds_left']:.0f} s"
    return why
