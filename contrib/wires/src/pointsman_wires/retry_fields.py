"""What the head of a refusal says about asking again, for SDKs that retry by themselves. Pure."""

from __future__ import annotations

from math import ceil

from pointsman.plugin import ProblemDetails

LONGEST_WAIT = 120.0
"""Seconds. SDKs give up beyond, or obey for hours: whoever has to wait longer had better not."""


def retry_fields(problem: ProblemDetails) -> dict[str, str]:
    """`retry-after` in whole seconds, rounded up, and `x-should-retry`, where there is something to say."""
    fields: dict[str, str] = {}
    should_retry = problem.should_retry
    if problem.retry_after is not None and should_retry is not False:
        if problem.retry_after <= LONGEST_WAIT:
            fields["retry-after"] = str(max(1, ceil(problem.retry_after)))
        else:
            should_retry = False
    if should_retry is not None:
        fields["x-should-retry"] = "true" if should_retry else "false"
    return fields
