"""The pages of the project, taken apart: every fenced block, and the programs that the blocks of Python are.

A block of Python is a whole program, or a fragment: one that awaits outside a function, or that speaks of a `router` which it
does not make. A fragment stands in the `async with` of a program that made the router (`setting`), which is how it is run and
how its types are checked.
"""

from __future__ import annotations

import ast
import builtins
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GENERATED = frozenset({"docs/plugins/reference.md", "docs/reference.md"})
"""Their blocks are signatures, compared with the code by tests of their own."""

_NOT_OURS = {"node_modules", ".venv"}
_FENCE = re.compile(
    r"^(?P<indent> *)(?P<fence>`{3,}|~{3,})(?P<language>\w*)[^\n]*\n(?P<text>.*?)^(?P=indent)(?P=fence) *$",
    re.DOTALL | re.MULTILINE,
)
_HEADING = re.compile(r"^#{1,6} +(.+)$", re.MULTILINE)
_FILE = re.compile(r"^\*\*`([^`]+)`\*\*[^\n]*(?:\n[^\n`]+)*\n\s*\Z", re.MULTILINE)
_CONFIGURATION = re.compile(r"^providers:", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        page: its path from the root of the project, with `/`.
        line: where its first line stands, from 1.
        language: the word behind the fence; empty where there is none.
        text: what is in it, without the indentation of the fence.
        heading: the one that it stands below; empty above the first.
        file: the file that it stands for: named in bold above it, or `pointsman.yaml` for a whole configuration; else empty.
        below: it stands right below the block before, as what that prints does.
    """

    page: str
    line: int
    language: str
    text: str
    heading: str
    file: str
    below: bool

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Example:
    """A block of Python as a program.

    Attributes:
        line: where the first line of `source` stands on the page; of a fragment, where it would stand.
        source: the whole program, with all that a fragment leaves out.
        block: where it is from.
    """

    page: str
    line: int
    source: str
    block: Block

    @property
    def fragment(self) -> bool:
        return self.source != self.block.text


@cache
def pages() -> dict[str, str]:
    """The texts of all pages by their paths from the root: README, docs, and the README of every package."""
    found = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("*/*/README.md")))
    return {
        path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
        for path in dict.fromkeys(found)
        if not _NOT_OURS & set(path.parts)
    }


@cache
def blocks(language: str | None = None) -> tuple[Block, ...]:
    """The fenced blocks of all pages, in their order; of one language where that is said."""
    found = (block for page, text in pages().items() for block in blocks_of(page, text))
    return tuple(block for block in found if language in (None, block.language))


def blocks_of(page: str, text: str) -> Iterator[Block]:
    """The fenced blocks of one text."""
    fences = list(_FENCE.finditer(text))
    inside = [(each.start(), each.end()) for each in fences]
    headings = [
        (each.start(), each[1])
        for each in _HEADING.finditer(text)
        if not any(start < each.start() < end for start, end in inside)
    ]
    end = 0
    for fence in fences:
        before, between, end = text[: fence.start()], text[end : fence.start()], fence.end()
        named = _FILE.search(before)
        lines = re.sub(rf"^{fence['indent']}", "", fence["text"], flags=re.MULTILINE)
        whole = fence["language"] == "yaml" and _CONFIGURATION.search(lines)
        yield Block(
            page,
            before.count("\n") + 2,
            fence["language"],
            lines,
            next((name for at, name in reversed(headings) if at < fence.start()), ""),
            named[1] if named else ("pointsman.yaml" if whole else ""),
            below=not between.strip(),
        )


@cache
def python_examples() -> tuple[Example, ...]:
    """Every block of Python of every page that is no list of signatures, as a program."""
    return tuple(example(block) for block in blocks("python") if not is_signature(block))


def is_signature(block: Block) -> bool:
    """Whether a block shows what an interface looks like, which a test of its own compares with the code."""
    return block.page in GENERATED or block.heading == "The protocol"


def example(block: Block) -> Example:
    """The program that a block is, or is a part of."""
    if not _is_fragment(block.text):
        return Example(block.page, block.line, block.text, block)
    source = setting(block.text)
    return Example(block.page, block.line - _SETTING.partition("{fragment}")[0].count("\n"), source, block)


_SETTING = """import asyncio

import pointsman


async def example(router: pointsman.Router) -> None:
{fragment}

async def main() -> None:
    async with pointsman.Router.from_config("pointsman.yaml") as router:
        await example(router)


asyncio.run(main())
"""


def setting(fragment: str) -> str:
    """The program around a fragment: a router of the page's configuration, and an end."""
    return _SETTING.replace("{fragment}", textwrap.indent(fragment, "    "))


def _is_fragment(text: str) -> bool:
    try:
        compile(text, "page", "exec")
    except SyntaxError:  # it awaits outside a function
        return True
    return "router" in _unknown(text)


def _unknown(text: str) -> set[str]:
    """The names that a program reads and makes nowhere."""
    nodes = list(ast.walk(ast.parse(text)))
    read = {each.id for each in nodes if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load)}
    made = {each.id for each in nodes if isinstance(each, ast.Name) and not isinstance(each.ctx, ast.Load)}
    made |= {each.arg for each in nodes if isinstance(each, ast.arg)}
    made |= {
        each.name for each in nodes if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    made |= {each.asname or each.name for each in nodes if isinstance(each, ast.alias)}
    return read - made - set(dir(builtins))
