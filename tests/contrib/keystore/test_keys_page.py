"""The commands that docs/keys.md shows print what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from pages import blocks_of

PAGE = Path(__file__).resolve().parents[3] / "docs/keys.md"


def masked(text: str) -> str:
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "<instant>", text)
    return re.sub(r"\b[0-9a-f]{12}\b", "<fingerprint>", text)


def test_each_command_of_the_page_prints_what_stands_below_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (block,) = [
        each for each in blocks_of("docs/keys.md", PAGE.read_text("utf-8")) if each.language == "console"
    ]
    steps = re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "POINTSMAN_KEYSTORE_PASSPHRASE": "correct horse battery"}

    for step in steps:
        command, _, shown = step.partition("\n")
        ran = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert masked(ran.stdout + ran.stderr) == shown
    assert len(steps) == 4
