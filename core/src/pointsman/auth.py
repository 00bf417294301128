"""Credentials: the interface of the auth plugins, and how a value travels.

A value travels as a `Secret`, which shows itself to nobody: only the code that writes the header of an
outgoing call reveals it. What signs sees the whole call as it goes out.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Protocol

from msgspec import Struct
from pydantic import BaseModel

from pointsman.context import Context

if TYPE_CHECKING:
    from pointsman.http.client import Client, Endpoint

_MASK = "***"


class Secret:
    """A value that stays out of reprs, formats, logs, JSON and pickles; compared in constant time.

    Attributes:
        ends: the instant of the context's clock (`now()`) from which on it is worth nothing; None: not known.
    """

    __slots__ = ("_value", "ends")

    def __init__(self, value: str, ends: float | None = None) -> None:
        if ends is not None and not -1.7e308 < ends < 1.7e308:  # what a float can hold
            raise ValueError("a secret ends at an instant of the clock, a number of seconds; None: not known")
        self._value = value
        self.ends = ends

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
        """The credential to use now, None for none. Must not block: called for every request.

        Raises: NotReady when it takes a `refresh`, for which the calls then wait.
        """

    def rejected(self, secret: Secret) -> bool:
        """The upstream answered 401 to `secret`. Must not block.

        Returns: whether `current` gives another one now, or after the `refresh` that it asks for; with that
            the request is sent once more.
        """
        return False


class RefreshingAuth(Auth, Protocol):
    """An `Auth` whose credential ends, and is fetched anew."""

    async def refresh(self) -> None:
        """Get another credential, so that `current` gives it from now on.

        Awaited once for all who wait, when `current` raises NotReady, or beside the running calls when
        its secret is about to end; cancelled after 10 s. After a failure the next try waits for a while.

        Raises: AuthenticationFailed or PermissionDenied when nobody gives us one; any other `CallError`
            when that may be different a little later.
        """


class SigningAuth(Auth, Protocol):
    """An `Auth` that proves who asks with a signature in place of a credential that travels."""

    def current(self) -> Secret | None:
        """A secret that ends or may be rejected, such as the key of a session; it is not sent."""
        return None

    def sign(self, outgoing: Outgoing) -> Mapping[str, str]:
        """Headers that prove who asks, added to the request in place of those of the same names.

        The last step before a request is sent, also of one that is sent once more. Must not block.
        """


def is_plain(auth: Auth) -> bool:
    """Whether `auth` neither refreshes nor signs, so that its credential is attached as it is."""
    return not (hasattr(auth, "refresh") or hasattr(auth, "sign"))


class Outgoing(Discreet, frozen=True):
    """A request as it goes out, for what signs it.

    Attributes:
        method: in capitals.
        url: all of it, percent-encoded as it is sent.
        headers: by name in lower case: all that are sent beside what `sign` returns. Without `authorization`:
            a signed call carries no other credential.
        body: b"" for none.
    """

    unshown = ("url", "headers", "body")
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


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
