"""The strategies of the package keep the contract of all strategies."""

from __future__ import annotations

from strategy_members import Clock

from pointsman.plugin import Rng, Strategy
from pointsman.testing.contract import StrategyContract
from pointsman_strategies import Affinity, Cheapest, PeakEwma, PowerOfTwo, Warm


class TestPowerOfTwo(StrategyContract):
    def make(self, rng: Rng | None) -> Strategy:
        return PowerOfTwo(rng)


class TestPeakEwma(StrategyContract):
    def make(self, rng: Rng | None) -> Strategy:
        return PeakEwma(clock=Clock(), rng=rng)


class TestAffinity(StrategyContract):
    def make(self, rng: Rng | None) -> Strategy:
        return Affinity(clock=Clock(), rng=rng)


class TestCheapest(StrategyContract):
    def make(self, rng: Rng | None) -> Strategy:
        return Cheapest(rng=rng)


class TestWarm(StrategyContract):
    def make(self, rng: Rng | None) -> Strategy:
        return Warm(clock=Clock(), rng=rng)
