"""The migrations of our packages: each step once for each database, and one file where both read the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pointsman_database.migrations import migrations

FOLDERS = sorted(Path(__file__).parents[3].glob("contrib/*/src/**/migrations"))


def meant(sql: str) -> str:
    """As SQLite reads it, which knows types by parts of their names."""
    return re.sub(r"\bBIGINT\b", "INTEGER", re.sub(r"\bDOUBLE PRECISION\b", "REAL", sql))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: "/".join(folder.parts[-3:]))
def test_every_step_is_there_for_both_databases_and_twice_only_where_they_differ(folder: Path) -> None:
    of_sqlite, of_postgres = migrations(folder, "sqlite"), migrations(folder, "postgres")

    steps = [(each.version, each.name) for each in of_sqlite]
    assert steps == [(each.version, each.name) for each in of_postgres]
    assert [version for version, _ in steps] == list(range(1, len(steps) + 1))
    for one, other in zip(of_sqlite, of_postgres, strict=True):
        own = folder / f"{one.version:04}_{one.name}.sqlite.sql"
        assert not own.exists() or meant(one.sql) != meant(other.sql), f"{own.name} is for both: one file"


def test_there_are_migrations_to_look_at() -> None:
    assert len(FOLDERS) == 3
