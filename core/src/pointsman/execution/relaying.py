"""Requests that go to providers as their callers wrote them, where the provider speaks the same wire."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, TypeVar

from msgspec.structs import replace

from pointsman._internal.timeouts import TimeLimit
from pointsman.errors import CallError, Unsupported
from pointsman.execution.execution import Execution
from pointsman.execution.time_limits import call, ends
from pointsman.execution.whole_answer import WholeAnswer
from pointsman.http.event_stream import EventStream
from pointsman.original import Original
from pointsman.provider import Call, Provider
from pointsman.routing.lease import Lease
from pointsman.types import ChatRequest, ChatResponse, EmbedResponse

R = TypeVar("R", ChatResponse, EmbedResponse)


class RelayedAnswer(WholeAnswer[R]):
    """As a `WholeAnswer`, by `Provider.relay` where that can be."""

    __slots__ = ()

    def ask(self, execution: Execution, lease: Lease) -> Awaitable[Any]:
        original = original_of(execution)
        if not speaks(lease.deployment.provider, original):
            return super().ask(execution, lease)
        return self._relayed(execution, lease, original)

    async def _relayed(self, execution: Execution, lease: Lease, original: Original) -> Any:
        deployment = lease.deployment
        until = execution.deadline if deployment.attempt is None else ends(execution, lease)
        execution.time = time = TimeLimit(until, TimeoutError, execution.setting.alarms)
        asked = execution.request.with_defaults(deployment.defaults)
        handed = replace(call(execution, lease, time), original=original)
        try:
            answer = await told(execution, lease, "relay", deployment.provider.relay(asked, handed))
        except Unsupported as error:
            if original.needs_wire or error.status is not None:  # the upstream's own word is its last
                raise
        else:
            return answer
        time.close()
        return await super().ask(execution, lease)


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
            relayed = provider.relay_stream(asked, replace(handed, original=original))
            source: EventStream = await told(execution, lease, "relay_stream", relayed)
        except Unsupported as error:
            if original.needs_wire or error.status is not None:  # the upstream's own word is its last
                raise
        else:
            return source
    return await provider.stream(asked, handed)


RELAYED_CHAT = RelayedAnswer(Provider.chat, ChatResponse)
RELAYED_GENERATE = RelayedAnswer(Provider.generate, ChatResponse)
RELAYED_EMBED = RelayedAnswer(Provider.embed, EmbedResponse)
