"""The guides of those who call, and the reference: complete, and as the code is now."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import callers_pages
import pytest
from pages import pages, python_examples
from public_names import public_names

import pointsman
from pointsman import ChatRequest
from pointsman.events import EVENTS, PROGRESS
from pointsman.requests.call_options import OPTION_NAMES

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

    for kind, model in (("jsonl", JsonlSettings), ("logging", LoggingSettings)):
        for name in model.model_fields:
            assert f"| `{kind}.{name}` |" in GUIDES["docs/observing.md"]
