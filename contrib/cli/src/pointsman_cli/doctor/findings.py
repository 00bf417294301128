"""What was looked at, and what came of it."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

State = Literal["ok", "warn", "fail"]


class Checked(Struct, frozen=True):
    """One thing that was looked at.

    Attributes:
        state: `warn`: it works, and may not be meant, or not for long; `fail`: it does not work.
        about: what it was, such as the name of a provider.
        said: how it is.
        hint: what would help; "" where nothing is to be done.
    """

    state: State
    about: str
    said: str
    hint: str = ""


def ok(about: str, said: str) -> Checked:
    """It is as it should be."""
    return Checked("ok", about, said)


def warn(about: str, said: str, hint: str = "") -> Checked:
    """It works, and may not be meant, or not for long."""
    return Checked("warn", about, said, hint)


def fail(about: str, said: str, hint: str = "") -> Checked:
    """It does not work."""
    return Checked("fail", about, said, hint)
