"""What one deployment is asked: the request with its defaults, unless that is certainly too long for it."""

from __future__ import annotations

from typing import TypeVar

from pointsman.errors import ContextWindowExceeded, Unsupported
from pointsman.resilience.token_estimate import least_tokens
from pointsman.routing.deployment import Deployment
from pointsman.types import ChatRequest, EmbedRequest, GenerateRequest, Request

R = TypeVar("R", ChatRequest, GenerateRequest, EmbedRequest, Request)


class TooLong(ContextWindowExceeded, Unsupported):
    """As when an upstream says it, noticed before: another deployment is asked, and it costs no attempt."""


def adjusted(request: R, deployment: Deployment) -> R:
    """What a deployment that `adjusts` is asked.

    Raises: TooLong where that takes more tokens than its window has, however they are counted. What only may
        be too long is sent: the upstream knows.
    """
    asked = request.with_defaults(deployment.defaults)
    window, id = deployment.window, deployment.id
    if window is not None and (least := least_tokens(asked)) > window:
        raise TooLong(f"it takes at least {least} tokens, and the context window of {id} is {window}")
    return asked
