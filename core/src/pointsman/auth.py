"""Credentials: the interface of the auth plugins, and the four sources that are built in.

A value travels as a `Secret`, which shows itself to nobody: only the code that writes the header of an
outgoing call reveals it.
"""

# The annotations are not put off as elsewhere: pydantic would have to compile each of them, from its text.
import hashlib
import hmac
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, Protocol

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from pointsman.clock import Clock
from pointsman.errors import ConfigError
from pointsman.frozen import frozen
from pointsman.regular import read_regular
from pointsman.scrubber import Scrubber

_MASK = "***"
LARGEST_SECRET = 64 * 1024
"""Bytes of a file that holds a credential."""


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


class Auth(Protocol):
    """Where one provider's credential comes from."""

    def current(self) -> Secret | None:
        """The credential to use now, None for none. Must not block: called for every request."""

    def rejected(self, secret: Secret) -> None:
        """The upstream answered 401 to `secret`."""


@frozen
class AuthFactory:
    """What an auth plugin offers: `make(settings, clock)` returns an `Auth` or raises ConfigError."""

    name: str
    settings: type[BaseModel]
    make: Callable[[Any, Clock], Auth]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, defer_build=True)


class NoneSettings(_Settings):
    """`{type: none}`: no credential."""


class StaticSettings(_Settings):
    """`{type: static, value: ${VAR}}`, and what `api_key:` is short for."""

    value: SecretStr = Field(description="the credential itself; use `${VAR}` rather than write it down")


class EnvSettings(_Settings):
    """`{type: env, name: OPENAI_API_KEY}`: read once, at start."""

    name: str = Field(description="the environment variable that holds the credential")


class FileSettings(_Settings):
    """`{type: file, path: /run/secrets/openai}`: read again when the file changes."""

    path: Path = Field(description="the file that holds the credential and nothing else")


class Fixed:
    """A credential that stays as it is; None for none."""

    __slots__ = ("_secret",)

    def __init__(self, secret: Secret | None) -> None:
        self._secret = secret

    def current(self) -> Secret | None:
        return self._secret

    def rejected(self, secret: Secret) -> None:
        """Nothing can be done: there is no other."""


class Overheard:
    """`auth`, with a scrubber that hears of every credential it gives, to hide it from then on."""

    __slots__ = ("_auth", "_scrubber")

    def __init__(self, auth: Auth, scrubber: Scrubber) -> None:
        self._auth = auth
        self._scrubber = scrubber

    def current(self) -> Secret | None:
        secret = self._auth.current()
        if secret is not None:
            self._scrubber.learn(secret.reveal())
        return secret

    def __getattr__(self, name: str) -> Any:
        return getattr(self._auth, name)

    def rejected(self, secret: Secret) -> None:
        self._auth.rejected(secret)


class FromFile:
    """A credential in a file, which is looked at again at most once a second."""

    __slots__ = ("_checked", "_clock", "_path", "_secret", "_stamp")

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._checked: float | None = None
        self._stamp: tuple[int, int, int] | None = None
        self._secret = self._read()

    def current(self) -> Secret | None:
        now = self._clock.now()
        if self._checked is None or now - self._checked >= 1.0:
            self._checked = now
            self._refresh()
        return self._secret

    def rejected(self, secret: Secret) -> None:
        """Look at the file again with the next call: it may have been rotated."""
        if secret == self._secret:
            self._checked = self._stamp = None

    def _refresh(self) -> None:
        try:
            stat = self._path.stat()
            stamp = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
            if stamp != self._stamp:
                self._secret, self._stamp = self._read(), stamp
        except (OSError, ConfigError):
            # A secret that is being replaced is gone for a moment; the old one serves until it is back.
            return

    def _read(self) -> Secret:
        try:
            # A decoding error would carry the whole content; this way it is `checked` that objects.
            value = read_regular(self._path, LARGEST_SECRET).decode("utf-8", "surrogateescape")
        except OSError as error:
            raise ConfigError(f"the credential file {self._path} cannot be read: {error}") from error
        return checked(value.strip(), f"file {self._path}")


def checked(value: str, source: str) -> Secret:
    """`value` as a Secret; ConfigError naming `source` when it is empty or cannot stand in a header."""
    if not value.strip():
        raise ConfigError(f"the credential from {source} is empty")
    if value != value.strip(" "):
        raise ConfigError(f"the credential from {source} begins or ends with a blank; remove it")
    if any(ord(each) < 0x20 or ord(each) == 0x7F or ord(each) > 0xFF for each in value):
        raise ConfigError(
            f"the credential from {source} has characters that cannot stand in an HTTP header "
            "(a line break or other control character, or one outside Latin-1)"
        )
    return Secret(value)


def from_environment(name: str, environ: Mapping[str, str] | None = None) -> Secret:
    """The credential in the environment variable `name`. Raises ConfigError when unset or empty."""
    value = (os.environ if environ is None else environ).get(name)
    if value is None:
        raise ConfigError(f"the environment variable {name} is not set; set it to the credential")
    return checked(value, f"environment variable {name}")


BUILT_IN = (
    AuthFactory("none", NoneSettings, lambda _settings, _clock: Fixed(None)),
    AuthFactory(
        "static",
        StaticSettings,
        lambda settings, _clock: Fixed(checked(settings.value.get_secret_value(), "the configuration")),
    ),
    AuthFactory("env", EnvSettings, lambda settings, _clock: Fixed(from_environment(settings.name))),
    AuthFactory("file", FileSettings, lambda settings, clock: FromFile(settings.path, clock)),
)
