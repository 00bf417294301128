"""The map in docs/architecture.md names the modules that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pointsman

PACKAGE = Path(pointsman.__file__).parent
PAGE = (PACKAGE.parents[2] / "docs" / "architecture.md").read_text("utf-8")


def on_the_map() -> list[str]:
    """The names in the left column of the map of the core."""
    (rows,) = re.findall(r"^core/src/pointsman/ .*\n((?: {4}\S.*\n)+)", PAGE, re.MULTILINE)
    columns = [row[:35].split() for row in rows.splitlines()]
    return [name.rstrip("/") for names in columns for name in names]


def test_the_map_names_every_module_of_the_core_once_and_no_other() -> None:
    files = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert sorted(on_the_map()) == sorted(files | folders)
