"""What the README names is what there is; its examples are run by `test_pages`."""

from __future__ import annotations

import re
from importlib.metadata import metadata
from pathlib import Path
from xml.etree import ElementTree

import pytest
import terminal_picture
from pages import pages

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def test_the_readme_names_every_built_in_strategy_and_every_provider_type() -> None:
    from pointsman.plugins.registry import Plugins

    plugins = Plugins()
    for name in (*plugins.names("strategy"), *plugins.names("provider")):
        assert f"| `{name}` |" in README


def test_the_two_commands_of_the_readme_stand_in_it() -> None:
    assert "pip install uv && uv run pointsman demo" in README
    assert "pip install uv && uv run pytest -n 2" in README


def test_the_extras_that_the_readme_names_are_there() -> None:
    section = README.partition("\n## In your own project\n")[2].partition("\n## ")[0]
    named = {each for group in re.findall(r"pointsman\[([\w,-]+)\]", section) for each in group.split(",")}
    named |= set(re.findall(r"`([\w-]+)`", section.partition("extras")[2]))

    assert named >= {"openai", "ollama", "cli", "all"}
    assert named <= set(metadata("pointsman").get_all("Provides-Extra"))


async def test_the_terminal_of_the_readme_shows_what_the_commands_print() -> None:
    shown = terminal_picture.PICTURE.read_text("utf-8")

    fresh = terminal_picture.picture(await terminal_picture.printed())

    assert terminal_picture.words(shown) == terminal_picture.words(fresh), f"{terminal_picture.COMMAND}"


def test_the_picture_of_the_terminal_is_one_and_fetches_nothing() -> None:
    shown = terminal_picture.PICTURE.read_text("utf-8")

    assert ElementTree.fromstring(shown).tag == "{http://www.w3.org/2000/svg}svg"
    assert re.findall(r"@font-face|@import|\burl\((?!#)|href", shown) == []


@pytest.mark.parametrize(
    "page", [page for page in pages() if re.fullmatch(r"docs/(?!README)[\w-]+\.md", page)]
)
def test_the_index_leads_to_every_page(page: str) -> None:
    assert f"]({Path(page).name})" in pages()["docs/README.md"]
