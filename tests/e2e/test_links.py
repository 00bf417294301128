"""Every link of a page leads somewhere: to a file that is there, and to a heading that it has."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path
    for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*/*/README.md"))
    if not {"node_modules", ".venv"} & set(path.parts)
)
LINK = re.compile(r"\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]*))?\)")


def prose(text: str) -> str:
    """A page without its code, in which nothing is a link or a heading."""
    text = re.sub(r"^ *(```+|~~~+).*?^ *\1 *$", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", lambda found: re.sub(r"\]\(", "] (", found[0]), text)


@cache
def anchors(page: Path) -> frozenset[str]:
    """What links into a page may end with, as GitHub makes it of the headings."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", prose(page.read_text("utf-8")), re.MULTILINE):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        plain = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        found.add(f"{plain}-{seen[plain]}" if seen[plain] else plain)
        seen[plain] += 1
    return frozenset(found) | frozenset(re.findall(r'<a (?:id|name)="([^"]+)"', page.read_text("utf-8")))


def astray(page: Path, text: str) -> list[str]:
    """The links of a page that lead nowhere."""
    wrong = []
    for target, anchor in LINK.findall(prose(text)):
        there = (page.parent / target) if target else page
        if not there.exists() or (anchor and there.suffix == ".md" and anchor not in anchors(there)):
            wrong.append(f"{target}{'#' if anchor else ''}{anchor}")
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    assert astray(page, page.read_text("utf-8")) == []


def test_the_pages_are_found() -> None:
    assert {"README.md", "resilience.md", "index.md", "reference.md"} <= {page.name for page in PAGES}


def test_a_link_that_leads_nowhere_is_found() -> None:
    page = ROOT / "docs" / "plugins" / "index.md"
    text = """
[there](provider.md), [there, too](provider.md#the-contract-test), [elsewhere](https://example.test/x#y)
[no file](provders.md) [no heading](provider.md#no-such-heading) `[code](nowhere.md)`

```
[code](nowhere.md)
```
"""

    assert astray(page, text) == ["provders.md", "provider.md#no-such-heading"]


def test_headings_that_are_the_same_are_numbered() -> None:
    reference = anchors(ROOT / "docs" / "plugins" / "reference.md")

    assert {"complaint", "complaint-1", "http-clients-answers-streams"} <= reference
