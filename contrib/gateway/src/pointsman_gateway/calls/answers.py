"""What stands in the head of answers, and refusals as their surface has them."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

from msgspec.structs import replace

from pointsman.plugin import ProblemDetails, Surface, WholeReply
from pointsman_gateway.settings import HeaderChoice

_SAY_WHEN = frozenset((429, 503, 529))
"""Statuses with which clients look at `retry-after`."""
_LONGEST_WAIT = 120.0
"""Seconds; clients that are told to wait longer give up, or wait for hours."""


def answer_fields(
    said: Mapping[str, str], request_id: str, choice: HeaderChoice
) -> list[tuple[bytes, bytes]]:
    """The fields of an answer's head: what its surface said, and of ours what was chosen."""
    fields: list[tuple[bytes, bytes]] = []
    if choice != "none":
        id = request_id.encode("latin-1")
        fields.append((b"x-request-id", id))
        if "request-id" not in said:  # as a refusal of Anthropic's has it
            fields.append((b"request-id", id))
    if choice != "full":
        said = {name: value for name, value in said.items() if not name.startswith("x-pointsman-")}
    for name, value in said.items():
        fields.append((name.encode("latin-1"), value.encode("latin-1", "backslashreplace")))
    return fields


def refusal(
    surface: Surface, problem: ProblemDetails, request_id: str, fields: Mapping[str, str] | None = None
) -> WholeReply:
    """`problem` in the shape of `surface`, with the fields that tell clients whether to ask again, and when.

    Nobody is told to wait for hours: where that is what it takes, asking again is pointless.
    """
    if not problem.request_id:
        problem = replace(problem, request_id=request_id)
    wait, again = problem.retry_after, problem.should_retry
    if wait is not None and wait > _LONGEST_WAIT:
        wait, again = None, False
        problem = replace(problem, retry_after=None, should_retry=False)
    reply = surface.problem(problem)
    more = dict(fields or {})
    if wait is not None and reply.status in _SAY_WHEN:
        more["retry-after"] = str(ceil(wait))
    if again is False:
        more["x-should-retry"] = "false"
    return replace(reply, fields={**reply.fields, **more}) if more else reply
