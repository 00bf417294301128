"""docs/prices.md: its program runs and adds up what the simulator counted, and its tables name what there is."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path

from pointsman.prices import Price, PriceTier
from pointsman_simulator import Reply, Simulator
from pointsman_simulator.script import Usage as Tokens

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "prices.md").read_text("utf-8")


def block(language: str) -> str:
    found, *_ = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


async def test_the_program_adds_up_what_its_calls_cost(tmp_path: Path) -> None:
    async with Simulator(seed=1) as simulator:
        claude = await simulator.add("claude", name="claude", models=["claude-sonnet-4-5"])
        gpu = await simulator.add("ollama", name="gpu1", models=["llama3.2"])
        claude.script(
            Reply(usage=Tokens(1_001, 50, cached=1_000)), Reply(usage=Tokens(200_001, 50, cached=200_000))
        )
        config = block("yaml").replace("http://127.0.0.1:11434", gpu.base_url)
        config = config.replace("type: claude,", f'type: claude, base_url: "{claude.base_url}",')
        (tmp_path / "pointsman.yaml").write_text(config)

        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "error", "-c", block("python")),
            cwd=tmp_path,
            env={"ANTHROPIC_API_KEY": "k", "PATH": ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 60)

    assert process.returncode == 0, err.decode()
    first = 1 * 300 + 1_000 * 30 + 50 * 1_500
    second = 1 * 600 + 200_000 * 60 + 50 * 2_250
    assert out.decode().splitlines() == [
        f"claude/claude-sonnet-4-5: 1051 tokens, {first / 1e8:.8f} USD",
        f"claude/claude-sonnet-4-5: 200051 tokens, {second / 1e8:.8f} USD",
        f"together {first + second} millionths of a cent",
    ]


def test_every_key_of_a_price_stands_on_the_page() -> None:
    names = {*Price.model_fields, *PriceTier.model_fields}
    assert [name for name in names if f"`{name}`" not in PAGE] == []
