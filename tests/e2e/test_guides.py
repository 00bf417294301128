"""The guides of those who call, and the reference: complete, and as the code is now."""

from __future__ import annotations

import ast
import asyncio
import re
import runpy
from collections.abc import Iterator
from pathlib import Path

import callers_pages
import pytest
from pages import pages, python_examples
from public_names import public_names

import pointsman
from pointsman import ChatRequest
from pointsman.events import EVENTS, PROGRESS
from pointsman.requests.call_options import OPTION_NAMES
from pointsman_simulator import Fault, Reply, Simulator

REFERENCE = pages()["docs/reference.md"]
GUIDES = {
    page: text
    for page, text in pages().items()
    if page == "README.md" or re.fullmatch(r"docs/(?!reference)[\w-]+\.md", page)
}
NAMES = [each.name for each in public_names("pointsman")]


@pytest.mark.parametrize("path", callers_pages.fresh(), ids=lambda path: path.name)
def test_a_page_says_what_the_code_says(path: callers_pages.Path) -> None:
    assert path.read_text("utf-8") == callers_pages.fresh()[path], f"make it anew: {callers_pages.COMMAND}"


def test_the_reference_has_an_entry_for_every_public_name() -> None:
    assert sorted(re.findall(r"^### (\w+)$", REFERENCE, re.MULTILINE)) == sorted(pointsman.__all__)


def test_every_name_and_field_in_the_reference_says_what_it_means() -> None:
    entries = re.split(r"^### ", REFERENCE, flags=re.MULTILINE)[1:]
    silent = [each.split("\n")[0] for each in entries if not re.search(r"^```\n\n\S", each, re.MULTILINE)]
    rows = [
        (each.split("\n")[0], row)
        for each in entries
        for row in re.findall(r"^\| `(\w+).*\|  \|$", each, re.MULTILINE)
    ]

    assert (silent, rows) == ([], [])


def code(text: str) -> Iterator[str]:
    """What is written in code on a page."""
    yield from re.findall(r"^```.*?^```", text, re.DOTALL | re.MULTILINE)
    yield from re.findall(r"`[^`\n]+`", text)


def test_every_public_name_stands_in_a_guide() -> None:
    written = "\n".join(each for text in GUIDES.values() for each in code(text))

    assert [name for name in NAMES if not re.search(rf"\b{name}\b", written)] == []


def test_every_option_of_a_chat_is_shown_in_an_example_that_runs() -> None:
    shown = {
        keyword.arg
        for example in python_examples()
        if example.page in GUIDES
        for node in ast.walk(ast.parse(example.source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("chat", "stream")
        for keyword in node.keywords
    }

    assert sorted({*ChatRequest.__struct_fields__} - {"model", "messages"} - shown) == []
    assert sorted(OPTION_NAMES - shown) == []


def test_every_event_stands_in_a_table_with_all_that_it_says() -> None:
    page = GUIDES["docs/observing.md"]
    rows = re.findall(r"^\| \[`(\w+)`\]\([^)]*\) \| [^|]+ \| ([^|]*) \|$", page, re.MULTILINE)

    assert [name for name, _ in rows] == [each.__name__ for each in (*EVENTS, *PROGRESS)]
    for (_, says), kind in zip(rows, (*EVENTS, *PROGRESS), strict=True):
        assert re.findall(r"`(\w+)`", says) == [*kind.__struct_fields__]


def test_every_setting_of_the_built_in_sinks_stands_in_its_table() -> None:
    from pointsman.builtin.audit import JsonlSettings, LoggingSettings

    page = GUIDES["docs/audit.md"].partition("| setting | default |")[2].partition("\n\n")[0]
    listed = re.findall(r"^\| (`.*?`) \|", page, re.MULTILINE)
    assert sorted(re.findall(r"`(\w+)`", " ".join(listed))) == sorted(JsonlSettings.model_fields)
    assert [*LoggingSettings.model_fields] == ["logger"]
    assert "logger: myapp.models" in GUIDES["docs/observing.md"]


async def test_the_listener_that_keeps_failed_attempts_knows_why_a_call_went_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (program,) = [each for each in python_examples() if "def keep" in each.block.text]
    (tmp_path / "program.py").write_text(program.source, "utf-8")
    monkeypatch.chdir(tmp_path)

    async with Simulator(seed=1) as simulator:
        gpus = [await simulator.add("ollama", name=name, models=["llama3.2"]) for name in ("gpu1", "gpu2")]
        gpus[0].script(Reply(fault=Fault.status(503)))
        providers = [f"{each.name}: {{type: ollama, base_url: '{each.base_url}'}}" for each in gpus]
        (tmp_path / "pointsman.yaml").write_text(
            f"providers: {{{', '.join(providers)}}}\n"
            "models: {assistant: {deployments: [gpu1/llama3.2, {provider: gpu2, model: llama3.2, priority: 1}]}}\n"
        )
        await asyncio.to_thread(runpy.run_path, "program.py", run_name="__main__")

    assert re.fullmatch(
        r"gpu2/llama3\.2 after \['gpu1/llama3\.2: unavailable, .+'\]\n", capsys.readouterr().out
    )
