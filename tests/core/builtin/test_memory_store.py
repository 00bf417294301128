"""The state store in memory keeps the contract of state stores."""

from __future__ import annotations

from pointsman.plugin import MemoryStore, StateStore
from pointsman.testing import SystemClock
from pointsman.testing.contract import StateContract


class TestMemoryStore(StateContract):
    def make(self) -> tuple[StateStore, StateStore]:
        store = MemoryStore(SystemClock())
        return store, store
