"""docs/observability.md says what there is: each metric with its labels, each setting with its default."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pointsman_telemetry.exporting import OpenTelemetrySettings, PrometheusSettings
from pointsman_telemetry.instruments import GAUGES, INSTRUMENTS

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "observability.md").read_text("utf-8")
ROWS = {
    name: set(re.findall(r"`(\w+)`", labels))
    for names, labels in re.findall(r"^\| (`pointsman_[^|]*) \|([^|]*)\|", PAGE, re.MULTILINE)
    for name in re.findall(r"`(\w+)`", names)
}
BUILT = {each.name + ("" if each.buckets else "_total"): set(each.labels.split()) for each in INSTRUMENTS}
BUILT |= {name: set(labels.split()) for name, (_says, labels) in GAUGES.items()}


def test_the_table_has_every_metric_of_ours_with_its_labels() -> None:
    assert {name: labels for name, labels in BUILT.items() if name.startswith("pointsman_")} == ROWS


def test_the_page_names_every_metric_that_others_expect() -> None:
    others = [name for name in BUILT if not name.startswith("pointsman_")]
    assert [name for name in others if f"`{name}" not in PAGE] == []


@pytest.mark.parametrize("model", [PrometheusSettings, OpenTelemetrySettings])
def test_the_table_has_every_setting_with_its_default(model: type) -> None:
    section = model.__name__.removesuffix("Settings").lower()
    for name, field in model.model_fields.items():  # type: ignore[attr-defined]
        default = (
            "required"
            if field.is_required()
            else f"`{field.default}`"
            if field.default is not None
            else "none"
        )
        default = default if name != "headers" else "none"
        assert f"| `{section}.{name}` | {default} |" in PAGE
