"""The demo's account: what the router did, what the upstreams saw, and whether the two agree."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from pointsman.events import AttemptEnded, BreakerChanged, Event
from pointsman_cli.demo.scene import ACTS, LOST, STRATEGIES


@dataclass
class Account:
    """Fills up while the demo runs. `strategies[s][act][deployment]` counts answered requests.

    Attributes:
        failed: what went wrong, one line for each failed request.
        failovers: answered requests that took more than one attempt.
        ok_attempts: provider → attempts that succeeded, as the router counts them.
        upstream_seen, upstream_completed: provider → inference requests, as the servers count them.
        in_flight_after: attempts that the router believes to be running at the end.
    """

    seed: int
    requests: int = 0
    streams: int = 0
    tool_calls: int = 0
    embeddings: int = 0
    failed: list[str] = field(default_factory=list)
    failovers: int = 0
    strategies: dict[str, dict[str, Counter[str]]] = field(default_factory=dict)
    ok_attempts: Counter[str] = field(default_factory=Counter)
    failed_attempts: Counter[str] = field(default_factory=Counter)
    first_token_ms: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    transitions: list[dict[str, Any]] = field(default_factory=list)
    upstream_seen: dict[str, int] = field(default_factory=dict)
    upstream_completed: dict[str, int] = field(default_factory=dict)
    killed_with: int = 0
    in_flight_after: int = -1
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.strategies = {each: {act.name: Counter() for act in ACTS} for each in STRATEGIES}

    def hear(self, event: Event, at: float) -> None:
        """Take note of an event of the router, `at` seconds after the beginning."""
        if isinstance(event, AttemptEnded):
            provider = event.deployment.partition("/")[0]
            if event.outcome == "ok":
                self.ok_attempts[provider] += 1
            elif event.error != "unsupported":
                self.failed_attempts[provider] += 1
            if event.first_token is not None:
                self.first_token_ms[event.deployment].append(event.first_token * 1e3)
        elif isinstance(event, BreakerChanged):
            self.transitions.append(
                {
                    "at": round(at, 3),
                    "deployment": event.deployment,
                    "from": event.old,
                    "to": event.new,
                    "reason": event.reason,
                }
            )

    def answered(self, strategy: str, act: str, deployment: str, attempts: int) -> None:
        """One request was answered by `deployment`."""
        self.strategies[strategy][act][deployment] += 1
        self.failovers += attempts > 1

    def total(self, strategy: str) -> Counter[str]:
        """Answered requests of `strategy` by deployment."""
        return sum(self.strategies[strategy].values(), Counter())

    @property
    def providers(self) -> Counter[str]:
        """Answered requests by provider type."""
        counts: Counter[str] = Counter()
        for strategy in STRATEGIES:
            for deployment, count in self.total(strategy).items():
                counts[deployment.partition("/")[0]] += count
        return counts

    @property
    def counts_agree(self) -> bool:
        """Whether each server answered exactly as many requests as the router got answers from it."""
        return all(self.ok_attempts[name] == count for name, count in self.upstream_completed.items())

    def claims(self) -> dict[str, bool]:
        """What the demo promises, and whether it holds."""
        return {
            "no request failed": not self.failed,
            "requests were moved to other deployments": self.failovers > 0,
            "nothing is left in flight": self.in_flight_after == 0,
            "servers and router count the same": self.counts_agree,
        }

    def as_json(self) -> dict[str, Any]:
        """The one object of `pointsman demo --json`."""
        return {
            "requests": self.requests,
            "failed": len(self.failed),
            "failovers": self.failovers,
            "streams": self.streams,
            "tool_calls": self.tool_calls,
            "embeddings": self.embeddings,
            "strategies": {name: dict(sorted(self.total(name).items())) for name in STRATEGIES},
            "acts": {
                name: {act: dict(sorted(counts.items())) for act, counts in acts.items()}
                for name, acts in self.strategies.items()
            },
            "providers": dict(sorted(self.providers.items())),
            "lost_upstream": LOST,
            "killed_with_requests_in_flight": self.killed_with,
            "failed_attempts": dict(self.failed_attempts),
            "breaker_transitions": self.transitions,
            "first_token_ms": self.median_first_token_ms(),
            "upstream_requests": {
                name: {
                    "seen": self.upstream_seen[name],
                    "completed": completed,
                    "answers_at_router": self.ok_attempts[name],
                }
                for name, completed in self.upstream_completed.items()
            },
            "counts_agree": self.counts_agree,
            "in_flight_after": self.in_flight_after,
            "claims": self.claims(),
            "errors": self.failed[:20],
            "seconds": round(self.seconds, 3),
            "seed": self.seed,
        }

    def median_first_token_ms(self) -> dict[str, float]:
        """Deployment → median time to the first content of a stream."""
        return {name: round(median(some), 1) for name, some in sorted(self.first_token_ms.items())}
