"""What one deployment is asked: the request as its configuration has it, unless that is surely too long."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pointsman.errors import ContextWindowExceeded, Unsupported
from pointsman.execution.dropping import amended
from pointsman.resilience.token_estimate import least_tokens
from pointsman.types import ChatRequest, EmbedRequest, GenerateRequest, Request

if TYPE_CHECKING:
    from pointsman.execution.execution import Execution
    from pointsman.routing.deployment import Deployment

R = TypeVar("R", ChatRequest, GenerateRequest, EmbedRequest, Request)


class TooLong(ContextWindowExceeded, Unsupported):
    """As when an upstream says it, noticed before: another deployment is asked, and it costs no attempt."""


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
