"""The sources of credentials that are built in: none, the configuration, the environment, a file."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from pointsman._internal.regular_files import read_regular
from pointsman.auth import Auth, AuthFactory, Fixed, Secret
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

    value: Secret = Field(description="the credential itself; use `${VAR}` rather than write it down")


class EnvSettings(_Settings):
    """`{type: env, name: OPENAI_API_KEY}`: read at start; a file that `OPENAI_API_KEY_FILE` names, as one."""

    name: str = Field(
        description="the environment variable that holds the credential; without it, the one of this name "
        "with `_FILE` at its end may say which file does"
    )


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

    @property
    def name(self) -> str:
        """Which file."""
        return str(self._path)

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


def from_environment(name: str, clock: Clock, environ: Mapping[str, str] | None = None) -> Auth:
    """The credential in the environment variable `name`, or in the file that `name` with `_FILE` says.

    A variable that is empty says no file, and gives way to one that does.

    Raises: ConfigError when neither is set, or both are; when what they hold is no credential.
    """
    environ = os.environ if environ is None else environ
    value, file = environ.get(name), environ.get(f"{name}_FILE")
    if value and file:
        raise ConfigError(
            f"the environment variables {name} and {name}_FILE are both set; leave one of them out"
        )
    if file:
        try:
            return FromFile(Path(file), clock)
        except ConfigError as error:
            raise ConfigError(f"{name}_FILE: {error.message}") from error
    if value is None and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ConfigError("`name` is none of a variable; a credential itself stands under `api_key`")
    if value is None:
        raise ConfigError(f"the environment variable {name} is not set; set it to the credential")
    return Fixed(checked(value, f"environment variable {name}"), name)


BUILT_IN = (
    AuthFactory("none", NoneSettings, lambda _context: Fixed(None)),
    AuthFactory(
        "static",
        StaticSettings,
        lambda context: Fixed(checked(context.settings.value.reveal(), "the configuration")),
    ),
    AuthFactory("env", EnvSettings, lambda context: from_environment(context.settings.name, context.clock)),
    AuthFactory("file", FileSettings, lambda context: FromFile(context.settings.path, context.clock)),
)
