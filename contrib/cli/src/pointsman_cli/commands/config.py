"""`pointsman config check|show|schema|init`."""

from __future__ import annotations

import os
from io import StringIO
from pathlib import Path
from typing import Any

import click

from pointsman_cli.errors import USAGE, Failed
from pointsman_cli.options import Asked, config_option, json_option, pass_asked, verbose_option
from pointsman_cli.output import print_json, print_text, say
from pointsman_cli.running import run


@click.group("config")
@config_option
@json_option
def command() -> None:
    """Check, show, describe or begin a configuration."""


@command.command("check")
@click.argument("file", required=False)
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
        counted = [_count(providers, "provider"), _count(models, "model")]
        counted += [_count(found["patterns"], "pattern")] if found["patterns"] else []
        counted += [_count(found["aliases"], "alias", "aliases")] if found["aliases"] else []
        print_text(f"ok: {', '.join(counted)}")
        for each in found["warnings"]:
            say(f"warning: {each}")


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
        "warnings": [str(each) for each in config.warnings],
    }


def _file(asked: Asked) -> Path:
    from pointsman_cli.configured import NAMES, VARIABLE, config_file

    file = config_file(asked, os.environ, Path())
    if file is None:
        raise Failed(
            f"there is no configuration to check: name a FILE, set {VARIABLE}, or have {NAMES[0]} here. "
            "Try: pointsman config init",
            code=USAGE,
        )
    return Path(file)


def _count(number: int, what: str, several: str = "") -> str:
    return f"{number} {what if number == 1 else several or f'{what}s'}"


@command.command("show")
@config_option
@json_option
@verbose_option
@pass_asked
def show(asked: Asked) -> None:
    """Print the configuration with all defaults filled in and all secrets masked."""
    from pointsman_cli.configured import configuration
    from pointsman_cli.shown_config import shown_config

    dumped = shown_config(run(configuration(asked)))
    if asked.json:
        print_json(dumped)
    else:
        from ruamel.yaml import YAML

        yaml, text = YAML(), StringIO()
        yaml.default_flow_style = False
        yaml.dump(dumped, text)
        print_text(text.getvalue(), nl=False)


@command.command("schema")
@json_option
def schema() -> None:
    """Print the JSON Schema of a configuration, for editors."""
    from pointsman_cli.config_schema import config_schema

    print_json(config_schema())


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
    from pointsman_cli.discover import discover
    from pointsman_cli.starter import starter

    discovery = run(discover(os.environ))
    file.write_text(starter(discovery.found), encoding="utf-8")
    found = [each.candidate.name for each in discovery.found]
    if asked.json:
        print_json({"file": str(file), "found": found})
    else:
        say(f"found {', '.join(found)}" if found else "found nothing here, so it begins with an example")
        print_text(f"wrote {file}")
