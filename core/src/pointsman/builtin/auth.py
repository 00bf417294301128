"""The sources of credentials that are built in: none, the configuration, the environment, a file."""

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from pointsman._internal.regular_files import read_regular
from pointsman.auth import AuthFactory, Fixed, Secret
from pointsman.clock import Clock
from pointsman.errors import ConfigError

LARGEST_SECRET = 64 * 1024
"""Bytes of a file that holds a credential."""


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

    def rejected(self, secret: Secret) -> bool:
        """Look at the file again, now and with the next call: it may have been rotated, or just be."""
        if secret == self._secret:
            self._stamp = None  # the same stamp may be another content
            self._refresh()
            if secret == self._secret:
                self._checked = self._stamp = None
        return secret != self._secret

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
    AuthFactory("none", NoneSettings, lambda _context: Fixed(None)),
    AuthFactory(
        "static",
        StaticSettings,
        lambda context: Fixed(checked(context.settings.value.get_secret_value(), "the configuration")),
    ),
    AuthFactory("env", EnvSettings, lambda context: Fixed(from_environment(context.settings.name))),
    AuthFactory("file", FileSettings, lambda context: FromFile(context.settings.path, context.clock)),
)
