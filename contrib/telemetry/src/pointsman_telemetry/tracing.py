"""Traces for OpenTelemetry: one span a request, one below it for each attempt, made when the request is over.

So a call itself pays for keeping its events and no more, and what is sampled out costs no span. A tag
`traceparent` of a request, which a gateway takes from its caller's header, is the parent of its span.
"""

from __future__ import annotations

from collections.abc import Iterable

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from pointsman import Router
from pointsman.plugin import AttemptEnded, Queued, Reloaded, RequestEnded
from pointsman_telemetry.spans import SpanData, spans_of
from pointsman_telemetry.topology import Topology, topology_of

SCOPE = "pointsman"
PARENT = "traceparent"
"""The tag of a request that names the span of its caller."""
_KEPT_AT_MOST = 10_000
"""Requests whose attempts are kept; a request beyond them has a span and its attempts have none."""
_PROPAGATOR = TraceContextTextMapPropagator()


class Tracing:
    """The traces of one router, from now until `close`.

    Args:
        exporter: where spans go, in batches and from a thread of its own.
        sampled: the share of the traces that begin here, 0 to 1; one that a caller began is kept as it says.
    """

    def __init__(
        self, router: Router, exporter: SpanExporter, *, service_name: str = "pointsman", sampled: float = 1.0
    ) -> None:
        self._router = router
        self._topology: Topology | None = None
        self._attempts: dict[str, list[AttemptEnded]] = {}
        self._queued: set[str] = set()
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(sampled)),
            resource=Resource.create({"service.name": service_name}),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer: Tracer = self._provider.get_tracer(SCOPE)
        self._ends = [
            router.listen(self._attempted, kinds=[AttemptEnded]),
            router.listen(self._waits, kinds=[Queued]),
            router.listen(self._ended, kinds=[RequestEnded]),
            router.listen(self._reloaded, kinds=[Reloaded]),
        ]

    def close(self) -> None:
        """Send what is kept, and make no further spans. Blocks for as long as the exporter does."""
        for end in self._ends:
            end()
        self._ends.clear()
        self._provider.shutdown()

    def _attempted(self, event: AttemptEnded) -> None:
        known = self._attempts.get(event.request_id)
        if known is not None:
            known.append(event)
        elif len(self._attempts) < _KEPT_AT_MOST:
            self._attempts[event.request_id] = [event]

    def _waits(self, event: Queued) -> None:
        if len(self._queued) < _KEPT_AT_MOST:
            self._queued.add(event.request_id)

    def _reloaded(self, _event: Reloaded) -> None:
        self._topology = None

    def _ended(self, event: RequestEnded) -> None:
        attempts = self._attempts.pop(event.request_id, [])
        queued = None
        if event.request_id in self._queued:
            self._queued.discard(event.request_id)
            queued = (attempts[0].wall if attempts else event.wall + event.seconds) - event.wall
        topology = self._topology = self._topology or topology_of(self._router)
        parent = _PROPAGATOR.extract({PARENT: event.tags[PARENT]}) if PARENT in event.tags else Context()
        whole, below = spans_of(event, attempts, topology, queued)
        self._emit(whole, below, parent)

    def _emit(self, whole: SpanData, below: Iterable[SpanData], parent: Context) -> None:
        span = self._tracer.start_span(
            whole.name,
            context=parent,
            kind=SpanKind.SERVER,
            attributes=whole.attributes,
            start_time=_nanoseconds(whole.began),
        )
        inside = set_span_in_context(span, parent)
        for each in below:
            child = self._tracer.start_span(
                each.name,
                context=inside,
                kind=SpanKind.CLIENT,
                attributes=each.attributes,
                start_time=_nanoseconds(each.began),
            )
            if each.error:
                child.set_status(Status(StatusCode.ERROR, each.error))
            child.end(_nanoseconds(each.ended))
        if whole.error:
            span.set_status(Status(StatusCode.ERROR, whole.error))
        span.end(_nanoseconds(whole.ended))


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
