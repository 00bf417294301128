"""The command `pointsman`: its subcommands by name, each loaded when it is asked for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from pointsman_cli.errors import guarded
from pointsman_cli.examples import with_examples
from pointsman_cli.options import Asked, config_option, json_option, verbose_option
from pointsman_cli.output import print_text

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS = {
    "ask": "Ask one question and print the answer.",
    "chat": "Talk with a model; answers are streamed.",
    "completion": "Print what has a shell complete commands and names on Tab.",
    "config": "Check, show, compare, begin or convert a configuration.",
    "demo": "Show what it does, with simulated upstreams; needs nothing.",
    "disable": "Have a running router send no further calls to DEPLOYMENT.",
    "doctor": "Look for what could be wrong here, and say what would help.",
    "drain": "Disable DEPLOYMENT in a running router; wait for its calls.",
    "embed": "Turn each TEXT into a vector.",
    "enable": "Have a running router send calls to DEPLOYMENT again.",
    "explain": "Say where a call for MODEL would go; nobody is called.",
    "health": "Ask every provider whether it is well.",
    "logs": "Show the requests of a running gateway or router.",
    "models": "List, show and pull models.",
    "plugins": "List what is installed.",
    "reload": "Have a running router read its configuration again.",
    "reset": "Have a running router forget what went wrong at DEPLOYMENT.",
    "sim": "Run simulated upstreams until Ctrl-C.",
    "status": "Show providers and deployments, after asking each provider.",
}
"""Every command with its one line of help, so that `--help` imports none of them."""


class LazyGroup(click.Group):
    """A group whose commands are the attribute `command` of modules in `pointsman_cli.commands`.

    Any other name is looked for among the commands that plugins offer.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = import_module(f"pointsman_cli.commands.{cmd_name}").command
        assert isinstance(command, click.Command)
        return with_examples(command, cmd_name)

    def invoke(self, ctx: click.Context) -> Any:
        from pointsman_cli.logs import logged

        with logged(ctx.ensure_object(Asked)):
            return super().invoke(ctx)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands by the table, those of plugins by name: a shell waits for it, so nothing is imported."""
        from click.shell_completion import CompletionItem

        if not incomplete.isidentifier() and incomplete:
            return click.Command.shell_complete(self, ctx, incomplete)  # options
        known = [*COMMANDS.items(), *_offered()]
        return [CompletionItem(name, help=says) for name, says in known if name.startswith(incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))
        if others := _offered():
            with formatter.section("Commands of plugins"):
                formatter.write_dl(others)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name in COMMANDS or name.startswith("-"):
            return super().resolve_command(ctx, args)
        return name, _of_a_plugin(name, ctx), args[1:]


def _offered() -> list[tuple[str, str]]:
    """The commands of installed plugins, each with whose it is: what one knows without importing them."""
    from importlib.metadata import entry_points

    found = {each.name: each.dist.name for each in entry_points(group="pointsman.commands") if each.dist}
    return [(name, f"From {found[name]}.") for name in sorted(found.keys() - COMMANDS)]


def _of_a_plugin(name: str, ctx: click.Context) -> click.Command:
    """The command that an installed plugin offers. Raises UsageError when none does."""
    from pointsman._internal.suggest import did_you_mean
    from pointsman.plugins.known_names import PACKAGES
    from pointsman.plugins.registry import Plugins

    plugins = Plugins(rules=_rules(ctx.ensure_object(Asked)))
    others = plugins.names("command")
    if (left_out := plugins.left_out("command", name)) is not None:
        raise click.UsageError(left_out, ctx)
    if name in others:
        command = plugins.get("command", name)
        if isinstance(command, click.Command):
            return with_examples(command, name)
        raise click.UsageError(f"The plugin's {name!r} is no click command", ctx)
    package = PACKAGES["command"].get(name)
    hint = (
        did_you_mean(name, [*COMMANDS, *others], what="there are")
        if package is None
        else f"it comes with {package}. Try: pip install {package}"
    )
    raise click.UsageError(f"No such command {name!r}; {hint}", ctx)


def _rules(asked: Asked) -> Any:
    """What the configuration, where there is one, says of plugins. Raises ConfigError."""
    from pathlib import Path

    from pointsman.config.plugin_rules import rules_said
    from pointsman.config.readers.files import read
    from pointsman_cli.configured import config_file

    file = config_file(asked, os.environ, Path())
    return rules_said(None if file is None else read(file).data)


def _version(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version

        print_text(f"pointsman {version('pointsman')}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Begin with: pointsman demo",
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version."
)
@config_option
@json_option
@verbose_option
def cli() -> None:
    """Route LLM calls to local and cloud models, whatever fails on the way."""


def run(arguments: Sequence[str]) -> int:
    """Run the command line `arguments`. Returns: the exit code; errors have been told on stderr."""
    asked = Asked(json="--json" in arguments)

    def call() -> Any:
        return cli.main(args=list(arguments), prog_name="pointsman", standalone_mode=False, obj=asked)

    return guarded(call, asked)
