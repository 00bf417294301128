"""`pointsman completion`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from pointsman_cli.errors import USAGE, Failed
from pointsman_cli.output import print_text

if TYPE_CHECKING:
    from click.shell_completion import ShellComplete

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_POINTSMAN_COMPLETE"
"""By which a shell asks for what there is; click reads it."""


@click.command("completion")
@click.argument("shell", required=False, type=click.Choice(SHELLS), metavar="[SHELL]")
def command(shell: str | None) -> None:
    """Print what has a shell complete commands and names on Tab.

    SHELL is bash, zsh or fish; by default the one that you work with. For each new shell:

    \b
      bash   eval "$(pointsman completion bash)"   in ~/.bashrc
      zsh    eval "$(pointsman completion zsh)"    in ~/.zshrc
      fish   pointsman completion fish | source    in ~/.config/fish/config.fish

    Names of models, deployments and providers come out of the configuration.
    """
    from pointsman_cli.app import cli

    kind = _kind(shell or _present())
    print_text(kind(cli, {}, "pointsman", VARIABLE).source())


def _present() -> str:
    """The shell of whoever asks. Raises Failed."""
    name = os.path.basename(os.environ.get("SHELL", ""))
    if name not in SHELLS:
        raise Failed(f"say for which shell: {', '.join(SHELLS)}", code=USAGE)
    return name


def _kind(shell: str) -> type[ShellComplete]:
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    return kind
