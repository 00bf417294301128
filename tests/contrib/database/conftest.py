"""A database of each kind, for tests that hold for both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres import own_database

from pointsman_database import Database


@pytest.fixture(params=["sqlite", "postgres"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where an empty database is."""
    if request.param == "sqlite":
        yield str(tmp_path / "kept" / "pointsman.db")
        return
    with own_database() as (server, name):
        yield server.url(name)


@pytest.fixture
def database(address: str, tmp_path: Path) -> Iterator[Database]:
    """One that is open."""
    made = Database.open(address, tmp_path)
    yield made
    made.close()
