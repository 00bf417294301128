"""`pointsman doctor`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

import click

from pointsman_cli.doctor.configuration import Given
from pointsman_cli.doctor.findings import Checked
from pointsman_cli.errors import FAILED, USAGE
from pointsman_cli.options import Asked, config_option, json_option, pass_asked, verbose_option
from pointsman_cli.output import console, print_json, print_table, say, shown_line

_STYLES = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command("doctor")
@config_option
@json_option
@verbose_option
@pass_asked
def command(asked: Asked) -> int | None:
    """Look for what could be wrong here, and say what would help.

    Providers are asked whether they are well, free of charge; nothing is started, and nothing written. The
    exit code is 1 when something fails, 2 when that is the configuration.
    """
    from pointsman_cli.doctor.machine import as_data, count, summary

    live = sys.stdout.isatty() and not asked.json
    found: list[tuple[str, Checked]] = []
    for group, checks in _groups(asked):
        some = list(_whole(checks))
        found += [(group, each) for each in some]
        if live and some:
            _show(group, some)
    checked = [each for _, each in found]
    if asked.json:
        code = _code(found)
        print_json({"ok": not code, "exit_code": code or 0, "checks": [as_data(*each) for each in found]})
    elif not live:
        rows = [(group, each.state, each.about, each.said, each.hint) for group, each in found]
        print_table(["group", "state", "about", "said", "hint"], rows)
    if not asked.json and (count(checked, "warn") or count(checked, "fail") or live):
        say(summary(checked))
    return _code(found)


def _groups(asked: Asked) -> Iterator[tuple[str, Iterable[Checked]]]:
    """Each subject with what is to be looked at, in the order in which one depends on another."""
    from pointsman_cli.doctor import configuration, installed, machine, running, upstreams
    from pointsman_cli.running import run

    case = configuration.given(asked)
    yield "configuration", configuration.configuration(case)
    yield "plugins", installed.installed(case)
    heard: Mapping[str, upstreams.Upstream] = {}

    def asked_now() -> Iterator[Checked]:
        nonlocal heard
        heard = run(upstreams.look(case))
        yield from upstreams.credentials(case, heard)

    yield "credentials", asked_now()
    yield "providers", upstreams.providers(heard, os.environ)
    yield "models", upstreams.models(case, heard)
    yield "clock", upstreams.clock(heard)
    yield "running", running.running(case)
    yield "gateway", running.addresses(case) if _serves(case) else ()
    yield "limits", machine.files(case)
    yield "audit", machine.audit(case)
    yield "terminal", machine.terminal(sys.stdout, os.environ)
    yield "versions", machine.versions()
    yield "environment", machine.variables(os.environ, case)


def _serves(case: Given) -> bool:
    """Whether a gateway could be meant to listen here."""
    from importlib.util import find_spec

    with suppress(ValueError):
        return "gateway" in case.data or (case.file is None and find_spec("pointsman_gateway") is not None)
    return False


def _whole(checks: Iterable[Checked]) -> Iterator[Checked]:
    """`checks`; one that fails itself is told, and the others are looked at all the same."""
    try:
        yield from checks
    except Exception as error:  # what is looked at is anything: other people's code, files and answers
        yield Checked("fail", "this check", f"did not end well: {type(error).__name__}: {error}")


def _code(found: Iterable[tuple[str, Checked]]) -> int | None:
    failed = {group for group, each in found if each.state == "fail"}
    return USAGE if "configuration" in failed else FAILED if failed else None


def _show(group: str, checks: Iterable[Checked]) -> None:
    """A group at a terminal: a line for each, wrapped, with what would help below."""
    from rich.text import Text

    from pointsman_cli.layout import wrapped

    target = console()
    room = max(20, target.width - 8)
    target.print(Text(group, style="bold"))
    for each in checks:
        lines = [(line, "") for line in wrapped(shown_line(f"{each.about}: {each.said}"), room)]
        if each.hint:
            lines += [(line, "dim") for line in wrapped(shown_line(each.hint), room)]
        for n, (line, style) in enumerate(lines):
            text = Text("  ").append(f"{each.state if n == 0 else '':4}", style=_STYLES[each.state])
            text.append("  ").append(line, style=style)
            target.print(text, no_wrap=True, overflow="ignore", crop=False)
