"""What a scrape asks: a registry of its own for the metrics of one router."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from pointsman_telemetry.metrics import Metrics


def registry_of(metrics: Metrics) -> CollectorRegistry:
    """A registry in which `metrics` are, and nothing else."""
    registry = CollectorRegistry()
    registry.register(_Collected(metrics))
    return registry


class _Collected(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics.collected()

    def describe(self) -> Iterable[Metric]:
        return ()  # or registering would scrape, of a router that may not have begun
