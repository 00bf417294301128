"""Where tests of records have them: a file, and a server where one can be had."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres import own_database


@pytest.fixture(params=["sqlite", "postgres"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Of an empty database."""
    if request.param == "sqlite":
        yield str(tmp_path / "audit.db")
        return
    with own_database() as (server, name):
        yield server.url(name)
