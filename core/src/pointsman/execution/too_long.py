"""Requests that are certainly too long for a deployment: nothing of them is sent there."""

from __future__ import annotations

from pointsman.errors import ContextWindowExceeded, Unsupported
from pointsman.resilience.token_estimate import least_tokens
from pointsman.routing.deployment import Deployment
from pointsman.types import Request


class TooLong(ContextWindowExceeded, Unsupported):
    """As when an upstream says it, noticed before: another deployment is asked, and it costs no attempt."""


def refuse_too_long(request: Request, deployment: Deployment, window: int) -> None:
    """Raise TooLong where `request` takes more than `window` tokens however they are counted.

    What only may be too long is sent: the upstream knows.
    """
    least = least_tokens(request)
    if least > window:
        raise TooLong(
            f"it takes at least {least} tokens, and the context window of {deployment.id} is {window}"
        )
