"""What pages say that people will see is what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SOURCES = [*ROOT.glob("core/src/**/*.py"), *ROOT.glob("contrib/cli/src/**/*.py")]
PAGES = ["operations.md", "configuration.md"]


def seen(page: str) -> list[str]:
    """The first cells of the table under `| you see | because |`."""
    text = (ROOT / "docs" / page).read_text("utf-8")
    table = text[text.index("| you see | because |") :].split("\n\n")[0]
    return re.findall(r"^\| `(.+?)` \|", table, re.MULTILINE)


def code() -> str:
    """All texts of the code in one line each: parts that are joined stand together, values are `…`."""
    text = "\n".join(file.read_text("utf-8") for file in SOURCES)
    return re.sub(r"\{[^{}]*\}", "…", re.sub(r'"\s*\n\s*f?"', "", text))


@pytest.mark.parametrize(("page", "words"), [(page, words) for page in PAGES for words in seen(page)])
def test_a_message_that_a_page_shows_is_in_the_code(page: str, words: str) -> None:
    parts = re.split(r"…|\d+|'x'|&x|a → b → a|provider (?=')|MiB", words)

    said = code()
    assert [part.strip() for part in parts if len(part.strip()) > 3 and part.strip() not in said] == []


@pytest.mark.parametrize("page", PAGES)
def test_the_tables_are_read(page: str) -> None:
    assert len(seen(page)) >= 6
