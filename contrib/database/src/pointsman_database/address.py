"""Addresses of databases, as people write them."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from msgspec import Struct

from pointsman.plugin import Secret
from pointsman_database.errors import DatabaseError

_EXPECTED = "expected a file such as ./pointsman.db, or postgresql://user@host/name"
_PAIRS = re.compile(r"\s*(host|hostaddr|port|dbname|user|password|service)\s*=")
"""How the other form of an address of Postgres begins, which as a file would show its password."""


class Address(Struct, frozen=True):
    """Where a database is.

    Attributes:
        file: that of SQLite; None for Postgres.
        url: that of Postgres, with its password; None for SQLite.
        shown: the same for people: without the password.
    """

    file: Path | None
    url: Secret | None
    shown: str

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgres`."""
        return "postgres" if self.file is None else "sqlite"


def read_address(text: str, directory: Path) -> Address:
    """What `text` says: a file, as a path or `sqlite:path`, or `postgresql://user:password@host:port/name`.

    Args:
        directory: where paths begin.

    Raises: DatabaseError for what is neither; it repeats no password.
    """
    scheme, colon, rest = text.partition(":")
    if colon and scheme in ("postgresql", "postgres"):
        return _postgres(text)
    if colon and scheme == "sqlite":
        # Both `sqlite:name` and the form of other programs, where three slashes stand before a name.
        return _sqlite(rest.removeprefix("///") if rest.startswith("///") else rest, directory)
    if _PAIRS.match(text):
        raise DatabaseError(f"an address of a Postgres is written as a URL; {_EXPECTED}")
    if "://" in text:
        raise DatabaseError(f"no database is known at an address that begins with {scheme}://; {_EXPECTED}")
    return _sqlite(text, directory)


def known_address(text: str | None) -> str | None:
    """`text` as it is, for settings. Raises: ValueError where `read_address` would not take it."""
    if text is not None:
        try:
            read_address(text, Path())
        except DatabaseError as error:
            raise ValueError(error.message) from None
    return text


def _sqlite(path: str, directory: Path) -> Address:
    if not path or "\0" in path or path.startswith("//"):
        raise DatabaseError(f"that is no file for a database; {_EXPECTED}")
    if path == ":memory:":
        raise DatabaseError(f"a database in memory would keep nothing; {_EXPECTED}")
    file = (directory / Path(path).expanduser()).absolute()
    return Address(file, None, str(file))


def _postgres(text: str) -> Address:
    try:
        parts = urlsplit(text)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        raise DatabaseError(f"that is no address of a Postgres; {_EXPECTED}") from None
    if _is_cut_in_its_password(parts):
        raise DatabaseError(
            "in the user name and the password of a Postgres, @ / ? # are written as %40 %2F %3F %23; "
            "only the @ before the host stands as it is"
        )
    name = unquote(parts.path.strip("/"))
    if not name:
        raise DatabaseError(
            "the address of a Postgres ends with the name of a database: postgresql://host/name"
        )
    user = f"{parts.username}@" if parts.username else ""
    return Address(None, Secret(text), f"postgresql://{user}{parts.hostname or ''}{port}/{name}")


def _is_cut_in_its_password(parts: SplitResult) -> bool:
    """Whether a password goes on where it should be over: what follows would be told as a host or a name."""
    beyond = "@" in parts.path or "@" in parts.fragment
    # libpq ends the password at the first @, and calls the rest of it the name of a host.
    return (
        beyond
        or parts.netloc.count("@") > 1
        or any("=" not in each for each in parts.query.split("&") if each)
    )
