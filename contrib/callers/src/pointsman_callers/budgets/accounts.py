"""Accounts: what each subject of each rule has spent and holds, in parts of its windows; time is handed in.

A hold counts in the part in which it began, and so does what becomes of it. In each window

    settled <= limit + sum of (actual - held) over what has ended

for what is held is no more than what was left. Nothing is ever below 0, whatever clocks and prices do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from pointsman.plugin import BudgetWindow
from pointsman_callers.budgets.rules import Limit, Rule, shown
from pointsman_callers.ledger import Counted

_PARTS = 128
"""Parts of one account that are kept at most; a window has 60."""
_ACCOUNTS = 20_000
"""Accounts after which those are looked for that need not be kept."""


class Wanted(Struct, frozen=True):
    """What one attempt may use of one limit.

    Attributes:
        amount: 0 or more units. None: it is let through though nothing is left, and counts as nothing.
    """

    rule: Rule
    limit: Limit
    subject: str
    amount: int | None


class NoRoomLeft(Struct, frozen=True):
    """What is wanted is not to be had.

    Attributes:
        spent, held: by others, of the limit.
        wait: seconds until there may be room; None where that does not help.
    """

    wanted: Wanted
    spent: int
    held: int
    wait: float | None

    def __str__(self) -> str:
        wanted, limit = self.wanted, self.wanted.limit
        whose = f" of {wanted.subject!r}" if wanted.subject else ""
        used = shown(limit.unit, self.spent)
        more = f" and {shown(limit.unit, self.held)} in use" if self.held else ""
        this = shown(limit.unit, wanted.amount or 0)
        said = f"the budget {wanted.rule.name!r}{whose} allows {limit}"
        return f"{said}: {used} used{more}, and this may take {this}"


class Account:
    """One subject's use of one unit by one rule.

    Attributes:
        parts: by the second in which a part begins, what was spent and what is held.
        refused: how often there was no room.
    """

    __slots__ = ("limit", "parts", "refused")

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self.parts: dict[int, list[int]] = {}
        self.refused = 0

    def used(self, wall: float) -> tuple[int, int]:
        """What was spent in the window of `wall`, and is held by what began in it."""
        window, spent, held = self.limit.window, 0, 0
        begins, ends = window.begins(wall), window.ends(wall)
        for at, part in self.parts.items():
            if begins <= at < ends:
                spent += part[0]
                held += part[1]
        return spent, held

    def spent(self, wall: float) -> int:
        """The first of both."""
        return self.used(wall)[0]

    def held(self, wall: float) -> int:
        """The second of both."""
        return self.used(wall)[1]

    def frees(self, wanted: int, wall: float) -> float | None:
        """Seconds until so much of it counts no more; None for never."""
        counting = self._counting(wall)
        return self.limit.window.frees(((at, sum(each)) for at, each in counting.items()), wanted, wall)

    def is_over(self, wall: float) -> bool:
        """Nothing in it counts any more."""
        return not any(held for _, held in self.parts.values()) and not self._counting(wall)

    def part(self, since: int) -> list[int]:
        """What was spent and is held in the part that begins then."""
        part = self.parts.get(since)
        if part is None:
            if len(self.parts) >= _PARTS:
                self._forget(since)
            part = self.parts[since] = [0, 0]
        return part

    def _forget(self, around: int) -> None:
        """Half of it, farthest from `around`: a clock that was wrong must not cost what is right."""
        for since in sorted(self.parts, key=lambda each: -abs(each - around))[: _PARTS // 2]:
            if not self.parts[since][1]:
                del self.parts[since]

    def _counting(self, wall: float) -> dict[int, list[int]]:
        window: BudgetWindow = self.limit.window
        begins, ends = window.begins(wall), window.ends(wall)
        return {at: each for at, each in self.parts.items() if begins <= at < ends}


class Accounts:
    """All of them. Each change is one step that nothing comes between."""

    def __init__(self) -> None:
        self._all: dict[tuple[str, str, str], Account] = {}
        self._tidy_at = _ACCOUNTS

    def lacking(self, wanted: Iterable[Wanted], wall: float) -> NoRoomLeft | None:
        """What of `wanted` is not to be had; None where all of it is."""
        for each in wanted:
            if each.amount is None:
                continue
            account = self._all.get((each.rule.name, each.subject, each.limit.unit))
            spent = held = 0
            if account is not None:
                account.limit = each.limit
                spent, held = account.used(wall)
            # What may cost nothing needs a little room, too: where nothing is left, nothing is let through.
            over = spent + held + max(each.amount, 1) - each.limit.amount
            if over > 0:
                never = max(each.amount, 1) > each.limit.amount or account is None
                wait = None if never or account is None else account.frees(over, wall)
                return NoRoomLeft(each, spent, held, wait)
        return None

    def spent(self, wanted: Wanted, wall: float) -> int:
        """What was spent of it in the window of `wall`."""
        account = self._all.get((wanted.rule.name, wanted.subject, wanted.limit.unit))
        return 0 if account is None else account.spent(wall)

    def refused(self, lacking: NoRoomLeft) -> None:
        """Count that somebody was told of it."""
        self._account(lacking.wanted).refused += 1

    def hold(self, wanted: Iterable[Wanted], wall: float) -> Sequence[Counted]:
        """Have all of `wanted` held, which there is room for; what to settle later."""
        held = []
        for each in wanted:
            since, amount = each.limit.window.part(wall), each.amount or 0
            self._account(each).part(since)[1] += amount
            held.append(Counted(each.rule.name, each.subject, each.limit.unit, since, amount))
        if len(self._all) > self._tidy_at:
            self._tidy(wall)
        return held

    def settle(self, held: Sequence[Counted], spent: Sequence[int]) -> Sequence[Counted]:
        """In place of what is `held`, so much was `spent` of each; what was counted then."""
        counted = []
        for each, amount in zip(held, spent, strict=True):
            account = self._all.get((each.rule, each.subject, each.unit))
            amount = max(0, amount)
            if account is not None:
                part = account.part(each.since)
                part[0] += amount
                part[1] = max(0, part[1] - each.amount)
            counted.append(Counted(each.rule, each.subject, each.unit, each.since, amount))
        return counted

    def recall(self, wanted: Rule, limit: Limit, counted: Counted, *, held: bool) -> None:
        """Begin with what a ledger remembers."""
        account = self._account(Wanted(wanted, limit, counted.subject, 0))
        account.part(counted.since)[held] += max(0, counted.amount)

    def items(self) -> Iterable[tuple[str, str, Account]]:
        """The name of the rule, the subject, and the account of each."""
        return [(rule, subject, account) for (rule, subject, _), account in self._all.items()]

    def limit(self, rules: Iterable[Rule]) -> None:
        """Have the limits of `rules` hold from now on; what was spent stays spent."""
        limits = {(rule.name, each.unit): each for rule in rules for each in rule.limits}
        for (rule, _, _unit), account in self._all.items():
            account.limit = limits.get((rule, account.limit.unit), account.limit)

    def _account(self, wanted: Wanted) -> Account:
        key = wanted.rule.name, wanted.subject, wanted.limit.unit
        account = self._all.get(key)
        if account is None:
            account = self._all[key] = Account(wanted.limit)
        return account

    def _tidy(self, wall: float) -> None:
        self._all = {key: each for key, each in self._all.items() if not each.is_over(wall)}
        self._tidy_at = max(_ACCOUNTS, 2 * len(self._all))
