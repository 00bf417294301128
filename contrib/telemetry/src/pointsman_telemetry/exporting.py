"""The sections `prometheus` and `opentelemetry`, and the services that they start with a router."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from pointsman.plugin import ConfigError, Secret, SectionCheck, SectionFactory, ServiceContext, ServiceFactory

if TYPE_CHECKING:
    from pointsman_telemetry.metrics import Metrics
    from pointsman_telemetry.scraping import Scraped
    from pointsman_telemetry.tracing import Tracing

_INSTALL = "try: pip install 'pointsman-telemetry[opentelemetry]'"
_CLOSE_WITHIN = 5.0
"""Seconds for what is still to be sent, when the router closes."""


def _address(said: str) -> str:
    host, _, ports = said.rpartition(":")
    first, dash, last = ports.partition("-")
    both = [first, last if dash else first]
    if not (host and all(each.isascii() and each.isdigit() for each in both)) or not (
        int(both[0]) <= int(both[1]) < 65536
    ):
        raise ValueError(
            "expected an address and a port, such as 127.0.0.1:9464, or a range of them, 127.0.0.1:9464-9471"
        )
    return said


def _places(listen: str) -> tuple[str, Sequence[int]]:
    """The host and the ports of an address that is right."""
    host, _, ports = listen.rpartition(":")
    first, _, last = ports.partition("-")
    return host.strip("[]"), range(int(first), int(last or first) + 1)


def _url(said: str) -> str:
    if not said.startswith(("http://", "https://")):
        raise ValueError("expected a URL, such as http://127.0.0.1:4318")
    return said.rstrip("/")


class PrometheusSettings(BaseModel):
    """`prometheus: {listen: 127.0.0.1:9464}`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    listen: Annotated[str, AfterValidator(_address)] = Field(
        default="127.0.0.1:9464",
        description="where `GET /metrics` is answered; whoever reaches it may ask. "
        "Of a range of ports, such as 127.0.0.1:9464-9471, each process takes the first that is free",
    )


class OpenTelemetrySettings(BaseModel):
    """`opentelemetry: {endpoint: http://127.0.0.1:4318}`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    endpoint: Annotated[str, AfterValidator(_url)] = Field(
        description="of an OTLP collector over HTTP; spans go to `/v1/traces` below it"
    )
    headers: dict[str, Secret] = Field(
        default_factory=dict, description="what its requests carry, such as a key"
    )
    service_name: str = Field(default="pointsman", min_length=1, description="`service.name` of the spans")
    sampled: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="the share of traces that begin here; a caller's own go by its word",
    )


class PrometheusService:
    """Answers scrapes in a thread of its own. A gateway has `/metrics` without it."""

    def __init__(self, context: ServiceContext) -> None:
        self._context = context
        self._metrics: Metrics | None = None
        self._scraped: Scraped | None = None

    async def start(self) -> None:
        """Listen. Raises ConfigError when that cannot be."""
        from pointsman_telemetry.metrics import Metrics
        from pointsman_telemetry.scraping import Scraped  # with a server in it

        context, listen = self._context, self._context.settings.listen
        host, ports = _places(listen)
        surfaces = await asyncio.to_thread(_surfaces)
        self._metrics = Metrics(context.router, clock=context.clock, surfaces=surfaces)
        try:
            self._scraped = Scraped(host, ports, self._metrics.registry)
        except OSError as error:
            self._metrics.close()
            raise ConfigError(f"prometheus.listen: cannot listen at {listen}: {error}") from None
        context.log.info("metrics are at http://%s:%d/metrics", listen.rpartition(":")[0], self._scraped.port)

    async def aclose(self) -> None:
        """Listen no longer."""
        if self._metrics is not None:
            self._metrics.close()
        scraped, self._scraped = self._scraped, None
        if scraped is not None:
            await asyncio.to_thread(scraped.close)


def _surfaces() -> Sequence[str]:
    """By which APIs requests can come through a gateway, which says so of each in a tag."""
    return [*(each.name for each in entry_points(group="pointsman.surfaces")), "operator"]


class OpenTelemetryService:
    """Sends a span for each request and each attempt. Needs the packages of the extra `opentelemetry`."""

    def __init__(self, context: ServiceContext) -> None:
        self._context = context
        self._tracing: Tracing | None = None

    async def start(self) -> None:
        """Make spans from now on. Raises ConfigError where the packages are missing."""
        settings: OpenTelemetrySettings = self._context.settings
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

            from pointsman_telemetry.tracing import Tracing
        except ImportError as error:
            raise ConfigError(f"{error.name or 'a package'} is missing; {_INSTALL}") from None
        headers = {name: value.reveal() for name, value in settings.headers.items()}
        exporter = OTLPSpanExporter(f"{settings.endpoint}/v1/traces", headers=headers)
        self._tracing = Tracing(
            self._context.router, exporter, service_name=settings.service_name, sampled=settings.sampled
        )

    async def aclose(self) -> None:
        """Send what is left, for 5 seconds at most."""
        tracing, self._tracing = self._tracing, None
        if tracing is not None:
            await _within(tracing.close)


def _installed(_settings: OpenTelemetrySettings, check: SectionCheck) -> None:
    """What exports is there; looked for and not imported, for `config check` is to be quick."""
    try:
        found = find_spec("opentelemetry.exporter.otlp.proto.http")
    except ModuleNotFoundError:
        found = None
    if found is None:
        check.problem((), "what sends spans is not installed", _INSTALL, code="PM1406")


async def _within(close: Callable[[], None]) -> None:
    try:
        await asyncio.wait_for(asyncio.to_thread(close), _CLOSE_WITHIN)
    except TimeoutError:  # a collector that is away must not hold up the router's end
        return


SERVICES = (
    ServiceFactory("prometheus", PrometheusSettings, PrometheusService),
    ServiceFactory("opentelemetry", OpenTelemetrySettings, OpenTelemetryService),
)
SECTIONS = (
    SectionFactory("prometheus", PrometheusSettings, service="prometheus"),
    SectionFactory("opentelemetry", OpenTelemetrySettings, service="opentelemetry", check=_installed),
)
