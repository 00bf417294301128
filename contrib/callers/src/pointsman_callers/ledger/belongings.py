"""What the ledger keeps of a caller, for `pointsman callers export` and `erase`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pointsman_callers.ledger import spending
from pointsman_callers.ledger.kept import COMPONENT
from pointsman_database import Database, Session, read_address

if TYPE_CHECKING:
    from pointsman import Config


def export(config: Config, caller: str, _key_id: str) -> Sequence[Mapping[str, Any]]:
    """Its attempts, the oldest first. It blocks."""
    return [row for database in _ledgers(config) for row in database.read(_of(caller, spending.export_of))]


def erase(config: Config, caller: str, _key_id: str) -> int:
    """How many of its attempts are nobody's now. It blocks."""
    return sum(database.write(_of(caller, spending.erase)) for database in _ledgers(config))


def _of(caller: str, work: Callable[[Session, str], Any]) -> Callable[[Session], Any]:
    return lambda session: work(session, caller)


def _ledgers(config: Config) -> Iterator[Database]:
    """Those that are there, each while it is looked at."""
    for address in COMPONENT.addresses(config):
        file = read_address(address, config.directory).file
        if file is None or file.is_file():
            with _opened(address, config) as database:
                if database.state(COMPONENT.name, COMPONENT.folder).version:
                    yield database


@contextmanager
def _opened(address: str, config: Config) -> Iterator[Database]:
    database = Database.open(address, config.directory)
    try:
        yield database
    finally:
        database.close()
