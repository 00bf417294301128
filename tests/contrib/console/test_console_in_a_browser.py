"""The console in a real Chromium, driven by Node's test runner; each file of `web/browser` is one test here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

WEB = Path(__file__).resolve().parents[3] / "contrib" / "console" / "web"
CHROMIUMS = (os.environ.get("POINTSMAN_CHROMIUM", ""), "/usr/bin/chromium", "/usr/bin/chromium-browser")
FILES = sorted(path.name for path in (WEB / "browser").glob("*.test.mjs"))

if shutil.which("node") is None:
    pytest.skip("there is no Node", allow_module_level=True)
if not any(each and Path(each).exists() for each in CHROMIUMS):
    pytest.skip("there is no Chromium", allow_module_level=True)
if not (WEB / "node_modules" / "playwright-core").exists():
    pytest.skip("run npm ci in contrib/console/web first", allow_module_level=True)


@pytest.mark.parametrize("file", FILES)
def test_in_a_browser(file: str) -> None:
    done = subprocess.run(
        ["node", "--test", f"browser/{file}"],
        cwd=WEB,
        env={**os.environ, "POINTSMAN_PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"[-8_000:]


def test_there_is_something_to_try() -> None:
    assert len(FILES) >= 4
