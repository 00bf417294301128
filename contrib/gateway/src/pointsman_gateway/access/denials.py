"""What is said to whoever may not."""

from __future__ import annotations

import re
from typing import Any

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
    again = None if retry_after is not None else False
    return Denied(problem_in(domain, kind, code, message, retry_after=retry_after, should_retry=again))


_DOMAINS = re.compile(r"(HTTP \d{3}: )?(?:(?:gateway|policy|upstream|caller): )+")
"""How a message begins of an upstream that is a gateway, too."""


def problem_in(
    domain: FaultDomain, kind: ProblemKind, code: str, message: str, **more: Any
) -> ProblemDetails:
    """A problem whose message says once whose doing it is: `domain`, whatever `message` says of that.

    All problems of the gateway are made here. `more`: as of `ProblemDetails`.
    """
    return ProblemDetails(kind, f"{domain}: {of_nobody(message)}", code, domain, **more)


def of_nobody(message: str) -> str:
    """`message` without a word on whose doing it is."""
    said = _DOMAINS.match(message)
    return message if said is None else f"{said[1] or ''}{message[said.end() :]}"
