"""What a factory is given, whatever its kind: one frozen context, so that a new member breaks nobody."""

from __future__ import annotations

from logging import Logger
from typing import Any

from msgspec import Struct

from pointsman.clock import Clock, Rng


class Context(Struct, frozen=True, kw_only=True, eq=False):
    """What every plugin object is made from; each kind adds what only it needs.

    Attributes:
        name: as configured: a provider's own name, the type of everything else.
        settings: an instance of the factory's settings model; None where the factory has none.
        clock, rng: the sources of time and chance. Use no others: tests and replays hold them still.
        log: the logger `pointsman.<kind>.<type>`. Neither credentials nor prompts go there.
    """

    name: str
    settings: Any
    clock: Clock
    rng: Rng
    log: Logger

    def __repr__(self) -> str:
        # Settings, addresses and whoever gives credentials may all hold a secret.
        return f"{type(self).__name__}(name={self.name!r})"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("name", self.name)]  # rich would take that of a Struct, which shows everything
