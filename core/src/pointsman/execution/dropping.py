"""Options left out where no deployment can do them, for models with `unsupported: drop`.

What a deployment refuses is remembered for it alone. Where the request would end in such a refusal, those
that only refused options which may go are asked again, each without its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from pointsman.routing.deployment import Deployment
from pointsman.types import ChatRequest, EmbedRequest, GenerateRequest, Request

if TYPE_CHECKING:
    from pointsman.errors import Unsupported
    from pointsman.execution.execution import Execution

R = TypeVar("R", ChatRequest, GenerateRequest, EmbedRequest, Request)

DROPPABLE = frozenset(
    (
        *("temperature", "top_p", "top_k", "min_p", "seed"),
        *("presence_penalty", "frequency_penalty", "repeat_penalty"),
        *("logit_bias", "logprobs", "top_logprobs"),
        *("reasoning_effort", "parallel_tool_calls", "user", "metadata"),
    )
)
"""Options without which the same is asked for. Not `stop`: an answer would go on where it is to end."""
_BOTH = {"logprobs": ("logprobs", "top_logprobs")}
"""What makes no sense alone."""


class Dropping(Struct, eq=False):
    """What is left out of one request.

    Attributes:
        left_out: names of options in the order of the fields, by the id of the deployment that refuses.
        again: ids of deployments that have refused more since the last round.
    """

    left_out: dict[str, tuple[str, ...]] = {}
    again: set[str] = set()


def amended(execution: Execution, deployment: Deployment, request: R) -> R:
    """What `deployment` is asked: `request` as the configuration has it, without what is left out there."""
    if deployment.amends is not None:
        request = deployment.amends.of(request)
    if execution.dropping is not None and (names := dropped(execution, deployment)):
        request = replace(request, **dict.fromkeys(names))
    return request


def dropped(execution: Execution, deployment: Deployment) -> tuple[str, ...]:
    """The options that are left out of what `deployment` is asked."""
    return () if execution.dropping is None else execution.dropping.left_out.get(deployment.id, ())


def remember(execution: Execution, deployment: Deployment, error: Unsupported) -> None:
    """Have `deployment` asked without what it refused, if that may go and nothing else is left to do.

    An option that is forced stays. One that was left out already, and is refused again, comes from somewhere
    else, and leaving it out once more would not help.
    """
    fields = [name for each in error.fields for name in _BOTH.get(each, (each,))]
    asked = amended(execution, deployment, execution.request)
    said = [name for name in asked.__struct_fields__ if name in fields and getattr(asked, name) is not None]
    forced = {} if deployment.amends is None else deployment.amends.forced
    if not said or not DROPPABLE.issuperset(fields) or any(name in forced for name in said):
        return
    dropping = execution.dropping = execution.dropping or Dropping()
    known = {*dropped(execution, deployment), *said}
    dropping.left_out[deployment.id] = tuple(name for name in asked.__struct_fields__ if name in known)
    dropping.again.add(deployment.id)


def goes_round(execution: Execution) -> bool:
    """Whether the request, to which nothing but a refusal is left, goes round without what was refused.

    It ends: each round leaves out something more, of which there are a dozen.
    """
    dropping = execution.dropping
    if dropping is None or not dropping.again:
        return False
    execution.demand.tried -= dropping.again
    dropping.again.clear()
    execution.refusal = None
    return True
