"""The models that can be asked for, as far as the configuration knows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pointsman.plugin import Caller, Capabilities, CatalogueEntry, Clock

if TYPE_CHECKING:
    from pointsman import Router


class KnownModels:
    """Answers from memory, for each public name."""

    def __init__(self, router: Router, clock: Clock) -> None:
        self._router = router
        self._since = int(clock.wall())

    def listed(self, caller: Caller) -> Sequence[CatalogueEntry]:
        """As `Catalogue.listed`."""
        names = self._router.config.public_models()
        return [self._entry(name) for name in names if caller.may_use(name)]

    def entry(self, name: str, caller: Caller) -> CatalogueEntry | None:
        """As `Catalogue.entry`."""
        known = name in self._router.config.public_models()
        return self._entry(name) if known and caller.may_use(name) else None

    def _entry(self, name: str) -> CatalogueEntry:
        return CatalogueEntry(name, Capabilities(), self._since)
