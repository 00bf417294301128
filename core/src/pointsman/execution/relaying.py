"""Requests that go to providers as their callers wrote them, where the provider speaks the same wire."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from msgspec.structs import replace

from pointsman._internal.timeouts import TimeLimit
from pointsman.errors import CallError, Unsupported
from pointsman.execution.adjusting import adjusted
from pointsman.execution.execution import Execution
from pointsman.execution.time_limits import call, ends
from pointsman.execution.whole_answer import WholeAnswer
from pointsman.http.event_stream import EventStream
from pointsman.original import Original
from pointsman.provider import Call, Provider
from pointsman.routing.lease import Lease
from pointsman.types import ChatRequest, ChatResponse, EmbedResponse, StreamEvent
from pointsman.wire.opaque import answer_marked, events_marked, for_maker

if TYPE_CHECKING:
    from pointsman.routing.deployment import Deployment

R = TypeVar("R", ChatResponse, EmbedResponse)


class RelayedAnswer(WholeAnswer[R]):
    """As a `WholeAnswer`, by `Provider.relay` where that can be."""

    __slots__ = ()

    async def ask(self, execution: Execution, lease: Lease) -> Any:
        deployment, original = lease.deployment, original_of(execution)
        provider = deployment.provider
        until = execution.deadline if deployment.attempt is None else ends(execution, lease)
        execution.time = time = TimeLimit(until, TimeoutError, execution.setting.alarms)
        asked = execution.request
        if deployment.adjusts or execution.dropping is not None:
            asked = adjusted(execution, deployment, asked)
        if speaks(provider, original):
            try:
                expect_nothing_overruled(deployment, original)
                relayed = provider.relay(asked, call(execution, lease, time, original))
                return await told(execution, lease, "relay", relayed)
            except Unsupported as error:
                if original.needs_wire or error.status is not None:  # the upstream's own word is its last
                    raise
        handed = call(execution, lease, time)
        answer = await getattr(provider, self.name)(for_maker(asked, provider.mark), handed)
        return answer_marked(answer, provider.mark) if isinstance(answer, ChatResponse) else answer


def original_of(execution: Execution) -> Original:
    """The request as its caller wrote it."""
    original = execution.options.original
    assert original is not None
    return original


def speaks(provider: Provider, original: Original) -> bool:
    """Whether `provider` takes the request as it was written.

    Raises: Unsupported where it does not, and nothing else will do.
    """
    if original.wire in provider.wires:
        return True
    if original.needs_wire:
        members = ", ".join(f"`{name}`" for name in original.needs_wire)
        raise Unsupported(
            f"provider {provider.name!r} ({type(provider).__name__}) cannot do this: {members}, "
            f"which only the wire {original.wire!r} can say"
        )
    return False


def expect_nothing_overruled(deployment: Deployment, original: Original) -> None:
    """Raise Unsupported for a body that says what is forced under another name, which would go on in it."""
    if original.unseen and deployment.amends is not None:
        names = ", ".join(f"`{each}`" for each in deployment.amends.overrules(original.unseen))
        if names:
            raise Unsupported(f"{names}: the configuration of {deployment.id} says what holds there")


async def told(execution: Execution, lease: Lease, method: str, asked: Awaitable[Any]) -> Any:
    """What `method` of a provider returns. Raises PluginError for what is no error of ours."""
    try:
        return await asked
    except CallError:
        raise
    except Exception as error:
        raise execution.plugin_error(lease, method, error) or error from error


async def opened(execution: Execution, lease: Lease, asked: ChatRequest, handed: Call) -> EventStream:
    """The stream of the attempt that holds `lease`, relayed where that can be. Raises: as `speaks`."""
    provider, original = lease.deployment.provider, original_of(execution)
    if speaks(provider, original):
        try:
            expect_nothing_overruled(lease.deployment, original)
            relayed = provider.relay_stream(asked, replace(handed, original=original))
            source: EventStream = await told(execution, lease, "relay_stream", relayed)
        except Unsupported as error:
            if original.needs_wire or error.status is not None:  # the upstream's own word is its last
                raise
        else:
            return source
    return MarkedEvents(await provider.stream(for_maker(asked, provider.mark), handed), provider.mark)


class MarkedEvents:
    """The events of a stream, with the mark of its upstream on what only that can read."""

    __slots__ = ("_mark", "_source", "upstream_request_id")

    def __init__(self, source: EventStream, mark: str) -> None:
        self._source = source
        self._mark = mark
        self.upstream_request_id = getattr(source, "upstream_request_id", "")  # a plugin's may lack it

    async def next(self, until: float) -> Sequence[StreamEvent] | None:
        """As of an `EventStream`."""
        events = await self._source.next(until)
        return events_marked(events, self._mark) if events else events

    def abort(self) -> None:
        """As of an `EventStream`."""
        self._source.abort()

    async def aclose(self) -> None:
        """As of an `EventStream`."""
        await self._source.aclose()


class RelayedAnswers(NamedTuple):
    """The operations by which requests are relayed whose answers are whole."""

    chat: RelayedAnswer[ChatResponse] = RelayedAnswer(Provider.chat, ChatResponse)
    generate: RelayedAnswer[ChatResponse] = RelayedAnswer(Provider.generate, ChatResponse)
    embed: RelayedAnswer[EmbedResponse] = RelayedAnswer(Provider.embed, EmbedResponse)
