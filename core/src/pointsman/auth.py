"""Credentials: the interface of the auth plugins, and how a value travels.

A value travels as a `Secret`, which shows itself to nobody, from the field of a configuration on: only the
code that writes the header of an outgoing call reveals it. What signs sees the whole call as it goes out.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Protocol, Self

from msgspec import Struct, field
from pydantic import BaseModel

from pointsman._internal.scrubber import MASK
from pointsman.context import Context

if TYPE_CHECKING:
    from pydantic_core import CoreSchema

    from pointsman.http.client import Client, Endpoint


class Secret:
    """A value that stays out of reprs, formats, logs, JSON and pickles; compared in constant time.

    It is also the type of a field that holds a secret, in pydantic models and sections of a configuration: a
    text there becomes one, whose JSON is `***`. Give a model of your own `hide_input_in_errors=True`: else
    pydantic shows what it was given when a value is of the wrong kind or too short.

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
        return f"Secret({MASK})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, _spec: str) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._bytes(), other._bytes())

    def __hash__(self) -> int:
        return hash(hashlib.sha256(self._bytes()).digest())

    def __len__(self) -> int:
        return len(self._value)  # for `Field(min_length=…)`

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        return self  # pydantic copies defaults, and this one nobody changes

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> CoreSchema:
        from pydantic_core import core_schema  # for those that validate one

        return core_schema.no_info_wrap_validator_function(
            cls._taken,
            core_schema.str_schema(strict=True),
            serialization=core_schema.plain_serializer_function_ser_schema(cls._dumped, info_arg=True),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: CoreSchema, _handler: Any) -> dict[str, Any]:
        return {"type": "string", "format": "password", "writeOnly": True}

    def _dumped(self, info: Any) -> Self | str:
        return MASK if info.mode_is_json() else self

    @classmethod
    def _taken(cls, value: Any, as_text: Callable[[Any], str]) -> Self:
        if isinstance(value, cls):
            return value
        theirs = getattr(value, "get_secret_value", None)  # pydantic's own, out of a program
        return cls(as_text(value if theirs is None else theirs()))

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


class CredentialVersion(Discreet, frozen=True):
    """One of the credentials that a source has at the same time, such as a new and an old one.

    Attributes:
        name: tells it from the others, and is no secret: `2`.
        not_before, not_after: when it may be used, seconds since 1970 UTC: from the one on, up to the other.
            None: no such limit.
    """

    unshown = ("secret",)
    name: str
    secret: Secret
    not_before: float | None = None
    not_after: float | None = None


class VersionedAuth(RefreshingAuth, Protocol):
    """An `Auth` that has several credentials at a time. The router uses them in turn, as those of a list.

    Its `refresh` begins with the router, where `versions` has none yet, so that no call waits for it.
    """

    def versions(self) -> Sequence[CredentialVersion]:
        """All of them, the same object until one changes. Must not block: called for every request.

        Raises: NotReady when it takes a `refresh`: before the first, or after one was `rejected` and there
            may be others.
        """


class TroubledAuth(Auth, Protocol):
    """An `Auth` that can tell what is wrong with it before a call fails."""

    def trouble(self) -> str:
        """What is wrong and what would help, in words without secrets; "" for nothing. Must not block."""


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
        directory: that of the configuration file; the working directory when there is no file.
        section: what the configuration has at the key of the same name as this type, as the section plugin of
            that name has read it; None where there is nothing.
        shared: what the sources of one router have in common, by keys of theirs; who needs it first adds it.
    """

    provider: str
    http: Callable[[Endpoint], Client]
    directory: Path = Path()
    section: Any = None
    shared: dict[Hashable, Any] = field(default_factory=dict)


class AuthFactory(Struct, frozen=True):
    """What an auth plugin offers: `make` returns an `Auth` or raises ConfigError."""

    name: str
    settings: type[BaseModel]
    make: Callable[[AuthContext], Auth]


class Fixed:
    """A credential that stays as it is; None for none.

    Attributes:
        name: tells it from others in a status, such as the variable that it comes from; no secret.
    """

    __slots__ = ("_secret", "name")

    def __init__(self, secret: Secret | None, name: str = "") -> None:
        self._secret, self.name = secret, name

    def current(self) -> Secret | None:
        return self._secret

    def rejected(self, secret: Secret) -> bool:
        """Nothing can be done: there is no other."""
        return False
