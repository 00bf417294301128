"""Draws docs/images/strategy-*.svg: what each strategy makes of the same calls.

    uv run python benchmarks/strategy_pictures.py [--check]

The same seed gives the same bytes; `--check` only tells whether the committed files are up to date.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from pathlib import Path

from pointsman.builtin.strategies import LeastConnections, RoundRobin, Weighted
from pointsman.errors import Outcome
from pointsman.prices import Price
from pointsman.strategy import Placing, Residency, Sample, Strategy
from pointsman.types import ChatRequest, Message
from pointsman_strategies import Affinity, Cheapest, PeakEwma, PowerOfTwo
from warm_fleet import HOSTS, MODELS, STRATEGIES, Clock, Simulation, zipf

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
COLOURS = ("#3366aa", "#dd7733", "#449955", "#aa4477", "#997733", "#55aacc", "#777777", "#cc5555")
SHOWN, COUNTED = 80, 4_000
STEP, ROW = 8, 26


@dataclass(slots=True, eq=False)
class Member:
    """A deployment of the scene."""

    id: str
    weight: int = 1
    seconds: float = 0.5
    price: Price | None = None
    max_in_flight: int | None = None
    in_flight: int = 0
    residency: Residency | None = None


@dataclass(frozen=True, slots=True)
class Dot:
    """One call in a picture: in which row, of which colour, with a ring around it or not."""

    row: int
    colour: int
    ring: bool = False


def scene(make: Callable[[Clock], Strategy], *, sessions: int = 0) -> tuple[Sequence[Member], list[Dot]]:
    """Four deployments, of which c has weight 2 and d is four times as slow, under 8 calls a second."""
    members = (
        Member("a", price=Price(input=1, output=1), max_in_flight=2),
        Member("b", price=Price(input=3, output=3), max_in_flight=3),
        Member("c", 2, price=Price(input=3, output=3), max_in_flight=6),
        Member("d", seconds=2.0, price=Price(input=9, output=9)),
    )
    clock, rng = Clock(), random.Random(11)
    strategy = make(clock)
    strategy.members(members)
    limited = isinstance(strategy, Cheapest)
    ends: list[tuple[float, int, Member, float, Placing]] = []
    dots: list[Dot] = []
    order = count()
    while len(dots) < COUNTED:
        clock.time += rng.expovariate(8.0)
        while ends and ends[0][0] <= clock.time:
            at, _, member, seconds, placing = heappop(ends)
            member.in_flight -= 1
            strategy.answered(member, placing, at)
            strategy.observed(member, Sample(Outcome.OK, seconds, None, None, at))
        session = int(rng.random() * sessions) if sessions else 0
        request = ChatRequest("m", [Message.user("?")])
        placing = Placing(request, f"conversation {session}" if sessions else "")
        ready = [
            each
            for each in members
            if not limited or each.max_in_flight is None or each.in_flight < each.max_in_flight
        ]
        member = strategy.place(members if len(ready) == len(members) else ready, placing)  # type: ignore[assignment]
        member.in_flight += 1
        seconds = member.seconds * rng.lognormvariate(-0.02, 0.2)
        heappush(ends, (clock.time + seconds, next(order), member, seconds, placing))
        row = members.index(member)
        dots.append(Dot(row, session if sessions else row))
    return members, dots


def fleet(name: str) -> list[Dot]:
    """The warm benchmark's mix `zipf`; a ring is a cold load."""
    calls = list(zipf(random.Random(5), 6_000))
    simulation = Simulation(STRATEGIES[name], seed=5)
    return [
        Dot(HOSTS.index(each.host), MODELS.index(each.call.model), each.cold)
        for each in simulation.run(calls)
    ]


def drawn(
    title: str, labels: Sequence[str], dots: Sequence[Dot], *, y: int = 0, legend: str = ""
) -> list[str]:
    """One panel: the first calls as dots in their order, and the shares of all at the right."""
    left, right = 120, 120 + SHOWN * STEP + 20
    shares = Counter(dot.row for dot in dots)
    parts = [f'<text x="8" y="{y + 18}" font-weight="bold">{title}</text>']
    parts.append(f'<text x="{right}" y="{y + 18}">share</text>')
    for row, label in enumerate(labels):
        middle = y + 36 + row * ROW
        share = shares[row] / len(dots)
        parts.append(f'<text x="8" y="{middle + 4}">{label}</text>')
        parts.append(f'<path d="M{left} {middle}H{right - 16}" stroke="#ddd"/>')
        parts.append(
            f'<rect x="{right}" y="{middle - 7}" width="{share * 100:.1f}" height="14" fill="#bbb"/>'
            f'<text x="{right + 104}" y="{middle + 4}">{share:.0%}</text>'
        )
    for n, dot in enumerate(dots[:SHOWN]):
        x, middle = left + 4 + n * STEP, y + 36 + dot.row * ROW
        ring = f' stroke="#000" stroke-width="2" r="{STEP - 3}"' if dot.ring else f' r="{STEP // 2 - 1}"'
        parts.append(f'<circle cx="{x}" cy="{middle}" fill="{COLOURS[dot.colour % len(COLOURS)]}"{ring}/>')
    if legend:
        parts.append(f'<text x="{left}" y="{y + 36 + len(labels) * ROW}" fill="#555">{legend}</text>')
    return parts


def svg(height: int, parts: Sequence[str], about: str) -> str:
    """A whole picture."""
    width = 120 + SHOWN * STEP + 20 + 150
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="12" role="img">',
        f"<title>{about}</title>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        *parts,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def pictures() -> dict[str, str]:
    """All pictures by the names of their files."""
    kinds: dict[str, tuple[Callable[[Clock], Strategy], int, str]] = {
        "round_robin": (lambda _clock: RoundRobin(), 0, "in turn, whatever the weights and the times"),
        "weighted": (
            lambda _clock: Weighted(),
            0,
            "c has weight 2 and gets two of every five, mixed with the others",
        ),
        "least_connections": (
            lambda _clock: LeastConnections(),
            0,
            "d is slow, so that it is seldom the least busy",
        ),
        "power_of_two": (
            lambda _clock: PowerOfTwo(random.Random(1)),
            0,
            "as least_connections, with more chance in it",
        ),
        "peak_ewma": (
            lambda clock: PeakEwma(clock=clock, rng=random.Random(1)),
            0,
            "d is asked now and then to see whether it is quick by now",
        ),
        "affinity": (
            lambda clock: Affinity(clock=clock),
            8,
            "a colour is a conversation: it stays, unless its place is too busy",
        ),
        "cheapest": (
            lambda _clock: Cheapest(),
            0,
            "a costs 1 and takes 2 calls at once, b and c cost 3 and take 3 and 6, d costs 9",
        ),
    }
    found = {}
    for name, (make, sessions, legend) in kinds.items():
        members, dots = scene(make, sessions=sessions)
        labels = [
            f"{m.id} (weight 2)" if m.weight == 2 else f"{m.id} (slow)" if m.id == "d" else m.id
            for m in members
        ]
        found[f"strategy-{name}.svg"] = svg(
            156, drawn(name, labels, dots, legend=legend), f"{name}: the first {SHOWN} of {COUNTED} calls"
        )
    parts = []
    for n, name in enumerate(("warm", "least_connections")):
        dots = fleet(name)
        loads = sum(dot.ring for dot in dots) / len(dots)
        legend = f"a colour is a model, a ring a cold load: {loads:.0%} of all calls"
        parts += drawn(name, HOSTS, dots, y=n * 130, legend=legend)
    found["strategy-warm.svg"] = svg(260, parts, "warm and least_connections with five models on three hosts")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true")
    stale = []
    check = parser.parse_args().check
    for name, picture in pictures().items():
        path = IMAGES / name
        if not path.exists() or path.read_text("utf-8") != picture:
            stale.append(name)
            if not check:
                IMAGES.mkdir(parents=True, exist_ok=True)
                path.write_text(picture, "utf-8")
    print(f"{'out of date' if check else 'written'}: {', '.join(stale) or 'none'}")
    sys.exit(bool(check and stale))


if __name__ == "__main__":
    main()
