"""Guards for pointsman: `cache`, `redact`, `words` and `size`."""

from __future__ import annotations

from pointsman.plugin import GuardFactory, PointsmanSpec, hookimpl
from pointsman_guards import cache, redact, size, words
from pointsman_guards.cache import Cache, CacheSettings
from pointsman_guards.redact import Redact, RedactSettings
from pointsman_guards.size import Size, SizeSettings
from pointsman_guards.words import Words, WordsSettings

__all__ = [
    "Cache",
    "CacheSettings",
    "GuardsPlugin",
    "Redact",
    "RedactSettings",
    "Size",
    "SizeSettings",
    "Words",
    "WordsSettings",
    "plugin",
]


class GuardsPlugin(PointsmanSpec):
    """Offers the four guards."""

    @hookimpl
    def pointsman_guards(self) -> list[GuardFactory]:
        """One factory for each name."""
        return [cache.FACTORY, redact.FACTORY, size.FACTORY, words.FACTORY]


plugin = GuardsPlugin()
