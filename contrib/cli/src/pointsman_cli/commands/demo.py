"""`pointsman demo`."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

from pointsman_cli.demo.scene import ACTORS, TOTAL
from pointsman_cli.errors import FAILED, Failed, Terminated
from pointsman_cli.options import Asked, json_option, pass_asked, verbose_option
from pointsman_cli.output import console, print_json
from pointsman_cli.running import ended_by_sigterm, run

if TYPE_CHECKING:
    from pointsman_cli.demo.account import Account

Progress = Callable[[str, int], None]


@click.command("demo")
@click.option("--seed", default=1, show_default=True, help="Of texts, jitter and balancing.")
@json_option
@verbose_option
@pass_asked
def command(asked: Asked, seed: int) -> int | None:
    """Show what it does, with simulated upstreams; needs nothing.

    Four simulated servers answer on the loopback interface, each behind its own provider plugin. A few
    hundred real HTTP requests go to them by each of the three strategies. On the way one server is killed
    and comes back. In the end the router's account is compared with the servers'.
    """
    _require_extra()
    if not asked.verbose:  # what breaks here is broken on purpose, and is told in the end
        logging.getLogger("pointsman").setLevel(logging.ERROR)
    with _progress(quiet=asked.json or asked.verbose > 0) as progress, ended_by_sigterm(asked):
        account = _played(asked, seed, progress)
    if asked.json:
        print_json(account.as_json())
    else:
        from pointsman_cli.demo.show import show

        show(account)
    return None if all(account.claims().values()) else FAILED


def _played(asked: Asked, seed: int, progress: Progress) -> Account:
    """The account of the demo. Raises Terminated after a SIGTERM, of which most of its requests die."""
    from pointsman_cli.demo.play import play

    try:
        account = run(play(asked, seed=seed, progress=progress))
    except Exception:
        if asked.terminated:
            raise Terminated from None
        raise
    if asked.terminated:
        raise Terminated
    return account


def _require_extra() -> None:
    modules = ["pointsman_simulator", *(f"pointsman_{actor.type}" for actor in ACTORS)]
    missing = [each.replace("_", "-") for each in modules if find_spec(each) is None]
    if missing:
        raise Failed(f"the demo needs {', '.join(missing)}. Try: pip install 'pointsman-cli[demo]'")


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Progress]:
    if quiet or not sys.stderr.isatty():
        yield lambda _title, _done: None
        return
    from rich import progress as bars

    columns = (bars.BarColumn(), bars.MofNCompleteColumn(), bars.TextColumn("{task.description}"))
    with bars.Progress(*columns, console=console(sys.stderr), transient=True) as bar:
        task = bar.add_task("", total=TOTAL)
        yield lambda title, done: bar.update(task, description=title, completed=done)
