"""`pointsman config check|explain|show|diff|schema|init|convert`."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pointsman_cli import completing
from pointsman_cli.errors import FAILED, OK, USAGE, Failed
from pointsman_cli.options import Asked, config_option, json_option, pass_asked, verbose_option
from pointsman_cli.output import counted, plain, print_json, print_prose, print_table, print_text, say
from pointsman_cli.running import run

if TYPE_CHECKING:
    from pointsman import Config


@click.group("config")
@config_option
@json_option
def command() -> None:
    """Check, show, compare, begin or convert a configuration."""


@command.command("check")
@click.argument("file", required=False, shell_complete=completing.files)
@config_option
@json_option
@verbose_option
@pass_asked
def check(asked: Asked, file: str | None) -> None:
    """Build everything that FILE names, without connecting; tell all problems at once."""
    if file is not None:
        asked.config = file
    found = _check(asked)
    if asked.json:
        print_json(found)
    else:
        providers, models = found["providers"], found["models"]
        said = [counted(providers, "provider"), counted(models, "model")]
        said += [counted(found["patterns"], "pattern")] if found["patterns"] else []
        said += [counted(found["aliases"], "alias", "aliases")] if found["aliases"] else []
        print_text(f"ok: {', '.join(said)}")
        _warn(found["warnings"])


def _warn(warnings: Sequence[str]) -> None:
    from pointsman.config.problems import MOST_SHOWN

    for each in warnings[:MOST_SHOWN]:
        say(f"warning: {each}")
    if len(warnings) > MOST_SHOWN:
        say(f"… and {len(warnings) - MOST_SHOWN} more warnings")


@command.command("explain")
@click.argument("code", required=False)
@json_option
@pass_asked
def explain(asked: Asked, code: str | None) -> None:
    """Say what CODE means, as problems of a configuration have it in brackets; without one list all."""
    from pointsman._internal.suggest import did_you_mean
    from pointsman.config.explanations import explained, explanations

    known = explanations()
    if code is None:
        if asked.json:
            print_json([{"code": each, "title": about.title} for each, about in known.items()])
        else:
            print_table(("CODE", "MEANS"), ((each, about.title) for each, about in known.items()))
        return
    about = known.get(code.strip().upper())
    if about is None:
        hint = did_you_mean(code.upper(), known)
        raise Failed(f"no problem has the code {code[:20]!r}; {hint}", code=USAGE)
    if asked.json:
        print_json({"code": code.strip().upper(), **plain(about)})
    else:
        for line in "\n".join(explained(code)).split("\n"):
            (print_text if line.startswith("    ") else print_prose)(line)  # an example stays as it is


def _check(asked: Asked) -> dict[str, Any]:
    from pointsman import Router

    config = Router.check(_file(asked))
    models, names = config.public_models(), config.names()
    return {
        "ok": True,
        "file": config.file,
        "providers": len(config.providers),
        "models": len(models),
        "aliases": len(names.aliases),
        "patterns": len(names.patterns),
        "warnings": [each.coded for each in config.warnings],
    }


def _file(asked: Asked) -> str | tuple[str, ...]:
    from pointsman_cli.configured import NAMES, VARIABLE, config_file

    file = config_file(asked, os.environ, Path())
    if file is None:
        raise Failed(
            f"there is no configuration to check: name a FILE, set {VARIABLE}, or have {NAMES[0]} here. "
            "Try: pointsman config init",
            code=USAGE,
        )
    return file


def _named(file: Path) -> str:
    """What has a command take `file`; nothing where it would anyway."""
    return "" if str(file) == "pointsman.yaml" else f" {file}"


@command.command("show")
@click.option(
    "--resolved",
    is_flag=True,
    help="Say of each value where it comes from; with units, and plugins' defaults.",
)
@config_option
@json_option
@verbose_option
@pass_asked
def show(asked: Asked, resolved: bool) -> None:
    """Print the configuration with all defaults filled in and all secrets masked."""
    from pointsman_cli.configured import configuration
    from pointsman_cli.shown_config import shown_config

    config = run(configuration(asked))
    if resolved:
        _show_resolved(asked, config)
        return
    dumped = shown_config(config)
    if asked.json:
        print_json(dumped)
    else:
        from ruamel.yaml import YAML

        yaml, text = YAML(), StringIO()
        yaml.default_flow_style = False
        yaml.dump(dumped, text)
        print_text(text.getvalue(), nl=False)


def _show_resolved(asked: Asked, config: Config) -> None:
    from pointsman_cli.resolved_config import as_yaml, resolved_config

    values = resolved_config(config)
    if asked.json:
        print_json([{"path": each.path, "value": each.value, "origin": each.origin} for each in values])
    else:
        print_text(as_yaml(values), nl=False)


@command.command("diff")
@click.argument("old")
@click.argument("new")
@json_option
@verbose_option
@pass_asked
def diff(asked: Asked, old: str, new: str) -> int:
    """Tell what NEW means that OLD does not: files, folders, or files of other programs.

    How something is written makes no difference. Exit code: 0 no difference, 1 some, 2 something is wrong.
    """
    from pointsman_cli.config_difference import compared, print_changes

    changes = compared(old, new)
    if asked.json:
        print_json({"differences": changes})
    else:
        print_changes(changes)
        say(counted(len(changes), "difference") if changes else "both mean the same")
    return FAILED if changes else OK


@command.command("schema")
@click.option(
    "-o", "--output", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Write it there."
)
@config_option
@json_option
@verbose_option
@pass_asked
def schema(asked: Asked, output: Path | None) -> None:
    """Print the JSON Schema of a configuration, for editors.

    The settings of all installed plugins are in it, which are imported for that, but for those that the
    configuration does not let in.
    """
    made = _made_schema(asked)
    if output is None:
        print_json(made)
    else:
        _write_schema(output, made)
        print_text(f"wrote {output}")


def _made_schema(asked: Asked) -> dict[str, Any]:
    """The schema; what is left out of it is said."""
    from pointsman_cli.config_schema import config_schema, plugins_let_in
    from pointsman_cli.configured import config_file

    made, wrong = config_schema(plugins_let_in(config_file(asked, os.environ, Path())))
    for each in wrong:
        say(f"warning: {each}")
    return made


def _write_schema(file: Path, schema: dict[str, Any]) -> None:
    if file.exists() and f'"title": "{schema["title"]}"' not in file.read_text("utf-8", errors="replace"):
        raise Failed(f"{file} exists already and is no schema of a configuration; move it away", code=USAGE)
    file.write_text(json.dumps(schema, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


@command.command("init")
@click.argument("file", default="pointsman.yaml", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@json_option
@verbose_option
@pass_asked
def init(asked: Asked, file: Path, force: bool) -> None:
    """Write a configuration to begin with, made of what is found on this machine."""
    if file.suffix not in (".yaml", ".yml"):
        raise click.UsageError(f"the file to begin with is YAML; {file} should end in .yaml")
    if file.exists() and not force:
        raise Failed(f"{file} exists already; choose another name, or write over it with --force", code=USAGE)
    if not file.parent.is_dir():
        raise Failed(f"there is no folder {file.parent} to put it in; make that first", code=USAGE)
    from pointsman_cli.discover import discover
    from pointsman_cli.starter import SCHEMA, starter

    schema = file.parent / SCHEMA
    discovery = run(discover(os.environ))
    _write_schema(schema, _made_schema(asked))
    file.write_text(starter(discovery.found), encoding="utf-8")
    found = [each.candidate.name for each in discovery.found]
    if asked.json:
        print_json({"file": str(file), "schema": str(schema), "found": found})
    else:
        say(f"found {', '.join(found)}" if found else "found nothing here, so it begins with an example")
        print_text(f"wrote {file}, and {schema} for editors")
        say(f"Try: pointsman config check{_named(file)}")


@command.command("convert")
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@click.option(
    "-o", "--out", type=click.Path(dir_okay=False, path_type=Path), help="Write there, and not to stdout."
)
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@json_option
@verbose_option
@pass_asked
def convert(asked: Asked, file: Path, out: Path | None, force: bool) -> None:
    """Print what FILE, a configuration of another program, is as one of pointsman, with comments.

    A comment says which line each part comes from; at the end stands what has no counterpart. Credentials
    are not copied: variables stand in their place.
    """
    if out is not None and out.suffix not in (".yaml", ".yml"):
        raise click.UsageError(f"what is written is YAML; {out} should end in .yaml")
    if out is not None and out.exists() and not force:
        raise Failed(f"{out} exists already; choose another name, or write over it with --force", code=USAGE)
    from pointsman_cli.converted_config import converted

    made = converted(file)
    if out is not None:
        out.write_text(made.text, encoding="utf-8")
    if asked.json:
        print_json(made._asdict() if out is None else {"file": str(out), **made._asdict()})
        return
    if out is None:
        print_text(made.text, nl=False)
    else:
        print_text(f"wrote {out}")
        say(f"Try: pointsman config check{_named(out)}")
    for name, path in made.variables.items():
        say(f"set {name} before it runs: {path} was a credential, which is not copied")
    if made.warnings:
        where = "" if out is None else f" of {out}"
        said = counted(len(made.warnings), "thing")
        say(f"{said} without counterpart, or not quite the same; see the end{where}")
