"""docs/recipes.md: each recipe runs as it stands there, and prints what it is about."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pointsman_simulator import Simulator

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "recipes.md").read_text("utf-8")
(CONFIG,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
RECIPES = {
    section.partition("\n")[0]: program
    for section in PAGE.split("\n## ")[1:]
    for program in re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
}
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(40)
SAID = {
    "Ask at home first, and in the cloud when nobody is at home": r"— gpu/llama3\.2 after 1 attempts",
    "Read an answer as it comes, and stop when it is enough": r"\w+",
    "An answer within five seconds, or none": r"\w+",
    "Data out of text": r"^[\d.]+$",
    "Let the model call a function": r"\w+",
    "Describe a picture": r"\w+",
    "A hundred texts, eight at a time, and what failed": r"^100 done; \[\]$",
    "The text that is nearest to a question": r"^(The sky|Trains|Bread).*\.$",
    "Keep it in the house": r"^gpu/llama3\.2$",
    "What the calls of a program cost": r"^search: 0\.0000\d\d USD\nsupport: 0\.0000\d\d USD$",
    "The same question to several models": r"^assistant → .+\ncloud → .+\nopenai/gpt-4\.1 → .+$",
    "Find a request again in the logs of all sides": r"^order-4711",
    "Why did it go there?": r"^assistant None \{'gpu/llama3\.2': 'disabled.*'\}\ncloud openai/gpt-5-mini",
}


def test_what_each_recipe_prints_is_known_here() -> None:
    assert list(SAID) == list(RECIPES)


def test_a_recipe_takes_about_ten_lines() -> None:
    lengths = {
        title: len([line for line in program.splitlines() if line.strip()])
        for title, program in RECIPES.items()
    }

    assert {title: length for title, length in lengths.items() if length > 16} == {}


@pytest.mark.parametrize("title", RECIPES)
async def test_a_recipe_runs_as_it_stands(title: str, simulator: Simulator, tmp_path: Path) -> None:
    gpu = await simulator.add("ollama", name="gpu", models=["llama3.2", "nomic-embed-text"])
    openai = await simulator.add("openai", name="openai", models=["gpt-5-mini", "gpt-4.1"])
    config = CONFIG.replace("http://127.0.0.1:11434", gpu.base_url)
    config = config.replace("type: openai,", f'type: openai, base_url: "{openai.base_url}",')
    (tmp_path / "pointsman.yaml").write_text(config)
    (tmp_path / "sky.png").write_bytes(PICTURE)

    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-W", "error", "-c", RECIPES[title]),
        cwd=tmp_path,
        env={"OPENAI_API_KEY": "k", "PATH": "", "PYTHONIOENCODING": "utf-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)

    assert process.returncode == 0, err.decode()
    assert re.search(SAID[title], out.decode().strip(), re.MULTILINE if "^" not in SAID[title] else 0)
