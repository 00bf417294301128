"""The cases, and how much of each is measured."""

from __future__ import annotations

from dataclasses import dataclass

import conversation
from measuring import Case
from subjects import DIRECT, OURS

PROXIES = ("nginx", "envoy", "relay", OURS)
GATEWAYS = ("litellm", "portkey")
NAMES = ("whole", "stream", "stream-apart", "held", "prompt", "protocol")
HELD_S = 1.0
"""What the slow upstream takes."""


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Attributes:
        rounds: unless somebody says otherwise.
        calls: of the case with 16 callers, a round; the others have as much less as they take longer.
        held: connections on the slow upstream.
        warm_up: calls of each subject before the first round.
        everybody: the slow peers, too.
        sweep: seconds at each level of the published protocol; 0: not at all.
    """

    rounds: int
    calls: int
    held: int
    warm_up: int
    everybody: bool
    sweep: float


FULL = Size(rounds=7, calls=4_000, held=1_000, warm_up=4_000, everybody=True, sweep=4.0)
QUICK = Size(rounds=5, calls=2_000, held=1_000, warm_up=2_000, everybody=False, sweep=0.0)
SMOKE = Size(rounds=1, calls=16, held=20, warm_up=0, everybody=False, sweep=0.05)


def cases(size: Size) -> list[Case]:
    """What is measured in each round."""
    streaming = conversation.streaming
    everybody = (*PROXIES, *GATEWAYS) if size.everybody else PROXIES
    # Portkey's release fails on every stream of this provider ("TypeError: immutable", on Node 20).
    streamers = tuple(each for each in everybody if each != "portkey")
    apart = 48 if size.calls >= 1_000 else 4
    return [
        Case("whole", everybody, "whole", 16, size.calls),
        Case("stream", streamers, "burst", 16, max(16, size.calls // 16), chunks=200, bodies=streaming),
        # They begin within one gap, so that their chunks do not come together.
        Case(
            "stream-apart",
            PROXIES,
            "apart",
            apart,
            apart,
            chunks=100,
            spread=0.01,
            bodies=streaming,
            rounds=5,
        ),
        # Those do, too: callers who all ask in the same moment would wait for each other.
        Case("held", (DIRECT, OURS), "held", size.held, 3 * size.held, spread=HELD_S, rounds=3),
        Case(
            "prompt",
            ("relay", OURS),
            "prompt",
            4,
            max(4, size.calls // 50),
            chunks=20,
            bodies=conversation.long,
        ),
        *(protocol(level, size.sweep) for level in (1, 16, 128) if size.sweep),
    ]


def protocol(level: int, seconds: float) -> Case:
    """The capacity sweep of a published benchmark of gateways, which docs/performance.md names.

    One short question, an answer of some thirty words at once, no retries, so many callers for so long;
    gateway, upstream and callers share two cores.
    """
    subjects = (DIRECT, *GATEWAYS, OURS)
    name = f"protocol at {level}"
    return Case(
        name, subjects, "whole", level, 0, rounds=3, seconds=seconds, pinned=False, bodies=conversation.short
    )
