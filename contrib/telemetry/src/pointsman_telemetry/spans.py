"""The spans of one request, from its events: one for the request, one below it for each attempt. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from pointsman.plugin import AttemptEnded, RequestEnded
from pointsman_telemetry import names
from pointsman_telemetry.topology import OTHER, Topology

Value = str | int | float | bool


class SpanData(Struct, frozen=True):
    """One span.

    Attributes:
        began, ended: seconds since 1970 UTC.
        error: the code of what it ended with, "" for none; `detail` is its message.
    """

    name: str
    began: float
    ended: float
    attributes: Mapping[str, Value]
    error: str = ""
    detail: str = ""


def spans_of(
    request: RequestEnded, attempts: Sequence[AttemptEnded], topology: Topology, queued: float | None
) -> tuple[SpanData, Sequence[SpanData]]:
    """The span of `request`, and those of its `attempts` in order.

    Args:
        queued: seconds that it waited in line; None when it did not.
    """
    operation = names.OPERATIONS.get(request.operation, OTHER)
    model = topology.model(request.model)
    said: dict[str, Value] = {
        names.OPERATION_NAME: operation,
        names.ORIGINAL_MODEL: request.model,
        names.REQUEST_STREAM: request.operation == "stream",
        names.OUR_ATTEMPTS: request.attempts,
    }
    if request.pool:
        said[names.OUR_ROUTE] = request.pool
        if topology.is_other(request.pool, request.model):
            said[names.OUR_FALLBACK_FROM] = request.model
    if request.deployment:
        said |= _upstream(request.deployment, topology)
    if queued is not None:
        said[names.OUR_QUEUE] = queued
    said |= _usage(request)
    if request.error:
        said[names.ERROR_TYPE] = request.error
    whole = SpanData(
        f"{operation} {model}",
        request.wall,
        request.wall + request.seconds,
        said,
        request.error if request.result == "error" else "",
        request.detail,
    )
    return whole, [_attempt(each, operation, topology) for each in attempts]


def _attempt(event: AttemptEnded, operation: str, topology: Topology) -> SpanData:
    said: dict[str, Value] = {
        names.OPERATION_NAME: operation,
        names.OUR_ATTEMPT: event.number,
        **_upstream(event.deployment, topology),
        **_usage(event),
    }
    if event.first_token is not None:
        said[names.TIME_TO_FIRST_CHUNK] = event.first_token
    if event.error:
        said[names.ERROR_TYPE] = event.error
    name = f"{operation} {topology.upstream(event.deployment)[1]}"
    return SpanData(name, event.wall, event.wall + event.seconds, said, event.error, event.detail)


def _upstream(deployment: str, topology: Topology) -> dict[str, Value]:
    provider, model = topology.upstream(deployment)
    return {names.OUR_DEPLOYMENT: deployment, names.PROVIDER_NAME: provider, names.REQUEST_MODEL: model}


def _usage(event: RequestEnded | AttemptEnded) -> dict[str, Value]:
    usage = event.usage
    if usage is None:
        return {}
    counts = {
        names.INPUT_TOKENS: usage.prompt,
        names.OUTPUT_TOKENS: usage.completion,
        names.CACHED_TOKENS: usage.cached,
        names.CACHE_WRITE_TOKENS: usage.cache_write,
        names.REASONING_TOKENS: usage.reasoning,
    }
    return {name: count for name, count in counts.items() if count is not None}
