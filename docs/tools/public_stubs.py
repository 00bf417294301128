"""Writes the stubs of the public modules, which import their names when they are used, for type checkers.

    uv run python docs/tools/public_stubs.py [--check]

A module says in `_HOMES` where its names are, and in `_MODULES` which of them are modules. Without a stub
checkers would take any name for one that there is. `--check` writes nothing, and ends with 1 when a stub is
not what its module says.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path

MODULES = ("pointsman", "pointsman.plugin", "pointsman.testing")
COMMAND = "uv run python docs/tools/public_stubs.py"


def path_of(module: str) -> Path:
    """Where its stub stands."""
    return Path(str(import_module(module).__file__)).with_suffix(".pyi")


def stub(module: str) -> str:
    """The text of its stub."""
    said = vars(import_module(module))
    homes = {home: sorted(names.split()) for home, names in said["_HOMES"].items()}
    for name, home in said.get("_MODULES", {}).items():
        package, _, own = home.rpartition(".")
        assert own == name, f"{name} is another name for {home}"
        homes.setdefault(package, []).append(name)
    return (
        "\n".join([f"# Made by `{COMMAND}`.", "", *_lines(homes, has_version="__version__" in said)]) + "\n"
    )


def _lines(homes: Mapping[str, list[str]], *, has_version: bool) -> Iterator[str]:
    if has_version:
        yield from ("from typing import Final", "")
    for home, names in sorted(homes.items()):
        # `X as X` hands on; one to a line, so that what two people add is put together without a conflict.
        yield from (f"from {home} import (", *(f"    {name} as {name}," for name in sorted(names)), ")")
    if has_version:
        yield from ("", "__version__: Final[str]")


def main() -> int:
    """Write the stubs, or only look."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 when one is not right")
    check = parser.parse_args().check
    old = [module for module in MODULES if path_of(module).read_text("utf-8") != stub(module)]
    for module in old:
        if check:
            print(f"the stub of {module} is not what it says: {COMMAND}")
        else:
            path_of(module).write_text(stub(module), "utf-8")
    return 1 if check and old else 0


if __name__ == "__main__":
    sys.exit(main())
