"""Our errors as the problems that surfaces tell their callers: one table."""

from __future__ import annotations

from collections.abc import Mapping

from pointsman.plugin import (
    CallError,
    FaultDomain,
    MidStreamError,
    PluginError,
    ProblemDetails,
    ProblemKind,
    ProviderError,
    Refusal,
)
from pointsman_gateway.access.denials import of_nobody, problem_in

_KINDS: Mapping[str, tuple[ProblemKind, FaultDomain]] = {
    "invalid_request": ("invalid", "caller"),
    "unknown_model": ("unknown_model", "caller"),
    "context_window_exceeded": ("context", "caller"),
    "content_filtered": ("content", "upstream"),
    "refused": ("refused", "policy"),
    "unsupported": ("unsupported", "caller"),
    "rule_not_met": ("refused", "policy"),
    "rate_limited": ("rate_limit", "upstream"),
    "overloaded": ("overloaded", "upstream"),
    "no_deployment_available": ("overloaded", "gateway"),
    "queue_full": ("overloaded", "gateway"),
    "audit_unavailable": ("overloaded", "gateway"),
    "no_connection_free": ("overloaded", "gateway"),
    "out_of_resources": ("overloaded", "gateway"),
    "quota_exhausted": ("budget", "upstream"),
    "budget_exceeded": ("budget", "policy"),
    "timeout": ("timeout", "upstream"),
    "first_token_timeout": ("timeout", "upstream"),
    "idle_timeout": ("timeout", "upstream"),
    "deadline_exceeded": ("timeout", "gateway"),
    "plugin": ("internal", "gateway"),
}
"""By the stable code of an error; every other one of a call is the upstream's failure."""
_SAID: Mapping[str, str] = {
    "authentication_failed": "the upstream refused the credential of the gateway",
    "permission_denied": "the credential of the gateway may not do this at the upstream",
    "model_not_found": "the upstream does not have this model",
    "quota_exhausted": "the quota of the gateway at the upstream is used up",
    "rate_limited": "the upstream takes no more requests for now",
    "overloaded": "the upstream has no capacity now",
    "connection_failed": "the connection to the upstream failed",
    "no_connection_free": "no connection to the upstream came free in time",
    "out_of_resources": "there are no connections left for now",
    "timeout": "the upstream took too long",
    "first_token_timeout": "nothing of the upstream's answer came in time",
    "idle_timeout": "the upstream fell silent in the midst of its answer",
    "bad_response": "the upstream's answer is not what its API allows",
    "truncated": "the upstream's answer ended before its end mark",
    "plugin": "a part of the gateway failed",
}
"""Of what went wrong at an upstream: its address, its words and what the operator configured stay here."""
_IN_VAIN: frozenset[ProblemKind] = frozenset(("budget", "refused"))
"""Asking again changes nothing, whatever the status says."""


_OTHER: tuple[ProblemKind, FaultDomain] = ("upstream", "upstream")


def domain_of(code: str) -> FaultDomain:
    """Whose doing an error of that code is."""
    return _KINDS.get(code, _OTHER)[1]


def problem_of(error: CallError, request_id: str, *, to_operator: bool = False) -> ProblemDetails:
    """Why there is no answer, as far as its caller may know.

    The credential, the address and the words of an upstream are nobody's business but the operator's: of what
    went wrong there the caller hears what it was, and the log the rest; who runs the router hears all of it.
    """
    cause = error.cause if isinstance(error, MidStreamError) else error
    # Where nothing is left that has a quota, that is what is wrong, and to wait for our next look is in vain.
    code = "quota_exhausted" if cause.refusal is Refusal.QUOTA else cause.code
    kind, domain = _KINDS.get(code, _OTHER)
    return problem_in(
        domain,
        kind,
        error.code,
        error.message if to_operator else message_of(error),
        request_id=request_id or error.request_id,
        param=getattr(cause, "param", "") or "",
        details=getattr(cause, "details", ()),
        retry_after=error.retry_after,
        should_retry=False if kind in _IN_VAIN else None,
        body=getattr(cause, "body", b"") or b"",
        status=(cause.status or 0) if getattr(cause, "body", b"") else 0,
    )


def message_of(error: CallError) -> str:
    """What happened, as far as callers may know."""
    if isinstance(error, MidStreamError):
        return f"the stream broke after {error.events} events: {of_nobody(_what(error.cause))}"
    return _what(error)


def _what(error: CallError) -> str:
    if isinstance(error, ProviderError | PluginError):
        return _SAID.get(error.code, "the upstream failed")
    return error.message
