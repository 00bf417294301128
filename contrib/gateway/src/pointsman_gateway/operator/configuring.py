"""What operators do with the configuration: look at it, check another one, read the file anew."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pointsman import Config
from pointsman.config.difference import differences
from pointsman.config.document import LARGEST_BYTES
from pointsman.config.interpolate import references
from pointsman.plugin import ConfigError
from pointsman_gateway.operator.written import written_config

if TYPE_CHECKING:
    from pointsman import Router

Reload = Callable[[], Awaitable[None]]

POSTED = "posted"
"""What a configuration that was sent is called in messages; with the ending of how it is to be read."""
SUFFIXES = ("yaml", "toml", "json")
_FILE = "file:"


class Configuring:
    """The configuration of one router.

    Args:
        gateway: gives the settings of the gateway, as plain data without secrets.
        reload: reads the configuration anew, that of the gateway included.
    """

    def __init__(self, router: Router, gateway: Callable[[], Mapping[str, Any]], reload: Reload) -> None:
        self._router = router
        self._gateway = gateway
        self._reload = reload

    async def shown(self) -> Mapping[str, Any]:
        """As it holds."""
        # A thread, because plugins are asked what their settings mean, of which some may have to be imported.
        return await asyncio.to_thread(written_config, self._router.config, self._gateway())

    async def checked(self, text: str, format: str) -> Mapping[str, Any]:
        """What is wrong with another one, or what it would change. It is written nowhere, and does not hold.

        Returns: `ok`; `problems` and `warnings`, each with its place in the text; `changes`, a sentence each.
        """
        return await asyncio.to_thread(_checked, text, format, self._router.config)

    async def reload(self) -> str | None:
        """Read the file anew, and return its name. Raises ConfigError, and then the former one holds."""
        await self._reload()
        return self._router.config.file


def told(problem: object) -> Mapping[str, Any]:
    """A problem of a configuration as plain data."""
    names = ("code", "message", "path", "hint", "file", "line", "column", "source", "caret")
    return {name: getattr(problem, name, None) for name in names}


def _checked(text: str, format: str, now: Config) -> Mapping[str, Any]:
    from pointsman import Router

    said = {"ok": False, "problems": [], "warnings": [], "changes": []}
    if len(text.encode("utf-8", "replace")) > LARGEST_BYTES:
        message = f"is larger than {LARGEST_BYTES // 1024**2} MiB"
        return {**said, "problems": [{**told(None), "message": message, "file": f"{POSTED}.{format}"}]}
    # What is sent says which variables and files are read, and messages may tell what stands in them. So only
    # those are that the configuration which holds reads, too: who may operate may not look at the others.
    known = set(_referred(now.raw(())))
    environ = {name: value for name, value in os.environ.items() if name in known}
    try:
        config = Config.from_text(
            text,
            suffix=f".{format}",
            file=f"{POSTED}.{format}",
            environ=environ,
            read_file=lambda path: _read(path, known),
        )
        config = Router.check(config)
    except ConfigError as error:
        return {**said, "problems": [told(each) for each in error.problems]}
    changes = [str(each) for each in differences(now, config)]
    return {**said, "ok": True, "warnings": [told(each) for each in config.warnings], "changes": changes}


def _referred(data: object) -> Iterator[str]:
    """The variables and files that the values in `data` refer to, files with `file:` before them."""
    if isinstance(data, Mapping):
        for each in data.values():
            yield from _referred(each)
    elif isinstance(data, list):
        for each in data:
            yield from _referred(each)
    else:
        for each in references(data):
            yield each if each.startswith(_FILE) else each.partition(":-")[0]


def _read(path: str, known: set[str]) -> str:
    if _FILE + path not in known:
        raise ValueError("the configuration that holds does not read it, so that it is not read here")
    from pointsman._internal.regular_files import read_and_seen

    content, _seen = read_and_seen(path, LARGEST_BYTES)
    return content.decode("utf-8")
