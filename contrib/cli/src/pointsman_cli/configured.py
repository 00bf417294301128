"""Which configuration a command works with: the named one, the one found here, or what is discovered."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pointsman_cli.discover import CLOUDS, PRESETS, Discovery, discover, discovered_config
from pointsman_cli.errors import USAGE, Failed
from pointsman_cli.options import Asked
from pointsman_cli.output import say

if TYPE_CHECKING:
    from pointsman import Config

VARIABLE = "POINTSMAN_CONFIG"
NAMES = ("pointsman.yaml", "pointsman.yml", "pointsman.toml", "pointsman.json")


def config_file(asked: Asked, environ: Mapping[str, str], directory: Path) -> str | tuple[str, ...] | None:
    """The file to use, or several: those asked for, the variable's, or the one in `directory`; None for none.

    Raises: Failed (2) when `directory` has two of them.
    """
    named = asked.config or environ.get(VARIABLE)
    if named:
        return named
    here = [name for name in NAMES if (directory / name).is_file()]
    if len(here) > 1:
        raise Failed(f"there are {' and '.join(here)} here; choose one with --config", code=USAGE)
    return here[0] if here else None


async def configuration(asked: Asked) -> Config:
    """The configuration to work with. What was discovered is said on stderr.

    Raises: ConfigError; Failed (2) when there is no configuration and nothing is found.
    """
    from pointsman.build.loading import as_config

    file = config_file(asked, os.environ, Path())
    return as_config(await discovered_or_refused(quiet=asked.json) if file is None else file)


async def keyless_configuration(asked: Asked) -> Config:
    """The same for who calls nobody: what it refers to may be missing, and no credential is looked up.

    Raises: as `configuration`.
    """
    from pointsman.dry_run.configs import load_config, without_credentials

    file = config_file(asked, os.environ, Path())
    return without_credentials(await configuration(asked) if file is None else load_config(file))


async def discovered_or_refused(*, quiet: bool) -> dict[str, Any]:
    """The configuration of what is found on this machine. Raises Failed (2) when nothing is."""
    discovery = await discover(os.environ)
    if not discovery.found:
        raise Failed(nothing_found(discovery), code=USAGE)
    if not quiet:
        say_found(discovery)
    return discovered_config(discovery.found)


def say_found(discovery: Discovery) -> None:
    """One line on stderr for each that answered, and for each key that is of no use."""
    say("no configuration; using what is here:")
    for each in discovery.found:
        say(f"  {each.candidate.name} ({each.candidate.where}): {_some(each.models)}")
    for candidate, reason in discovery.refused:
        if candidate.key_variable:
            say(f"  not {candidate.name} ({candidate.where}): {reason}")


def nothing_found(discovery: Discovery) -> str:
    """What was looked for, and what would help."""
    lines = ["there is no configuration, and nothing to use without one. Looked for:"]
    lines.append(f"  a file {', '.join(NAMES)} here, or one named by --config or {VARIABLE}")
    for candidate, reason in discovery.refused:
        lines.append(f"  {candidate.name} ({candidate.where}): {reason}")
    keys = {each.key_variable for each, _ in discovery.refused}
    lines += [f"  {type}: {key} is not set" for type, key, *_ in CLOUDS if key not in keys]
    lines.append(
        f"  presets of openai: none of {', '.join(key for _, key, _ in PRESETS if key not in keys)} is set"
    )
    lines.append("Try: pointsman config init   to begin a configuration")
    lines.append("     pointsman demo          to see it at work with simulated upstreams")
    return "\n".join(lines)


def _some(names: Any) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
