"""Programs that do all that an official SDK does, run in a process of their own.

Each prints JSON: the `version` of the SDK, and `found`: for each model and feature "ok" or what went wrong.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


async def ran(*command: str | Path, **environment: str) -> Any:
    """What a client says that it found."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, env={**os.environ, **environment}
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return json.loads(said)


def check(
    result: Any, wires: Sequence[str], *, sdk: str, beyond: Mapping[tuple[str, str], str] | None = None
) -> None:
    """All that was tried works, but for what an upstream cannot do at all, which is said.

    Args: beyond: by model and feature, what is said that it cannot do.
    """
    _show(result, wires, sdk)
    known = beyond or {}
    found = {(wire, each): how for wire, all_ in result["found"].items() for each, how in all_.items()}
    refused = {place: found.pop(place) for place in known if place in found}
    assert {place: how for place, how in found.items() if how != "ok"} == {}
    for place, how in refused.items():
        assert f"cannot do this: {known[place]}" in how


def _show(result: Any, wires: Sequence[str], sdk: str) -> None:
    """The table of features and upstreams."""
    print(f"\n{sdk} {result['version']:<12}", *(f"{wire:8}" for wire in wires))
    for feature in result["found"][wires[0]]:
        marks = ["ok" if result["found"][wire][feature] == "ok" else "-" for wire in wires]
        print(f"{feature:19}", *(f"{mark:8}" for mark in marks))
