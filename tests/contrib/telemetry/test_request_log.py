"""The line that each request has in the log."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog

from pointsman_telemetry.request_log import RequestLog


def test_a_line_of_json_is_the_one_that_structlog_would_write() -> None:
    ours, theirs = io.StringIO(), io.StringIO()
    fields: dict[str, Any] = {"status": 200, "path": "/v1/models", "ms": 1.25, "caller": "zoë", "surface": ""}
    log = structlog.wrap_logger(
        structlog.WriteLogger(theirs),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(
                serializer=lambda said, **_: msgspec.json.encode(said, order="deterministic").decode()
            ),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(0),
    ).bind()

    RequestLog(ours).write("request", {**fields, "error": None})
    RequestLog(ours).write("request", fields, failed=True)
    log.info("request", **fields)
    log.warning("request", **fields)

    first = json.loads(ours.getvalue().splitlines()[0])
    assert set(first) == {*fields, "event", "level", "timestamp"}
    assert first["timestamp"].endswith("Z")
    assert datetime.fromisoformat(first["timestamp"]).tzinfo == UTC
    assert _without_time(ours) == _without_time(theirs)


def _without_time(stream: io.StringIO) -> list[str]:
    return [line.partition('"timestamp"')[0] for line in stream.getvalue().splitlines()]


def test_a_line_of_json_is_one_write() -> None:
    written: list[str] = []

    class Stream(io.StringIO):
        def write(self, text: str, /) -> int:
            written.append(text)
            return super().write(text)

    RequestLog(Stream()).write("request", {"path": "/a\nb"})

    assert len(written) == 1
    assert written[0].count("\n") == 1


def test_a_line_for_people_says_level_event_and_fields() -> None:
    stream = io.StringIO()
    RequestLog(stream, style="console").write("request", {"status": 503}, failed=True)
    assert "[warning" in stream.getvalue()
    assert "request" in stream.getvalue()
    assert "status=503" in stream.getvalue()
