"""The kit: what every strategy owes the router."""

from pointsman.plugin import Rng, Strategy
from pointsman.testing import SystemClock
from pointsman.testing.contract import StrategyContract
from pointsman_bounded.strategy import BoundedSettings, CheapestWithin


class TestCheapestWithin(StrategyContract):
    def make(self, rng: Rng | None) -> Strategy:
        return CheapestWithin(BoundedSettings(bound=1.0), SystemClock())
