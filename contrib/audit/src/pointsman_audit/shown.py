"""Records as people read them: in a table, or a line each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pointsman_audit.rows import Facts

COLUMNS = ("when", "event", "caller", "model", "deployment", "outcome", "ms", "request")


def cells_of(facts: Facts) -> Sequence[object]:
    """The cells of `COLUMNS`."""
    outcome = (
        f"{facts.outcome}: {facts.error}" if facts.outcome and facts.error else facts.outcome or facts.error
    )
    when = datetime.fromtimestamp(facts.at).strftime("%m-%d %H:%M:%S")
    ms = None if facts.ms is None else round(facts.ms)
    return (when, facts.event, facts.caller, facts.model, facts.deployment, outcome, ms, facts.request_id)


def line_of(facts: Facts, record: Mapping[str, Any]) -> str:
    """`12:00:01  request  ci  assistant  gpu1/llama  ok  1500 ms  req_1`"""
    when = datetime.fromtimestamp(facts.at).strftime("%H:%M:%S")
    said = [when, facts.event, facts.caller, facts.model, facts.deployment, facts.outcome, facts.error]
    if facts.ms is not None:
        said.append(f"{facts.ms:.0f} ms")
    if facts.rule:
        said.append(f"by {facts.rule}")
    if not facts.request_id:
        said += [str(record[key]) for key in ("reason", "subject", "count") if key in record]
    return "  ".join(each for each in (*said, facts.request_id) if each)
