"""What is told about each file in `broken`: `python tests/support/broken_messages.py` writes it beside each.

Read what changes before it is committed: is it the best that could be said to somebody at three in the morning?
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from pointsman import ConfigError, Router
from pointsman.config.problems import with_sources

BROKEN = Path(__file__).parents[1] / "core" / "config" / "broken"
_LISTED = r"(installed|configured|there are|known): (?:[\w/-]+, )+[\w/-]+( and \d+ more)?"


def files() -> Iterator[Path]:
    """All that are broken, in order."""
    return (each for each in sorted(BROKEN.iterdir()) if each.suffix != ".txt")


def golden(file: Path) -> Path:
    """Where what is told about `file` is written."""
    return file.with_name(f"{file.name}.txt")


def told(file: Path) -> str:
    """What is told about `file`, as from its folder, with no variable set; lists of what is installed left out."""
    before, environ = Path.cwd(), dict(os.environ)
    os.chdir(file.parent)
    os.environ.clear()
    try:
        Router.check(file.name)
        said = "nothing\n"
    except ConfigError as error:
        said = f"{with_sources(error)}\n"
    finally:
        os.environ.update(environ)
        os.chdir(before)
    # What else is installed is no concern of these.
    return re.sub(_LISTED, r"\1: …", said, flags=re.MULTILINE)


if __name__ == "__main__":
    for each in files():
        golden(each).write_text(told(each), "utf-8")
        print(f"wrote {golden(each).name}")
