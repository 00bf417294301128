"""The pages of the kinds have one form, and say of the interfaces what these say themselves."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from plugin_pages import FOLDER, PAGES, files
from public_names import Member, Public, Taken, public_names

from pointsman.plugins.kinds import KINDS
from pointsman_openai import Quirks

FORM = (
    "When do I need one?",
    "A complete example",
    "The protocol",
    "Settings and defaults",
    "The contract test",
    "What goes wrong, and what you will see",
)
OF_KINDS = sorted({f"{kind}.md" for kind in KINDS} | {"openai-compatible.md"})
NAMES = {each.name: each for each in public_names("pointsman.plugin")}
OF_OTHERS = {"Quirks": Quirks}
"""Values in the tables that come with a plugin of ours."""


@pytest.mark.parametrize("page", OF_KINDS)
def test_a_page_of_a_kind_answers_the_same_questions_in_the_same_order(page: str) -> None:
    text = re.sub(r"^```.*?^```", "", PAGES[page], flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)

    assert [each for each in headings if each in FORM] == list(FORM)
    assert text.startswith("# ")


def test_the_index_leads_to_every_page() -> None:
    linked = set(re.findall(r"\]\(([\w-]+\.md)", PAGES["index.md"]))

    assert linked == set(PAGES) - {"index.md"}


# ── protocols ────────────────────────────────────────────────────────────────────────────────────────


def shown(page: str) -> list[ast.ClassDef]:
    """The classes in the blocks below "The protocol" that are public ones."""
    section = PAGES[page].partition("\n## The protocol\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```python\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    classes = [node for block in blocks for node in ast.parse(block).body if isinstance(node, ast.ClassDef)]
    return [each for each in classes if each.name in NAMES]


CLASSES = [(page, each) for page in OF_KINDS for each in shown(page)]


def written(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    """What a page says of each member of a class, in one line each."""
    for each in node.body:
        if isinstance(each, ast.AnnAssign):
            yield ast.unparse(each.target), _plain(ast.unparse(each.annotation))
        elif isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
            is_property = any(ast.unparse(mark) == "property" for mark in each.decorator_list)
            returns = _plain(ast.unparse(each.returns)) if each.returns else ""
            takes = _plain(ast.unparse(each.args)).removeprefix("self").removeprefix(", ")
            way = "async " if isinstance(each, ast.AsyncFunctionDef) else ""
            yield each.name, returns if is_property else f"{way}({takes}) -> {returns}"


def true(public: Public) -> dict[str, str]:
    """The same of the class itself, with what it has of others."""
    found = {name: what for base in reversed(public.bases) for name, what in true(NAMES[base]).items()}
    found |= {field.name: _plain(field.type) for field in public.fields}
    found |= {member.name: _of(member) for member in public.members}
    if public.takes is not None and not public.fields:
        found["__init__"] = f"({_parameters(public.takes)}) -> None"
    return found


def _of(member: Member) -> str:
    if member.takes is None:
        return _plain(member.type)
    return f"{'async ' if member.awaited else ''}({_parameters(member.takes)}) -> {_plain(member.type)}"


def _parameters(takes: tuple[Taken, ...]) -> str:
    parts, by_name = [], False
    for n, each in enumerate(takes):
        if each.how == "name" and not by_name:
            parts.append("*")
            by_name = True
        default = "" if each.default is None else f"={each.default}"
        parts.append(f"{each.name}: {each.type}{default}")
        if each.how == "position" and (n + 1 == len(takes) or takes[n + 1].how != "position"):
            parts.append("/")
    return _plain(", ".join(parts))


def _plain(text: str) -> str:
    return re.sub(r"ClassVar\[(.*)\]", r"\1", text).replace(" = ", "=").replace('"', "'")


@pytest.mark.parametrize(("page", "node"), CLASSES, ids=[f"{page}-{node.name}" for page, node in CLASSES])
def test_a_protocol_on_a_page_is_that_of_the_interface(page: str, node: ast.ClassDef) -> None:
    public = NAMES[node.name]
    real = {name: what.replace(" = ", "=") for name, what in true(public).items()}

    said = dict(written(node))

    assert said == {name: real.get(name) for name in said}
    assert {member.name for member in public.members if member.must} <= set(said)


@pytest.mark.parametrize("page", sorted({*OF_KINDS} - {"openai-compatible.md", "transport.md"}))
def test_a_page_of_a_kind_shows_its_protocol(page: str) -> None:
    assert shown(page)


# ── tables ───────────────────────────────────────────────────────────────────────────────────────────


def tables() -> Iterator[tuple[str, str, dict[str, str]]]:
    """Of each table whose first heading is a public value: page, value, default by field."""
    for page, text in PAGES.items():
        for name, rows in re.findall(
            r"^\| `(\w+)` \| default \|.*\n\|[ -|]+\n((?:\|.*\n)+)", text, re.MULTILINE
        ):
            yield page, name, dict(_defaults(rows))


def _defaults(rows: str) -> Iterator[tuple[str, str]]:
    for row in rows.splitlines():
        fields, default = re.split(r" *(?<!\\)\| *", row)[1:3]
        for field in re.findall(r"`(\w+)`", fields):
            yield field, default.removeprefix("`").removesuffix("`")


TABLES = list(tables())


@pytest.mark.parametrize(("page", "name", "said"), TABLES, ids=[f"{page}-{name}" for page, name, _ in TABLES])
def test_a_table_of_defaults_has_every_field_with_its_default(
    page: str, name: str, said: dict[str, str]
) -> None:
    if name in OF_OTHERS:
        kind = OF_OTHERS[name]
        real = dict(zip(kind.__struct_fields__, map(repr, kind.__struct_defaults__), strict=True))
    else:
        real = {each.name: each.default or "required" for each in NAMES[name].fields}

    assert {field: default.replace("`", "") for field, default in said.items()} == {
        field: default.replace("`", "") for field, default in real.items()
    }


def test_each_factory_has_its_table() -> None:
    factories = {kind.factory.__name__ for kind in KINDS.values() if kind.factory is not None}

    assert factories <= {name for _, name, _ in TABLES}


def test_the_index_lists_every_context_with_what_it_has_besides() -> None:
    common = {field.name for field in NAMES["Context"].fields}
    rows = re.findall(r"^\| [^|]+ \| `(\w+Context)` \|(.*) \|$", PAGES["index.md"], re.MULTILINE)
    contexts = {name for name in NAMES if name.endswith("Context")} - {"Context"}

    assert {name for name, _ in rows} == contexts
    for name, said in rows:
        own = {field.name for field in NAMES[name].fields} - common
        assert own <= set(re.findall(r"`(\w+)", said)), name


# ── examples ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("page", OF_KINDS)
def test_the_example_of_a_page_is_a_whole_package_with_tests_where_something_can_be_tested(page: str) -> None:
    package = files(page)
    project = tomllib.loads(package["pyproject.toml"])["project"]
    kind = KINDS["provider" if page == "openai-compatible.md" else page.removesuffix(".md")]

    assert kind.group in project["entry-points"]
    assert any(path.startswith("src/") for path in package)
    assert any(path.startswith("tests/") for path in package) or page == "section.md"
    assert (FOLDER / page).exists()


def test_the_examples_pass_a_strict_type_checker(tmp_path: Path) -> None:
    packages = {page: files(page) for page in OF_KINDS}
    for page, package in packages.items():
        for path, text in package.items():
            file = tmp_path / page.removesuffix(".md") / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    sources = sorted(tmp_path.glob("*/src"))

    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-incremental", *map(str, tmp_path.glob("*/src/*"))],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": os.pathsep.join(map(str, sources))},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout
    assert len(sources) == len(packages)


def test_a_server_that_speaks_openais_api_is_at_most_20_lines_and_40_with_its_tests() -> None:
    package = files("openai-compatible.md")
    counted = {
        path: len([line for line in text.splitlines() if line.strip()])
        for path, text in package.items()
        if path.endswith(".py")
    }

    assert counted["src/pointsman_acme/__init__.py"] <= 20
    assert sum(counted.values()) <= 40
