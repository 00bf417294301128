"""The cases, and how much of each is measured."""

from __future__ import annotations

from dataclasses import dataclass

from measuring import Case
from subjects import OURS

PROXIES = ("nginx", "envoy", "relay", OURS)
NAMES = ("whole",)


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Attributes:
        rounds: unless somebody says otherwise.
        calls: of a case with 16 callers.
        warm_up: calls of each subject before the first round.
        everybody: the slow peers, too.
    """

    rounds: int
    calls: int
    warm_up: int
    everybody: bool


FULL = Size(rounds=7, calls=4_000, warm_up=4_000, everybody=True)
QUICK = Size(rounds=5, calls=2_000, warm_up=2_000, everybody=False)
SMOKE = Size(rounds=1, calls=16, warm_up=0, everybody=False)


def cases(size: Size) -> list[Case]:
    """What is measured in each round."""
    return [Case("whole", PROXIES, "whole", 16, size.calls)]
