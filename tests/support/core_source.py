"""The source of the core, for tests that read it: its size, its names, who imports whom."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pointsman

ROOT = Path(pointsman.__file__).parent
SOURCES = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in sorted(ROOT.rglob("*.py"))}
"""The text of each module by its file below `ROOT`: `router.py`, `routing/pool.py`."""
TREES = {file: ast.parse(source) for file, source in SOURCES.items()}

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef

_NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}


@cache
def code_lines(source: str) -> frozenset[int]:
    """The numbers of the lines that are neither blank, comment nor docstring.

    A docstring is every statement that is only a text, so that of an attribute too. Lines of another text
    that goes over several all count, as they do of any expression.
    """
    docstrings = {
        (node.lineno, node.col_offset)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and type(node.value.value) is str
    }
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _NO_CODE and token.start not in docstrings:
            lines.update(range(token.start[0], token.end[0] + 1))
    return frozenset(lines)


def definitions(tree: ast.AST, inside: str = "") -> Iterator[tuple[str, Definition]]:
    """Each class and function with its qualified name, those inside of others too."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, Definition):
            name = f"{inside}{node.name}"
            yield name, node
            yield from definitions(node, f"{name}.")
        else:
            yield from definitions(node, inside)


def sizes(source: str, *kinds: type[Definition]) -> dict[str, int]:
    """The code lines of each class and function, or of these kinds of them, by qualified name.

    Decorators do not count. Of several with one name (a property and its setter) it is the largest.
    """
    lines = code_lines(source)
    found: dict[str, int] = {}
    for name, node in definitions(ast.parse(source)):
        if not kinds or isinstance(node, kinds):
            size = sum(line in lines for line in range(node.lineno, (node.end_lineno or 0) + 1))
            found[name] = max(size, found.get(name, 0))
    return found


def top_level(tree: ast.Module) -> Iterator[ast.stmt]:
    """The statements that a module runs when it is imported, those in an `if` or `try` too."""
    waiting = list(reversed(tree.body))
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If | ast.Try):
            waiting += reversed(node.body + node.orelse)


def package_of(file: str) -> str:
    """The first part of where it stands: the folder, or the module itself. Empty for the core's `__init__`."""
    name = file.partition("/")[0].removesuffix(".py")
    return "" if name == "__init__" else name


def imports(tree: ast.Module) -> Iterator[str]:
    """The packages of the core that a module needs when it runs, imports inside functions included."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
            continue
        waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            first, _, rest = name.partition(".")
            package = rest.partition(".")[0]
            if first == "pointsman" and package in PACKAGES:
                yield package


PACKAGES = {package_of(file) for file in SOURCES} - {""}
"""What stands in `ROOT`: folders, and modules that lie flat."""
