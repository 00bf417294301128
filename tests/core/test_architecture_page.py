"""The map in docs/architecture.md names the modules that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import pointsman

PACKAGE = Path(pointsman.__file__).parent
PAGE = (PACKAGE.parents[2] / "docs" / "architecture.md").read_text("utf-8")
WIDTH = 31
"""Characters of the left column, which holds the names."""


def on_the_map() -> list[str]:
    """The modules in the left column of the map of the core, with their folders."""
    (rows,) = re.findall(r"^core/src/pointsman/ .*\n((?: {2,}\S.*\n)+)", PAGE, re.MULTILINE)
    folders: list[tuple[int, str]] = []
    names = []
    for row in rows.splitlines():
        indent = len(row) - len(row.lstrip())
        folders = [each for each in folders if each[0] < indent]
        for name in row[:WIDTH].split():
            if name.endswith("/"):
                folders.append((indent, name))
            else:
                names.append("".join(folder for _, folder in folders) + name)
    return names


def test_the_map_names_every_module_of_the_core_once_and_no_other() -> None:
    modules = (path.relative_to(PACKAGE).with_suffix("") for path in PACKAGE.rglob("*.py"))
    there = [each.as_posix() for each in modules if each.name != "__init__" and each.parts[0] != "testing"]
    assert sorted(on_the_map()) == sorted(there)


QUESTIONS = 49
FOUND_AT_ONCE = 40
"""Of the answers, how many at least stand where somebody who knows the field would look first."""


def answers() -> list[tuple[str, str, str]]:
    """The table of "Where is …": file, what is in it, and the file that one would open instead, "" for none."""
    section = PAGE[PAGE.index("## Where is …") : PAGE.index("### Beyond the core")]
    return rows(section)


def rows(section: str) -> list[tuple[str, str, str]]:
    """Of a table of answers."""
    return re.findall(r"^\| .+ \| `([\w/.]+)` \(`(\w+)`\) \| (.*) \|$", section, re.MULTILINE)


@pytest.mark.parametrize(("file", "name", "instead"), answers())
def test_what_somebody_asks_for_is_in_the_file_that_the_page_says(file: str, name: str, instead: str) -> None:
    defined = re.compile(rf"^ *(?:class|def|async def) {name}\b", re.MULTILINE)

    assert defined.search((PACKAGE / file).read_text("utf-8")), f"{file} defines no {name}"
    assert instead.strip("`") != file, "found at once: leave the last column empty"


def around() -> list[tuple[str, str, str]]:
    """The same of what stands around the core."""
    return rows(PAGE[PAGE.index("### Beyond the core") : PAGE.index("## Rules that hold everywhere")])


@pytest.mark.parametrize(("file", "name", "instead"), around())
def test_what_somebody_asks_for_beyond_the_core_is_in_the_file_that_the_page_says(
    file: str, name: str, instead: str
) -> None:
    defined = re.compile(rf"^ *(?:class|def|async def) {name}\b", re.MULTILINE)

    assert defined.search((PACKAGE.parents[2] / file).read_text("utf-8")), f"{file} defines no {name}"
    assert not file.endswith(instead.strip("`") or " "), "found at once: leave the last column empty"


def test_the_page_answers_for_what_stands_around_the_core_too() -> None:
    assert len(around()) == 14


def test_nearly_all_that_somebody_asks_for_is_where_its_name_says() -> None:
    found = [file for file, _, instead in answers() if not instead]

    assert len(answers()) == QUESTIONS
    assert len(found) >= FOUND_AT_ONCE
