"""`pointsman health`."""

from __future__ import annotations

import click

from pointsman_cli.errors import UPSTREAM
from pointsman_cli.options import Asked, config_option, json_option, pass_asked, verbose_option
from pointsman_cli.output import print_json
from pointsman_cli.overview import print_providers
from pointsman_cli.running import router_for, run


@click.command("health")
@config_option
@json_option
@verbose_option
@pass_asked
def command(asked: Asked) -> int | None:
    """Ask every provider whether it is well.

    The exit code is 3 when one is not.
    """
    return run(_health(asked))


async def _health(asked: Asked) -> int | None:
    async with router_for(asked, looks=True) as router:
        health = await router.health()
    if asked.json:
        print_json(health.to_dict())
    else:
        print_providers(health.to_dict())
    return None if health.ok else UPSTREAM
