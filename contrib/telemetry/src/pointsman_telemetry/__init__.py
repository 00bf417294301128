"""Metrics for Prometheus and traces for OpenTelemetry, from a pointsman router."""
