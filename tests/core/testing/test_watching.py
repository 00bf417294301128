"""What the contracts count: blocks of memory that are kept."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pointsman.testing import run
from pointsman.testing.contract.watching import blocks_kept, blocks_kept_by


def awaited(work: Callable[[int], None]) -> float:
    async def turn(number: int) -> None:
        work(number)

    return run(blocks_kept(turn))


@pytest.mark.parametrize("count", [blocks_kept_by, awaited])
def test_what_is_kept_is_seen_though_others_give_much_back(count: Callable[..., float]) -> None:
    others = [object() for _ in range(10_000)]
    kept: list[object] = []

    def work(turn: int) -> None:
        kept.append(object())
        if turn % 100 == 99:
            del others[-1000:]

    assert count(work) > 0.9


@pytest.mark.parametrize("count", [blocks_kept_by, awaited])
def test_what_is_kept_for_a_while_is_not_seen_though_others_take_much(count: Callable[..., float]) -> None:
    others: list[object] = []
    kept: list[object] = []

    def work(turn: int) -> None:
        kept.append(object())
        del kept[:-100]
        if turn % 100 == 99:
            others.extend(object() for _ in range(1000))

    assert count(work) < 0.1


@pytest.mark.parametrize("count", [blocks_kept_by, awaited])
def test_what_only_takes_long_to_fill_up_is_not_kept(count: Callable[..., float]) -> None:
    kept: list[object] = []

    def work(turn: int) -> None:
        kept.append(object())
        del kept[:-500]

    assert count(work) < 0.25
