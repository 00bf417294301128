"""Sections: the interface of top-level keys of the configuration that plugins add."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct
from pydantic import BaseModel


class SectionCheck(Protocol):
    """What a section whose settings are sound is looked at with once more, beside the rest of the file.

    A `path` leads from the key of the section to the place: keys, and numbers in lists.

    Attributes:
        models: the public names that there are.
    """

    models: Collection[str]

    def problem(
        self, path: Sequence[str | int], message: str, hint: str | None = None, *, code: str | None = None
    ) -> None:
        """Something is wrong there; `hint` is what would help.

        `code`: which of the codes of `pointsman config explain` it is; None for the one of all sections.
        """

    def model(self, name: str, path: Sequence[str | int], *, upstream: bool = False) -> None:
        """There stands a public name of a model: one that is none, and cannot be found either, is a problem.

        `upstream`: `provider/upstream-model` is such a name, too.
        """

    def plugin(self, kind: str, name: str, settings: Mapping[str, Any], path: Sequence[str | int]) -> None:
        """There stand the settings of the plugin of that kind and name: whatever is wrong is a problem."""


class SectionFactory(Struct, frozen=True):
    """What a section plugin offers: one key at the top of the configuration.

    Attributes:
        name: the key.
        settings: the model of what stands there; a `RootModel` where that is no mapping.
        service: the name of the service that starts with these settings, whichever plugin offers it; None for
            a section that a router only lets stand, because something else reads it.
        check: finds what `settings` alone cannot: takes what they made and says what is wrong. It opens
            nothing.
    """

    name: str
    settings: type[BaseModel]
    service: str | None = None
    check: Callable[[Any, SectionCheck], None] | None = None
