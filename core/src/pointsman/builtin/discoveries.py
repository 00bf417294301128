"""Discoveries that are built in: the addresses of a name, and the models that a provider lists."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from pydantic import BaseModel

from pointsman.discovery import Discovery, DiscoveryContext, DiscoveryFactory, Found, FoundServer
from pointsman.errors import ConfigError, ConnectionFailed
from pointsman.values.model_names import callable_names

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The IP addresses of a host, whose port is the other argument. Raises OSError."""


class Dns(Discovery):
    """Each address that the name of a provider resolves to is one of its servers."""

    def __init__(self, context: DiscoveryContext, resolve: Resolve | None = None) -> None:
        if context.base_url is None:
            raise ConfigError("there is no name to look up: say the provider's base_url")
        parts = urlsplit(context.base_url)
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._resolve = resolve or addresses

    async def find(self) -> Found:
        try:
            found = await self._resolve(self._host, self._port)
        except (OSError, UnicodeError) as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise ConnectionFailed(f"{self._host!r} cannot be looked up: {why}") from error
        return Found(servers=[FoundServer(address=each) for each in dict.fromkeys(found)])


async def addresses(host: str, port: int) -> Sequence[str]:
    """Those that the system's resolver gives, in a thread of its own."""
    answers = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for _family, _kind, _protocol, _name, address in answers]


class DnsSettings(BaseModel, extra="forbid"):
    """There are none: the name is that in the provider's `base_url`."""


class ListedSettings(BaseModel, extra="forbid"):
    """Which of the models to offer."""

    include: Sequence[str] = ("*",)
    exclude: Sequence[str] = ()


class Listed(Discovery):
    """The models that a provider lists, but for those that are left out."""

    def __init__(self, context: DiscoveryContext) -> None:
        self._list = context.models
        self._settings: ListedSettings = context.settings or ListedSettings()

    async def find(self) -> Found:
        listed = await self._list()
        names = callable_names(each.id for each in listed)
        return Found(models=[each for each in names if self._is_wanted(each)])

    def _is_wanted(self, name: str) -> bool:
        def fits(patterns: Sequence[str]) -> bool:
            return any(fnmatchcase(name, each) for each in patterns)

        return fits(self._settings.include) and not fits(self._settings.exclude)


BUILT_IN = (
    DiscoveryFactory("dns", DnsSettings, Dns),
    DiscoveryFactory("models", ListedSettings, Listed),
)
