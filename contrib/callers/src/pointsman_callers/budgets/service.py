"""The section `budgets`, and the service that has a router ask before it calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from pointsman.plugin import Route, SectionFactory, ServiceContext, ServiceFactory
from pointsman_callers.budgets.holding import Book, CallerBudgets
from pointsman_callers.budgets.routes import BudgetRoutes
from pointsman_callers.budgets.settings import BudgetsSettings, check
from pointsman_callers.ledger import open_ledger
from pointsman_callers.ledger.routes import SpendRoutes
from pointsman_database import read_address

_LOOK_EVERY = 1.0
"""Seconds between looks for holds that have expired."""


def budgets_of(context: ServiceContext) -> CallerBudgets:
    """Those of the router that a service is made for, over reloads; it has the router use them in `start`."""
    used = context.router.budgets
    return used if isinstance(used, CallerBudgets) else CallerBudgets(context.clock, context.rng, context.log)


class BudgetsService:
    """Lives with a router: has it use the budgets, and keeps what they come to.

    Args:
        beneath: for as long as nobody else keeps it elsewhere.
    """

    def __init__(self, context: ServiceContext, *, beneath: bool = False) -> None:
        self._context = context
        self._beneath = beneath
        self._budgets: CallerBudgets | None = None
        self._book: Book | None = None
        self._counts: Callable[[], None] | None = None
        self._ends: list[Callable[[], object]] = []
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin with what the ledger remembers. Raises ConfigError where it cannot be opened."""
        context, settings = self._context, self._context.settings
        budgets = self._budgets = budgets_of(context)
        async with budgets.opening:
            book = self._book = await self._opened(budgets)
            self._counts = budgets.use(
                [each.rule for each in settings.rules],
                book,
                refuses_unkept=settings.on_error == "refuse",
                beneath=self._beneath,
            )
        budgets.state = context.state
        self._ends.append(context.router.use_budgets(budgets))
        self._ends.append(context.router.offered.add_routes(self._routes(budgets, book)))
        self._task = asyncio.ensure_future(self._look(budgets))

    async def _opened(self, budgets: CallerBudgets) -> Book:
        """The book of the configuration: where calls are counted in it already, that one."""
        said, directory = self._context.settings.database, self._context.directory
        keep = self._context.settings.keep
        address = None if said is None else read_address(said, directory)
        for each in budgets.books:
            if each.address == address:
                if not self._beneath and hasattr(each.ledger, "keep"):
                    each.ledger.keep = keep
                return each
        book = Book(address, open_ledger(said, directory, keep))
        book.begin_with(await asyncio.to_thread(book.ledger.open, self._context.clock.wall()))
        return book

    def _routes(self, budgets: CallerBudgets, book: Book) -> Sequence[Route]:
        routes = list(BudgetRoutes(budgets).routes())
        database = getattr(book.ledger, "database", None)
        if database is not None:
            now = lambda: getattr(budgets.book.ledger, "database", None) or database  # noqa: E731
            routes += SpendRoutes(now, self._context.clock.wall).routes()
        return routes

    async def _look(self, budgets: CallerBudgets) -> None:
        said = ""
        while True:
            await self._context.clock.sleep(_LOOK_EVERY)
            budgets.expire(self._context.clock.wall())
            trouble = budgets.book.ledger.trouble()
            if bool(trouble) != bool(said):
                log = self._context.log
                if trouble:
                    log.error("what was spent is not kept: %s", self._context.scrub(trouble))
                else:
                    log.warning("what was spent is kept again")
            said = trouble

    async def finish(self) -> None:
        """Have its rules hold no more; what is under way is settled still."""
        if self._counts is not None:
            self._counts()
        if self._budgets is not None and self._book is not None and not self._budgets.uses(self._book):
            await self._book.settled()

    async def aclose(self) -> None:
        """End; what waits is kept first."""
        if self._task is not None:
            self._task.cancel()
        if self._counts is not None:
            self._counts()
        for end in reversed(self._ends):
            end()
        self._ends.clear()
        book, self._book = self._book, None
        if book is not None and self._budgets is not None and self._budgets.given_up(book):
            await asyncio.to_thread(book.ledger.close)


SECTION = SectionFactory("budgets", BudgetsSettings, service="budgets", check=check)
SERVICE = ServiceFactory("budgets", BudgetsSettings, BudgetsService, before_calls=True)
