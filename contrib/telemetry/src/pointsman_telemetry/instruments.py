"""The counters and histograms, as a table: name, what it says, labels; and their series."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import accumulate
from math import inf
from typing import TYPE_CHECKING, Any, cast

from msgspec import Struct

from pointsman_telemetry.names import DURATION_BUCKETS, TOKEN_BUCKETS
from pointsman_telemetry.topology import OTHER

if TYPE_CHECKING:
    from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

SERIES_AT_MOST = 1000
"""Of one metric; what comes beyond is counted in the one whose labels are all `other`."""
HTTP_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
OVERHEAD_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5)
_GEN_AI = "gen_ai_operation_name gen_ai_provider_name gen_ai_request_model"


class Instrument(Struct, frozen=True):
    """One counter, or a histogram where it has `buckets`; `labels` with blanks between.

    Attributes:
        parts: a counter counts parts of its unit, so many to one.
    """

    name: str
    says: str
    labels: str = ""
    buckets: tuple[float, ...] = ()
    parts: int = 1


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
COST = Instrument(  # counted in whole millionths of a cent, whose sums are exact up to 90 million USD
    "pointsman_cost_usd", "What they took, by the prices of deployments", "model deployment", parts=10**8
)
QUEUE = Instrument("pointsman_queue_seconds", "Waiting in line for room", "model", DURATION_BUCKETS)
OVERHEAD = Instrument(
    "pointsman_overhead_seconds", "Our own part of a request's time", "surface", OVERHEAD_BUCKETS
)
RELOADS = Instrument("pointsman_reloads", "Reloads of the configuration", "result")
MIRRORED = Instrument(
    "pointsman_mirror_requests", "Copies of requests that ended, by result", "model to result error"
)
MIRROR_DURATION = Instrument(
    "pointsman_mirror_duration_seconds",
    "The attempt that answered: `asked` that of the caller, `copy` the other",
    "model to side",
    HTTP_BUCKETS,
)
MIRROR_FIRST_TOKEN = Instrument(
    "pointsman_mirror_time_to_first_token_seconds",
    "The same, to its first content",
    "model to side",
    DURATION_BUCKETS,
)
MIRROR_COST = Instrument("pointsman_mirror_cost_usd", "What they took", "model to side", parts=10**8)
MIRROR_FINISH = Instrument(
    "pointsman_mirror_finishes", "Why the answers to both ended", "model to asked copy"
)
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
    MIRRORED, MIRROR_DURATION, MIRROR_FIRST_TOKEN, MIRROR_COST, MIRROR_FINISH,
    HTTP, HTTP_DURATION, REJECTED, GEN_AI_DURATION, GEN_AI_TOKENS, GEN_AI_FIRST,
)  # fmt: skip
GAUGES: Mapping[str, tuple[str, str]] = {
    "pointsman_queue_length": ("Requests that wait for room", "model"),
    "pointsman_strategy_degraded": ("1 where the last choice lacked the signal it goes by", "model strategy"),
    "pointsman_in_flight": ("Attempts that run now", "deployment"),
    "pointsman_breaker_state": ("0 closed, 1 half open, 2 open", "deployment"),
    "ai_proxy_circuit_breaker_state": ("0 closed, 1 half open, 2 open", "service"),
    "pointsman_limit_remaining": ("What a limit lets through at once now", "scope unit"),
    "pointsman_budget_spent": ("What was used of a budget in its window; money in USD", "rule subject unit"),
    "pointsman_budget_held": ("What attempts that run may still use of a budget", "rule subject unit"),
    "pointsman_budget_limit": ("What a budget allows in its window", "rule subject unit"),
    "pointsman_budgets_failing": ("1 while what was spent of budgets cannot be kept", ""),
    "pointsman_state_available": ("1 while the store of shared limits answers, 0 while it is away", "store"),
    "pointsman_credential_expires_seconds": (
        "Seconds until the last credential of a provider ends, 0 where none is usable; those without an end "
        "have none",
        "provider",
    ),
    "pointsman_audit_waiting": ("Audit records that are not kept yet", "sink"),
    "pointsman_audit_dropped": ("Audit records that are lost, each counted in a gap", "sink"),
    "pointsman_audit_failing": ("1 while an audit sink cannot write", "sink"),
    "pointsman_audit_disk": ("How often its disk was full, failed otherwise, or was slow", "sink kind"),
    "pointsman_config_refused": ("1 while the latest configuration is wrong and the one before is used", ""),
    "pointsman_build_info": ("Always 1", "version"),
}
"""What is so now: name → what it says, labels."""


class Counter:
    """One series of a counter."""

    __slots__ = ("_parts", "value")

    def __init__(self, parts: int) -> None:
        self.value = 0.0
        self._parts = parts

    def write(self, family: CounterMetricFamily, labels: Sequence[str]) -> None:
        """Add to `family` what there is."""
        family.add_metric(labels, self.value / self._parts)


class Histogram:
    """One series of a histogram."""

    __slots__ = ("_buckets", "_counts", "_sum")

    def __init__(self, instrument: Instrument) -> None:
        self._buckets = instrument.buckets
        self._counts = [0] * (len(instrument.buckets) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """One more, in the first bucket that holds it."""
        self._counts[bisect_left(self._buckets, value)] += 1
        self._sum += value

    def write(self, family: HistogramMetricFamily, labels: Sequence[str]) -> None:
        """Add to `family` what there is."""
        from prometheus_client.utils import floatToGoString

        bounds = map(floatToGoString, (*self._buckets, inf))
        family.add_metric(labels, list(zip(bounds, accumulate(self._counts), strict=True)), self._sum)


class Children(dict[tuple[str, ...], Any]):
    """The series of one instrument by their labels, in the order of the table; made when first asked for.

    A dict, and series without locks, because each request counts in a dozen: the library's own take five
    calls for each. Nothing but the loop of the router counts; whoever reads may be another thread.
    """

    def __init__(self, instrument: Instrument) -> None:
        super().__init__()
        self._instrument = instrument

    def __missing__(self, labels: tuple[str, ...]) -> Counter | Histogram:
        if len(self) >= SERIES_AT_MOST:
            labels = (OTHER,) * len(labels)
            if labels in self:
                return cast("Counter | Histogram", self[labels])
        instrument = self._instrument
        made = Histogram(instrument) if instrument.buckets else Counter(instrument.parts)
        self[labels] = made
        return made

    def family(self) -> Metric:
        """All of them as they stand now."""
        # The library is for those who ask: to count takes none of it, and many a gateway is asked by nobody.
        from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

        of, labels = self._instrument, self._instrument.labels.split()
        family: Any = (HistogramMetricFamily if of.buckets else CounterMetricFamily)(
            of.name, of.says, labels=labels
        )
        for said, each in list(self.items()):
            each.write(family, said)
        return cast("Metric", family)
