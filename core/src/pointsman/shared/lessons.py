"""What strategies learn that those of other routers should know, such as where a conversation is bound.

It goes the way of the openings of circuit breakers, beside the calls: no call waits for it, and while the
store is away each router goes on with what it knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any, Protocol

from pointsman._internal import jsonio
from pointsman._internal.plugin_errors import OWN, Scrub, fault
from pointsman.state import Notice
from pointsman.strategy import Learned, Strategy, shares

TOPIC = "learned"
EVERY = 0.25
"""Seconds between two looks at what was learned: so long another router may not know of it, and a store is
told no more often, however many calls there are."""
_LONGEST = 1 << 20
"""Characters of what one strategy has learned; more of it at once is left out."""


class Learner(Protocol):
    """What is needed of a pool."""

    strategy: Strategy
    strategy_name: str


class Lessons:
    """The strategies of one router that share, by the names of their models.

    Attributes:
        due: the instant at which to ask them again; infinite where none shares.
    """

    def __init__(self, router: str, scrub: Scrub) -> None:
        self.due = inf
        self._router = router
        self._scrub = scrub
        self._number = 0
        self._pools: Mapping[str, Learner] = {}
        self._failed: set[tuple[str, str]] = set()

    def follow(self, pools: Mapping[str, Learner], now: float) -> None:
        """From `now` on, ask and tell the strategies of these."""
        self._pools = {name: pool for name, pool in pools.items() if shares(pool.strategy)}
        self.due = now if self._pools else inf

    def notices(self, now: float) -> list[Notice]:
        """What is to be published, where it is time to look."""
        if now < self.due:
            return []
        self.due = now + EVERY
        return [
            self._notice(name, pool, each)
            for name, pool in self._pools.items()
            for each in self._asked(pool)
            if each.seconds > 0 and len(each.text) <= _LONGEST
        ]

    def _notice(self, model: str, pool: Learner, learned: Learned) -> Notice:
        self._number += 1
        value = jsonio.dumps([self._router, model, pool.strategy_name, learned.text]).decode()
        beside = f"{model}/{learned.about}" if learned.about else self._number
        return Notice(TOPIC, f"{self._router}/{beside}", value, learned.seconds)

    def told(self, notice: Notice) -> None:
        """Another router has learned something, or this one; what is neither is left alone."""
        try:
            router, name, strategy, text = jsonio.loads(notice.value)
        except (ValueError, TypeError):
            return
        pool = self._pools.get(name) if isinstance(name, str) else None
        if router == self._router or pool is None or strategy != pool.strategy_name:
            return
        try:
            pool.strategy.heard(Learned(str(text), notice.seconds, by=str(router)))
        except ValueError:
            return  # of another version, or under other settings
        except OWN as error:
            self._fault(pool, "heard", error)

    def _asked(self, pool: Learner) -> Sequence[Learned]:
        try:
            learned: Any = pool.strategy.learned()
            if all(isinstance(each, Learned) for each in learned):
                return tuple(learned)
        except OWN as error:
            self._fault(pool, "learned", error)
            return ()
        self._fault(pool, "learned", f"returned a {type(learned).__name__}, expected a sequence of Learned")
        return ()

    def _fault(self, pool: Learner, method: str, did: BaseException | str) -> None:
        """Say so once: it would be said four times a second."""
        if (pool.strategy_name, method) not in self._failed:
            self._failed.add((pool.strategy_name, method))
            fault("strategy", pool.strategy_name, method, did, scrub=self._scrub)
