"""The one shape of all answers: `{code, message, data, requestId}`, and of all errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def refused(
    status: int, code: str, message: str, request_id: str, details: Sequence[Detail] = ()
) -> WholeReply:
    """An error, with what is wrong with each field."""
    said: dict[str, Any] = {"code": code, "message": well_formed(message), "requestId": request_id}
    if details:
        said["details"] = [{name: well_formed(text) for name, text in each.items()} for each in details]
    return WholeReply(status, jsonio.dumps(said))


def of_problem(problem: ProblemDetails) -> WholeReply:
    """`problem`, with the time after which it may be different where that is known."""
    said = error_of(problem)
    return WholeReply(_STATUS.get(problem.kind, 400), jsonio.dumps({**said, "requestId": problem.request_id}))


def error_of(problem: ProblemDetails) -> dict[str, Any]:
    """What an error says in whichever place: `code`, `message`, `details`, `retryAfter`."""
    message = well_formed(problem.message)
    said: dict[str, Any] = {"code": problem.code, "message": message}
    if problem.param:
        said["details"] = [{"field": well_formed(problem.param), "message": message}]
    if problem.retry_after is not None:
        said["retryAfter"] = ceil(problem.retry_after)
    return said
