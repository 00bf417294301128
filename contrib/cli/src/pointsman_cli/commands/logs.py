"""`pointsman logs`."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pointsman_cli.errors import USAGE, Failed
from pointsman_cli.operating import configured_socket, fleet, followed, socket_option
from pointsman_cli.options import Asked, config_option, json_option, pass_asked, verbose_option
from pointsman_cli.output import console, print_json_line, print_text, say, shown_line
from pointsman_cli.request_log import Requests, Wanted, change_line, kept, line_of

if TYPE_CHECKING:
    from pointsman_cli.gateway_client import Gateway

_MOST = 1_000
"""Requests that a gateway tells at once."""
_SHOWN = 50
"""Requests that are over and shown, when nobody says how many."""


def _duration(_ctx: click.Context, _option: click.Parameter, text: str | None) -> float:
    from pointsman.units import parse_duration

    try:
        return 0.0 if text is None else parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _instant(ctx: click.Context, option: click.Parameter, text: str | None) -> float:
    """Seconds since 1970, for `10m` (ago) or `2026-11-30 14:00`."""
    if text is None:
        return 0.0
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        try:
            return time.time() - _duration(ctx, option, text)
        except click.BadParameter:
            raise click.BadParameter(
                f"{text!r} is neither a time ago, such as 10m, nor a date and time, such as 2026-11-30 14:00"
            ) from None


@click.command("logs")
@click.option(
    "-m", "--model", metavar="NAME", default="", help="Only of this model, or of a pattern: 'gpt-*'."
)
@click.option("-d", "--deployment", metavar="ID", default="", help="Only what this deployment was asked.")
@click.option("--caller", metavar="NAME", default="", help="Only of this caller.")
@click.option("--errors", is_flag=True, help="Only where something failed.")
@click.option("--slow", metavar="TIME", callback=_duration, help="Only what took so long, such as 2s.")
@click.option(
    "--since", metavar="TIME", callback=_instant, help="From then on: 10m (ago), or a date and time."
)
@click.option("-n", "number", type=click.IntRange(0, _MOST), help="How many that are over; 50.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens from now on.")
@click.option("--url", metavar="URL", help="Of the gateway there, rather than of a router at its socket.")
@click.option("--key", metavar="VARIABLE", default="POINTSMAN_KEY", help="The variable that holds the key.")
@socket_option
@config_option
@json_option
@verbose_option
@pass_asked
def command(
    asked: Asked,
    /,
    number: int | None,
    follow: bool,
    url: str | None,
    key: str,
    socket_file: Path | None,
    pid: int | None,
    **wanted: Any,
) -> None:
    """Show the requests of a running gateway or router.

    A gateway (--url, or where the configuration has it listen) keeps its latest requests. A router at its
    control socket keeps none: there --follow shows what happens from now on, until Ctrl-C or until it ends.
    Where the configuration has both, the gateway is asked for what is over (--since, -n), else the router.
    """
    told = _Told(asked, Wanted(**wanted))
    over = number is not None or bool(wanted["since"])
    url = url or (_gateway_of(asked, over=over) if socket_file is None and pid is None else None)
    if url is None:
        if over:
            raise Failed(
                "a router keeps nothing that is over: leave --since and -n out to see what happens from now "
                "on, or name a gateway with --url",
                code=USAGE,
            )
        with fleet(asked, socket_file, pid) as found:
            if not follow:  # else what reads it to its end, such as `tail`, would wait for ever
                raise Failed(
                    "a router keeps no request that is over; "
                    "`pointsman logs --follow` shows what happens from now on",
                    code=USAGE,
                )
            for process, event in followed(found.processes):
                told.event(event, {"pid": process.pid} if found.many else {})
        return
    from pointsman_cli.gateway_client import Gateway

    with Gateway(url, key) as gateway, gateway.understood():
        _of_gateway(gateway, told, _SHOWN if number is None else number, follow=follow)


def _of_gateway(gateway: Gateway, told: _Told, number: int, *, follow: bool) -> None:
    coming = gateway.follow() if follow else iter(())  # before the others, so that none falls between
    past = [each for each in map(kept, gateway.requests(_MOST)) if told.wanted.shows(each)]
    for request in reversed(past[:number]):
        told.request(request)
    seen = {each["id"] for each in past}
    for event in coming:
        if event is None:
            if not _is_read():
                raise BrokenPipeError
        elif (id := event.get("request_id")) not in seen:
            told.event(event)
        elif event["type"] == "request_ended":
            seen.discard(id)  # a caller may use one id again
    if follow:
        say(f"the gateway at {gateway.url} has ended")


def _gateway_of(asked: Asked, *, over: bool) -> str | None:
    """Where the gateway of the configuration listens; None where a control socket is to be asked.

    Args:
        over: what is over is asked for, which only a gateway keeps.
    """
    import os

    from pointsman.config.one_key import one_key
    from pointsman_cli.configured import config_file

    file = config_file(asked, os.environ, Path())
    if file is None or (not over and configured_socket(file) is not None):
        return None

    def address(section: Any, _directory: Path) -> str:
        listen = section.get("listen", "127.0.0.1:4000") if isinstance(section, Mapping) else ""
        first = str(listen[0] if isinstance(listen, list) and listen else listen)
        return f"https://{first}" if isinstance(section, Mapping) and section.get("tls") else first

    place = one_key(file, "gateway", address)
    return None if not place or "unix:" in place else place


class _Told:
    """Tells what was asked for, to a person or to a program."""

    def __init__(self, asked: Asked, wanted: Wanted) -> None:
        self.wanted = wanted
        self._json = asked.json
        self._requests = Requests()

    def event(self, event: Mapping[str, Any], more: Mapping[str, Any] | None = None) -> None:
        """What has happened; `more` stands beside it for programs."""
        if event["type"] == "gap":
            self._gap(event)
        elif (request := self._requests.heard(event)) is not None:
            if self.wanted.shows(request):
                self.request(request, more)
        elif self.wanted.shows_change(event):
            line = change_line(event)
            if self._json:
                print_json_line({**event, **(more or {})})
            elif line is not None:
                print_text(line)

    def request(self, request: Mapping[str, Any], more: Mapping[str, Any] | None = None) -> None:
        """A request that is over."""
        if self._json:
            print_json_line({**request, **(more or {})})
            return
        line = shown_line(line_of(request))
        if sys.stdout.isatty():
            style = "red" if request["error"] else "yellow" if len(request["attempts"]) > 1 else ""
            console().print(line, style=style or None, soft_wrap=True)
        else:
            print_text(line)

    def _gap(self, event: Mapping[str, Any]) -> None:
        if self._json:
            print_json_line(event)
        else:
            say(f"{event.get('left_out', 'some')} events are left out: this was too slow to read them")


def _is_read() -> bool:
    """Whether somebody still reads our output."""
    import select

    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return not poll.poll(0)
