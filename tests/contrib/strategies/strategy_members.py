"""Members and a clock that cost nothing."""

from __future__ import annotations

from dataclasses import dataclass

from pointsman.prices import Price
from pointsman.strategy import Residency


@dataclass(eq=False)
class Member:
    """A deployment as a strategy sees it, everything settable."""

    id: str
    weight: int = 1
    in_flight: int = 0
    model: str = "m"
    provider_name: str = ""
    price: Price | None = None
    residency: Residency | None = None


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.time = 1_000.0

    def now(self) -> float:
        return self.time

    def wall(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds

    def __deepcopy__(self, memo: dict[int, object]) -> Clock:
        raise TypeError("a clock hangs on its event loop and cannot be copied")
