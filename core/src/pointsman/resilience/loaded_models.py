"""What a provider's server has in memory: polled only while a strategy is in use that cares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pointsman.strategy import Residency

POLL_SECONDS = 5.0


class Busy(Protocol):
    """What counts as work on a host."""

    in_flight: int


class ModelServer:
    """One provider's server. Knows nothing until the first poll is answered."""

    __slots__ = ("_checked_at", "_loaded", "_work")

    def __init__(self) -> None:
        self._loaded: tuple[str, ...] | None = None
        self._checked_at = 0.0
        self._work: list[Busy] = []

    def works_for(self, work: Busy) -> None:
        """Count what is in flight of `work` from now on."""
        if work not in self._work:
            self._work.append(work)

    def told(self, loaded: Sequence[str], now: float) -> None:
        """A poll was answered: these models are in memory."""
        self._loaded = tuple(_plain(each) for each in loaded)
        self._checked_at = now

    def residency(self, model: str) -> Residency | None:
        """What is known from the point of view of `model`; None before the first answer."""
        if self._loaded is None:
            return None
        return Residency(
            resident=_plain(model) in self._loaded,
            loaded=self._loaded,
            capacity=None,
            load_seconds=0.0,
            busy=sum(each.in_flight for each in self._work),
            checked_at=self._checked_at,
        )


def _plain(model: str) -> str:
    """Ollama says `llama3.2:latest` for what everybody calls `llama3.2`."""
    return model.removesuffix(":latest")
