"""What a docstring says of a function, and of each parameter in a section `Args:` of Google's style. Pure."""

from __future__ import annotations

import re

_SECTION = re.compile(r"(Args|Arguments|Parameters|Params):\s*$")
_ANY_SECTION = re.compile(r"[A-Z][A-Za-z ]*:\s*$")
_ENTRY = re.compile(r"\*{0,2}(\w+(?:, *\w+)*)(?: *\([^)]*\))?: *(.*)")


def summary_of(docstring: str) -> tuple[str, dict[str, str]]:
    """The first paragraph on one line, and what is said of each parameter.

    Args: docstring: without its indentation, as `inspect.getdoc` gives it.
    """
    lines = docstring.splitlines()
    return _first_paragraph(lines), _arguments(lines)


def _first_paragraph(lines: list[str]) -> str:
    said = []
    for line in lines:
        if not line.strip() or _ANY_SECTION.match(line):
            break
        said.append(line.strip())
    return " ".join(said)


def _arguments(lines: list[str]) -> dict[str, str]:
    """An entry begins at the least indentation of the section; what is deeper goes on."""
    found: dict[str, list[str]] = {}
    names: list[str] = []
    for depth, line in _section(lines):
        if depth == 0:
            entry = _ENTRY.match(line)
            names = [] if entry is None else [each.strip() for each in entry[1].split(",")]
            line = "" if entry is None else entry[2]
        for name in names:
            found.setdefault(name, []).append(line)
    return {name: text for name, said in found.items() if (text := " ".join(filter(None, said)))}


def _section(lines: list[str]) -> list[tuple[int, str]]:
    """The lines of the section, each with how much deeper it is than its first."""
    begin = next((n for n, line in enumerate(lines) if _SECTION.match(line)), None)
    inside: list[tuple[int, str]] = []
    for line in lines[begin + 1 :] if begin is not None else ():
        if not line.strip():
            continue
        depth = len(line) - len(line.lstrip())
        if depth == 0:
            break
        inside.append((depth, line.strip()))
    least = min((depth for depth, _ in inside), default=0)
    return [(depth - least, line) for depth, line in inside]
