"""Rounds of measurements: in each round every case, in each case every subject in turn, another one first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import conversation
import cpu_time
import traffic
from generator import connected, text_of
from lab import Figures, Results
from subjects import Subject
from unpinning import unpinned
from worker import quantile

Tell = Callable[[str], None]
SLOW = {"litellm": 0.05, "portkey": 0.2}
"""The share of the calls that is asked of who takes long for each."""


@dataclass(frozen=True)
class Case:
    """One measurement of several subjects.

    Attributes:
        model: what is asked for.
        connections: callers at the same time.
        calls: of each subject in each round, over all connections.
        chunks: of each answer; 0 where it comes as a whole.
        spread: seconds over which the callers begin.
        rounds: at most so many.
        seconds: so long in place of a number of calls; 0 where that counts.
        pinned: everybody stays on their cores; else all of them share all.
        bodies: what is asked, in turn; made from the model's name.
    """

    name: str
    subjects: Sequence[str]
    model: str
    connections: int
    calls: int
    chunks: int = 0
    spread: float = 0.0
    rounds: int = 1_000
    seconds: float = 0.0
    pinned: bool = True
    bodies: Callable[[str], list[bytes]] = conversation.plain

    @property
    def group(self) -> str:
        """The name by which it is asked for, together with those like it."""
        return self.name.partition(" ")[0]

    @property
    def expected(self) -> str:
        """The text of a right answer."""
        return traffic.streamed(self.chunks) if self.chunks else traffic.TEXT


async def measured(case: Case, subject: Subject) -> Figures:
    """What `case` takes `subject`; CPU in microseconds a call, also a chunk where the answer has some."""
    requests = [subject.request(case.model, body) for body in case.bodies(case.model)]
    warm = [subject.request("whole", conversation.body("whole"))]
    count = max(case.connections, round(case.calls * SLOW.get(subject.name, 1.0)))
    async with connected(subject.port, case.connections) as load:
        await load.run(warm, case.connections)
        pids = [] if subject.pid is None else cpu_time.tree(subject.pid)
        cpu = cpu_time.seconds(pids)
        if case.seconds:
            wall = await load.run(requests, seconds=case.seconds)
            count = len(load.times) + len(load.errors)
        else:
            wall = await load.run(requests, count, spread=case.spread)
        cpu = cpu_time.seconds(pids) - cpu
    errors = load.errors + [wrong for each in load.answers if (wrong := _wrong(each, case.expected))]
    mean = sum(load.times) / max(1, len(load.times))
    figures: dict[str, Any] = {
        "calls": count,
        "failed": len(errors),
        "errors": errors[:3],
        "wall_s": wall,
        # Who begins one after the other also ends so: then the time of a call says how many there are.
        "calls_per_s": case.connections / mean if case.spread and mean else count / wall,
        "cpu_us": cpu / count * 1e6,
        "p50_us": quantile(load.times, 0.5) * 1e6,
        "p99_us": quantile(load.times, 0.99) * 1e6,
        "resident_mib": cpu_time.resident_mib(pids),
    }
    if case.chunks:
        figures["chunk_cpu_us"] = figures["cpu_us"] / case.chunks
    return figures


def _wrong(answer: bytes, expected: str) -> str:
    """What is wrong with it; empty when it is right."""
    if answer[9:12] != b"200":
        return ""  # counted already
    try:
        text = text_of(answer)
    except (ValueError, KeyError, IndexError) as error:
        return f"unreadable answer: {error!r}"
    return "" if text == expected else f"wrong answer: {text[:80]!r}"


async def rounds(
    cases: Sequence[Case],
    subjects: Mapping[str, Subject],
    *,
    count: int,
    cores: Set[int],
    tell: Tell = lambda _: None,
) -> Results:
    """All `cases`, `count` times, of the subjects that run; `cores` are all that there are."""
    results = Results(
        versions={name: {name: each.version} for name, each in subjects.items() if each.version}
    )
    for number in range(count):
        for case in cases:
            names = [each for each in case.subjects if each in subjects]
            first = number % len(names) if names else 0
            for name in [] if number >= case.rounds else [*names[first:], *names[:first]]:
                tell(f"round {number + 1} of {count}: {case.name}: {name}")
                where = nullcontext() if case.pinned else unpinned(cores)
                kept = results.rounds.setdefault(case.name, {}).setdefault(name, [])
                try:
                    with where:
                        figures = await measured(case, subjects[name])
                except OSError as error:
                    figures = {"error": f"{type(error).__name__}: {error}"[:300]}
                kept.append(figures)
    return results


async def warmed(
    cases: Sequence[Case], subjects: Mapping[str, Subject], *, calls: int, tell: Tell = lambda _: None
) -> None:
    """Let everybody answer for a while first, as a gateway has that has run for a minute."""
    whole = Case("warm-up", (), "whole", 16, calls)
    streams = Case("warm-up", (), "short", 16, calls // 4, chunks=20, bodies=conversation.streaming)
    for name, subject in subjects.items():
        tell(f"warming {name}")
        await measured(whole, subject)
        if any(case.chunks and name in case.subjects for case in cases):
            await measured(streams, subject)
