"""The simulator as a process, and as a pytest plugin."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest


async def started(*arguments: str) -> tuple[asyncio.subprocess.Process, dict[str, Any]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pointsman_simulator", "--json", *arguments, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), 20)
    return process, json.loads(line)


async def test_a_process_says_where_it_listens_and_ends_with_sigterm(client: Any) -> None:
    process, ready = await started(
        "--wire", "ollama", "--name", "x", "--models", "a,b", "--reply", '{"text": "hello"}'
    )

    async with client.session.post(
        ready["base_url"] + "/api/generate", json={"model": "b", "prompt": "p", "stream": False}
    ) as response:
        body = await response.json()
    process.send_signal(signal.SIGTERM)

    assert (ready["name"], ready["wire"], ready["pid"]) == ("x", "ollama", process.pid)
    assert body["response"] == "hello"
    assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_a_killed_process_breaks_its_connections(client: Any) -> None:
    process, ready = await started("--wire", "localai", "--latency", "60")
    body = {"model": "qwen3-4b", "messages": [{"role": "user", "content": "x"}]}
    task = asyncio.create_task(client.session.post(ready["base_url"] + "/v1/chat/completions", json=body))
    async with client.session.get(ready["base_url"] + "/healthz") as response:
        assert response.status == 200

    process.kill()

    with pytest.raises(aiohttp.ClientConnectionError):
        await task
    assert await process.wait() == -signal.SIGKILL


def test_importing_the_plugin_does_not_import_the_server() -> None:
    code = "import sys, pointsman_simulator.pytest_plugin; sys.exit('aiohttp' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_the_example_of_the_readme_runs(simulator: Any) -> None:
    readme = Path(__file__).parents[3] / "contrib/simulator/README.md"
    example = readme.read_text().split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {}

    exec(compile(example, str(readme), "exec"), names)

    await names["test_the_second_try_gets_an_answer"](simulator)


def test_every_public_name_exists() -> None:
    import pointsman_simulator

    assert all(hasattr(pointsman_simulator, name) for name in pointsman_simulator.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        pointsman_simulator.nothing  # noqa: B018


def test_a_failed_test_says_how_to_repeat_it(tmp_path: Path) -> None:
    test = (
        "async def test_it(simulator):\n    await simulator.add('ollama')\n    assert simulator.seed == 5\n"
    )
    (tmp_path / "test_it.py").write_text(test)
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n")

    # Without entry points, so that no other plugin of this checkout takes part.
    plugins = "-p pytest_asyncio.plugin -p pointsman_simulator.pytest_plugin -p no:cacheprovider"
    command = [sys.executable, "-m", "pytest", *plugins.split(), "--pointsman-seed=6", "test_it.py"]
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}

    failed = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )

    assert failed.returncode == 1
    assert "assert 6 == 5" in failed.stdout
    assert "repeat with --pointsman-seed=6" in failed.stdout
