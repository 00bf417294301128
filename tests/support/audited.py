"""Events for tests of records, and sinks made as a router makes them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from pointsman import CallerRefused, Outcome, RequestStarted
from pointsman.clock import LoopClock
from pointsman.plugin import AttemptEnded, AuditContext, RequestEnded, Usage
from pointsman_audit.settings import PostgresSettings, SqliteSettings
from pointsman_audit.sink import sink_for

WALL = 1.7e9


class At(LoopClock):
    """A clock whose time of day is told."""

    def __init__(self, wall: float = WALL) -> None:
        super().__init__()
        self.wall_now = wall

    def wall(self) -> float:
        return self.wall_now


def sink_at(address: str, directory: Path, *, clock: Any = None, **settings: Any) -> Any:
    """The sink for a database; close it after use."""
    kind = PostgresSettings if address.startswith("postgres") else SqliteSettings
    made = kind.model_validate({"database": address, **settings})
    return sink_for(
        AuditContext(
            settings=made,
            clock=clock or At(),
            rng=random.Random(1),
            log=__import__("logging").getLogger("pointsman.tests"),
            name="audit",
            directory=directory,
        )
    )


def started(id: str = "r1", **more: Any) -> RequestStarted:
    return RequestStarted(id, "chat", "m", WALL, **{"caller": "ci", **more})


def attempted(id: str = "r1", **more: Any) -> AttemptEnded:
    said: dict[str, Any] = {"outcome": Outcome.OK, "error": "", "caller": "ci", **more}
    return AttemptEnded(
        id,
        "m",
        "a/x",
        1,
        said.pop("outcome"),
        said.pop("error"),
        "",
        None,
        WALL,
        0.1,
        None,
        Usage(3, 2),
        "",
        **said,
    )


def ended(id: str = "r1", **more: Any) -> RequestEnded:
    said: dict[str, Any] = {
        "result": "ok",
        "error": "",
        "model": "m",
        "caller": "ci",
        "cost_microcents": 7,
        **more,
    }
    return RequestEnded(
        id, "chat", said.pop("model"), "m", "a/x", said.pop("result"), said.pop("error"), "", 1, WALL, 0.1,
        Usage(3, 2), **said,
    )  # fmt: skip


def refused(id: str = "r9", caller: str = "ci") -> CallerRefused:
    return CallerRefused(id, "openai", "m", caller, "k1", "caller_rate_limited", "caller: no", 429, WALL)
