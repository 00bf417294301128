"""The program of docs/types.md runs, and the page names every type that is there to be named."""

from __future__ import annotations

import asyncio
import re
import runpy
from pathlib import Path

import pytest
from pages import python_examples

import pointsman
from pointsman_simulator import Simulator

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "types.md").read_text("utf-8")


async def test_the_program_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (program,) = [each for each in python_examples() if each.page == "docs/types.md"]
    (tmp_path / "program.py").write_text(program.source, "utf-8")
    monkeypatch.chdir(tmp_path)

    async with Simulator(seed=1) as simulator:
        gpu = await simulator.add("ollama", models=["llama3.2"])
        (tmp_path / "pointsman.yaml").write_text(
            f"providers: {{gpu: {{type: ollama, base_url: '{gpu.base_url}'}}}}\n"
            "models: {assistant: {deployments: [gpu/llama3.2]}}\n"
        )
        await asyncio.to_thread(runpy.run_path, "program.py", run_name="__main__")

    attempt, request, _, state = capsys.readouterr().out.splitlines()
    assert attempt == "attempt 1 at gpu/llama3.2: ok"
    assert re.fullmatch(r"chat of assistant: ok, \d+ tokens", request)
    assert state == "{} gpu/llama3.2 True"


def test_the_page_names_the_types_of_options_and_of_what_a_router_says_of_itself() -> None:
    homes = vars(pointsman)["_HOME_OF"]
    types = {name for name in homes if homes[name].endswith((".option_types", ".reports"))}

    assert types <= set(re.findall(r"\w+", PAGE))
