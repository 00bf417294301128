"""The guard of all tests: a test that lets a well-known secret out is red."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SUPPORT = Path(__file__).parents[1] / "support"
GUARD = Path(__file__).parents[1] / "conftest.py"


@pytest.mark.parametrize(
    "leak",
    [
        "print(canaries.KEY)",
        "sys.stderr.write(canaries.HEADER)",
        "logging.getLogger('a').warning('%s', canaries.PASSWORD)",
        "print(base64.b64encode(canaries.KEY.encode()).decode())",
    ],
)
def test_a_test_that_lets_a_secret_out_is_red(leak: str, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(GUARD.read_text())
    (tmp_path / "test_leak.py").write_text(
        f"import base64, logging, sys, canaries\ndef test_it():\n    {leak}\ndef test_other():\n    print('fine')\n"
    )

    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", f"pythonpath={SUPPORT}", tmp_path],
        capture_output=True, text=True, cwd=tmp_path, check=False, timeout=60,
    )  # fmt: skip

    assert "1 failed, 1 passed" in ran.stdout
    assert "let out, at call" in ran.stdout
