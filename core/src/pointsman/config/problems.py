"""What is wrong with a configuration: one thing, where it stands, and what would help."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from msgspec import Struct

from pointsman.errors import ConfigError

KeyPath = tuple[str | int, ...]
"""The way to a value: keys of mappings and indices of lists, such as `("models", "a", "deployments", 0)`."""

_BARE = r"[A-Za-z_][A-Za-z0-9_-]*"


class Problem(Struct, frozen=True):
    """One thing that is wrong.

    Attributes:
        message: what is wrong; never a value that may be secret.
        path: as in `models.assistant.deployments[0].weight`, "" for the file as a whole.
        hint: what would help.
        file: as it was given, None for a configuration made in Python.
        line, column: 1 or more, None where unknown.
    """

    message: str
    path: str = ""
    hint: str | None = None
    file: str | None = None
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        where = ":".join(str(each) for each in (self.file, self.line, self.column) if each is not None)
        text = f"{self.message}; {self.hint}" if self.hint else self.message
        return ": ".join(each for each in (where, self.path, text) if each)


_WORD = 80
_TEXT = 600
"""Characters of a word, and of a text, that are shown in a message."""


def readable(text: str) -> str:
    """`text` as a message can hold it: what cannot be printed is escaped, what nobody would read left out."""
    if len(text) <= _WORD and text.isprintable():
        return text
    shown = "".join(each if each.isprintable() else repr(each)[1:-1] for each in text[: 2 * _TEXT])
    shown = re.sub(rf"\S{{{_WORD + 1},}}", lambda found: f"{found[0][:_WORD]}…", shown)
    return shown if len(shown) <= _TEXT else f"{shown[:_TEXT]}…"


def show_path(path: Iterable[str | int]) -> str:
    """`models.assistant.deployments[0]`; a key that is not a plain word is quoted: `models["gpt-4.1"]`."""
    shown = ""
    for step in path:
        if isinstance(step, int):
            shown += f"[{step}]"
        elif len(step) <= _WORD and re.fullmatch(_BARE, step):
            shown += f".{step}" if shown else step
        else:
            quoted = readable(step).replace("\\", "\\\\").replace('"', '\\"')
            shown += f'["{quoted}"]'
    return shown


MOST_SHOWN = 50
"""Problems that a message holds; what is below helps nobody who has so many."""


def config_error(problems: Sequence[Problem], *, file: str | None = None) -> ConfigError:
    """The error that carries `problems`, those further up in the file first, with one line for each."""
    ordered = sorted(problems, key=lambda each: (each.line or 0, each.column or 0))
    count = f"{len(ordered)} problem{'' if len(ordered) == 1 else 's'}"
    lines = "\n".join(f"  {each}" for each in ordered[:MOST_SHOWN])
    if len(ordered) > MOST_SHOWN:
        lines += f"\n  … and {len(ordered) - MOST_SHOWN} more"
    return ConfigError(f"{count} in {file or 'the configuration'}:\n{lines}", ordered)
