"""What `pointsman serve` imports before it is ready: nothing that only some gateways need."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

CONFIGURATION = """\
providers:
  a: {type: openai, base_url: "http://127.0.0.1:1/v1", api_key: k}
models:
  m: {deployments: [a/x]}
gateway:
  listen: 127.0.0.1:0
  access: {keys: [{name: ci, key: a-key-that-nobody-guesses}]}
"""
LATE = {
    "structlog": "writes lines for people",
    "rich": "comes with it, and with the command of httpx",
    "prometheus_client": "is for whoever asks for metrics",
    "websockets": "is for the first WebSocket",
    "pointsman_gateway.surfaces.ai.body_models": "is for the first request of the plain API",
    "pointsman_cli.commands": "has the other commands",
    "pointsman_claude": "is no provider of the configuration",
    "redis": "is no store of the configuration",
    "jwt": "is for issuers of tokens",
}


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    folder = tmp_path_factory.mktemp("start")
    file = folder / "pointsman.yaml"
    file.write_text(CONFIGURATION, "utf-8")
    return _imported_until_ready(folder, file)


def _imported_until_ready(folder: Path, file: Path) -> set[str]:
    command = [sys.executable, "-X", "importtime", "-m", "pointsman_cli", "serve", "--log", "json"]
    environ = {**os.environ, "NOTIFY_SOCKET": str(folder / "notify")}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told, (folder / "stderr").open("wb") as stderr:
        told.bind(str(folder / "notify"))
        told.settimeout(60)
        with subprocess.Popen([*command, "--config", str(file)], stderr=stderr, env=environ) as process:
            try:
                assert told.recv(64) == b"READY=1"
            finally:
                process.kill()
    lines = (folder / "stderr").read_text("utf-8")
    return set(re.findall(r"^import time: +\d+ \| +\d+ \| +(\S+)$", lines, flags=re.MULTILINE))


def test_what_is_imported_is_seen(imported: set[str]) -> None:
    assert {"uvicorn", "pointsman_gateway.gateway", "pointsman_openai.provider"} <= imported


@pytest.mark.parametrize("name", LATE)
def test_it_is_ready_without_what_only_some_gateways_need(imported: set[str], name: str) -> None:
    assert {each for each in imported if each == name or each.startswith(f"{name}.")} == set()


def test_all_of_that_exists() -> None:
    assert [name for name in LATE if find_spec(name) is None] == []


def test_whoever_asks_for_json_reads_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "pointsman.yaml"
    file.write_text(CONFIGURATION, "utf-8")
    command = [sys.executable, "-m", "pointsman_cli", "serve", "--log", "json", "--config", str(file)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        told = []
        for line in process.stderr:
            told.append(json.loads(line)["message"])
            if told[-1] == "Ctrl-C ends it":
                process.terminate()

    assert told[0].startswith("listening at ")
    assert told[-1] == "stopped"
