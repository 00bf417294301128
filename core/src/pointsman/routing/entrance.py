"""What stands before a model: guards, and the selector that picks another model in its place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from pointsman.guard import Guard
from pointsman.selector import Selector

if TYPE_CHECKING:
    from pointsman.types import ChatResponse, EmbedResponse


class ConfiguredGuard(Struct, frozen=True, eq=False):
    """One guard as it is configured.

    Attributes:
        name: the plugin's; `settings`: those that it was made with.
        model: the public name that it stands around; None for all.
        allows: a request at which it fails goes on without it; else it fails, too.
    """

    guard: Guard
    name: str
    settings: Any
    model: str | None
    allows: bool = False

    def __repr__(self) -> str:
        return f"<guard {self.name}>"  # settings may hold a secret

    def goes_on(self, other: ConfiguredGuard) -> bool:
        """Whether `other`, which runs, is what this one would be, and keeps what it has in memory."""
        mine, others = (self.name, self.model, type(self.guard)), (other.name, other.model, type(other.guard))
        return mine == others and bool(self.settings == other.settings)


class ConfiguredSelector(Struct, frozen=True, eq=False):
    """The selector of one model as it is configured.

    Attributes:
        name: the plugin's; `settings`: those that it was made with.
        model: the public name that callers ask for.
        of: the models that it can pick; `default`: the one that is taken when it fails.
        within: seconds that it may take.
    """

    selector: Selector
    name: str
    settings: Any
    model: str
    of: Sequence[str]
    default: str
    within: float

    def __repr__(self) -> str:
        return f"<selector {self.name}>"

    def goes_on(self, other: ConfiguredSelector) -> bool:
        """As of a guard."""
        return self._said() == other._said() and bool(self.settings == other.settings)

    def _said(self) -> tuple[object, ...]:
        return self.name, self.model, tuple(self.of), self.default, type(self.selector)


class Mirroring(Protocol):
    """Has copies made of requests that are answered."""

    def answered(self, execution: Any, answer: ChatResponse | EmbedResponse) -> None:
        """A request has its answer. Nothing here waits or raises."""

    def stop(self) -> None:
        """Make no more copies, and end those under way."""


class Entrance(Struct, frozen=True, eq=False):
    """What the requests for one public name go through before they are routed.

    Attributes:
        guards: in the order of `before`: those of all models, then its own.
        own: how many of them are its own.
        total: seconds that a request for it has.
        selector: picks the model; None where the name is that of one with deployments.
        mirror: hears of its answers; None where no copies are made.
    """

    guards: Sequence[ConfiguredGuard]
    own: int
    total: float
    selector: ConfiguredSelector | None = None
    mirror: Mirroring | None = None

    @property
    def own_guards(self) -> Sequence[ConfiguredGuard]:
        """Those that stand around this model alone."""
        return self.guards[len(self.guards) - self.own :]
