"""Every block of docs/quickstart.md, run in order against simulated upstreams."""

from __future__ import annotations

import re
import runpy
import shlex
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[3] / "docs" / "quickstart.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^## (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block under one heading."""

    heading: str
    kind: str
    text: str

    def commands(self) -> list[tuple[str, list[str]]]:
        """Each command with the output that the page shows for it; `…` stands for anything."""
        found: list[tuple[str, list[str]]] = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
        return found


def blocks() -> list[Block]:
    page = PAGE.read_text()
    headings = [(each.start(), each[1]) for each in HEADING.finditer(page)]
    return [
        Block([name for at, name in headings if at < fence.start()][-1], fence[1], fence[2])
        for fence in FENCE.finditer(page)
    ]


def shown(sample: list[str], told: str) -> bool:
    """Whether the lines of `sample` stand in `told` in their order; its `…` matches anything."""
    lines = iter(told.splitlines())
    patterns = [line.replace("[", "[[]").replace("…", "*") for line in sample]
    return all(any(fnmatchcase(line, pattern) for line in lines) for pattern in patterns)


def test_the_page_does_what_it_shows(
    cli, servers, workdir: Path, monkeypatch: pytest.MonkeyPatch, capfd
) -> None:
    gpu1, gpu2 = servers.add("ollama", name="gpu1"), servers.add("ollama", name="gpu2")
    cloud = servers.add("openai", api_key="sk-your-key")
    monkeypatch.setenv("OLLAMA_HOST", gpu1.base_url)
    monkeypatch.setenv("OPENAI_BASE_URL", cloud.base_url)
    config = workdir / "pointsman.yaml"
    tried = 0

    for block in blocks():
        if block.heading == "When a server dies":
            servers.do(gpu1.stop())
        if block.kind == "yaml" and block.text.startswith("providers:"):
            text = block.text.replace("http://127.0.0.1:11434", gpu1.base_url)
            config.write_text(text.replace("http://127.0.0.1:11435", gpu2.base_url))
        elif block.kind == "yaml":
            text = config.read_text()
            assert text.count("    strategy: round_robin\n") == 1
            config.write_text(text.replace("    strategy: round_robin\n", block.text))
            assert "least_connections" in cli("status").out
            config.write_text(text)
        elif block.kind == "python":
            (workdir / "example.py").write_text(block.text)
            runpy.run_path("example.py")
            assert "gpu2/llama3.2" in capfd.readouterr().out
        else:
            assert block.kind == "console"
            for line, sample in block.commands():
                tried += try_line(line, sample, cli, monkeypatch)
    assert tried >= 9


def try_line(line: str, sample: list[str], cli, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Run one line of a console as the shell would; false for lines that are not ours to run."""
    if line.startswith("pip install "):
        return False
    if line.startswith("export "):
        monkeypatch.setenv(*line.removeprefix("export ").split("=", 1))
        return False
    typed, _, command = line.rpartition(" | ")
    program, *arguments = shlex.split(command)
    assert program == "pointsman"
    ran = cli(*arguments, input=shlex.split(typed)[1] if typed else None)
    if "--trace" in arguments and sample and "attempt 2" not in ran.err:
        # The first pick was the server that lives; the next one is the other.
        ran = cli(*arguments, input="Once more?\nAnd again?\n")
    assert ran.code == 0, f"{line}: {ran.err}"
    assert shown(sample, ran.err + ran.out), f"{line}: {ran.err}{ran.out}"
    return True


def test_provider_and_model_are_callable_for_providers_of_the_configuration_only(
    cli, servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu, cloud = (
        servers.add("ollama", name="gpu"),
        servers.add("openai", api_key="k", models=["gpt-4.1-mini"]),
    )
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("OPENAI_BASE_URL", cloud.base_url)

    found = cli("ask", "-m", "openai/gpt-4.1-mini", "hi")
    servers.configure(gpu)
    configured, neither = cli("ask", "-m", "gpu/qwen3", "hi"), cli("ask", "-m", "openai/gpt-4.1-mini", "hi")

    assert found.code == 0
    assert configured.code in (0, 3)  # the upstream may not have it; it was asked
    assert len(gpu.requests) >= 1
    assert neither.code == 2
    assert "no model is called 'openai/gpt-4.1-mini'" in neither.err
