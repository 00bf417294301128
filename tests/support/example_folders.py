"""The distributions under docs/examples."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "examples"
EXAMPLES = sorted(path.parent for path in FOLDER.glob("*/pyproject.toml"))
NAMES = [path.name for path in EXAMPLES]


def package_of(example: Path) -> Path:
    """The folder of its package."""
    (found,) = (example / "src").glob("pointsman_*")
    return found


def claims_of(example: Path) -> set[tuple[str, str]]:
    """What it offers: (entry-point group, name)."""
    project = tomllib.loads((example / "pyproject.toml").read_text("utf-8"))["project"]
    groups = project["entry-points"]
    return {(group, name) for group in groups if group != "pointsman.contracts" for name in groups[group]}


class Installed(Struct, frozen=True):
    """The interpreter of an environment that has all of them, and their wheels by their names."""

    python: Path
    wheels: Mapping[str, Path]
