"""pointsman: four deployments, least connections, and everything armed.

That is breaker, rate limits, a bound of calls in flight and retries for each deployment, an audit file, and a
listener that counts as one for metrics would.

The environment variables PEERS_TRANSPORT and PEERS_AUDIT (`jsonl`, `memory`, `none`) choose these two, since
every client is set up in the same way.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any

import traffic
from pydantic import BaseModel

from pointsman import Router
from pointsman.audit import AuditFactory
from pointsman.events import Event, RequestEnded
from pointsman.plugin import PointsmanSpec, hookimpl

PLENTY = 1_000_000_000


class Client:
    """Args: further listeners and installed plugins that do nothing."""

    def __init__(self, *, listeners: int = 0, plugins: int = 0) -> None:
        self._listeners = listeners
        self._plugins = plugins

    async def setup(self, url: str) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="pointsman-peers-")
        self._messages = traffic.MESSAGES
        self.router = Router.from_config(
            configuration(url, audit=self._directory.name),
            plugins=[Memory(), *(Nothing() for _ in range(self._plugins))],
        )
        self.router.listen(Metrics())
        for _ in range(self._listeners):
            self.router.listen(_deaf)

    async def call(self) -> str:
        return (await self.router.chat("m", self._messages)).text

    async def stream(self, seen: Callable[[str], None]) -> None:
        async with self.router.stream("m", self._messages) as stream:
            async for event in stream:
                if event.text:
                    seen(event.text)

    async def close(self) -> None:
        await self.router.aclose()
        self._directory.cleanup()


def configuration(url: str, *, audit: str) -> dict[str, Any]:
    """Four accounts at one upstream; the audit goes to the directory `audit`."""
    limits = {"requests": f"{PLENTY}/min", "tokens": f"{PLENTY}/s"}
    sinks: dict[str, list[Any]] = {
        "jsonl": [{"type": "jsonl", "path": audit}],
        "memory": ["memory"],
        "none": [],
    }
    names = [f"account{n}" for n in range(4)]
    return {
        "providers": {
            name: {"type": "openai", "base_url": url, "api_key": traffic.KEY, "limits": limits}
            for name in names
        },
        "models": {
            "m": {
                "strategy": "least_connections",
                "deployments": [
                    {"provider": name, "model": traffic.MODEL, "max_in_flight": 100_000} for name in names
                ],
            }
        },
        # With the default, four, all fail by chance in one of ten thousand calls, where a tenth of all do.
        "retry": {"type": "exponential", "attempts": 6},
        "circuit_breaker": {"failure_threshold": 5},
        "timeouts": {"connect": "30s", "total": "2m"},
        "audit": sinks[os.environ.get("PEERS_AUDIT", "jsonl")],
        "transport": os.environ.get("PEERS_TRANSPORT", "auto"),
    }


def _deaf(_event: Event) -> None:
    """A listener that does nothing."""


class Metrics:
    """Requests by model and result, and the sum of their seconds."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str]] = Counter()
        self.seconds = 0.0

    def __call__(self, event: Event) -> None:
        if type(event) is RequestEnded:
            self.requests[event.model, event.result] += 1
            self.seconds += event.seconds


class Memory(PointsmanSpec):
    """An audit that keeps the last ten thousand events and writes nothing."""

    @hookimpl
    def pointsman_audit_sinks(self) -> Sequence[AuditFactory]:
        return [AuditFactory("memory", _NoSettings, lambda _context: _Ring())]


class _NoSettings(BaseModel):
    pass


class _Ring:
    def __init__(self) -> None:
        self._events: deque[Event] = deque(maxlen=10_000)

    def __call__(self, event: Event) -> None:
        self._events.append(event)

    def close(self) -> None:
        """Nothing is held open."""


class Nothing(PointsmanSpec):
    """An installed plugin that offers nothing."""

    @hookimpl
    def pointsman_auth(self) -> Sequence[Any]:
        return ()
