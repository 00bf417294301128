"""What a gateway tells of itself beside its surfaces, as the document has it."""

from __future__ import annotations

from collections.abc import Mapping

from pointsman_gateway.operator.describing import Described, Family, Schema, obj

ASIDE_SCHEMAS: Mapping[str, Schema] = {
    "Health": obj(status={"enum": ["live", "ready", "draining"]}),
}
HEALTH = Family(
    "Health",
    {"public": ()},
    (
        Described("GET", "/health/live", "Whether the process is alive", "Health", open="public"),
        Described(
            "GET",
            "/health/ready",
            "Whether it takes requests",
            "Health",
            answers={503: "Health"},
            open="public",
        ),
    ),
    takes_bodies=False,
)
"""At the main address, or at a listener of their own."""
METRICS = Family(
    "",
    {"operator": (400, 401, 403, 500, 503)},
    (
        Described(
            "GET",
            "/metrics",
            "Metrics for Prometheus, as OpenMetrics where `Accept` asks for that",
            "text/plain application/openmetrics-text",
        ),
    ),
    takes_bodies=False,
)
"""Where `health` has a listener with metrics of its own, they are told to whoever asks there."""
