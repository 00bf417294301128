"""What keys may use, as rules of budgets: those of a key hold for it and the keys that it made, together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from pointsman.plugin import BudgetWindow, ServiceContext
from pointsman_callers.budgets.rules import Limit, Rule
from pointsman_callers.budgets.service import BudgetsService, budgets_of
from pointsman_callers.budgets.settings import BudgetsSettings
from pointsman_callers.keys.store import Everything, StoredKey

_MICROCENTS = 10**8
"""Of a US dollar."""


def rules_of(key: StoredKey, keys: Mapping[str, StoredKey]) -> Sequence[Rule]:
    """All that holds for calls with `key`: its own limits, and those of the keys above it.

    Many keys of one creator together get no more than the creator has.
    """
    return [rule for each in _upwards(key, keys) for rule in _own_rules(each)]


def _upwards(key: StoredKey, keys: Mapping[str, StoredKey]) -> Iterator[StoredKey]:
    seen = set[str]()
    at: StoredKey | None = key
    while at is not None and at.id not in seen:
        seen.add(at.id)
        yield at
        at = keys.get(at.creator)


def _own_rules(key: StoredKey) -> Iterator[Rule]:
    for limit, most in key.scope.limits.items():
        unit, _, period = limit.partition("/")
        window = BudgetWindow(period)  # type: ignore[arg-type]  # what was stored was read by the same words
        found = (
            Limit("microcents", round(most * _MICROCENTS), window)
            if unit == "money"
            else Limit(unit, round(most), window)  # type: ignore[arg-type]  # as above
        )
        yield Rule(f"key {key.id} {limit}", (found,), per="all")


class KeyLimits:
    """Has the budgets of a router hold what keys may use. A router whose keys have no limits holds nothing.

    Args:
        database: where it is kept what was used, unless the configuration has budgets of its own.
    """

    def __init__(self, context: ServiceContext, database: str) -> None:
        self._context = context
        self._database = database
        self._kept: BudgetsService | None = None
        self._rules: Mapping[str, Sequence[Rule]] = {}
        self._end: Callable[[], None] | None = None

    async def go_by(self, found: Everything) -> None:
        """Hold the limits of these keys from now on. Raises ConfigError where the ledger cannot be opened."""
        rules = {id: rules for id, key in found.keys.items() if (rules := rules_of(key, found.keys))}
        if rules and self._kept is None:
            kept = BudgetsService(
                replace(self._context, settings=BudgetsSettings(database=self._database)), beneath=True
            )
            try:
                await kept.start()
            except BaseException:
                await kept.aclose()
                raise
            self._kept = kept
        if self._kept is not None and rules != self._rules:
            end, self._end = self._end, budgets_of(self._context).use_of_keys(rules)
            self._rules = rules
            if end is not None:
                end()

    async def finish(self) -> None:
        """Hold nothing any more; what is under way is settled still."""
        if self._end is not None:
            self._end()
        if self._kept is not None:
            await self._kept.finish()

    async def aclose(self) -> None:
        """Hold nothing any more."""
        end, kept, self._end, self._kept = self._end, self._kept, None, None
        if end is not None:
            end()
        if kept is not None:
            await kept.aclose()
