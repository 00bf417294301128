"""The ledger: what budgets hold and what was spent, kept so that a restart forgets nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from msgspec import Struct


class Counted(Struct, frozen=True, gc=False):
    """An amount in the books of one budget.

    Attributes:
        rule: the name of its rule; subject: whose it is; "" for all together.
        unit: what is counted, in the words of who counts: such as `microcents`.
        since: when the part of its window began that the amount falls into, seconds since 1970 UTC.
        amount: 0 or more.
    """

    rule: str
    subject: str
    unit: str
    since: int
    amount: int


class Attempt(Struct, frozen=True, gc=False):
    """Whose attempt it is, and where it went.

    Attributes:
        at: when it began, seconds since 1970 UTC.
        labels: the tags of its call.
    """

    at: float
    request_id: str
    attempt: int
    model: str
    deployment: str
    caller: str = ""
    key_id: str = ""
    labels: Mapping[str, str] = {}


class Spent(Struct, frozen=True, gc=False):
    """What one attempt used. Tokens and costs are None where nobody knows; `estimated`: they are a guess."""

    prompt: int | None = None
    completion: int | None = None
    cached: int | None = None
    cache_write: int | None = None
    cost_microcents: int | None = None
    tier: str = ""
    estimated: bool = False


class OpenHold(Struct, frozen=True):
    """A hold of which nobody has said what became of it.

    Attributes:
        expires: when it counts as spent, seconds since 1970 UTC.
        counted: what is held.
    """

    id: str
    expires: float
    counted: Sequence[Counted]


class Books(Struct, frozen=True):
    """What a ledger remembers when it is opened.

    Attributes:
        spent: what was spent, in parts of windows; of one part of one account once.
        held: what attempts of processes that have ended, or that run beside this one, hold still.
    """

    spent: Sequence[Counted] = ()
    held: Sequence[OpenHold] = ()


class LedgerUnavailable(Exception):
    """What was to be kept is not kept now; the message says why."""


class Ledger(Protocol):
    """Where budgets keep what they hold and what was spent. All of it is called on the loop, and takes
    microseconds; only `open` and `close` may block, in a thread.

    Nothing in here decides: amounts are counted by who holds, and kept as they come.
    """

    def open(self, wall: float) -> Books:
        """Begin, with what is remembered at `wall`. Holds that have expired by then are spent already.

        Raises: ConfigError where nothing can be kept there.
        """

    def hold(
        self, id: str, attempt: Attempt, estimate: Spent, counted: Sequence[Counted], expires: float
    ) -> None:
        """Keep that `counted` is held under `id`, which nobody else ever uses, before anything is sent.

        Nothing is kept where nothing is counted.

        Args:
            estimate: what the attempt is taken to use.
            expires: when it is spent as it stands if nobody has settled it, seconds since 1970 UTC.

        Raises: LedgerUnavailable. Then the rule says whether the attempt is made; it may be settled even so.
        """

    def settle(self, id: str, attempt: Attempt, spent: Spent | None, counted: Sequence[Counted]) -> None:
        """What became of `id`: `counted` was spent and nothing is held. Never raises; twice is once.

        What cannot be kept now is tried again, in order, until it is. One that had expired is put right.

        Args:
            spent: None where nothing was used, so that nobody is shown an attempt that never was. Nothing is
                kept of that: what is said of it later counts.
        """

    def expired(self, wall: float) -> Sequence[OpenHold]:
        """Those that `open` told of and that end now, with what they came to.

        What nobody has settled counts as spent as it stood; nothing where another process has settled it. To
        be called now and then, such as each second; what waits to be kept is tried again, too.
        """

    def trouble(self) -> str:
        """Why nothing is kept now, and how much waits; "" where all is well."""

    def close(self) -> None:
        """Keep what waits, and end."""


class MemoryLedger:
    """Keeps nothing: for budgets that begin anew with each process."""

    def open(self, wall: float) -> Books:
        return Books()

    def hold(
        self, id: str, attempt: Attempt, estimate: Spent, counted: Sequence[Counted], expires: float
    ) -> None: ...

    def settle(self, id: str, attempt: Attempt, spent: Spent | None, counted: Sequence[Counted]) -> None: ...

    def expired(self, wall: float) -> Sequence[OpenHold]:
        return ()

    def trouble(self) -> str:
        return ""

    def close(self) -> None: ...


def open_ledger(address: str | None, directory: Path, keep: float | None = None) -> Ledger:
    """The ledger at `address`, as of `Database.open`; None: one that keeps nothing. It opens nothing yet.

    Args:
        keep: seconds after which what was spent is forgotten; None: it stays.
    """
    if address is None:
        return MemoryLedger()
    from pointsman_callers.ledger.kept import KeptLedger

    return KeptLedger(address, directory, keep=keep)
