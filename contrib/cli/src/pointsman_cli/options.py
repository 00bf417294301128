"""What every command can be asked for: a configuration file, and JSON in place of tables and text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import click

from pointsman_cli.asides import Asides
from pointsman_cli.completing import files

F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class Asked:
    """What the command line asks for, the same object for the group and its command.

    Attributes:
        config: the configuration file that was named, or several, which are one together; None when none was.
        json: data on stdout and errors on stderr as JSON.
        verbose: how much is logged on stderr: 0 warnings, 1 failed attempts and failover, 2 everything.
        runs_on: it is a command that serves until it is ended.
        log_as_json: warnings are logged as JSON, too; of a command that runs for long, and whose log is JSON.
        terminated: SIGTERM came, and the command ends because of that.
        asides: what is said on stderr while an answer is printed.
    """

    config: str | tuple[str, ...] | None = None
    json: bool = False
    verbose: int = 0
    log_as_json: bool = False
    runs_on: bool = False
    terminated: bool = False
    asides: Asides = field(default_factory=Asides)


def _note_config(ctx: click.Context, _option: click.Parameter, files: tuple[str, ...]) -> None:
    if files:
        ctx.ensure_object(Asked).config = files if len(files) > 1 else files[0]


def _note_json(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted:
        ctx.ensure_object(Asked).json = True


def _note_verbose(ctx: click.Context, _option: click.Parameter, times: int) -> None:
    if times:
        from pointsman_cli.logs import set_level

        asked = ctx.ensure_object(Asked)
        asked.verbose = times
        set_level(asked)


def config_option(function: F) -> F:
    """Adds `-c/--config`; the command finds it in `Asked`."""
    return click.option(
        "-c",
        "--config",
        metavar="FILE",
        multiple=True,
        expose_value=False,
        callback=_note_config,
        shell_complete=files,
        help="The configuration, or more of them; else $POINTSMAN_CONFIG, ./pointsman.yaml, or what is here.",
    )(function)


def json_option(function: F) -> F:
    """Adds `--json`; the command finds it in `Asked`."""
    return click.option(
        "--json",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_note_json,
        help="Print JSON: one document, or one per line for streams.",
    )(function)


def verbose_option(function: F) -> F:
    """Adds `-v/--verbose`; `logs` shows what it asks for."""
    return click.option(
        "-v",
        "--verbose",
        count=True,
        expose_value=False,
        callback=_note_verbose,
        help="Log on stderr: failed attempts, failover, breakers; -vv: everything.",
    )(function)


def raw_option(function: F) -> F:
    """Adds `--raw`; the command gets it as `raw`, and `writer` says what it means."""
    return click.option(
        "--raw",
        is_flag=True,
        help="For pipes: the answer as it comes, control characters and all.",
    )(function)


pass_asked = click.make_pass_decorator(Asked, ensure=True)
"""Hands the command an `Asked` as its first argument."""
