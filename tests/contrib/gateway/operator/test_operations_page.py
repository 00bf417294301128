"""What docs/operations.md says of a gateway: its curl lines do what they say."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from pathlib import Path

import pytest
from gateways import configuration

from pointsman import Router
from pointsman_gateway.gateway import Gateway
from pointsman_gateway.settings import GatewaySettings
from pointsman_simulator import Simulator

PAGE = (Path(__file__).resolve().parents[4] / "docs" / "operations.md").read_text("utf-8")
LINES = re.findall(r"^curl .*$", PAGE, re.MULTILINE)
KEY = "me-0123456789abcdef"


async def said(line: str, at: str) -> str:
    """What curl prints for it, within a second."""
    line = line.replace("curl ", "curl -sSf -m 1 ", 1).replace("http://127.0.0.1:4000", at)
    shell = await asyncio.create_subprocess_shell(
        line, stdout=asyncio.subprocess.PIPE, env={"MY_KEY": KEY, "PATH": "/usr/local/bin:/usr/bin:/bin"}
    )
    told, _ = await shell.communicate()
    assert shell.returncode in (0, 28 if line.endswith("/events") else 0)
    return told.decode()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed here")
async def test_operators_are_told_and_obeyed(simulator: Simulator, tmp_path: Path) -> None:
    upstream = await simulator.add("ollama", name="gpu1")
    file = tmp_path / "pointsman.json"
    file.write_text(json.dumps(configuration(upstream)))
    access = {"keys": [{"name": "me", "key": KEY, "operator": True}]}
    settings = GatewaySettings.model_validate({"listen": "127.0.0.1:0", "access": access})
    async with Router.from_config(file) as router, Gateway(router, settings) as gateway:
        told = await asyncio.gather(*(said(each, gateway.url) for each in LINES))
    status, requests, drained, reloaded, events = told
    assert "assistant" in json.loads(status)["models"]
    assert json.loads(requests)["requests"] == []
    assert json.loads(drained)["drained"] is True
    assert json.loads(reloaded)["config"] == str(file)
    assert events.startswith(": events")
