"""Configurations for who calls nobody: read as they stand, without the secrets that they refer to."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress

from pointsman.auth import Secret
from pointsman.build.loading import as_config
from pointsman.config import Config
from pointsman.config.document import ConfigSource
from pointsman.errors import ConfigError


def load_config(file: ConfigSource) -> Config:
    """The configuration in `file`, a folder, or several of these; for variables and files that are not there
    it has a stand-in.

    Raises: ConfigError with everything that is wrong.
    """
    try:
        return as_config(file)
    except ConfigError as error:
        # Who calls nobody needs no key; where that was all, it goes on without.
        with suppress(ConfigError):
            return Config.load(file, environ=_Unset(os.environ), read_file=_unread)
        raise error


def without_credentials(config: Config) -> Config:
    """`config` with a stand-in for each credential, so that none is looked up; nor does it write an audit."""
    key = Secret("not-set")
    providers = {
        name: each
        if each.api_key is None and each.auth is None
        else each.model_copy(update={"auth": None, "api_key": key})
        for name, each in config.providers.items()
    }
    return config.model_copy(update={"providers": providers, "audit": []})


class _StandIn(str):
    """A value that gives way to the default of a reference which has one."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False


def _unread(path: object) -> str:
    # Keys of a gateway have to be long, and each another.
    return _StandIn(f"{path}-is-not-read-here")


class _Unset(Mapping[str, str]):
    """Variables, each of which is set."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def __getitem__(self, name: str) -> str:
        return self._environ.get(name, _StandIn(f"{name}-is-not-set-here"))

    def __iter__(self) -> Iterator[str]:
        return iter(self._environ)

    def __len__(self) -> int:
        return len(self._environ)
