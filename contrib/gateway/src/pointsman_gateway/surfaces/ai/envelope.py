"""The one shape of all answers: `{code, message, data, requestId}`, and of all errors."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

from pointsman.plugin import ProblemDetails, WholeReply, jsonio, well_formed

_STATUS = {
    "authentication": 401,
    "forbidden": 403,
    "no_route": 404,
    "method": 405,
    "unknown_model": 404,
    "refused": 403,
    "too_large": 413,
    "rate_limit": 429,
    "budget": 402,
    "overloaded": 503,
    "upstream": 502,
    "timeout": 504,
    "internal": 500,
}
"""By kind of problem; 400 for every other one."""
Detail = Mapping[str, str]
"""What is wrong with one field: `field`, `message`."""


def answered(data: Mapping[str, Any], request_id: str) -> WholeReply:
    """An answer with `data`."""
    return WholeReply(200, jsonio.dumps({"code": 0, "message": "ok", "data": data, "requestId": request_id}))


def of_problem(problem: ProblemDetails, status: int = 0) -> WholeReply:
    """`problem`, with the time after which it may be different where that is known.

    `status`: in place of that of its kind.
    """
    said = {**error_of(problem), "requestId": problem.request_id}
    return WholeReply(status or status_of(problem), jsonio.dumps(said))


def status_of(problem: ProblemDetails) -> int:
    """The HTTP status of such an answer."""
    return _STATUS.get(problem.kind, 400)


def error_of(problem: ProblemDetails) -> dict[str, Any]:
    """What an error says in whichever place: `code`, `message`, `details`, `retryAfter`."""
    message = well_formed(problem.message)
    said: dict[str, Any] = {"code": problem.code, "message": message}
    details = problem.details or ([{"field": problem.param, "message": message}] if problem.param else ())
    if details:
        said["details"] = [{name: well_formed(text) for name, text in each.items()} for each in details]
    if problem.retry_after is not None:
        said["retryAfter"] = ceil(problem.retry_after)
    return said
