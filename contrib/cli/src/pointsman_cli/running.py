"""How a command runs: one event loop, one router that is closed whatever happens, Ctrl-C as 130."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from pointsman_cli.errors import USAGE, Failed
from pointsman_cli.options import Asked

if TYPE_CHECKING:
    from pointsman import Router

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """What `work` returns. Ctrl-C cancels it, lets it clean up, and raises KeyboardInterrupt."""
    return asyncio.run(work)


@asynccontextmanager
async def router_for(asked: Asked) -> AsyncIterator[Router]:
    """A router for the configuration that was asked for, found or discovered; closed at the end.

    Raises: ConfigError, and Failed (2) when there is no configuration and nothing is found.
    """
    from pointsman import Router
    from pointsman_cli.configured import configuration

    router = Router.from_config(await configuration(asked))
    async with router:
        yield router


def default_model(router: Router) -> str:
    """The first configured model. Raises Failed (2) when there is none."""
    for name in router.config.public_models():
        return name
    raise Failed("the configuration has no model; add one under `models`", code=USAGE)
