"""The counters and histograms, as a table: name, what it says, labels; and their children, kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter, Histogram

from pointsman_telemetry.names import DURATION_BUCKETS, TOKEN_BUCKETS
from pointsman_telemetry.topology import OTHER

SERIES_AT_MOST = 1000
"""Of one metric; what comes beyond is counted in the one whose labels are all `other`."""
HTTP_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
OVERHEAD_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5)
_GEN_AI = "gen_ai_operation_name gen_ai_provider_name gen_ai_request_model"


class Instrument(Struct, frozen=True):
    """One counter, or a histogram where it has `buckets`; `labels` with blanks between."""

    name: str
    says: str
    labels: str = ""
    buckets: tuple[float, ...] = ()


REQUESTS = Instrument("pointsman_requests", "Requests that ended, by result", "surface model result error")
DURATION = Instrument(
    "pointsman_request_duration_seconds", "From admission to the last byte", "surface model", HTTP_BUCKETS
)
FIRST_TOKEN = Instrument(
    "pointsman_time_to_first_token_seconds",
    "From the start of an attempt to its first content",
    "model deployment",
    DURATION_BUCKETS,
)
ATTEMPTS = Instrument("pointsman_attempts", "Attempts that ended, by outcome", "deployment outcome error")
TOKENS = Instrument("pointsman_tokens", "Tokens, as the upstreams counted them", "model deployment type")
COST = Instrument("pointsman_cost_usd", "What they took, by the configured prices", "model deployment")
QUEUE = Instrument("pointsman_queue_seconds", "Waiting in line for room", "model", DURATION_BUCKETS)
OVERHEAD = Instrument(
    "pointsman_overhead_seconds", "Our own part of a request's time", "surface", OVERHEAD_BUCKETS
)
RELOADS = Instrument("pointsman_reloads", "Reloads of the configuration", "result")
HTTP = Instrument("ai_proxy_requests", "Requests over HTTP", "method status")
HTTP_DURATION = Instrument("ai_proxy_request_duration_seconds", "How long they took", "method", HTTP_BUCKETS)
REJECTED = Instrument("ai_proxy_rate_limit_rejections", "Requests that came too often")
GEN_AI_DURATION = Instrument(
    "gen_ai_client_operation_duration_seconds",
    "gen_ai.client.operation.duration",
    f"{_GEN_AI} error_type",
    DURATION_BUCKETS,
)
GEN_AI_TOKENS = Instrument(
    "gen_ai_client_token_usage", "gen_ai.client.token.usage", f"{_GEN_AI} gen_ai_token_type", TOKEN_BUCKETS
)
GEN_AI_FIRST = Instrument(
    "gen_ai_client_operation_time_to_first_chunk_seconds",
    "gen_ai.client.operation.time_to_first_chunk",
    _GEN_AI,
    DURATION_BUCKETS,
)
INSTRUMENTS = (
    REQUESTS, DURATION, FIRST_TOKEN, ATTEMPTS, TOKENS, COST, QUEUE, OVERHEAD, RELOADS,
    HTTP, HTTP_DURATION, REJECTED, GEN_AI_DURATION, GEN_AI_TOKENS, GEN_AI_FIRST,
)  # fmt: skip
GAUGES: Mapping[str, tuple[str, str]] = {
    "pointsman_queue_length": ("Requests that wait for room", "model"),
    "pointsman_in_flight": ("Attempts that run now", "deployment"),
    "pointsman_breaker_state": ("0 closed, 1 half open, 2 open", "deployment"),
    "ai_proxy_circuit_breaker_state": ("0 closed, 1 half open, 2 open", "service"),
    "pointsman_limit_remaining": ("What a limit lets through at once now", "scope unit"),
    "pointsman_state_available": ("1 while the store of shared limits answers, 0 while it is away", "store"),
    "pointsman_build_info": ("Always 1", "version"),
}
"""What is so now: name → what it says, labels."""


class Children:
    """The children of one instrument by their labels, each looked up once: half of what a sample costs."""

    __slots__ = ("_known", "_labels", "_metric")

    def __init__(self, instrument: Instrument, registry: CollectorRegistry) -> None:
        labels = instrument.labels.split()
        self._labels = len(labels)
        self._known: dict[tuple[str, ...], Any] = {}
        self._metric: Any
        if instrument.buckets:
            self._metric = Histogram(
                instrument.name, instrument.says, labels, buckets=instrument.buckets, registry=registry
            )
        else:
            self._metric = Counter(instrument.name, instrument.says, labels, registry=registry)

    def __call__(self, *labels: str) -> Any:
        """The child of these labels, in the order of the table."""
        child = self._known.get(labels)
        if child is None:
            child = self._metric
            if len(self._known) >= SERIES_AT_MOST:
                return child.labels(*(OTHER,) * self._labels)
            self._known[labels] = child = child.labels(*labels) if labels else child
        return child
