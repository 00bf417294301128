"""A discovery that finds what a test says."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from pointsman.plugin import (
    Discovery,
    DiscoveryContext,
    DiscoveryFactory,
    Found,
    FoundServer,
    PointsmanSpec,
    hookimpl,
)


class Told(PointsmanSpec):
    """A discovery that finds what a test says, by the name of the provider."""

    def __init__(self, **found: Any) -> None:
        self.found = found
        self.asked: Counter[str] = Counter()
        self.closed: Counter[str] = Counter()
        self.after = 0.0

    @hookimpl
    def pointsman_discovery(self) -> list[DiscoveryFactory]:
        return [DiscoveryFactory("told", None, lambda context: _Telling(self, context))]


class _Telling(Discovery):
    def __init__(self, told: Told, context: DiscoveryContext) -> None:
        self._told = told
        self._name = context.provider

    async def find(self) -> Found:
        self._told.asked[self._name] += 1
        await asyncio.sleep(self._told.after)
        found = self._told.found[self._name]
        if isinstance(found, BaseException):
            raise found
        return found  # type: ignore[no-any-return]

    async def aclose(self) -> None:
        self._told.closed[self._name] += 1


def servers(*addresses: str) -> Found:
    return Found(servers=[FoundServer(address=each) for each in addresses])
