"""Where `pointsman serve` says that its console is, and what `--open` does about it."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pointsman_console")
WITHIN = 60
CONFIGURATION = """\
providers:
  gpu1: {type: ollama, base_url: "http://127.0.0.1:1"}
models:
  assistant: {deployments: [gpu1/llama3.2]}
gateway:
  listen: 127.0.0.1:0
"""


def without_browser(folder: Path) -> dict[str, str]:
    """An environment in which there is none, and in which nobody says that this is a test."""
    kept = {name: value for name, value in os.environ.items() if name not in ("BROWSER", "CI", "DISPLAY")}
    kept.pop("WAYLAND_DISPLAY", None)
    return {**kept, "PATH": str(folder)}


async def served(folder: Path, environ: Mapping[str, str], *more: str, section: str = "") -> tuple[Any, str]:
    """What it announces, and its next line on stderr where `--open` is asked for."""
    file = folder / "pointsman.yaml"
    file.write_text(CONFIGURATION + section, "utf-8")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pointsman_cli", "-c", str(file), "serve", "--json", "--log", "off", *more),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(environ),
    )
    assert process.stdout is not None
    assert process.stderr is not None
    line = b""
    try:
        async with asyncio.timeout(WITHIN):
            announced = json.loads(await process.stdout.readline())
            if "--open" in more:
                line = await process.stderr.readline()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()
    return announced, line.decode()


async def test_the_announcement_has_the_address_of_the_console(tmp_path: Path) -> None:
    announced, _ = await served(tmp_path, os.environ)

    assert announced["console"] == f"{announced['url']}/console"


async def test_it_has_none_where_the_console_is_no_surface(tmp_path: Path) -> None:
    announced, _ = await served(tmp_path, os.environ, section="  surfaces: {openai: {}}\n")

    assert announced["console"] is None


async def test_its_address_has_the_prefix_that_is_configured(tmp_path: Path) -> None:
    announced, _ = await served(tmp_path, os.environ, section="  surfaces: {console: {prefix: /ops}}\n")

    assert announced["console"] == f"{announced['url']}/ops/console"


async def test_open_has_the_browser_show_it(tmp_path: Path) -> None:
    browser = tmp_path / "browser"
    browser.write_text('#!/bin/sh\necho "shows $1" >&2\n')
    browser.chmod(browser.stat().st_mode | stat.S_IXUSR)
    environ = {**without_browser(tmp_path), "BROWSER": f"{browser} %s"}

    announced, line = await served(tmp_path, environ, "--open")

    assert line == f"shows {announced['console']}\n"


async def test_open_says_so_where_there_is_no_browser(tmp_path: Path) -> None:
    announced, line = await served(tmp_path, without_browser(tmp_path), "--open")

    assert line == f"error: no browser was found here; the console is at {announced['console']}\n"


async def test_open_opens_nothing_in_ci(tmp_path: Path) -> None:
    announced, line = await served(tmp_path, {**without_browser(tmp_path), "CI": "true"}, "--open")

    assert line == f"error: no browser is opened where CI is set; the console is at {announced['console']}\n"


async def test_open_says_so_where_there_is_no_console(tmp_path: Path) -> None:
    section = "  surfaces: {openai: {}}\n"
    _, line = await served(tmp_path, without_browser(tmp_path), "--open", section=section)

    assert line == "error: there is no console to open; pip install pointsman-console\n"
