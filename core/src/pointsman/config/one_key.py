"""What stands at one key of a configuration file, for those who need nothing else of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path as FilePath
from typing import Any, TypeVar

from pointsman.config.interpolate import interpolate
from pointsman.config.model import read_reference
from pointsman.config.readers.files import read
from pointsman.errors import ConfigError

T = TypeVar("T")


def one_key(file: FilePath | str, key: str, use: Callable[[Any, FilePath], T]) -> T | None:
    """What `use` makes of what stands at the top-level `key` of `file`, and of the directory of that.

    Nothing else in the file needs to be right: its references may lead to what only its router has. None when
    the key is not there, or null.

    Raises: ConfigError, also for a ValueError of `use`, with the place.
    """
    document = read(file)
    given = document.data.get(key) if isinstance(document.data, Mapping) else None
    if given is None:
        return None
    found, faults = interpolate(given, environ=os.environ, read_file=read_reference)
    message = faults[0][1] if faults else ""
    if not message:
        try:
            return use(found, FilePath(str(file)).parent)
        except ValueError as error:
            message = str(error)
    raise ConfigError(f"{document.problem((key,), message)}")
