"""The control socket as a service of the router: the section `control` starts it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ConfigDict, RootModel

from pointsman._internal.idle import all_idle
from pointsman.section import SectionFactory
from pointsman.service import ServiceContext, ServiceFactory

if TYPE_CHECKING:
    from pointsman.control.socket import Control


class ControlSettings(RootModel[Path]):
    """A socket to operate the router by, relative to the configuration; `{pid}`: its process."""

    model_config = ConfigDict(defer_build=True, frozen=True)


class ControlService:
    """The control socket of one router. Raises ValueError when none can have that path."""

    def __init__(self, context: ServiceContext) -> None:
        from pointsman.control.commands import socket_path  # for whoever has one

        self._context = context
        self._at = socket_path(context.settings.root, context.directory)
        self._control: Control | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ControlService) and other._at == self._at

    __hash__ = None  # type: ignore[assignment]  # nobody keeps them in a set

    async def start(self) -> None:
        """Open the socket and answer. Raises ConfigError when it cannot be opened."""
        from pointsman.control.commands import socket_path
        from pointsman.control.socket import Control

        context = self._context
        path = socket_path(context.settings.root, context.directory, pid=os.getpid())
        self._control = Control(context.router, path, scrub=context.scrub, wall=context.clock.wall)
        self._control.start()

    async def finish(self) -> None:
        """Take no further connections; what is being answered still gets its answer."""
        if self._control is not None:
            # One of those connected may be what asked for the reload, and is owed the answer.
            self._control.close()
            await all_idle([self._control])

    async def aclose(self) -> None:
        """The same, and end at once whatever is still being answered."""
        if self._control is not None:
            await self._control.aclose()


SERVICE = ServiceFactory("control", ControlSettings, ControlService)
SECTION = SectionFactory("control", ControlSettings, service="control")
