"""The console as somebody gets it who installs a wheel: it is there, built, and needs no Node."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from urllib.request import urlopen

import pytest
from wheelhouse import Wheelhouse

CONFIG = """providers:
  local: {type: ollama, base_url: "http://127.0.0.1:9"}
models:
  assistant: {deployments: [local/llama3.2]}
"""


@pytest.fixture(scope="module")
def python(wheelhouse: Wheelhouse) -> Path:
    """An environment made by `pip install "pointsman[console,ollama]"`."""
    return wheelhouse.resolved("console", "console", "ollama")


def test_a_gateway_from_wheels_serves_the_page_without_node(python: Path, tmp_path: Path) -> None:
    config = tmp_path / "pointsman.yaml"
    config.write_text(CONFIG, encoding="utf-8")
    command = [
        str(python.parent / "pointsman"),
        "serve",
        "-c",
        str(config),
        "--listen",
        "127.0.0.1:0",
        "--json",
    ]
    # Nothing but the environment itself is on the path: no Node that could build or serve anything.
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={"PATH": str(python.parent)}
    ) as gateway:
        try:
            assert gateway.stdout is not None
            console = json.loads(gateway.stdout.readline())["console"]
            with urlopen(console) as page:
                html = page.read().decode()
            with urlopen(f"{console}/app.js") as script:
                size = len(script.read())
        finally:
            gateway.terminate()

    assert "/console/app.js" in html
    assert size > 10_000
    assert gateway.returncode == 0
