"""Options left out where no deployment can do them, for models with `unsupported: drop`.

What a deployment refuses is remembered for it alone. Where the request would end in such a refusal, those
that only refused options which may go are asked again, each without its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from pointsman.execution.adjusting import amended
from pointsman.routing.deployment import Deployment

if TYPE_CHECKING:
    from pointsman.errors import Unsupported
    from pointsman.execution.execution import Execution

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

    def of(self, deployment: Deployment) -> tuple[str, ...]:
        """The options that are left out of what `deployment` is asked."""
        return self.left_out.get(deployment.id, ())

    def goes_round(self, execution: Execution) -> bool:
        """Whether the request, to which nothing but a refusal is left, goes round without what was refused.

        It ends: each round leaves out something more, of which there are a dozen.
        """
        if not self.again:
            return False
        execution.demand.tried -= self.again
        self.again.clear()
        execution.refusal = None
        return True


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
    known = {*dropping.of(deployment), *said}
    dropping.left_out[deployment.id] = tuple(name for name in asked.__struct_fields__ if name in known)
    dropping.again.add(deployment.id)
