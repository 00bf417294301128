"""The sections `prometheus` and `opentelemetry`, and the services that they start with a router."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from threading import Thread
from typing import TYPE_CHECKING, Annotated
from wsgiref.simple_server import WSGIServer

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from pointsman.plugin import ConfigError, SectionFactory, ServiceContext, ServiceFactory

if TYPE_CHECKING:
    from pointsman_telemetry.metrics import Metrics
    from pointsman_telemetry.tracing import Tracing

_CLOSE_WITHIN = 5.0
"""Seconds for what is still to be sent, when the router closes."""


def _address(said: str) -> str:
    host, colon, port = said.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) < 65536):
        raise ValueError("expected an address and a port, such as 127.0.0.1:9464")
    return said


def _url(said: str) -> str:
    if not said.startswith(("http://", "https://")):
        raise ValueError("expected a URL, such as http://127.0.0.1:4318")
    return said.rstrip("/")


class PrometheusSettings(BaseModel):
    """`prometheus: {listen: 127.0.0.1:9464}`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    listen: Annotated[str, AfterValidator(_address)] = Field(
        default="127.0.0.1:9464", description="where `GET /metrics` is answered; whoever reaches it may ask"
    )


class OpenTelemetrySettings(BaseModel):
    """`opentelemetry: {endpoint: http://127.0.0.1:4318}`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    endpoint: Annotated[str, AfterValidator(_url)] = Field(
        description="of an OTLP collector over HTTP; spans go to `/v1/traces` below it"
    )
    headers: dict[str, SecretStr] = Field(
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
        self._server: WSGIServer | None = None
        self._thread: Thread | None = None

    async def start(self) -> None:
        """Listen. Raises ConfigError when that cannot be."""
        from prometheus_client import start_http_server  # with a server in it

        from pointsman_telemetry.metrics import Metrics

        context = self._context
        host, _, port = context.settings.listen.rpartition(":")
        self._metrics = Metrics(context.router, clock=context.clock)
        try:
            self._server, self._thread = start_http_server(
                int(port), host.strip("[]"), registry=self._metrics.registry
            )
        except OSError as error:
            self._metrics.close()
            raise ConfigError(
                f"prometheus.listen: cannot listen at {context.settings.listen}: {error}"
            ) from None

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None
        return self._server.server_port

    async def aclose(self) -> None:
        """Listen no longer."""
        if self._metrics is not None:
            self._metrics.close()
        server, thread, self._server = self._server, self._thread, None
        if server is not None and thread is not None:
            await asyncio.to_thread(_stop, server, thread)


def _stop(server: WSGIServer, thread: Thread) -> None:
    server.shutdown()
    server.server_close()
    thread.join()


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
            raise ConfigError(
                f"opentelemetry: {error.name or 'a package'} is missing; try: "
                "pip install 'pointsman-telemetry[opentelemetry]'"
            ) from None
        headers = {name: value.get_secret_value() for name, value in settings.headers.items()}
        exporter = OTLPSpanExporter(f"{settings.endpoint}/v1/traces", headers=headers)
        self._tracing = Tracing(
            self._context.router, exporter, service_name=settings.service_name, sampled=settings.sampled
        )

    async def aclose(self) -> None:
        """Send what is left, for 5 seconds at most."""
        tracing, self._tracing = self._tracing, None
        if tracing is not None:
            await _within(tracing.close)


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
    SectionFactory("opentelemetry", OpenTelemetrySettings, service="opentelemetry"),
)
