"""Dialects: the interface of readers of other programs' configuration files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from msgspec import Struct

from pointsman.context import Context

Keys = tuple[str | int, ...]
"""The way to a value: keys of mappings and indices of lists."""


class ForeignDocument(Struct, frozen=True, eq=False):
    """What was read from a file or handed over as a mapping: plain data, its `${…}` as they stand."""

    data: Mapping[str, Any]

    def __repr__(self) -> str:
        return "ForeignDocument()"  # its data may hold secrets


class Remark(Struct, frozen=True):
    """What is to be said about something at the path `of` in the foreign document.

    `code`: which of the codes of `pointsman config explain` it is; None for the one of all dialects.
    """

    of: Keys
    message: str
    hint: str | None = None
    code: str | None = None


class NativeDocument:
    """What a foreign document says in our words, with where each value came from.

    Attributes:
        data: as a configuration file of ours holds it.
        origins: by the path of a value, that of what it was made from. What is inside has the same way there,
            unless an entry of its own says otherwise.
        problems: what cannot be translated; any refuses the configuration.
        warnings: what is left out and makes a difference.
    """

    def __init__(self) -> None:
        self.data: dict[str, Any] = {}
        self.origins: dict[Keys, Keys] = {}
        self.problems: list[Remark] = []
        self.warnings: list[Remark] = []

    def put(self, path: Keys, value: object, *, of: Keys) -> None:
        """Have `value`, made from what stands at `of`, stand at `path`; the mappings above it are made.

        In a list, the last step of `path` is its length: that appends.
        """
        inner: Any = self.data
        for n, step in enumerate(path[:-1]):
            if isinstance(inner, dict) and step not in inner:
                inner[step] = [] if isinstance(path[n + 1], int) else {}
                self.origins.setdefault(path[: n + 1], of)
            inner = inner[step]
        if isinstance(inner, list):
            inner.append(value)
        else:
            inner[path[-1]] = value
        self.origins[path] = of

    def problem(self, of: Keys, message: str, hint: str | None = None, *, code: str | None = None) -> None:
        """What stands at `of` cannot be translated."""
        self.problems.append(Remark(of, message, hint, code))

    def warn(self, of: Keys, message: str, hint: str | None = None, *, code: str | None = None) -> None:
        """What stands at `of` is left out, and that makes a difference."""
        self.warnings.append(Remark(of, message, hint, code))

    def __repr__(self) -> str:
        return "NativeDocument()"


class Dialect(Protocol):
    """Reads the configuration files of one other program. It opens nothing and looks at no environment."""

    def matches(self, document: ForeignDocument) -> bool:
        """Whether the document is one of these. False where in doubt: two that match are an error."""

    def read(self, document: ForeignDocument) -> NativeDocument:
        """The document in our words, as far as it can be said."""


class DialectContext(Context, frozen=True, kw_only=True, eq=False):
    """What a dialect is made from; nobody configures one, so it has no settings."""


class DialectFactory(Struct, frozen=True):
    """What a dialect plugin offers: `make` returns a `Dialect`; `settings` is None."""

    name: str
    settings: None
    make: Callable[[DialectContext], Dialect]
