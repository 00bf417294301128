"""Sections: the interface of top-level keys of the configuration that plugins add."""

from __future__ import annotations

from msgspec import Struct
from pydantic import BaseModel


class SectionFactory(Struct, frozen=True):
    """What a section plugin offers: one key at the top of the configuration.

    Attributes:
        name: the key.
        settings: the model of what stands there; a `RootModel` where that is no mapping.
        service: the name of the service that starts with these settings, whichever plugin offers it; None for
            a section that a router only lets stand, because something else reads it.
    """

    name: str
    settings: type[BaseModel]
    service: str | None = None
