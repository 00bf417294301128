"""A command of subcommands, each in a module of its own that is loaded when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from pointsman_cli.examples import with_examples


class Subcommands(click.Group):
    """A group whose commands are the attribute `command` of the modules of one package.

    Args:
        package: where the modules are, such as `pointsman_cli.commands.plugins`.
        table: every subcommand with its one line of help, so that `--help` imports none of them.
        default: the one that is meant where none is named; the group's options are then its own.
    """

    def __init__(
        self, *args: Any, package: str, table: Mapping[str, str], default: str, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._package = package
        self._table = table
        self._default = default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        asks_for_help = any(each in ctx.help_option_names for each in args)
        only_options = not args or (args[0].startswith("-") and not any(each in self._table for each in args))
        return super().parse_args(ctx, [self._default, *args] if only_options and not asks_for_help else args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._table:
            return None
        command = import_module(f"{self._package}.{cmd_name}").command
        assert isinstance(command, click.Command)
        return with_examples(command, f"{self.name} {cmd_name}")

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name in self._table or name.startswith("-"):
            return super().resolve_command(ctx, args)
        from pointsman._internal.suggest import did_you_mean

        raise click.UsageError(
            f"No such command {name!r}; {did_you_mean(name, self._table, what='there are')}", ctx
        )

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self._table.items()))
