"""The operations that await their answer as a whole: one attempt at one, and what the answer must be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from msgspec.structs import astuple

from pointsman._internal.timeouts import TimeLimit
from pointsman.errors import BadResponse
from pointsman.execution.accounting import succeeded
from pointsman.execution.adjusting import adjusted
from pointsman.execution.time_limits import call, ends, late
from pointsman.provider import Call, Provider
from pointsman.routing.lease import Lease
from pointsman.types import ChatResponse, EmbedRequest, EmbedResponse, Usage
from pointsman.wire.token_usage import unsound

if TYPE_CHECKING:
    from pointsman.execution.execution import Execution

R = TypeVar("R", ChatResponse, EmbedResponse)

_COUNTS = frozenset({int, type(None)})


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

    def ask(self, execution: Execution, lease: Lease) -> Awaitable[R]:
        """The answer of the deployment of `lease`, whose time has begun."""
        deployment = lease.deployment
        until = execution.deadline if deployment.attempt is None else ends(execution, lease)
        # No `with`: `run` asks it how the attempt ended. By position, or Python makes a dict of the names.
        execution.time = time = TimeLimit(until, TimeoutError, execution.setting.alarms)
        asked = execution.request
        if deployment.adjusts or execution.dropping is not None:
            asked = adjusted(execution, deployment, asked)
        # By name: every provider has its own.
        answer: Awaitable[R] = getattr(deployment.provider, self.name)(asked, call(execution, lease, time))
        return answer

    def accepted(self, execution: Execution, lease: Lease, answer: R) -> R:
        """`answer`, checked, accounted for, and with its origin."""
        if execution.time is not None and execution.time.over():
            _tell_usage(lease, answer)
            raise late(execution, lease)
        # What nearly all answers are is seen here: to hear it from `_check` takes half as long again.
        sound = type(answer) is self._kind is ChatResponse and type(answer.usage) is Usage
        # Of exactly these types, for `True` is an int.
        if not (sound and _COUNTS.issuperset(map(type, astuple(answer.usage)))):
            self._check(execution, lease, answer)
        return succeeded(execution, lease, answer, answer.usage)

    def _check(self, execution: Execution, lease: Lease, answer: object) -> None:
        """Raise what it counts as when `answer`, which a provider returned, is none to the request."""
        if not isinstance(answer, self._kind):
            did = f"returned a {type(answer).__name__}, expected {self._kind.__name__}"
        elif (wrong := unsound(answer.usage)) is not None:
            did = f"returned an answer whose usage {wrong}"
        elif isinstance(answer, ChatResponse):
            return None
        elif isinstance(answer.vectors, Sequence) and not isinstance(answer.vectors, str | bytes):
            _tell_usage(lease, answer)
            return _count_vectors(answer, execution, lease)
        else:
            did = "returned an answer whose vectors are no list"
        unmet = execution.plugin_error(lease, self.name, did)
        assert unmet is not None
        raise unmet


def _tell_usage(lease: Lease, answer: object) -> None:
    """Have the attempt charged for `answer`, which it cannot use."""
    usage = getattr(answer, "usage", None)
    lease.usage = usage if unsound(usage) is None else None


def _count_vectors(answer: EmbedResponse, execution: Execution, lease: Lease) -> None:
    assert isinstance(execution.request, EmbedRequest)
    wanted, got = len(execution.request.texts), len(answer.vectors)
    if got != wanted:
        raise BadResponse(
            f"{lease.deployment.id} returned {got} vectors for {wanted} texts",
            upstream_request_id=answer.upstream_request_id,
        )


CHAT = WholeAnswer(Provider.chat, ChatResponse)
GENERATE = WholeAnswer(Provider.generate, ChatResponse)
EMBED = WholeAnswer(Provider.embed, EmbedResponse)
