"""The console as it is installed: built, so that nobody needs Node."""

from __future__ import annotations

import subprocess
from pathlib import Path
from zipfile import ZipFile

from pointsman_console import files

ROOT = Path(__file__).resolve().parents[2]


def test_the_wheel_has_the_built_page_and_not_its_source(tmp_path: Path) -> None:
    source = str(ROOT / "contrib" / "console")
    subprocess.run(["uv", "build", "--quiet", "--wheel", "--out-dir", str(tmp_path), source], check=True)
    (wheel,) = tmp_path.glob("*.whl")

    with ZipFile(wheel) as opened:
        names = set(opened.namelist())

    assert {f"pointsman_console/static/{name}" for name in files.read()} <= names
    assert "pointsman_console/static/index.html" in names
    assert "pointsman_console/py.typed" in names
    assert not [name for name in names if name.endswith((".ts", ".vue", ".map", "package.json"))]
