"""What is said to whoever may not."""

from __future__ import annotations

from pointsman.plugin import FaultDomain, ProblemDetails, ProblemKind
from pointsman_gateway.access.admission import Denied


def denied(
    kind: ProblemKind,
    code: str,
    message: str,
    *,
    domain: FaultDomain = "caller",
    retry_after: float | None = None,
) -> Denied:
    """A refusal, to be raised. No message of one repeats a credential."""
    return Denied(
        ProblemDetails(
            kind=kind,
            message=f"{domain}: {message}",
            code=code,
            domain=domain,
            retry_after=retry_after,
            should_retry=None if retry_after is not None else False,
        )
    )
