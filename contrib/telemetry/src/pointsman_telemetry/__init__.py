"""Metrics for Prometheus and traces for OpenTelemetry, from a pointsman router."""

from __future__ import annotations

from pointsman.plugin import PointsmanSpec, SectionFactory, ServiceFactory, hookimpl

__all__ = ["TelemetryPlugin", "plugin"]


class TelemetryPlugin(PointsmanSpec):
    """Offers the sections `prometheus` and `opentelemetry`, and their services."""

    @hookimpl
    def pointsman_services(self) -> tuple[ServiceFactory, ...]:
        """One for each section."""
        from pointsman_telemetry.exporting import SERVICES

        return SERVICES

    @hookimpl
    def pointsman_sections(self) -> tuple[SectionFactory, ...]:
        """What they are configured by."""
        from pointsman_telemetry.exporting import SECTIONS

        return SECTIONS


plugin = TelemetryPlugin()
