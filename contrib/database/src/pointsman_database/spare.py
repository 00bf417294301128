"""Connections that are kept for the next who asks."""

from __future__ import annotations

import threading
from typing import Generic, Protocol, TypeVar


class Closes(Protocol):
    def close(self) -> None: ...


C = TypeVar("C", bound=Closes)
_KEPT = 4


class Spare(Generic[C]):
    """A few that nobody uses now. May be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: list[C] = []
        self._closed = False

    def take(self) -> C | None:
        """One of them; None where there is none."""
        with self._lock:
            return self._kept.pop() if self._kept else None

    def give_back(self, connection: C) -> None:
        """Keep one that works, or close it where there are enough."""
        with self._lock:
            if len(self._kept) < _KEPT and not self._closed:
                self._kept.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Close them, and all that are given back from now on."""
        with self._lock:
            kept, self._kept, self._closed = self._kept, [], True
        for each in kept:
            each.close()
