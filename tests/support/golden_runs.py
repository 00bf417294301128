"""Runs the command line in this process, at a real terminal or in pipes, and writes down what was seen."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shlex
import struct
import sys
import termios
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version

from click.testing import CliRunner

COLUMNS = 80
STYLE = re.compile(r"\x1b\[[0-9;]*m")
COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:[34]\d|9\d|10\d)[;m]")


def at_terminal(line: str) -> tuple[int, str]:
    """The exit code of `pointsman LINE`, and all that was written to a terminal of 80 columns."""
    from pointsman_cli.app import run

    with _terminal() as written:
        code = run(shlex.split(line))
        for each in (sys.stdout, sys.stderr):
            each.flush()
    return code, b"".join(written).decode().replace("\r\n", "\n")


@contextmanager
def _terminal() -> Iterator[list[bytes]]:
    """Within it the three standard streams are a terminal; what was written to it is there at the end."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    written: list[bytes] = []
    reader = threading.Thread(target=_read, args=(ours, written))
    before, streams = [os.dup(each) for each in range(3)], (sys.stdin, sys.stdout, sys.stderr)
    real = (sys.__stdin__, sys.__stdout__, sys.__stderr__)
    for each in range(3):
        os.dup2(theirs, each)
    os.close(theirs)
    reader.start()
    try:
        sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)  # type: ignore[misc]  # noqa: SIM115
        sys.stdout = sys.__stdout__ = open(1, "w", encoding="utf-8", closefd=False)  # type: ignore[misc]  # noqa: SIM115
        sys.stderr = sys.__stderr__ = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # type: ignore[misc]  # noqa: SIM115
        yield written
    finally:
        for stream in (sys.stdin, sys.stdout, sys.stderr):
            stream.close()
        sys.stdin, sys.stdout, sys.stderr = streams
        sys.__stdin__, sys.__stdout__, sys.__stderr__ = real  # type: ignore[misc]
        for n, each in enumerate(before):
            os.dup2(each, n)
            os.close(each)
        reader.join()
        os.close(ours)


def _read(terminal: int, written: list[bytes]) -> None:
    while True:
        try:
            data = os.read(terminal, 65536)
        except OSError:  # how Linux says that the other side is closed
            return
        if not data:
            return
        written.append(data)


def piped(line: str) -> tuple[int, str, str]:
    """The exit code of `pointsman LINE`, its standard output and its standard error."""
    from pointsman_cli.app import run

    with CliRunner().isolation() as (out, err, _both):
        code = run(shlex.split(line))
        return code, out.getvalue().decode(), err.getvalue().decode()


def screen(written: str) -> str:
    """What is left on a terminal of `written`, whose cursor goes up and to the left in order to write over."""
    rows, at, over = [""], 0, False
    for token in re.split(r"(\n|\r|\x1b\[\d*[AK]|\x1b\[\?25[hl])", written):
        if token == "\n":
            at, over = at + 1, True
            rows += [""] * (at + 1 - len(rows))
        elif token == "\r":
            over = True
        elif token.endswith("A") and token.startswith("\x1b"):
            at -= int(token[2:-1] or 1)
        elif token.endswith("K") and token.startswith("\x1b"):
            rows[at] = ""
        elif token and not token.startswith("\x1b[?"):
            rows[at], over = (token if over else rows[at] + token), False
    return "\n".join(rows)


class Markers:
    """Puts a marker in place of what differs from run to run."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = dict(sorted(names.items(), key=lambda each: -len(each[0])))
        versions = {version("pointsman"), version("pointsman-cli")}
        self._versions = re.compile("|".join(rf"(?<![\d.]){re.escape(each)}(?![\d.])" for each in versions))

    def marked(self, text: str, *, loose: bool) -> str:
        for name, marker in self._names.items():
            text = text.replace(name, marker)
        text = self._versions.sub("<version>", text)
        for pattern, marker in _PATTERNS:
            text = pattern.sub(marker, text)
        return re.sub(r"(?<=\S) {2,}", "  ", re.sub(r"\n {6,}", "  ", text)) if loose else text


_PATTERNS = [
    (re.compile(pattern), marker)
    for pattern, marker in (
        (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?", "<date>"),
        (r"\b\d\d:\d\d:\d\d(\.\d+)?\b", "<time>"),
        (r"\b\d+(\.\d+)? ?(ms|µs)\b", "<ms>"),
        (r"\b\d+(\.\d+)? s\b", "<s>"),
        (r"\bprocess \d+\b", "process <pid>"),
        (r'"(pid)": \d+', r'"\1": <pid>'),
        (r'"(\w*(seconds|latency|_at|at|ms|time))": [\d.e-]+', r'"\1": <number>'),
        (r"\breq_[0-9a-f]{24}\b", "<id>"),
        (r'"(id|request_id)": "[0-9a-f-]{16,}"', r'"\1": "<id>"'),
    )
]
