"""Selectors: the interface of what picks the model of a request, before anything is routed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, Unpack

from msgspec import Struct, field
from pydantic import BaseModel

from pointsman.context import Context
from pointsman.types import ChatResponse, Request

if TYPE_CHECKING:
    from pointsman.requests.messages import Messages
    from pointsman.requests.option_types import ChatOptions


class Candidate(Struct, frozen=True):
    """A model that a selector can pick.

    Attributes:
        name: its public name.
        ready: whether a deployment of it could take a request now.
        deployments: the ids of its deployments, in configuration order.
    """

    name: str
    ready: bool
    deployments: tuple[str, ...] = ()


class Selection(Struct, frozen=True):
    """The public name that was picked, and why, in a few words that hold nothing of what was asked."""

    name: str
    reason: str = ""


class SelectorCall(Struct, frozen=True, eq=False):
    """One request, as a selector sees it.

    Attributes:
        request_id: ours.
        operation: `chat`, `stream`, `generate` or `embed`.
        model: the public name that was asked for: that of the selector's model.
        caller, tags: as the caller gave them.
        deadline: the instant on the clock at which the choice must be there; later it counts as failed.
        require: labels that whoever sees the request must carry, each with the values that will do.
    """

    request_id: str
    operation: str
    model: str
    caller: str
    tags: Mapping[str, str]
    deadline: float
    require: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<{self.operation} {self.request_id}>"  # and nothing of what was asked


class Selector(Protocol):
    """Picks one of several models for each request."""

    async def choose(
        self, request: Request, candidates: Sequence[Candidate], call: SelectorCall, /
    ) -> str | Selection:
        """The public name of one of `candidates`, or a `Selection` of it with the reason.

        Whatever it raises, and another name, is logged, and the default model is taken.
        """
        ...


class Ask(Protocol):
    """Asks a model through the router, on behalf of the request of `call`."""

    async def __call__(
        self, call: SelectorCall, model: str, messages: Messages, /, **options: Unpack[ChatOptions]
    ) -> ChatResponse:
        """As `Router.chat`: booked to the caller of `call`, under the tag `selector`, within its deadline.

        Only deployments are asked that carry what the request requires.

        Raises: what `Router.chat` raises; InvalidRequest for a model that has a selector itself.
        """
        ...


class SelectorContext(Context, frozen=True, kw_only=True, eq=False):
    """What a selector is made from.

    Attributes:
        model: the public name that callers ask for.
        models: the public names that it can pick, in configuration order.
        default: the one that is taken when it fails.
        ask: asks a model through the router. Not before the first call of `choose`.
    """

    model: str
    models: Sequence[str]
    default: str
    ask: Ask


class SelectorFactory(Struct, frozen=True):
    """What a selector plugin offers.

    Attributes:
        name: as in `selector: name`.
        settings: the pydantic model of what may stand beside `type`; None when nothing may.
        make: returns a `Selector`, and opens nothing.
    """

    name: str
    settings: type[BaseModel] | None
    make: Callable[[SelectorContext], Selector]
