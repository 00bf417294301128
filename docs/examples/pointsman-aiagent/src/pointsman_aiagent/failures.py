"""gRPC's status codes → our errors, by a table."""

from __future__ import annotations

from collections.abc import Mapping

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from pointsman.plugin import (
    AttemptTimeout,
    AuthenticationFailed,
    BadResponse,
    CallError,
    InvalidRequest,
    ModelNotFound,
    Overloaded,
    PermissionDenied,
    RateLimited,
    Unavailable,
    Unsupported,
)
from pointsman_aiagent import aiagent_pb2 as pb

Code = grpc.StatusCode
KINDS: Mapping[grpc.StatusCode, type[CallError]] = {
    Code.UNAVAILABLE: Unavailable,
    Code.DEADLINE_EXCEEDED: AttemptTimeout,
    Code.RESOURCE_EXHAUSTED: RateLimited,
    Code.UNAUTHENTICATED: AuthenticationFailed,
    Code.PERMISSION_DENIED: PermissionDenied,
    Code.NOT_FOUND: ModelNotFound,
    Code.INVALID_ARGUMENT: InvalidRequest,
    Code.FAILED_PRECONDITION: InvalidRequest,
    Code.OUT_OF_RANGE: InvalidRequest,
    Code.UNIMPLEMENTED: Unsupported,
    Code.INTERNAL: Unavailable,
    Code.UNKNOWN: Unavailable,
    Code.DATA_LOSS: Unavailable,
    Code.ABORTED: Unavailable,
    Code.CANCELLED: Unavailable,  # by the agent: what we cancel never comes here
}
"""What it means; a code that is not here is Unavailable, too."""
_WAITING_HELPS = (RateLimited, Unavailable)


def error_of(failure: grpc.aio.AioRpcError, agent: str) -> CallError:
    """The error that `failure` of the `agent` means, with how long to wait where it says so."""
    code, details = failure.code(), " ".join((failure.details() or "").split())[:500]
    kind, wait = KINDS.get(code, Unavailable), None
    if code is Code.RESOURCE_EXHAUSTED and "larger than max" in details:
        kind = BadResponse  # gRPC's own limit of 4 MB: waiting does not help
        details += "; `whole_by_stream: true` has no such limit"
    if kind in _WAITING_HELPS:
        wait = retry_delay(failure.trailing_metadata())
    if kind is Unavailable and wait is not None:
        kind = Overloaded
    return kind(f"{agent}: {code.name}: {details}", retry_after=wait, upstream_code=code.name)


def retry_delay(trailing: grpc.aio.Metadata | None) -> float | None:
    """Seconds to wait, as the trailing metadata say by `RetryInfo` or gRPC's push-back; None for none."""
    for key, value in trailing or ():
        wait = None
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            wait = _retry_info(value)
        elif key == "grpc-retry-pushback-ms" and str(value).isdecimal():
            wait = int(value) / 1e3
        if wait is not None:
            return wait
    return None


def _retry_info(details: bytes) -> float | None:
    try:
        for each in pb.RpcStatus.FromString(details).details:
            if each.type_url.endswith("/google.rpc.RetryInfo"):
                delay = pb.RetryInfo.FromString(each.value).retry_delay
                return max(0.0, delay.seconds + delay.nanos / 1e9)
    except DecodeError:
        pass  # a broken hint is none
    return None
