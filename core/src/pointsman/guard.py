"""Guards: the interface of what stands around a request, before anything is chosen and after the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

from msgspec import Struct, field
from pydantic import BaseModel

from pointsman.context import Context
from pointsman.types import ChatResponse, EmbedResponse, Request, StreamEvent


class Answered(Struct, frozen=True):
    """The request needs no upstream: this is its answer.

    Attributes:
        result: how events and records call that: `cached` for an answer that some upstream gave before.
    """

    response: ChatResponse | EmbedResponse
    result: Literal["answered", "cached"] = "answered"


class GuardCall(Struct, frozen=True, eq=False):
    """One request, as one guard sees it: the same object in `before`, `after` and `stream`.

    Attributes:
        request_id: ours.
        operation: `chat`, `stream`, `generate` or `embed`.
        model: the public name that was asked for.
        caller, tags: as the caller gave them.
        deadline: the instant on the clock at which the request ends, whatever its guards do.
        notes: empty at first; for what this guard wants to know again later. Nobody else sees it.
        require: labels that whoever sees the request must carry, each with the values that will do.
        unsaid: members of a request that goes on as its caller wrote it which the request that guards see
            cannot say, and with which the answer is another one.
        unseen: other members of it that guards do not see, without which the answer is the same.
    """

    request_id: str
    operation: str
    model: str
    caller: str
    tags: Mapping[str, str]
    deadline: float
    notes: dict[str, Any] = field(default_factory=dict)
    require: Mapping[str, Sequence[str]] = field(default_factory=dict)
    unsaid: Sequence[str] = ()
    unseen: Sequence[str] = ()

    def __repr__(self) -> str:
        return f"<{self.operation} {self.request_id}>"  # and nothing of what was asked


class StreamFilter(Protocol):
    """What a guard does to one streamed answer."""

    def feed(self, event: StreamEvent, /) -> Sequence[StreamEvent]:
        """What the caller gets for `event`: none, it, or others. Must not block.

        It may hold back the tail of the text, as far as it must to judge it, and never more than a bounded
        number of characters. Raises: Refused, which ends the stream.
        """
        ...

    def end(self) -> Sequence[StreamEvent]:
        """What was held back. Called once, where the upstream's answer is whole, and never otherwise."""
        ...


class Guard(Protocol):
    """Stands around the requests to one model, or to all. Inherit it and write what you need.

    Nothing of one request is kept on the guard: requests run at the same time.
    """

    async def before(self, request: Request, call: GuardCall, /) -> Request | Answered:
        """The request as it is to go on, of the same class and for the same model, or its answer.

        Called once for each request, before anything is chosen, in the order of the configuration.
        Raises: Refused.
        """
        return request

    async def after(
        self, response: ChatResponse | EmbedResponse, call: GuardCall, /
    ) -> ChatResponse | EmbedResponse:
        """The answer as the caller gets it. Called for whole ones, in the reverse order. Raises: Refused."""
        return response

    def stream(self, call: GuardCall, /) -> StreamFilter | None:
        """What a streamed answer goes through; None: nothing."""
        return None


class GuardContext(Context, frozen=True, kw_only=True, eq=False):
    """What a guard is made from.

    Attributes:
        model: the public name of the model that it stands around; None for all of them.
    """

    model: str | None


class GuardFactory(Struct, frozen=True):
    """What a guard plugin offers.

    Attributes:
        name: as in `guards: [name]`.
        settings: the pydantic model of what may stand beside `type` and `on_error`; None when nothing may.
        make: returns a `Guard`, and opens nothing.
    """

    name: str
    settings: type[BaseModel] | None
    make: Callable[[GuardContext], Guard]
