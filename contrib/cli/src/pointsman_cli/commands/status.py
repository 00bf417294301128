"""`pointsman status`."""

from __future__ import annotations

from typing import Any

import click

from pointsman_cli.options import Asked, config_option, json_option, pass_asked
from pointsman_cli.output import print_json, print_table
from pointsman_cli.running import router_for, run


@click.command("status")
@config_option
@json_option
@pass_asked
def command(asked: Asked) -> None:
    """Show providers and deployments, after asking each provider.

    Counts and circuit breakers are those of this process, which has just begun: of a long-running router
    ask that router.
    """
    run(_status(asked))


async def _status(asked: Asked) -> None:
    async with router_for(asked) as router:
        health = await router.health()
        status = router.status()
    if asked.json:
        print_json({"providers": health, **status})
        return
    _print_providers(health)
    click.echo()
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
         each["breaker"]["state"], each["in_flight"], each["blocked"]]
        for name, model in status["models"].items()
        for each in model["deployments"]
    ]  # fmt: skip
    columns = ["model", "strategy", "deployment", "weight", "priority", "state", "breaker", "in flight"]
    print_table([*columns, "blocked"], rows)
