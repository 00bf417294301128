"""Credentials: the interface of the auth plugins, and how a value travels.

A value travels as a `Secret`, which shows itself to nobody: only the code that writes the header of an
outgoing call reveals it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Protocol

from msgspec import Struct
from pydantic import BaseModel

from pointsman.context import Context

if TYPE_CHECKING:
    from pointsman.http.client import Client, Endpoint

_MASK = "***"


class Secret:
    """A value that stays out of reprs, formats, logs, JSON and pickles; compared in constant time."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself. Only for the place that writes it into an outgoing header."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({_MASK})"

    def __str__(self) -> str:
        return _MASK

    def __format__(self, _spec: str) -> str:
        return _MASK

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._bytes(), other._bytes())

    def __hash__(self) -> int:
        return hash(hashlib.sha256(self._bytes()).digest())

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")

    def _bytes(self) -> bytes:
        return self._value.encode("utf-8", "surrogatepass")


class Discreet(Struct, frozen=True):
    """A value of which reprs leave out the fields that may hold a secret: those named in `unshown`."""

    unshown: ClassVar[tuple[str, ...]] = ()

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        # rich prefers this to a repr, and that of a Struct shows everything.
        return [(name, getattr(self, name)) for name in self.__struct_fields__ if name not in self.unshown]

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({shown})"


class Auth(Protocol):
    """Where one provider's credential comes from."""

    def current(self) -> Secret | None:
        """The credential to use now, None for none. Must not block: called for every request."""

    def rejected(self, secret: Secret) -> bool:
        """The upstream answered 401 to `secret`. Must not block.

        Returns: whether `current` gives another one now, with which the request is sent once more.
        """
        return False


class AuthContext(Context, frozen=True, kw_only=True, eq=False):
    """What a source of credentials is made from.

    Attributes:
        provider: the configured name of the provider that it is for.
        http: opens a client for a token endpoint, without a credential, over the provider's transport and
            with its proxy and TLS. The router closes it.
    """

    provider: str
    http: Callable[[Endpoint], Client]


class AuthFactory(Struct, frozen=True):
    """What an auth plugin offers: `make` returns an `Auth` or raises ConfigError."""

    name: str
    settings: type[BaseModel]
    make: Callable[[AuthContext], Auth]


class Fixed:
    """A credential that stays as it is; None for none."""

    __slots__ = ("_secret",)

    def __init__(self, secret: Secret | None) -> None:
        self._secret = secret

    def current(self) -> Secret | None:
        return self._secret

    def rejected(self, secret: Secret) -> bool:
        """Nothing can be done: there is no other."""
        return False
