"""What is installed, with what is known of it without importing it, and what comes of importing it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from pointsman import Config
from pointsman.build.loading import plugins_for
from pointsman.config.plugin_rules import rules_said
from pointsman.config.readers.files import read
from pointsman.config.uses import uses
from pointsman.errors import ConfigError
from pointsman.plugins.known_names import our_distributions
from pointsman.plugins.records import Installation, Unverified, fingerprint, installation
from pointsman.plugins.registry import PluginInfo, Plugins
from pointsman_cli.configured import config_file
from pointsman_cli.options import Asked
from pointsman_cli.output import plain, say

_IMPORTED_TO_KNOW = ("not loaded", "loaded")
"""Whose plugin object can be asked for; anything else is not let in, or not what its name means."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One name that somebody offers: what `plugins list --json` prints."""

    data: Mapping[str, Any]


def file_of(asked: Asked) -> str | tuple[str, ...] | None:
    """The configuration that is meant, None where there is none."""
    return config_file(asked, os.environ, Path())


def listed(asked: Asked, *, check: bool) -> tuple[list[Listed], bool]:
    """Everything there is, and whether there is a configuration that says what is used.

    A configuration that cannot be read is told, and what it says of plugins counts as far as it goes.
    """
    file, config, rules = file_of(asked), None, None
    if file is not None:
        try:
            config = Config.load(file)
            rules = config.plugins.rules
        except ConfigError as error:
            say(f"{error.message}\nwhat uses which plugin is left out")
            rules = _rules_in(file)
    return rows_of(config, rules, check=check), config is not None


def rows_of(config: Config | None, rules: Any, *, check: bool) -> list[Listed]:
    """Everything there is, with what `config` uses of it.

    Args:
        rules: what a configuration says of plugins that cannot be read otherwise; None: nothing.
    """
    plugins = Plugins(rules=rules) if config is None else plugins_for(config)
    infos = plugins.listing()
    named = {} if config is None else {**uses(config), **_surfaces(config)}
    about = {name: _about(name) for name in {info.distribution for info in infos} if name is not None}
    rows = [_row(info, about.get(info.distribution or ""), named, config is not None) for info in infos]
    return _checked(rows, None if rules is None else plain(rules)) if check else rows


def _surfaces(config: Config) -> dict[tuple[str, str], list[str]]:
    """Those that the gateway's section names, as `uses` has the others."""
    section = config.sections.get("gateway")
    named = section.get("surfaces") if isinstance(section, Mapping) else None
    names = named if isinstance(named, Mapping) else ()
    return {("surface", name): [f"gateway.surfaces.{name}"] for name in names if isinstance(name, str)}


def _rules_in(file: str | tuple[str, ...]) -> Any:
    try:
        return rules_said(read(file).data)
    except ConfigError:
        return rules_said({"plugins": {"allow": []}})  # who cannot be asked lets in nobody


def _about(name: str) -> tuple[Installation | None, str | None]:
    """Where a distribution is, and the digest that a pin takes; None for what is not known."""
    try:
        found = distribution(name)
    except (PackageNotFoundError, ValueError):
        return None, None
    try:
        return installation(found), fingerprint(found)
    except Unverified:
        return installation(found), None


def _row(
    info: PluginInfo,
    about: tuple[Installation | None, str | None] | None,
    named: Mapping[tuple[str, str], Sequence[str]],
    configured: bool,
) -> Listed:
    where, digest = about or (None, None)
    lets_in = info.state in (*_IMPORTED_TO_KNOW, "built in", "broken")
    used_by = list(named.get((info.kind, info.name), ())) if lets_in else []
    if info.kind == "transport" and lets_in:
        used_by += [f"{each} (auto)" for each in named.get(("transport", "auto"), ()) if info.name != "auto"]
    return Listed(
        {
            **plain(info),
            "path": None if where is None else where.path,
            "editable": None if where is None else where.editable,
            "sha256": digest,
            "used_by": used_by,
            "loaded": bool(used_by) if configured else None,
            "broken": True if info.state == "broken" else None,
            "import_ms": None,
        }
    )


def _checked(rows: Sequence[Listed], rules: Any) -> list[Listed]:
    """`rows`, each plugin imported for them; those of one module, and all of ours, in one process."""
    from pointsman_cli.probing import probe, probe_together

    groups: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for row in rows:
        if row.data["state"] in _IMPORTED_TO_KNOW:
            groups.setdefault(_module(row), []).append((row.data["kind"], row.data["name"]))
    ours = {module: names for module, names in groups.items() if module[0] in our_distributions()}
    others = {module: names for module, names in groups.items() if module not in ours}
    found = dict(zip(ours, probe_together(list(ours.values()), rules), strict=True)) if ours else {}
    found.update(zip(others, probe(list(others.values()), rules), strict=True))
    return [_with_result(row, found.get(_module(row))) for row in rows]


def _module(row: Listed) -> tuple[str, str]:
    return str(row.data["distribution"]), str(row.data["module"])


def _with_result(row: Listed, found: Any) -> Listed:
    if found is None or row.data["state"] not in _IMPORTED_TO_KNOW:
        return row
    wrong = found.wrong.get(f"{row.data['kind']} {row.data['name']}")
    state = row.data["state"] if wrong is None else "broken"
    more = {"import_ms": found.import_ms, "broken": wrong is not None, "state": state, "error": wrong}
    return replace(row, data={**row.data, **more})
