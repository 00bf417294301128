"""The pages for authors of plugins, docs/plugins/*.md, and the packages that they show file by file."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "plugins"
PAGES = {path.name: path.read_text("utf-8") for path in sorted(FOLDER.glob("*.md"))}
TEXT = "\n".join(PAGES.values())
"""All pages in one, for what has to stand on any of them."""

PYTHON = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
FILE = re.compile(
    r"^\*\*`(?P<path>[^`]+)`\*\*[^\n]*(?:\n[^\n`]+)*\n\n```\w+\n(?P<text>.*?)^```", re.DOTALL | re.MULTILINE
)


def blocks(page: str) -> list[str]:
    """The blocks of Python of one page."""
    return PYTHON.findall(PAGES[page])


def block(page: str, having: str) -> str:
    """The one block of Python of a page that has this."""
    (found,) = [each for each in blocks(page) if having in each]
    return found


def files(page: str) -> dict[str, str]:
    """The files of the package that a page shows, by their paths in it."""
    return {each["path"]: each["text"] for each in FILE.finditer(PAGES[page])}


def page_of(package: str) -> str:
    """The page that shows this distribution."""
    (found,) = [page for page in PAGES if name_of(files(page)) == package]
    return found


def name_of(files: dict[str, str]) -> str | None:
    """The distribution's name as its pyproject.toml says it, None where there is none."""
    if "pyproject.toml" not in files:
        return None
    return str(tomllib.loads(files["pyproject.toml"])["project"]["name"])
