"""What each plugin made while a configuration was built, for whoever wants to see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from pointsman.config.problems import KeyPath, show_path


class MadeObject(Struct, frozen=True):
    """What one factory made for one place of a configuration.

    Attributes:
        factory: its name.
        origin: the distribution, or the place of an object that was passed in.
        place: such as `models.assistant.strategy`.
        made: module and name of the class; None where it failed, or is made only when a router starts.
        times: how often it was made, as transports are for each deployment.
        seconds: all of them together.
    """

    kind: str
    factory: str
    origin: str
    place: str
    made: str | None
    times: int = 1
    seconds: float = 0.0


class Trace:
    """Remembers what is made. `timer` reads seconds on any clock that only moves forward."""

    def __init__(self, timer: Callable[[], float]) -> None:
        self._timer = timer
        self._made: dict[tuple[str, str, str, str | None], tuple[int, float]] = {}

    def timed(self, kind: str, name: str, path: KeyPath, make: Callable[[], Any]) -> Any:
        """What `make` returns."""
        begun, made = self._timer(), None
        try:
            made = make()
        finally:
            owner = None if made is None else f"{type(made).__module__}.{type(made).__qualname__}"
            self.note(kind, name, path, owner, self._timer() - begun)
        return made

    def note(self, kind: str, name: str, path: KeyPath, made: str | None, seconds: float = 0.0) -> None:
        """Remember that something was made, or will be."""
        key = (kind, name, show_path(path), made)
        times, before = self._made.get(key, (0, 0.0))
        self._made[key] = (times + 1, before + seconds)

    def all(self, origin: Callable[[str, str], str]) -> list[MadeObject]:
        """All of it, in the order in which it was first made."""
        known: Mapping[Any, tuple[int, float]] = self._made
        return [
            MadeObject(kind, name, origin(kind, name), place, made, times, seconds)
            for (kind, name, place, made), (times, seconds) in known.items()
        ]
