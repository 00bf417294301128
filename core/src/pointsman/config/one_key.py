"""What stands at one key of a configuration file, for those who need nothing else of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path as FilePath
from typing import Any, TypeVar

from pointsman.config import codes
from pointsman.config.document import ConfigSource
from pointsman.config.from_files import FilesRead
from pointsman.config.interpolate import interpolate
from pointsman.config.readers.files import read
from pointsman.errors import ConfigError

T = TypeVar("T")


def one_key(source: ConfigSource, key: str, use: Callable[[Any, FilePath], T]) -> T | None:
    """What `use` makes of what stands at the top-level `key` of a configuration, and of its directory.

    Nothing else in it needs to be right: its references may lead to what only its router has. None when
    the key is not there, or null.

    Raises: ConfigError, also for a ValueError of `use`, with the place.
    """
    document = read(source)
    given = document.data.get(key) if isinstance(document.data, Mapping) else None
    if given is None:
        return None
    found, faults = interpolate(given, environ=os.environ, read_file=FilesRead())
    message, code = (faults[0][1], faults[0][3]) if faults else ("", codes.VALUE)
    if not message:
        try:
            return use(found, FilePath(document.files[0]).parent)
        except ValueError as error:
            message = str(error)
    problem = document.problem((key,), message, code=code)
    raise ConfigError(str(problem), [problem])
