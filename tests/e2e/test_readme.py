"""The examples of the README, run as they stand against simulated upstreams."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pointsman_simulator import Simulator

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def block(language: str) -> str:
    """The first fenced block of `language` in the README."""
    (found, *_of_clients) = re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)
    return str(found)


async def test_the_python_of_the_readme_runs_on_the_yaml_of_the_readme(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    async with Simulator(seed=1) as simulator:
        ollama = await simulator.add("ollama", name="gpu", models=["llama3.2"])
        openai = await simulator.add("openai", name="openai", models=["gpt-5-mini"])
        text = block("yaml").replace("http://127.0.0.1:11434", ollama.base_url)
        text = text.replace("type: openai,", f'type: openai, base_url: "{openai.base_url}",')
        (tmp_path / "pointsman.yaml").write_text(text)
        (tmp_path / "example.py").write_text(block("python"))

        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "example.py",
            cwd=tmp_path,
            env={"OPENAI_API_KEY": "k", "PATH": "", "PYTHONIOENCODING": "utf-8"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 60)

    assert process.returncode == 0, err.decode()
    assert "gpu/llama3.2" in out.decode()
    assert [record.path for record in ollama.requests] == ["/api/chat", "/api/chat"]


def test_every_whole_configuration_in_the_pages_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    from pointsman import Config, Router

    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    examples = [
        (page.name, text)
        for page in pages
        if page.name != "configuration.md" and page.parent.name != "plugins"  # run by tests of their own
        for text in re.findall(r"```yaml\n(.*?)```", page.read_text("utf-8"), flags=re.DOTALL)
        if text.startswith("providers:")
    ]
    assert {name for name, _ in examples} >= {"README.md", "resilience.md", "quickstart.md"}
    for name in {name for _, text in examples for name in re.findall(r"\$\{([A-Z_]+)\}", text)}:
        monkeypatch.setenv(name, f"the-value-of-{name}")
    for _, text in examples:
        Router.check(Config.from_text(text))


def test_the_readme_names_every_built_in_strategy_and_every_provider_type() -> None:
    from pointsman.plugins.registry import Plugins

    plugins = Plugins()
    for name in (*plugins.names("strategy"), *plugins.names("provider")):
        assert f"| `{name}` |" in README


def test_the_two_commands_of_the_readme_stand_in_it() -> None:
    assert "pip install uv && uv run pointsman demo" in README
    assert "pip install uv && uv run pytest -n 2" in README
