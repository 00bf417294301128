"""The budgets of a router: what its attempts hold, by which rules, kept in which ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from logging import Logger
from typing import TYPE_CHECKING

from msgspec import Struct

from pointsman.plugin import (
    BudgetAccount,
    BudgetExceeded,
    BudgetHold,
    BudgetSettlement,
    BudgetTake,
    Clock,
    Estimator,
    HoldAsked,
    Price,
    Rng,
    SharedNotices,
    Usage,
)
from pointsman_callers.budgets.accounts import Accounts, NoRoomLeft, Wanted
from pointsman_callers.budgets.rules import KEY_TAG, Limit, Rule
from pointsman_callers.ledger import (
    Attempt,
    Books,
    Counted,
    Ledger,
    LedgerUnavailable,
    MemoryLedger,
    OpenHold,
    Spent,
)

if TYPE_CHECKING:
    from pointsman_database import Address

_BEYOND = 60.0
"""Seconds for which a hold outlives the deadline of its request: who lives has settled it by then."""
_ESTIMATORS = 4_000
"""Deployments whose answers are remembered at most."""


class Estimate(Struct, frozen=True):
    """What an attempt is taken to use; `cost_microcents` is None where nobody knows the price."""

    prompt: int
    completion: int
    cost_microcents: int | None


class Book:
    """The accounts that are kept in one ledger.

    Attributes:
        address: of the ledger; None where it is in memory.
        left: holds of processes before this one or beside it.
    """

    def __init__(self, address: Address | None, ledger: Ledger) -> None:
        self.address = address
        self.ledger = ledger
        self.accounts = Accounts()
        self.left: dict[str, OpenHold] = {}
        self._unclaimed: list[tuple[Counted, bool]] = []
        self._under_way = 0
        self._waits: list[asyncio.Future[None]] = []

    def begun(self) -> None:
        """One more attempt is counted in it."""
        self._under_way += 1

    def ended(self) -> None:
        """One of them is settled."""
        self._under_way -= 1
        if not self._under_way:
            waits, self._waits = self._waits, []
            for each in waits:
                if not each.done():
                    each.set_result(None)

    async def settled(self) -> None:
        """Return once all attempts are settled that are counted in it."""
        while self._under_way:
            waits = asyncio.get_running_loop().create_future()
            self._waits.append(waits)
            await waits

    def begin_with(self, books: Books) -> None:
        """Know what the ledger remembers, of the rules that come."""
        held = [(each, True) for hold in books.held for each in hold.counted]
        self._unclaimed = [*((each, False) for each in books.spent), *held]
        self.left = {hold.id: hold for hold in books.held}

    def recall(self, rules: Iterable[Rule]) -> None:
        """Know what the ledger remembers of `rules`, which may come after it was opened: each once."""
        limits: dict[tuple[str, str], tuple[Rule, Limit]]
        limits = {(rule.name, limit.unit): (rule, limit) for rule in rules for limit in rule.limits}
        unclaimed, self._unclaimed = self._unclaimed, []
        for counted, is_held in unclaimed:
            known = limits.get((counted.rule, counted.unit))
            if known is None:
                self._unclaimed.append((counted, is_held))
            else:
                self.accounts.recall(*known, counted, held=is_held)

    def expire(self, wall: float) -> None:
        """Holds of processes that are gone end by then, and count as spent."""
        for hold in self.ledger.expired(wall):
            known = self.left.pop(hold.id, None)
            if known is not None:
                came_to = {(each.rule, each.subject, each.unit): each.amount for each in hold.counted}
                spent = [came_to.get((each.rule, each.subject, each.unit), 0) for each in known.counted]
                self.accounts.settle(known.counted, spent)


class _Used(Struct, frozen=True, eq=False):
    """What one service wants to hold: as of `CallerBudgets.use`."""

    rules: Sequence[Rule]
    book: Book
    refuses_unkept: bool


class CallerBudgets:
    """Holds each attempt against all rules that are for it, or against none. One for a router, over reloads.

    Attributes:
        rules: those that hold for all callers.
        book: where attempts are counted from now on.
        refuses_unkept: what the ledger cannot keep is not called.
        books: all that are open, also those in which attempts are only settled any more.
        opening: held by who opens one, so that there are no two of one address.
        state: what routers share; None where they share nothing.
    """

    def __init__(self, clock: Clock, rng: Rng, log: Logger) -> None:
        self._clock = clock
        self._log = log
        self._mark = f"{rng.getrandbits(64):016x}"
        self._number = 0
        self._used = [_Used((), Book(None, MemoryLedger()), refuses_unkept=False)]
        self._of_keys: list[Mapping[str, Sequence[Rule]]] = [{}]
        self._estimators: dict[str, Estimator] = {}
        self.books: list[Book] = [self._used[0].book]
        self.opening = asyncio.Lock()
        self.state: SharedNotices | None = None
        self._go_by_latest()

    # ── which rules there are, and where it is kept ──────────────────────────────────────────────────

    def use(
        self, rules: Sequence[Rule], book: Book, *, refuses_unkept: bool = False, beneath: bool = False
    ) -> Callable[[], None]:
        """Have `rules` hold, and count in `book`, in place of what was used earlier; returns what ends that.

        Args:
            beneath: for as long as nobody uses other ones.
        """
        used = _Used(rules, book, refuses_unkept)
        self._used.insert(1 if beneath else len(self._used), used)
        if book not in self.books:
            self.books.append(book)
        self._go_by_latest()

        def end() -> None:
            with suppress(ValueError):  # ended before
                self._used.remove(used)
            self._go_by_latest()

        return end

    def uses(self, book: Book) -> bool:
        """Whether attempts may be counted in `book` from now on."""
        return any(each.book is book for each in self._used)

    def given_up(self, book: Book) -> bool:
        """Whether nobody uses `book` any more, and it is for who asks to close it."""
        if book not in self.books or self.uses(book):
            return False
        self.books.remove(book)
        return True

    def _go_by_latest(self) -> None:
        latest = self._used[-1]
        self.rules, self.book, self.refuses_unkept = latest.rules, latest.book, latest.refuses_unkept
        self._know_limits()

    def use_of_keys(self, rules: Mapping[str, Sequence[Rule]]) -> Callable[[], None]:
        """Have rules hold by the tag `key_id` of calls, in place of earlier ones; returns what ends that."""
        self._of_keys.append(rules)
        self._know_limits()

        def end() -> None:
            self._of_keys = [each for each in self._of_keys if each is not rules]
            self._know_limits()

        return end

    def _know_limits(self) -> None:
        rules = list(self.all_rules())
        self.book.accounts.limit(rules)
        self.book.recall(rules)

    def all_rules(self) -> Iterable[Rule]:
        """Those that hold for all callers, and those of keys."""
        yield from self.rules
        for rules in self._of_keys[-1].values():
            yield from rules

    def expire(self, wall: float) -> None:
        """Holds of processes that are gone end by then."""
        self.book.expire(wall)

    # ── what a router asks ───────────────────────────────────────────────────────────────────────────

    async def hold(self, asked: HoldAsked) -> CallHold:
        """What the attempt holds of all of its budgets. Raises BudgetExceeded where one has no room."""
        estimate = self._estimate(asked)
        wanted = self.wanted(asked, estimate)
        shared = await self._held_by_all(wanted, asked.wall)
        if shared is None and (lacking := self.book.accounts.lacking(wanted, asked.wall)) is not None:
            raise self._refused(lacking)
        book = self.book
        held = book.accounts.hold(wanted, asked.wall)
        self._number += 1
        hold = CallHold(self, book, f"{self._mark}-{self._number}", asked, estimate, held)
        hold.shared = shared
        try:
            book.ledger.hold(
                hold.id, hold.attempt, estimated(estimate), held, asked.wall + asked.seconds + _BEYOND
            )
        except LedgerUnavailable as error:
            if self.refuses_unkept:
                hold.settle(None, None, sent=False)
                raise BudgetExceeded(f"what it takes cannot be kept: {error}", rule="on_error") from None
        return hold

    async def _held_by_all(self, wanted: Sequence[Wanted], wall: float) -> BudgetHold | None:
        """What all routers hold together; None where that is up to this one. Raises BudgetExceeded."""
        state = self.state
        if state is None or not wanted:
            return None
        if state.holds:
            answer = await state.hold([self._take(each, wall) for each in wanted])
            if isinstance(answer, BudgetHold):
                return answer
            if answer is not None:
                found = next(each for each in wanted if _account(each) == answer.lacking)
                raise self._refused(NoRoomLeft(found, answer.spent, answer.held, answer.wait))
        for each in wanted:
            if each.rule.fails_closed:
                rule = each.rule.name
                message = f"the budget {rule!r} fails closed, and the store that routers share is away"
                raise BudgetExceeded(message, rule=rule, limit=str(each.limit), retry_after=1.0)
        return None

    def _take(self, wanted: Wanted, wall: float) -> BudgetTake:
        spent = self.book.accounts.spent(wanted, wall)
        limit = wanted.limit
        return BudgetTake(_account(wanted), wanted.amount, limit.amount, limit.window, spent)

    def _refused(self, lacking: NoRoomLeft) -> BudgetExceeded:
        self.book.accounts.refused(lacking)
        return exceeded(lacking)

    def refusal(self, asked: HoldAsked) -> str:
        """Why `hold` would refuse now; "" when it would not."""
        try:
            lacking = self.book.accounts.lacking(self.wanted(asked, self._estimate(asked)), asked.wall)
        except BudgetExceeded as error:
            return error.message
        return "" if lacking is None else str(lacking)

    def trouble(self) -> str:
        """Why what was spent is not kept now; "" where it is."""
        return self.book.ledger.trouble()

    def accounts(self) -> Sequence[BudgetAccount]:
        """How it stands with each account of a rule that there is."""
        wall, names = self._clock.wall(), {rule.name for rule in self.all_rules()}
        return [
            BudgetAccount(
                rule=rule,
                subject=subject,
                unit=account.limit.unit,
                per=account.limit.window.per,
                window=account.limit.window.kind,
                limit=account.limit.amount,
                spent=account.spent(wall),
                held=account.held(wall),
                resets_in=account.frees(1, wall) if account.spent(wall) else None,
                refused=account.refused,
            )
            for rule, subject, account in self.book.accounts.items()
            if rule in names
        ]

    def wanted(self, asked: HoldAsked, estimate: Estimate) -> Sequence[Wanted]:
        """What the attempt may use of each limit. Raises BudgetExceeded where a rule must know its price."""
        wanted, key = [], asked.tags.get(KEY_TAG, "")
        for rule in (*self.rules, *self._of_keys[-1].get(key, ())):
            subject = rule.subject(asked)
            if subject is None:
                continue
            for limit in rule.limits:
                amount: int | None
                if limit.unit == "requests":
                    amount = 1 if asked.first else None
                elif limit.unit == "tokens":
                    amount = estimate.prompt + estimate.completion
                elif rule.free and asked.price is not None and is_free(asked.price):
                    amount = None
                elif estimate.cost_microcents is None and not rule.unknown:
                    raise BudgetExceeded(
                        f"the budget {rule.name!r} lets nothing through whose price nobody knows, "
                        f"as that of {asked.deployment}",
                        rule=rule.name,
                        limit=str(limit),
                    )
                else:
                    amount = estimate.cost_microcents or 0
                wanted.append(Wanted(rule, limit, subject, amount))
        return wanted

    def _estimate(self, asked: HoldAsked) -> Estimate:
        estimator = self._estimator(asked.deployment)
        # One long answer, or one that was counted absurdly, is not to lock everybody out.
        usual = estimator.output if estimator.is_usual else estimator.default
        most = asked.most_completion
        usual *= asked.answers
        completion = usual if most is None else min(most, usual)
        price = asked.price
        cost = None if price is None else price.microcents(Usage(asked.prompt_tokens, completion))
        return Estimate(asked.prompt_tokens, completion, cost)

    def _estimator(self, deployment: str) -> Estimator:
        found = self._estimators.get(deployment)
        if found is None:
            if len(self._estimators) >= _ESTIMATORS:
                del self._estimators[next(iter(self._estimators))]
            found = self._estimators[deployment] = Estimator()
        return found

    # ── how attempts end ─────────────────────────────────────────────────────────────────────────────

    def settle(self, hold: CallHold, spent: Spent | None) -> None:
        """What `hold` came to; None where nothing was used."""
        if spent is not None and not spent.estimated and hold.asked.most_completion != 0:
            self._estimator(hold.asked.deployment).observe(spent.completion or 0)
        counted = hold.book.accounts.settle(hold.held, [_amount(each, spent) for each in hold.held])
        hold.book.ledger.settle(hold.id, hold.attempt, spent, counted)
        hold.book.ended()
        if hold.shared is not None and self.state is not None:
            self.state.settle_hold(BudgetSettlement(hold.shared, [each.amount for each in counted]))


class CallHold:
    """What one attempt holds."""

    __slots__ = ("_budgets", "_open", "asked", "book", "estimate", "held", "id", "shared")

    def __init__(
        self,
        budgets: CallerBudgets,
        book: Book,
        id: str,
        asked: HoldAsked,
        estimate: Estimate,
        held: Sequence[Counted],
    ) -> None:
        self._budgets = budgets
        self.book = book
        book.begun()
        self._open = True
        self.id = id
        self.asked = asked
        self.estimate = estimate
        self.held = held
        self.shared: BudgetHold | None = None

    @property
    def attempt(self) -> Attempt:
        """Whose it is, for the ledger."""
        asked = self.asked
        return Attempt(
            asked.wall,
            asked.request_id,
            asked.attempt,
            asked.model,
            asked.deployment,
            asked.caller,
            asked.tags.get(KEY_TAG, ""),
            asked.tags,
        )

    def settle(
        self, usage: Usage | None, cost_microcents: int | None, *, sent: bool, delivered: int = 0
    ) -> None:
        """What was used counts in place of what was held. Only the first call counts."""
        if self._open:
            self._open = False
            self._budgets.settle(self, self._spent(usage, cost_microcents, delivered) if sent else None)

    def _spent(self, usage: Usage | None, cost: int | None, delivered: int) -> Spent:
        """What it used; for what nobody counted the estimate stands, unless more was delivered."""
        asked, estimate = self.asked, self.estimate
        usage = usage or Usage()
        guessed = usage.prompt is None or usage.completion is None
        prompt = estimate.prompt if usage.prompt is None else max(0, usage.prompt)
        completion = estimate.completion if usage.completion is None else max(0, usage.completion)
        if delivered > completion:
            completion, cost, guessed = delivered, None, True
        if cost is None and asked.price is not None:
            nothing = not (prompt or completion)  # an error, which upstreams do not charge for
            cost = 0 if nothing else asked.price.microcents(Usage(prompt, completion))
        return Spent(
            prompt=prompt,
            completion=completion,
            cached=usage.cached,
            cache_write=usage.cache_write,
            cost_microcents=cost,
            tier=usage.service_tier or "",
            estimated=guessed,
        )


def estimated(estimate: Estimate) -> Spent:
    """The same as what was spent, where nobody ever says what was."""
    return Spent(
        prompt=estimate.prompt,
        completion=estimate.completion,
        cost_microcents=estimate.cost_microcents,
        estimated=True,
    )


def exceeded(lacking: NoRoomLeft) -> BudgetExceeded:
    """What a call ends with that found no room."""
    wanted = lacking.wanted
    return BudgetExceeded(
        str(lacking), rule=wanted.rule.name, limit=str(wanted.limit), retry_after=lacking.wait
    )


def is_free(price: Price) -> bool:
    """Whether it charges nothing, for whatever."""
    tiers = [
        each for tier in price.tiers for each in (tier.input, tier.output, tier.cached, tier.cache_write)
    ]
    return not any((price.input, price.output, price.cached, price.cache_write, price.request, *tiers))


def _account(wanted: Wanted) -> str:
    """The name of an account for all routers."""
    return f"{wanted.rule.name}/{wanted.limit.unit}/{wanted.limit.window.kind}/{wanted.subject}"


def _amount(held: Counted, spent: Spent | None) -> int:
    if spent is None:
        return 0
    if held.unit == "requests":
        return held.amount
    if held.unit == "tokens":
        return (spent.prompt or 0) + (spent.completion or 0)
    return spent.cost_microcents or 0
