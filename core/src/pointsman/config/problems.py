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
        code: such as `PM1101`, which `pointsman config explain` explains and which never changes; None for
            what somebody else made without one.
        source: the line of the file, fit to be shown: values that may be secret are masked, what a terminal
            would not show is written out, and of a long line it is the part around the place; None without.
        caret: how many columns of a terminal stand in `source` before the place, 0 or more.
    """

    message: str
    path: str = ""
    hint: str | None = None
    file: str | None = None
    line: int | None = None
    column: int | None = None
    code: str | None = None
    source: str | None = None
    caret: int = 0

    def __str__(self) -> str:
        where = ":".join(str(each) for each in (self.file, self.line, self.column) if each is not None)
        text = f"{self.message}; {self.hint}" if self.hint else self.message
        return ": ".join(each for each in (where, self.path, text) if each)

    @property
    def coded(self) -> str:
        """The same with its code at the end."""
        return f"{self} [{self.code}]" if self.code else str(self)


class WrongValue(ValueError):
    """A value that cannot be; `code` says in which way."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


_WORD = 80
_TEXT = 600
"""Characters of a word, and of a text, that are shown in a message."""


_CREDENTIAL = (
    r"(?<![\w-])(?:sk|pk|rk|gsk|xai|sess|hf|gh[opsur]|glpat|xox[abps])[-_](?=[\w-]*\d)[\w-]{12,}"
    r"|AKIA[0-9A-Z]{16}|AIza[\w-]{30}|eyJ[\w-]{10,}\.[\w.-]+"
)
"""What a key of some provider begins with: it may stand where a name was expected."""


_GLUED = (
    r"(?i)((?:\b|_)(?:key|token|secret|passw(?:or)?d|pwd|auth|authorization|value)['\"]?[:=])(?!-)[^\s*]\S*"
)
"""What a key and its value become as one word, where the blank behind the colon was forgotten."""


def readable(text: str) -> str:
    """`text` as a message can hold it: what cannot be printed is escaped, what nobody would read left out.

    A credential that stands where a name was expected is masked.
    """
    text = re.sub(_GLUED, r"\1***", re.sub(_CREDENTIAL, "***", text))
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
        elif len(step) <= _WORD and re.fullmatch(_BARE, step) and not re.search(_CREDENTIAL, step):
            shown += f".{step}" if shown else step
        else:
            quoted = readable(step.replace("\\", "\\\\").replace('"', '\\"'))
            shown += f'["{quoted}"]'
    return shown


MOST_SHOWN = 50
"""Problems that a message holds; what is below helps nobody who has so many."""


def config_error(problems: Sequence[Problem], *, file: str | None = None) -> ConfigError:
    """The error that carries `problems`, those further up in a file first, with one line for each."""
    files = [*dict.fromkeys([file, *(each.file for each in problems)])]
    ordered = sorted(problems, key=lambda each: (files.index(each.file), each.line or 0, each.column or 0))
    count = f"{len(ordered)} problem{'' if len(ordered) == 1 else 's'}"
    lines = "\n".join(f"  {each.coded}" for each in ordered[:MOST_SHOWN])
    if len(ordered) > MOST_SHOWN:
        lines += f"\n  … and {len(ordered) - MOST_SHOWN} more"
    return ConfigError(f"{count} in {file or 'the configuration'}:\n{lines}", ordered)


def with_sources(error: Exception) -> str:
    """What a ConfigError says, with the line of the file below each problem and a `^` at the place."""
    shown = getattr(error, "problems", ())[:MOST_SHOWN]
    head, *lines = str(error).splitlines()
    if len(lines) < len(shown):  # it says something else
        return str(error)
    said = [head]
    for line, each in zip(lines, shown, strict=False):
        said.append(line)
        if each.source is not None:
            said += [f"    {each.source}", f"    {' ' * each.caret}^"]
    return "\n".join((*said, *lines[len(shown) :]))
