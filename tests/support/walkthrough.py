"""Follows a page: types its commands, writes its files, and compares what is shown with what is said.

A block of `console` holds commands, each after a `$`, with what they show. Any other block is a file when the
paragraph above it begins with the name, in bold: `**name**` writes it whole, `In **name**` puts the top-level
definitions of the block in the place of those that have their names.
"""

from __future__ import annotations

import ast
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Iterator, Mapping
from pathlib import Path

from msgspec import Struct

COLUMNS = 80
_BLOCK = re.compile(
    r"(?P<above>[^\n]*(?:\n[^\n]+)*)\n\n```(?P<language>\w+)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)
_FILE = re.compile(r"^(?P<part>In )?\*\*`(?P<path>[^`]+)`\*\*")
_VARIES = (
    (re.compile(r"\b\d+(\.\d+)? ?(s|ms)\b"), "0 s"),
    (re.compile(r"\b\d+\.\d\d\b"), "0.00"),
    (re.compile(r"^[.FEsx]+ +\[ *\d+%\]$", re.MULTILINE), "[100%]"),
    (re.compile(r"\b\d+(?= (passed|failed|rules?|skipped)\b)|(?<=all )\d+|\b\d+ of (?=\d+ rules)"), "N"),
)
"""What may differ from one time to the next: how long it took, how many tests there are."""


class Step(Struct, frozen=True):
    """A command with what the page says it shows, or a file with its text; `part`: only some definitions of it."""

    command: str = ""
    shown: str = ""
    path: str = ""
    text: str = ""
    part: bool = False


def steps(page: str) -> Iterator[Step]:
    """What a page has its reader do, in order."""
    for block in _BLOCK.finditer(page):
        if block["language"] == "console":
            for typed in re.split(r"^\$ ", block["text"], flags=re.MULTILINE)[1:]:
                command, _, shown = typed.partition("\n")
                yield Step(command=command, shown=shown.strip("\n"))
        elif (file := _FILE.match(block["above"].strip())) is not None:
            yield Step(path=file["path"], text=block["text"], part=bool(file["part"]))


class Reader:
    """Somebody at a terminal who follows a page, beginning in `folder`."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self.folder = folder
        self.environ = {**environ, "COLUMNS": str(COLUMNS), "TERM": "dumb", "NO_COLOR": "1"}

    def follow(self, step: Step) -> None:
        """Do what a step says. Raises: AssertionError when the page shows something else than is seen."""
        if step.path:
            self._write(step)
        elif step.command.startswith("cd "):
            self.folder = (self.folder / step.command[3:]).resolve()
        elif step.command.endswith("/bin/activate"):
            self._activate(self.folder / step.command.removeprefix(". ").removesuffix("/bin/activate"))
        else:
            code, seen = self.type(step.command)
            assert step.shown or code == 0, f"$ {step.command}\n{seen}"
            assert agrees(step.shown, seen), (
                f"$ {step.command}\nthe page shows:\n{step.shown}\nseen is:\n{seen}"
            )

    def type(self, command: str) -> tuple[int, str]:
        """The exit code of a command, and what stands on the terminal."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
        with subprocess.Popen(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
        ) as process:
            os.close(theirs)
            seen = b"".join(_read(ours))
        os.close(ours)
        return process.returncode, plain(seen.decode())

    def _activate(self, environment: Path) -> None:
        path = f"{environment / 'bin'}{os.pathsep}{self.environ['PATH']}"
        self.environ |= {"VIRTUAL_ENV": str(environment), "PATH": path}

    def _write(self, step: Step) -> None:
        file = self.folder / step.path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(replaced(file.read_text("utf-8"), step.text) if step.part else step.text, "utf-8")


def _read(terminal: int) -> Iterator[bytes]:
    try:
        while data := os.read(terminal, 65536):
            yield data
    except OSError:
        return  # so Linux says that nobody writes any more


def plain(seen: str) -> str:
    """What stood on a terminal, without the ways of writing it."""
    seen = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.replace("\r\n", "\n"))
    return "\n".join(line.rpartition("\r")[2].rstrip() for line in seen.split("\n")).strip("\n")


def agrees(shown: str, seen: str) -> bool:
    """Whether a page shows what was seen, but for `…`, which stands for anything, and what varies."""
    for varies, always in _VARIES:
        shown, seen = varies.sub(always, shown), varies.sub(always, seen)
    lines = "\n".join(line.rstrip() for line in shown.splitlines())
    return re.fullmatch(".*?".join(map(re.escape, lines.split("…"))), seen, re.DOTALL) is not None


def replaced(text: str, definitions: str) -> str:
    """A module with some of its top-level definitions replaced by those of the same names."""
    lines = text.splitlines(keepends=True)
    new = {each.name: ast.get_source_segment(definitions, each) for each in _definitions(definitions)}
    for each in sorted(_definitions(text), key=lambda node: -node.lineno):
        if each.name in new:
            lines[each.lineno - 1 : each.end_lineno] = [f"{new.pop(each.name)}\n"]
    assert not new, f"nothing of the name of {', '.join(new)} is there to be replaced"
    return "".join(lines)


def _definitions(text: str) -> list[ast.ClassDef | ast.FunctionDef]:
    return [each for each in ast.parse(text).body if isinstance(each, ast.ClassDef | ast.FunctionDef)]
