"""`pointsman plugins new`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from pointsman_cli.errors import USAGE, Failed
from pointsman_cli.options import Asked, json_option, pass_asked
from pointsman_cli.output import print_json, print_text, say
from pointsman_cli.scaffold.kinds import BEGINNINGS

_KINDS = "\n".join(f"  {word:<16} {each.help}" for word, each in BEGINNINGS.items())


@click.command("new", epilog="KIND is one of:\n\n\b\n" + _KINDS)
@click.argument("kind", type=click.Choice(list(BEGINNINGS)), metavar="KIND")
@click.argument("name")
@click.option(
    "--directory",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Where its files go, a new or empty folder; ./pointsman-NAME by default.",
)
@json_option
@pass_asked
def command(asked: Asked, kind: str, name: str, directory: Path | None) -> None:
    """Write a new plugin of KIND, to be called NAME, as a package that works.

    It has tests, types, a README and an example of a configuration, and passes its tests as it is written.
    """
    from importlib.metadata import version

    from pointsman_cli.scaffold.writing import called, distribution_of, write

    warnings, shared = _remarks(kind, called(kind, _checked(name)))
    names, texts = distribution_of(kind, name, version("pointsman"), shared=shared)
    target = directory or Path(names.distribution)
    write(target, texts)
    written = {
        "kind": kind,
        "name": names.name,
        "distribution": names.distribution,
        "package": names.package,
        "directory": str(target.resolve()),
        "files": list(texts),
        "warnings": warnings,
        "next": _next(target, f"{names.distribution}{' --tests tests' if BEGINNINGS[kind].data else ''}"),
    }
    _tell(asked, written, target)


def _checked(name: str) -> str:
    from pointsman_cli.scaffold.naming import misnamed

    if wrong := misnamed(name):
        raise click.BadParameter(wrong, param_hint="NAME")
    return name


def _remarks(kind: str, name: str) -> tuple[list[str], bool]:
    """What is to be said about others that have such a name, and whether some have the same.

    Raises: Failed when the plugin could never be used.
    """
    from pointsman.plugins.registry import Plugins
    from pointsman_cli.app import COMMANDS
    from pointsman_cli.scaffold.taken import hidden, remarks, shared

    beginning, plugins = BEGINNINGS[kind], Plugins()
    if why := hidden(beginning, name, COMMANDS):
        raise Failed(why, code=USAGE)
    return list(remarks(beginning, name, plugins)), bool(shared(beginning, name, plugins))


def _next(target: Path, checked: str) -> list[str]:
    """Commands that can be typed as they are."""
    from importlib.util import find_spec

    pip = "python -m pip" if find_spec("pip") else "uv pip"
    return [
        f"cd {shlex.quote(str(target))}",
        f'{pip} install --editable ".[test]"',
        "pytest",
        "pointsman config check pointsman.yaml",
        f"pointsman plugins check {checked}",
    ]


def _tell(asked: Asked, written: dict[str, Any], target: Path) -> None:
    if asked.json:
        print_json(written)
        return
    for each in written["warnings"]:
        say(f"warning: {each}")
    for each in written["files"]:
        print_text(str(target / each))
    say("\nIt works as it is. Next:\n")
    for each in written["next"]:
        say(f"  {each}")
    say("\nThen make it yours: its README.md says where.")
