"""The map in docs/architecture.md names the modules that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pointsman

PACKAGE = Path(pointsman.__file__).parent
PAGE = (PACKAGE.parents[2] / "docs" / "architecture.md").read_text("utf-8")
WIDTH = 31
"""Characters of the left column, which holds the names."""


def on_the_map() -> list[str]:
    """The modules in the left column of the map of the core, with their folders."""
    (rows,) = re.findall(r"^core/src/pointsman/ .*\n((?: {2,}\S.*\n)+)", PAGE, re.MULTILINE)
    folders: list[tuple[int, str]] = []
    names = []
    for row in rows.splitlines():
        indent = len(row) - len(row.lstrip())
        folders = [each for each in folders if each[0] < indent]
        for name in row[:WIDTH].split():
            if name.endswith("/"):
                folders.append((indent, name))
            else:
                names.append("".join(folder for _, folder in folders) + name)
    return names


def test_the_map_names_every_module_of_the_core_once_and_no_other() -> None:
    modules = (path.relative_to(PACKAGE).with_suffix("") for path in PACKAGE.rglob("*.py"))
    there = [each.as_posix() for each in modules if each.name != "__init__" and each.parts[0] != "testing"]
    assert sorted(on_the_map()) == sorted(there)
