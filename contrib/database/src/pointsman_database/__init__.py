"""Where pointsman keeps what outlives a process: SQLite or Postgres, by address."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pointsman.plugin import PointsmanSpec, hookimpl
from pointsman_database.address import Address, known_address, read_address
from pointsman_database.components import Component
from pointsman_database.database import Database
from pointsman_database.errors import DatabaseError, NewerSchema
from pointsman_database.session import Session

__all__ = [
    "Address",
    "Component",
    "Database",
    "DatabaseError",
    "DatabasePlugin",
    "NewerSchema",
    "Session",
    "known_address",
    "plugin",
    "read_address",
]


class DatabasePlugin(PointsmanSpec):
    """Offers the command `db`."""

    @hookimpl
    def pointsman_commands(self) -> Sequence[Any]:
        """`pointsman db`."""
        from pointsman_database.command import command  # only the command line has click

        return [command]


plugin = DatabasePlugin()
