"""Canaries: secrets that a test puts in where one belongs, and that may turn up nowhere else."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from pointsman._internal.scrubber import forms

_MOST_FILES = 200
_OF_A_FILE = 128 * 1024
_OF_ALL = 512 * 1024
_NOT_INTO = frozenset(("node_modules", "site-packages", "__pycache__"))
"""Folders of programs, which hold nothing that a test lets out."""


class Canaries:
    """Looks for secrets in every form in which something may repeat them: escaped, in base64, in a URL, …

    Args:
        known: the secrets, of 8 characters or more each: a shorter one could be any word.
    """

    def __init__(self, known: Iterable[str] = ()) -> None:
        self._known = dict.fromkeys(known)

    @staticmethod
    def one() -> str:
        """A secret that is nowhere else, with characters that each way of writing writes in its own way."""
        return f'sk-canary/+"&<{secrets.token_hex(12)}'

    def add(self, secret: str) -> None:
        """Look for `secret`, too."""
        self._known[secret] = None

    def __bool__(self) -> bool:
        return bool(self._known)

    def in_text(self, text: str) -> list[str]:
        """Every form of a secret that stands in `text`, each secret's in the order of the alphabet."""
        return [form for secret in self._known for form in _forms(secret) if form in text]

    def in_error(self, error: BaseException) -> list[str]:
        """Those in what `error` says, and all that it was raised because of: words, attributes, notes."""
        return self.in_text("\n".join(_said(each) for each in chain_of(error)))

    def in_files(
        self, folder: Path, *, but: Callable[[str], bool] = lambda _path: False
    ) -> dict[str, list[str]]:
        """Those in the files below `folder`, whatever they hold, by the path of each from there.

        The first 200 files are read, 128 KiB of each, 512 KiB of all.

        Args:
            but: says of the path of a file that it may hold one, such as the configuration of the test.
        """
        found: dict[str, list[str]] = {}
        left = _OF_ALL
        for path in _files(folder):
            name = path.relative_to(folder).as_posix()
            if left <= 0 or but(name):
                continue
            with path.open("rb") as file:
                held = file.read(min(_OF_A_FILE, left))
            left -= len(held)
            if here := self.in_text(held.decode("latin-1")):  # `forms` has those of UTF-8 that was read so
                found[name] = here
        return found


@lru_cache(maxsize=256)
def _forms(secret: str) -> tuple[str, ...]:
    return tuple(sorted(forms(secret)))


def chain_of(error: BaseException) -> list[BaseException]:
    """`error`, all that it came of, and all that a group holds."""
    found: dict[int, BaseException] = {}
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in found:
            continue
        found[id(each)] = each
        waiting += (each.__cause__, each.__context__)
        if isinstance(each, BaseExceptionGroup):
            waiting += each.exceptions
    return list(found.values())


def _said(error: BaseException) -> str:
    parts: list[object] = [error, [error], vars(error), *getattr(error, "__notes__", ())]
    return " ".join(map(_shown, parts))


def _shown(part: object) -> str:
    try:
        return str(part)
    except Exception:  # what says nothing says no secret
        return ""


def _files(folder: Path) -> Iterator[Path]:
    left = _MOST_FILES
    for place, folders, names in os.walk(folder):
        # An environment has `pyvenv.cfg`.
        folders[:] = [each for each in folders if each not in _NOT_INTO and not each.startswith(".venv")]
        for name in names:
            path = Path(place, name)
            if path.is_symlink() or not path.is_file():  # a FIFO is read for ever
                continue
            left -= 1
            if left < 0:
                return
            yield path
