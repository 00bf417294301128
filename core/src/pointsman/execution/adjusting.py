"""What one deployment is asked: the request as its configuration has it, unless that is surely too long."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from pointsman.errors import ContextWindowExceeded, Unsupported
from pointsman.resilience.token_estimate import least_tokens
from pointsman.types import ChatRequest, EmbedRequest, GenerateRequest, Request

if TYPE_CHECKING:
    from pointsman.execution.execution import Execution
    from pointsman.routing.deployment import Deployment

R = TypeVar("R", ChatRequest, GenerateRequest, EmbedRequest, Request)


class TooLong(Unsupported):
    """As when an upstream says it, noticed before: another deployment is asked, and it costs no attempt.

    It goes no further than the loop of the attempts: whoever asked gets what an upstream would have told.
    """

    code = ContextWindowExceeded.code
    fallback_on = ContextWindowExceeded.fallback_on

    def told(self) -> ContextWindowExceeded:
        """What whoever asked gets."""
        return ContextWindowExceeded(self.message)


def adjusted(execution: Execution, deployment: Deployment, request: R) -> R:
    """What `deployment`, which `adjusts` what it is asked, or of which something is left out, is asked.

    Raises: TooLong where that takes more tokens than its window has, however they are counted. What only may
        be too long is sent: the upstream knows.
    """
    asked = amended(execution, deployment, request)
    window, id = deployment.enforced_window, deployment.id
    if window is not None and (least := least_tokens(asked)) > window:
        raise TooLong(f"it takes at least {least} tokens, and the context window of {id} is {window}")
    return asked


def amended(execution: Execution, deployment: Deployment, request: R) -> R:
    """What `deployment` is asked: `request` as the configuration has it, without what is left out there."""
    if deployment.amends is not None:
        request = deployment.amends.of(request)
    if execution.dropping is not None and (names := execution.dropping.of(deployment)):
        request = replace(request, **dict.fromkeys(names))
    return request
