"""A configuration from whatever holds one, with what plugins find wrong with it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pointsman.build.builder import wrong_for_plugins
from pointsman.clock import LoopClock, system_rng
from pointsman.config import Config
from pointsman.config.document import ConfigSource
from pointsman.config.findings import Finding
from pointsman.plugins.registry import Plugins
from pointsman.provider import ProviderFactory

if TYPE_CHECKING:
    from pointsman.plugins.data_files import DataFile


log = logging.getLogger("pointsman")


def plugins_for(config: Config, objects: Iterable[object] = ()) -> Plugins:
    """What a router with `config` finds by name: in `objects`, and in what is installed and let in."""
    return Plugins(objects, rules=config.plugins.rules, read_data=provider_of)


def provider_of(file: DataFile, base: Callable[[str], ProviderFactory]) -> ProviderFactory:
    """The provider type that `file` describes. Raises ConfigError with all that is wrong with it."""
    from pointsman.build.provider_data import provider_type  # few programs use one

    return provider_type(file, base)


def expect_config(given: object, router: str) -> None:
    """Raise TypeError when `given`, of which a `router` is to be made, is what `from_config` reads."""
    if not isinstance(given, Config):
        what = type(given).__name__
        raise TypeError(
            f"a {router} is made of a Config, not of a {what}; files and mappings go to {router}.from_config"
        )


def as_config(source: ConfigSource | Mapping[str, Any] | Config, plugins: Sequence[object] = ()) -> Config:
    """The configuration in a file, a folder, several of these or a mapping, or `source` itself.

    Raises: ConfigError with all problems at once, those that `plugins` and installed ones find as well.
    """
    if isinstance(source, Config):
        return source

    def further(rest: Config) -> Sequence[Finding]:
        return wrong_for_plugins(rest, plugins_for(rest, plugins), clock=LoopClock(), rng=system_rng())

    if isinstance(source, Mapping):
        return Config.from_mapping(source, further=further, plugins=plugins)
    return Config.load(source, further=further, plugins=plugins)


def to_run_on(source: ConfigSource | Mapping[str, Any] | Config, plugins: Sequence[object] = ()) -> Config:
    """As `as_config`, for a router that takes up what changes in the file that it is given, if it is one.

    A `Config` is what its maker wants, which may be something else than what a file says.
    """
    config = as_config(source, plugins)
    if not isinstance(source, Config):
        config.follow()
    return config


def tell_of_warnings(config: Config) -> None:
    """Log that somebody has warned of something in `config`: a router runs on it all the same."""
    if number := len(config.warnings):
        what = "1 warning" if number == 1 else f"{number} warnings"
        log.warning("%s: %s; pointsman config check says of what", config.file or "the configuration", what)
