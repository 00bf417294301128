"""Services: the interface of what lives with a router, such as a control socket or an exporter of metrics."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct
from pydantic import BaseModel

from pointsman.context import Context
from pointsman.state import SharedNotices

if TYPE_CHECKING:
    from pointsman.router import Router


class Service(Protocol):
    """Begins and ends with a router.

    A reload starts what is new before it closes what goes, so that one that fails changes nothing. A service
    may say more, each by a member that it may leave out:

    `__eq__`: one that was made from other settings and equals the one that runs is not started; the other
    goes on. (With equal settings it goes on anyway.)

    `keeps_router`: False where nobody reaches the router by it: one that all others have forgotten need not
    be there for its sake, and to ask it is a ReferenceError.

    `async finish()`: a reload has replaced it: take nothing new, return when what runs is done. `aclose`
    comes after that, or in the midst of it when the router closes.
    """

    async def start(self) -> None:
        """Begin; tasks and sockets are opened here and not before. The router is ready when this returns.

        Raises: ConfigError for what its settings are to blame for.
        """

    async def aclose(self) -> None:
        """End at once. Also called when `start` failed, and perhaps twice."""


class ServiceContext(Context, frozen=True, kw_only=True, eq=False):
    """What a service is made from.

    Attributes:
        router: the one that it lives with, to be used from `start` on.
        directory: that of the configuration file; the working directory when there is no file.
        scrub: hides the secrets of the configuration in a text, before that is shown to anybody.
        state: tells the same service of other routers something; None where routers share no state.
    """

    router: Router
    directory: Path
    scrub: Callable[[str], str]
    state: SharedNotices | None = None


class ServiceFactory(Struct, frozen=True):
    """What a service plugin offers: `make` returns a `Service`, and opens nothing.

    `before_calls`: it has the router use budgets, so that no call is made before it has started, and that it
    is closed once all calls have ended.
    """

    name: str
    settings: type[BaseModel] | None
    make: Callable[[ServiceContext], Service]
    before_calls: bool = False
