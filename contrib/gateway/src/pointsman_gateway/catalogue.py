"""The models that callers can ask for, with what each can do: in memory, for every public name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pointsman.clock import Clock
from pointsman.plugin import Caller, Capabilities, CatalogueEntry

if TYPE_CHECKING:
    from pointsman import Router


class GatewayCatalogue:
    """The catalogue of one router."""

    def __init__(self, router: Router, clock: Clock) -> None:
        self._router = router
        self._began = int(clock.wall())

    def listed(self, caller: Caller) -> Sequence[CatalogueEntry]:
        """As of `Catalogue`."""
        names = self._router.config.public_models()
        return [self._entry(name) for name in names if caller.may_use(name)]

    def entry(self, name: str, caller: Caller) -> CatalogueEntry | None:
        """As of `Catalogue`."""
        known = name in self._router.config.public_models()
        return self._entry(name) if known and caller.may_use(name) else None

    def _entry(self, name: str) -> CatalogueEntry:
        return CatalogueEntry(name, Capabilities(), self._began)
