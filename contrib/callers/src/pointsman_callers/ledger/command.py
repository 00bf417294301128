"""`pointsman spend`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pointsman_cli.errors import USAGE, Failed
from pointsman_cli.options import Asked, config_option, json_option, pass_asked
from pointsman_cli.output import counted, print_json, print_table, say

if TYPE_CHECKING:
    from pointsman_callers.ledger.spending import Line
    from pointsman_database import Database

_BAR = 24


@click.command("spend")
@click.option(
    "--by",
    default="model",
    show_default=True,
    metavar="WHAT",
    help="One line for each caller, model, deployment, key, tier, day, or label:<tag>.",
)
@click.option(
    "--since", metavar="WHEN", default="30d", show_default=True, help="A day, a time, or how long ago."
)
@click.option("--until", metavar="WHEN", help="The last day, or the time before which it ended; else now.")
@click.option("--plot", metavar="FILE", help="Draw it: .svg, or .png with pointsman-callers[plot].")
@config_option
@json_option
@pass_asked
def command(asked: Asked, by: str, since: str, until: str | None, plot: str | None) -> None:
    """Show what was spent, by model, caller, day, or a label such as label:team.

    It is read from the database of the section `budgets`, whether a router runs or not. Each attempt at an
    upstream is counted that used something, in UTC.
    """
    from pointsman_callers.ledger.instants import instant
    from pointsman_callers.ledger.spending import as_plain, spend_by, total

    if plot is not None:
        from pointsman_callers.ledger.picture import EXTRA, draw
        from pointsman_cli.pictures import check_plot

        check_plot(plot, EXTRA)
    now = time.time()
    try:
        begin = instant(since, now)
        end = now if until is None else instant(until, now, end=True)
    except ValueError as error:
        raise click.UsageError(f"--since and --until: {error}") from None
    with closing(_database(asked)) as database:
        try:
            lines = database.read(lambda session: spend_by(session, by, begin, end))
        except ValueError as error:
            raise click.UsageError(f"--by: {error}") from None
    if plot is not None:
        Path(plot).write_bytes(draw(lines, f"spent by {by}", Path(plot).suffix))
        say(f"drew {plot}")
    if asked.json:
        print_json(as_plain(by, begin, end, lines))
        return
    if not lines:
        say("nothing was spent in that time")
        return
    _show(by, lines, total(lines))


def _show(by: str, lines: Sequence[Line], together: Line) -> None:
    bars = sys.stdout.isatty()
    most = max(each.cost_microcents for each in lines) or 1
    heads = [by.removeprefix("label:"), "attempts", "prompt", "completion", "USD", *([""] if bars else ())]
    rows = [[*_cells(each, each.of or "(none)"), *([_bar(each, most)] if bars else ())] for each in lines]
    print_table(heads, rows)
    if bars:
        say(f"together {_usd(together)} USD in {counted(together.attempts, 'attempt')}")
    if together.unpriced:
        say(f"{counted(together.unpriced, 'attempt')} cost something that nobody knows; see docs/prices.md")
    if together.estimated:
        say(f"{counted(together.estimated, 'attempt')} are estimated: nobody said what they used")


def _cells(line: Line, of: str) -> list[object]:
    return [of, f"{line.attempts:,}", f"{line.prompt:,}", f"{line.completion:,}", _usd(line)]


def _usd(line: Line) -> str:
    from pointsman.values.usd import usd

    return f"{usd(line.cost_microcents):.6f}"


def _bar(line: Line, most: int) -> str:
    return "█" * round(_BAR * line.cost_microcents / most)


def _database(asked: Asked) -> Database:
    """The one that the configuration names, with tables that this version knows. Raises Failed."""
    from pointsman.dry_run.configs import load_config
    from pointsman_callers.ledger.kept import COMPONENT
    from pointsman_cli.configured import config_file
    from pointsman_database import Database, read_address

    file = config_file(asked, os.environ, Path())
    if file is None:
        raise Failed("there is no configuration, which says where the ledger is", code=USAGE)
    config = load_config(file)
    addresses = COMPONENT.addresses(config)
    if not addresses:
        raise Failed("nothing is kept: the configuration has no section `budgets`", code=USAGE)
    address = read_address(addresses[0], config.directory)
    if address.file is not None and not address.file.is_file():
        raise Failed(f"{address.shown} is not there yet: nothing was spent")
    database = Database.open(addresses[0], config.directory)
    state = database.state(COMPONENT.name, COMPONENT.folder)
    if state.version != state.known:
        database.close()
        if state.version:
            helps = "run `pointsman db migrate`" if state.version < state.known else "use the newer pointsman"
            raise Failed(
                f"{address.shown}: its tables are of version {state.version}, not {state.known}: {helps}"
            )
        raise Failed(f"{address.shown} has no ledger yet: nothing was spent")
    return database
