"""docs/structured-output.md and docs/tools.md: their programs run, and print what they say."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from pointsman_simulator import Reply, Simulator

DOCS = Path(__file__).resolve().parents[2] / "docs"
GRACE = '{"name": "Grace", "age": 85, "mood": "glad"}'
ADA = '{"name": "Ada", "age": 36, "mood": null}'


def blocks(page: str, language: str) -> list[str]:
    text = (DOCS / page).read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


async def printed(page: str, folder: Path, *replies: Reply) -> tuple[list[str], list[dict[str, Any]]]:
    """The lines that the program of `page` prints, and the bodies of its requests."""
    async with Simulator(seed=1) as simulator:
        cloud = await simulator.add("openai", name="openai", models=["gpt-5-mini"])
        cloud.script(*replies)
        config = blocks(page, "yaml")[0].replace(
            "type: openai,", f'type: openai, base_url: "{cloud.base_url}",'
        )
        (folder / "pointsman.yaml").write_text(config)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-W", "error", "-c", blocks(page, "python")[0]),
            cwd=folder,
            env={"OPENAI_API_KEY": "k", "PATH": "", "PYTHONIOENCODING": "utf-8"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, err.decode()
        return out.decode().splitlines(), [each.body for each in cloud.requests if each.body]


async def test_the_program_about_structured_output_prints_values_of_its_type(tmp_path: Path) -> None:
    said, bodies = await printed(
        "structured-output.md",
        tmp_path,
        Reply(text=GRACE),
        Reply(text='{"name": "nobody"}'),
        Reply(text=ADA),
        Reply(text=f'{{"value": [{GRACE}, {ADA}]}}'),
        Reply(text=GRACE),
        Reply(text=GRACE),
        Reply(text='{"value": null}'),
        Reply(text=f"```json\n{GRACE}\n```"),
    )

    assert said == [
        "Grace 86",
        "(Misfit(path='age', what='Field required'),) {\"name\": \"nobody\"}",
        f"{ADA}name='Ada' age=36 mood=None",
        "['Grace', 'Ada']",
        "name='Grace' age=85 mood='glad'",
        "name='Grace' age=85 mood='glad'",
        "None",
        "Grace",
    ]
    assert ["response_format" in each for each in bodies] == [True] * 7 + [False]


async def test_the_program_about_structured_output_runs_where_nothing_is_written_for_it(
    tmp_path: Path,
) -> None:
    said, _bodies = await printed("structured-output.md", tmp_path)

    assert len(said) == 8


async def test_the_program_about_tools_calls_what_the_model_asks_for_and_tells_it_what_went_wrong(
    tmp_path: Path,
) -> None:
    said, bodies = await printed(
        "tools.md",
        tmp_path,
        Reply(tool_calls=(("weather", {"city": "Bonn", "unit": "kelvin"}),)),
        Reply(tool_calls=(("weather", {"city": "Bonn", "unit": "fahrenheit"}),)),
        Reply(text="You do."),
    )

    results = [each["content"] for each in bodies[-1]["messages"] if each["role"] == "tool"]
    assert said == ["You do."]
    assert "Input should be 'celsius' or 'fahrenheit'" in results[0]
    assert results[1] == "rain in Bonn, 11 degrees fahrenheit"
    assert bodies[0]["tools"][0]["function"]["parameters"]["properties"]["city"] == {
        "type": "string",
        "description": "its name, as people there write it",
    }
