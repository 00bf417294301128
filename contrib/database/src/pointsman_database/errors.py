"""How a database can fail."""

from __future__ import annotations

from pointsman.plugin import ConfigError


class DatabaseError(ConfigError):
    """It cannot be opened, asked or written; the message says which one, and never holds a password."""


class NewerSchema(DatabaseError):
    """A newer version has made its tables, which this one does not know."""
