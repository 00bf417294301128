"""Wheels of this project and of others, and fresh environments that they are installed into.

Third-party packages are the ones that the tests run with, out of uv's cache where that has them. One
interpreter with the build backend builds all wheels: an environment for each would take most of the time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORKSPACE = [ROOT / "core", *sorted(ROOT.glob("plugins/*/")), *sorted(ROOT.glob("contrib/*/"))]

_OF_ANOTHER = {"VIRTUAL_ENV", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE"}
"""Of the environment of the tests; without bytecode each process would compile all that it imports."""
_BUILD = """
import json, os, sys
from hatchling.build import build_wheel

out, *folders = sys.argv[1:]
built = []
for folder in folders:
    os.chdir(folder)
    built.append(build_wheel(out))
sys.stdout.write("\\n" + json.dumps(built))
"""


class Wheelhouse:
    """Builds wheels and makes environments below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._builder: Path | None = None
        self._ours: list[Path] | None = None

    @property
    def ours(self) -> list[Path]:
        """The wheels of all distributions of the workspace."""
        if self._ours is None:
            self._ours = self.build(WORKSPACE)
        return self._ours

    def build(self, sources: Iterable[Path]) -> list[Path]:
        """The wheels of the distributions whose folders are given, in the same order."""
        if self._builder is None:
            self._builder = self._empty("builder")
            _uv("pip", "install", "--python", self._builder, "hatchling", cwd=self.folder)
        wheels = self.folder / "wheels"
        wheels.mkdir(exist_ok=True)
        output = output_of(self._builder, "-c", _BUILD, wheels, *sources, cwd=self.folder)
        return [wheels / name for name in json.loads(output.splitlines()[-1])]

    def environment(self, name: str, wheels: Sequence[Path]) -> Path:
        """The interpreter of a fresh environment with these wheels, and all that the tests run with."""
        python = self._empty(name)
        _uv("pip", "install", "--no-deps", "--python", python, *third_party(), *wheels, cwd=self.folder)
        return python

    def resolved(self, name: str, *extras: str) -> Path:
        """The interpreter of a fresh environment with the core, its `extras` and nothing that these do not need.

        Of ours there are the wheels that were just built, and never something of the same name from elsewhere.
        """
        python = self._empty(name)
        ours = {each.name.partition("-")[0].replace("_", "-"): each.as_uri() for each in self.ours}
        core = f"pointsman[{','.join(extras)}] @ {ours.pop('pointsman')}"
        overrides, versions = self.folder / f"{name}-ours.txt", self.folder / f"{name}-versions.txt"
        overrides.write_text("\n".join(f"{each} @ {uri}" for each, uri in ours.items()))
        versions.write_text("\n".join(third_party()))
        options = ("--overrides", overrides, "--constraints", versions, "--python", python)
        _uv("pip", "install", *options, core, cwd=self.folder)
        return python

    def _empty(self, name: str) -> Path:
        _uv("venv", "--python", sys.executable, self.folder / name, cwd=self.folder)
        return self.folder / name / "bin" / "python"


def third_party() -> list[str]:
    """What is installed where the tests run and is not ours, as requirements of one version each."""
    installed = json.loads(
        output_of("uv", "pip", "list", "--format", "json", "--python", sys.executable, cwd=ROOT)
    )
    return [
        f"{each['name']}=={each['version']}"
        for each in installed
        if "editable_project_location" not in each and not each["name"].startswith("pointsman")
    ]


def output_of(*command: object, cwd: Path, **environ: str) -> str:
    """What `command` prints. Raises: AssertionError with all that it has said when it fails."""
    inherited = {key: value for key, value in os.environ.items() if key not in _OF_ANOTHER}
    done = subprocess.run(
        [str(each) for each in command],
        cwd=cwd,
        env={**inherited, **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command[0]} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _uv(*arguments: object, cwd: Path) -> None:
    """Run uv without a network, and with one where its cache lacks something."""
    try:
        output_of("uv", "--quiet", "--offline", *arguments, cwd=cwd)
    except AssertionError:
        output_of("uv", "--quiet", *arguments, cwd=cwd)
