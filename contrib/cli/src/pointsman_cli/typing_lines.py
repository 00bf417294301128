"""What a person types at a terminal: with line editing, several lines in one, and a history of other days."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from pointsman_cli.output import say

MOST_KEPT = 1_000
"""Lines of the history."""
QUOTES = '"""'


def history_file(environ: Mapping[str, str]) -> Path:
    """Where what was typed is kept: in the folder for the state of programs, of this user alone."""
    state = environ.get("XDG_STATE_HOME", "")
    folder = Path(state) if os.path.isabs(state) else Path.home() / ".local" / "state"
    return folder / "pointsman" / "chat_history"


@contextmanager
def remembered(file: Path | None) -> Iterator[None]:
    """Within it the arrow keys go back to what is in `file`, to which what is typed is added; None: no file.

    Only its user can read the file. Where it cannot be read or written, that is said, and all else works.
    """
    try:
        import readline
    except ImportError:  # input() goes without line editing
        yield
        return
    readline.clear_history()
    if file is None:
        yield
        return
    before = _read(file)
    try:
        yield
    finally:
        added = readline.get_current_history_length() - before
        if added > 0:
            try:
                _add(file, added)
            except OSError as error:
                say(f"what was typed is not kept in {file}: {error.strerror or error}")


def _read(file: Path) -> int:
    """How many lines there are from before."""
    import readline

    try:
        with suppress(FileNotFoundError):
            readline.read_history_file(file)
    except OSError as error:
        say(f"what was typed before cannot be read from {file}: {error.strerror or error}")
    return readline.get_current_history_length()


def _add(file: Path, lines: int) -> None:
    import readline

    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(file, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    os.chmod(file, 0o600)
    readline.set_history_length(MOST_KEPT)
    if hasattr(readline, "append_history_file"):
        readline.append_history_file(lines, file)  # so that another conversation of now keeps its lines, too
    else:
        readline.write_history_file(file)


def entry(read: Callable[[str], str], *, prompt: str, more: str) -> str:
    """What is typed next, without blanks around it.

    A line that ends with a backslash goes on in the next, and one that begins with three quotes up to three
    quotes at an end.

    Args:
        read: `input`, or what stands for it.
        prompt, more: what stands in front of the first line and of the others.

    Raises: what `read` raises; EOFError in the midst of several lines ends these.
    """
    line = read(prompt)
    if line.lstrip().startswith(QUOTES):
        return _quoted(line.lstrip()[len(QUOTES) :], read, more).strip()
    lines = []
    while line.endswith("\\"):
        lines.append(line[:-1])
        try:
            line = read(more)
        except EOFError:
            line = ""
    return "\n".join([*lines, line]).strip()


def _quoted(line: str, read: Callable[[str], str], more: str) -> str:
    lines = []
    while not line.rstrip().endswith(QUOTES):
        lines.append(line)
        try:
            line = read(more)
        except EOFError:
            return "\n".join(lines)
    return "\n".join([*lines, line.rstrip()[: -len(QUOTES)]])


def prompts() -> tuple[str, str]:
    """What stands in front of a first line and of a further one; nothing where nobody sees it."""
    return ("> ", ". ") if sys.stdout.isatty() else ("", "")
