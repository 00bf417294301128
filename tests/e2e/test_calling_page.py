"""docs/calling.md: its programs run, and its tables name all options, errors and events that there are."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

import pointsman
from pointsman import CallError, ChatRequest, ProviderError, RequestError
from pointsman.events import Event, Progress
from pointsman.requests.call_options import OPTION_NAMES
from pointsman_simulator import Fault, Reply, Simulator, Upstream

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "calling.md").read_text("utf-8")
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(40)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def column(heading: str, number: int) -> list[str]:
    """The words in code in one column of the table under `heading`."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    cells = [row.split(" | ")[number] for row in re.findall(r"^\| (`.*) \|$", section, re.MULTILINE)]
    return [word for cell in cells for word in re.findall(r"`([^`]+)`", cell)]


@pytest.mark.parametrize("number", [0, 1, 2])
async def test_the_programs_run(number: int, tmp_path: Path) -> None:
    async with Simulator(seed=1) as simulator:
        gpu = await simulator.add("ollama", name="gpu", models=["llama3.2", "nomic-embed-text"])
        cloud = await simulator.add("openai", name="openai", models=["gpt-5-mini"])
        said = await ran(blocks("python")[number], gpu, cloud, tmp_path)

    assert "gpu/llama3.2" in said or number == 1
    if number == 2:
        assert "gpu/llama3.2 began to answer after " in said
    if number == 0:
        assert "weather {'city'" in said
        assert "UnknownModel unknown_model no model is called 'nobody'" in said
        assert "broke after" not in said
        assert said.count("RequestEnded(") == 5 + 2 + 1 + 1 + 20 + 1


async def test_the_program_tells_of_a_stream_that_broke(tmp_path: Path) -> None:
    async with Simulator(seed=1) as simulator:
        gpu = await simulator.add("ollama", name="gpu", models=["llama3.2", "nomic-embed-text"])
        cloud = await simulator.add("openai", name="openai", models=["gpt-5-mini"])
        gpu.script(Reply(), Reply(), Reply(), Reply(text="red red red red", fault=Fault.cut_after(2)))
        said = await ran(blocks("python")[0], gpu, cloud, tmp_path)

    assert "broke after: red" in said


async def ran(program: str, gpu: Upstream, cloud: Upstream, folder: Path) -> str:
    """What `program` printed; it must end well."""
    config = blocks("yaml")[0].replace("http://127.0.0.1:11434", gpu.base_url)
    config = config.replace("type: openai,", f'type: openai, base_url: "{cloud.base_url}",')
    (folder / "pointsman.yaml").write_text(config)
    (folder / "sky.png").write_bytes(PICTURE)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-W", "error", "-c", program),
        cwd=folder,
        env={"OPENAI_API_KEY": "k", "PATH": "", "PYTHONIOENCODING": "utf-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, err.decode()
    return out.decode()


def test_every_option_of_a_chat_stands_in_the_table_once() -> None:
    of_a_request = {*ChatRequest.__struct_fields__} - {"model", "messages"}
    assert sorted(column("The options, and their defaults", 0)) == sorted(of_a_request | OPTION_NAMES)


def test_every_error_that_a_caller_can_see_stands_in_the_table_once() -> None:
    public = [getattr(pointsman, name) for name in pointsman.__all__]
    errors = {each for each in public if isinstance(each, type) and issubclass(each, CallError)}
    errors -= {CallError, RequestError, ProviderError}
    assert sorted(column("Errors", 0)) == sorted({each.__name__ for each in errors} | {"ConfigError"})


def test_every_event_stands_in_the_table_with_all_that_it_says() -> None:
    events = [*get_args(Event), *get_args(Progress)]
    assert column("Events", 0) == [each.__name__ for each in events]
    assert column("Events", 2) == [name for each in events for name in each.__struct_fields__]
