"""The operations that await their answer as a whole: one attempt at one, and what the answer must be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from msgspec.structs import force_setattr

from pointsman._internal.timeouts import TimeLimit
from pointsman.errors import BadResponse, Outcome
from pointsman.execution.accounting import end_attempt, end_request
from pointsman.execution.time_limits import call, ends, late
from pointsman.provider import Call, Provider
from pointsman.routing.lease import Lease
from pointsman.types import ChatResponse, EmbedRequest, EmbedResponse
from pointsman.wire.token_usage import unsound

if TYPE_CHECKING:
    from pointsman.execution.execution import Execution

R = TypeVar("R", ChatResponse, EmbedResponse)


class WholeAnswer(Generic[R]):
    """`Execution.run(WholeAnswer(Provider.chat, ChatResponse))` asks providers by that method.

    Args:
        method: of `Provider`, by whose name each provider's own is found.
        kind: what it returns.
    """

    __slots__ = ("_kind", "name")

    def __init__(self, method: Callable[[Provider, Any, Call], Awaitable[R]], kind: type[R]) -> None:
        self.name = method.__name__
        self._kind: type[R] = kind

    async def __call__(self, execution: Execution, lease: Lease) -> R:
        """The answer of the deployment of `lease`, checked, accounted for, and with its origin."""
        deployment = lease.deployment
        until = execution.deadline if deployment.attempt is None else ends(execution, lease)
        with TimeLimit(until, partial(late, execution, lease), execution.setting.alarms) as time:
            ask = getattr(deployment.provider, self.name)  # by name: every provider has its own
            asked = execution.request
            if deployment.defaults:
                asked = asked.with_defaults(deployment.defaults)
            response = await ask(asked, call(execution, lease, time))
        self._check(response, execution, lease)
        with_origin: R = with_its_origin(response, execution, lease)
        end_attempt(
            execution,
            lease,
            Outcome.OK,
            usage=response.usage,
            upstream_request_id=response.upstream_request_id,
        )
        end_request(execution, "ok")
        return with_origin

    def _check(self, response: object, execution: Execution, lease: Lease) -> None:
        """Raise what it counts as when `response`, which a provider returned, is no answer to the request."""
        if not isinstance(response, self._kind):
            did = f"returned a {type(response).__name__}, expected {self._kind.__name__}"
        elif (wrong := unsound(response.usage)) is not None:
            did = f"returned an answer whose usage {wrong}"
        elif isinstance(response, ChatResponse):
            return
        elif _is_list(response.vectors):
            _count_vectors(response, execution, lease)
            return
        else:
            did = "returned an answer whose vectors are no list"
        unmet = execution.plugin_error(lease, self.name, did)
        assert unmet is not None
        raise unmet


CHAT = WholeAnswer(Provider.chat, ChatResponse)
GENERATE = WholeAnswer(Provider.generate, ChatResponse)
EMBED = WholeAnswer(Provider.embed, EmbedResponse)


def with_its_origin(response: R, execution: Execution, lease: Lease) -> R:
    """`response` with where it came from; an answer whose upstream gave it no id gets ours.

    It is completed in place: nobody has seen it yet. One that says already where it came from was kept by
    its provider, and is copied.
    """
    if response.deployment:
        response = copy(response)
    complete = force_setattr
    if isinstance(response, ChatResponse) and response.id in ("", response.request_id):
        complete(response, "id", execution.request_id)
    complete(response, "deployment", lease.deployment.id)
    complete(response, "attempts", execution.made)
    complete(response, "request_id", execution.request_id)
    return response


def _count_vectors(response: EmbedResponse, execution: Execution, lease: Lease) -> None:
    assert isinstance(execution.request, EmbedRequest)
    wanted, got = len(execution.request.texts), len(response.vectors)
    if got != wanted:
        raise BadResponse(
            f"{lease.deployment.id} returned {got} vectors for {wanted} texts",
            upstream_request_id=response.upstream_request_id,
        )


def _is_list(given: object) -> bool:
    return isinstance(given, Sequence) and not isinstance(given, str | bytes)
