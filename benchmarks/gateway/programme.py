"""The cases, and how much of each is measured."""

from __future__ import annotations

from dataclasses import dataclass

import conversation
from measuring import Case
from subjects import DIRECT, OURS

PROXIES = ("nginx", "envoy", "relay", OURS)
STREAMERS = ("nginx", "envoy", "relay", "reader", OURS)
GATEWAYS = ("litellm", "portkey")
NAMES = ("whole", "stream", "stream-turns", "stream-apart", "held", "prompt", "protocol")
LEVELS = (1, 16, 128)
GAP_S = 0.01
HELD_S = 1.0
"""What the slow upstream takes."""


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Attributes:
        rounds: unless somebody says otherwise.
        long_rounds: at most so many of what takes seconds for each subject.
        calls: of the case `whole`, a round; the others have as much less as they take longer.
        apart, held: callers of slow streams, and of the slow upstream.
        warm_up: calls of each subject before the first round.
        everybody: the slow peers, too.
        sweep: seconds at each level of the published protocol; 0: not at all.
    """

    rounds: int
    long_rounds: int
    calls: int
    apart: int
    held: int
    warm_up: int
    everybody: bool
    sweep: float


FULL = Size(7, 3, calls=4_000, apart=48, held=1_000, warm_up=4_000, everybody=True, sweep=4.0)
QUICK = Size(5, 2, calls=2_000, apart=48, held=1_000, warm_up=2_000, everybody=False, sweep=0.0)
SMOKE = Size(1, 1, calls=16, apart=4, held=20, warm_up=0, everybody=False, sweep=0.05)


def cases(size: Size) -> list[Case]:
    """What is measured in each round."""
    everybody = (*PROXIES, *GATEWAYS) if size.everybody else PROXIES
    # Portkey's release fails on every stream of this provider ("TypeError: immutable", on Node 20).
    streamers = (*STREAMERS, "litellm") if size.everybody else STREAMERS
    streams = max(16, size.calls // 16)
    few, asking = size.long_rounds, conversation.streaming
    return [
        Case("whole", everybody, "whole", 16, size.calls),
        Case("stream", streamers, "burst", 16, streams, 200, bodies=asking),
        Case("stream-turns", STREAMERS, "turns", 16, streams, 200, bodies=asking),
        # Here they begin one after the other: else all their chunks, or all their calls, would come together.
        Case("stream-apart", STREAMERS, "apart", size.apart, size.apart, 200, GAP_S, few, bodies=asking),
        Case("held", (DIRECT, OURS), "held", size.held, 3 * size.held, 0, HELD_S, few),
        Case("prompt", ("relay", OURS), "prompt", 4, max(4, size.calls // 50), 20, bodies=conversation.long),
        *(_sweep(level, size) for level in LEVELS if size.sweep),
    ]


def _sweep(level: int, size: Size) -> Case:
    """One level of a published benchmark of gateways, which docs/performance.md names.

    A short question, an answer of some thirty words at once, no retries; gateway, upstream and callers share
    two cores.
    """
    return Case(
        f"protocol at {level}", (DIRECT, *GATEWAYS, OURS), "whole", level, 0, 0, 0.0, size.long_rounds,
        bodies=conversation.short, seconds=size.sweep, pinned=False,
    )  # fmt: skip
