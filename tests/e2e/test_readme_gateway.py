"""What the README says of the gateway: its curl lines, run as they stand there."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from gateways import gateway_for

from pointsman_simulator import Reply, Simulator

README = (Path(__file__).resolve().parents[2] / "README.md").read_text("utf-8")
AT = "http://127.0.0.1:4000"
CURLS = re.findall(r"^curl .*$", README, re.MULTILINE)
SAID = "It scatters, and blue most of all."


async def ran(*command: str) -> str:
    """What it printed. Raises AssertionError with what it complained of."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    said, complaint = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, complaint.decode()
    return said.decode()


def test_there_is_one_for_each_api() -> None:
    assert len(CURLS) == 3


@pytest.mark.parametrize("line", CURLS)
async def test_a_curl_line_is_answered(line: str, simulator: Simulator) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed here")
    upstream = await simulator.add("localai")
    upstream.script(Reply(text=SAID))
    async with gateway_for(upstream) as gateway:
        said = await ran(*shlex.split(line.replace(AT, gateway.url)), "--silent", "--show-error", "--fail")
    lines = [json.loads(each) for each in said.splitlines()]
    assert SAID in said or "".join(each["message"]["content"] for each in lines) == SAID
