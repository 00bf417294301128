"""Traces for OpenTelemetry: one span a request, one below it for each attempt, made when the request is over.

So a call itself pays for keeping its events and for the names of its spans, and what is sampled out costs no
span. A tag `traceparent` of a request, which a gateway takes from its caller's header, is the parent of its
span; upstreams are told the span of the attempt, so that theirs can stand below it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, Sampler, TraceIdRatioBased
from opentelemetry.trace import (
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    format_span_id,
    format_trace_id,
    get_current_span,
    set_span_in_context,
)
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


class _Trace(Struct):
    """The trace of one request that runs.

    Attributes:
        parent: holds the span of its caller, if that said one.
        begins: of the header that its attempts are named with, up to the span.
        flags: what follows the span there.
        spans: of its attempts, by their numbers.
    """

    parent: Context
    trace: int
    begins: str
    flags: str
    spans: dict[int, int]


class _Ids(IdGenerator):
    """Ids by chance, but for those that were told before their spans are made.

    Attributes:
        trace, span: of the next span; None: by chance.
    """

    def __init__(self, chance: IdGenerator) -> None:
        self._chance = chance
        self.trace: int | None = None
        self.span: int | None = None

    def generate_trace_id(self) -> int:
        return self._chance.generate_trace_id() if self.trace is None else self.trace

    def generate_span_id(self) -> int:
        return self._chance.generate_span_id() if self.span is None else self.span

    def is_trace_id_random(self) -> bool:
        return True


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
        self._traces: dict[str, _Trace] = {}
        self._chance = RandomIdGenerator()
        self._ids = _Ids(self._chance)
        self._sampler: Sampler = ParentBased(TraceIdRatioBased(sampled))
        self._provider = TracerProvider(
            sampler=self._sampler,
            resource=Resource.create({"service.name": service_name}),
            shutdown_on_exit=False,
            id_generator=self._ids,
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer: Tracer = self._provider.get_tracer(SCOPE)
        self._ends = [
            router.listen(self._attempted, kinds=[AttemptEnded]),
            router.listen(self._waits, kinds=[Queued]),
            router.listen(self._ended, kinds=[RequestEnded]),
            router.listen(self._reloaded, kinds=[Reloaded]),
            router.trace(self._named),
        ]

    def close(self) -> None:
        """Send what is kept, and make no further spans. Blocks for as long as the exporter does."""
        for end in self._ends:
            end()
        self._ends.clear()
        self._provider.shutdown()

    def _named(self, request_id: str, attempt: int, tags: Mapping[str, str]) -> str:
        """The `traceparent` that says the span of an attempt, which will be made when all is over."""
        trace = self._traces.get(request_id)
        if trace is None:
            trace = self._begun(tags)
            if len(self._traces) < _KEPT_AT_MOST:
                self._traces[request_id] = trace
        span = trace.spans[attempt] = self._chance.generate_span_id()
        return f"{trace.begins}-{format_span_id(span)}-{trace.flags}"

    def _begun(self, tags: Mapping[str, str]) -> _Trace:
        parent = _parent_of(tags)
        caller = get_current_span(parent).get_span_context()
        if caller.is_valid:
            trace, sampled = caller.trace_id, caller.trace_flags.sampled
        else:
            trace = self._chance.generate_trace_id()
            sampled = self._sampler.should_sample(parent, trace, SCOPE).decision is Decision.RECORD_AND_SAMPLE
        return _Trace(parent, trace, f"00-{format_trace_id(trace)}", f"{sampled:02x}", {})

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
        trace = self._traces.pop(event.request_id, None) or self._begun(event.tags)
        whole, below = spans_of(event, attempts, topology, queued)
        self._emit(whole, zip(below, [trace.spans.get(each.number) for each in attempts], strict=True), trace)

    def _emit(self, whole: SpanData, below: Iterable[tuple[SpanData, int | None]], trace: _Trace) -> None:
        parent, self._ids.trace, self._ids.span = trace.parent, trace.trace, None
        span = self._tracer.start_span(
            whole.name,
            context=parent,
            kind=SpanKind.SERVER,
            attributes=whole.attributes,
            start_time=_nanoseconds(whole.began),
        )
        inside = set_span_in_context(span, parent)
        for each, self._ids.span in below:
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


def _parent_of(tags: Mapping[str, str]) -> Context:
    return _PROPAGATOR.extract({PARENT: tags[PARENT]}, Context()) if PARENT in tags else Context()


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
