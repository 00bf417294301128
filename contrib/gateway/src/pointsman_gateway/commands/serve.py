"""`pointsman serve`."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from pointsman_cli.errors import USAGE, Failed
from pointsman_cli.options import Asked, config_option, json_option, pass_asked, verbose_option
from pointsman_cli.output import print_json_line, say, say_logged

if TYPE_CHECKING:
    from pointsman import Config, Router
    from pointsman_gateway.gateway import Gateway
    from pointsman_gateway.process.demo import Fleet
    from pointsman_gateway.settings import GatewaySettings
    from pointsman_telemetry.request_log import Style

T = TypeVar("T")


@click.command("serve")
@click.option(
    "--listen", multiple=True, metavar="ADDRESS", help="In place of `gateway.listen`; port 0: a free one."
)
@click.option("--demo", is_flag=True, help="Serve simulated upstreams; needs nothing.")
@click.option("--open", "open_console", is_flag=True, help="Open the console in a browser.")
@click.option("--workers", type=click.IntRange(min=1), default=1, help="Only 1; run replicas for more.")
@click.option(
    "--log",
    "style",
    type=click.Choice(["auto", "json", "console", "off"]),
    default="auto",
    help="One line a request on standard error; auto: for people on a terminal, else JSON.",
)
@config_option
@json_option
@verbose_option
@pass_asked
def command(
    asked: Asked, /, listen: tuple[str, ...], demo: bool, open_console: bool, workers: int, style: str
) -> None:
    """Serve the router to programs in any language, until Ctrl-C or SIGTERM.

    Without a configuration it serves what is found on this machine, as the other commands do. SIGTERM lets
    running calls finish. What changes in the configuration is taken up; SIGHUP has it read at once.
    """
    if workers > 1:
        raise Failed(
            "one process owns leases, limits and breakers: several beside each other would each grant all of "
            "them. Run replicas, each with `--workers 1`, behind a load balancer",
            code=USAGE,
        )
    # Who asked for JSON gets nothing else; who only reads a pipe may look for `listening at`.
    tell = partial(say_logged, "info") if style == "json" else say
    if style == "auto":
        style = "console" if sys.stderr.isatty() else "json"
    asked.runs_on = True
    asked.log_as_json = asked.json or style == "json"  # who reads one line as JSON reads all so
    # Nearly all that is made till it is ready stays: to go over it again and again takes 5 % of the start.
    # `Process` switches it on again.
    gc.disable()
    try:
        run(_serve(asked, listen, cast("Style", style), tell, demo=demo, open_console=open_console))
    finally:
        gc.enable()


def run(work: Coroutine[Any, Any, T]) -> T:
    """What `work` returns, on the fastest event loop that there is."""
    try:
        from uvloop import new_event_loop
    except ImportError:  # there is none for Windows
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(work)


async def _serve(
    asked: Asked,
    listen: tuple[str, ...],
    style: Style,
    tell: Callable[[str], None],
    *,
    demo: bool,
    open_console: bool,
) -> None:
    from pointsman_cli.configured import configuration
    from pointsman_gateway.process.serving import Process

    async with AsyncExitStack() as stack:
        fleet: Fleet | None = None
        if demo:
            from pointsman_gateway.process.demo import fleet_of_demo

            fleet = await stack.enter_async_context(fleet_of_demo())
        config = await configuration(asked) if fleet is None else fleet.config

        def announce(gateway: Gateway, router: Router) -> None:
            _announce(asked, tell, gateway, router, demo=demo)
            if fleet is not None:
                fleet.play(router)
            if open_console:
                _open(gateway, tell)

        process = Process(
            config,
            override=_ListeningAt(listen, config),
            announce=announce,
            style=style,
        )
        finished = await process.run()
    if not asked.json:
        tell("stopped" if finished else "stopped; some calls had to be ended")


class _ListeningAt:
    """Puts the addresses of the command line in place of those of the configuration."""

    def __init__(self, listen: tuple[str, ...], config: Config) -> None:
        self._listen = listen
        self._config = config

    def __call__(self, settings: GatewaySettings) -> GatewaySettings:
        if not self._listen:
            return settings
        from pointsman_gateway.listening.addresses import parse_address
        from pointsman_gateway.reading import check_reach

        try:
            addresses = tuple(map(parse_address, self._listen))
        except ValueError as error:
            raise click.UsageError(f"--listen: {error}") from None
        changed = settings.model_copy(update={"listen": addresses})
        check_reach(changed, self._config)
        return changed


def _announce(
    asked: Asked, tell: Callable[[str], None], gateway: Gateway, router: Router, *, demo: bool
) -> None:
    models = list(router.config.names())
    if not asked.verbose:  # else the log says so
        from pointsman import Reloaded
        from pointsman_gateway.process.reload_notes import ReloadNotes

        router.listen(ReloadNotes(asked, router), kinds=[Reloaded])
    if asked.json:
        print_json_line(
            {
                "url": gateway.url,
                "listeners": [
                    {"address": str(at), "for": "health" if place.health else place.scope or "all"}
                    for place, at in gateway.listeners.items()
                ],
                "models": models,
                "console": gateway.console,
            }
        )
        return
    for place, at in gateway.listeners.items():
        what = "health" if place.health else f"{place.scope}, without keys" if place.scope else ""
        tell(f"listening at {at}{f' ({what})' if what else ''}")
    if gateway.console is not None:
        tell(f"console: {gateway.console}")
    tell(f"models: {', '.join(models[:10])}{f' and {len(models) - 10} more' if len(models) > 10 else ''}")
    if demo:
        from pointsman_gateway.process.demo import curl_lines

        for line in curl_lines(gateway.url):
            tell(line)
    tell("Ctrl-C ends it")


def _open(gateway: Gateway, tell: Callable[[str], None]) -> None:
    """Have a browser show the console; one that is slow to begin holds nobody up."""
    if gateway.console is None:
        tell("no console is served here. Try: pip install pointsman-console")
        return
    from threading import Thread

    def show(address: str) -> None:
        import webbrowser

        if not webbrowser.open(address):
            tell(f"no browser was found; open {address}")

    Thread(target=show, args=(gateway.console,), daemon=True).start()
