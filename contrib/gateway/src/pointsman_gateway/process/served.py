"""The router of a gateway that is a process of its own, whose file says how both are set."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from pointsman import Config, Router
from pointsman.plugin import ConfigError


class ServedRouter(Router):
    """A router that, told to read its file again, has its gateway read it: by the control socket, too.

    Alone it would go by the new file while keys, surfaces and addresses stayed those of the old one.

    Attributes:
        reread: goes by what the file says now, the router included; None until the gateway listens.
    """

    reread: Callable[[], Awaitable[None]] | None = None

    async def reload(self, source: str | Path | Mapping[str, Any] | Config | None = None) -> None:
        """As that of any router. Raises ConfigError while the gateway begins, too."""
        if source is not None:
            await super().reload(source)
        elif self.reread is None:
            raise ConfigError("the gateway is just beginning; ask again when it listens")
        else:
            try:
                await self.reread()
            except ConfigError as error:  # of the gateway's part, too, of which the router knows nothing
                self._lifecycle.in_use.refuse(error)
                raise
