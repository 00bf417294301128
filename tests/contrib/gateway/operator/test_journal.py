"""Readers of events who come, fall behind, go and come back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from pointsman.events import RequestStarted
from pointsman.plugin import BreakerChanged
from pointsman_gateway.operator.journal import Journal, TooManyReaders


class Heard:
    """Listeners by what they want to hear."""

    def __init__(self) -> None:
        self.kinds: list[frozenset[type]] = []

    def listen(self, _listener: Callable[[Any], None], *, kinds: Iterable[type]) -> Callable[[], None]:
        wanted = frozenset(kinds)
        self.kinds.append(wanted)
        return lambda: self.kinds.remove(wanted)

    def details(self) -> bool:
        return any(RequestStarted in each for each in self.kinds)


def journal() -> tuple[Journal, Heard]:
    heard = Heard()
    return Journal(heard.listen, lambda: 7.0, "run"), heard


def change(n: int) -> BreakerChanged:
    return BreakerChanged(f"gpu/{n}", "closed", "open", "failures")


async def read(reader: Any, pieces: int = 1) -> str:
    return "".join([(await anext(reader)).decode() for _ in range(pieces)])


async def test_details_are_heard_of_only_while_somebody_reads() -> None:
    at, heard = journal()
    assert not heard.details()
    first, second = at.follow(""), at.follow("")
    assert heard.details()

    await first.aclose()  # type: ignore[attr-defined]
    await first.aclose()  # type: ignore[attr-defined]
    assert heard.details()
    await second.aclose()  # type: ignore[attr-defined]

    assert not heard.details()
    at.close()
    assert heard.kinds == []


@pytest.mark.parametrize("last_id", ["other-1", "run-", "run-x", "run-2", "run-" + "9" * 5000])
async def test_who_comes_with_a_number_that_never_was_hears_that_there_was_more(last_id: str) -> None:
    at, _heard = journal()
    at.add(change(1))

    assert "event: gap\n" in await read(at.follow(last_id), 2)


async def test_a_reader_waits_for_what_comes_next() -> None:
    at, _heard = journal()
    at.add(change(0))
    reader = at.follow("")
    await read(reader)
    waiting = asyncio.create_task(read(reader))
    await asyncio.sleep(0)

    at.add(change(1))

    said = await waiting
    assert said.startswith('id: run-2\nevent: breaker_changed\ndata: {"type":"breaker_changed","at":7.0,')
    assert "gpu/1" in said
    assert "gpu/0" not in said


async def test_events_of_every_kind_can_be_written() -> None:
    at, _heard = journal()
    reader = at.follow("")
    at.add(RequestStarted("r", "chat", "assistant", 1.0))

    said = await read(reader, pieces=2)

    assert '"request_id":"r"' in said
    assert '"tags":{}' in said


async def test_a_reader_who_was_away_too_long_hears_that_there_was_more() -> None:
    at, _heard = journal()
    for n in range(2_500):
        at.add(change(n))
    reader = at.follow("run-100")

    said = await read(reader, pieces=21)

    assert said.count("event: gap") == 1
    assert said.count("id: ") == 2_000
    assert "id: run-501\n" in said
    assert "id: run-2500\n" in said


@pytest.mark.parametrize("id", ["other-1", "run-99", "run-x", "run-\u0661", "garbage", "run-"])
async def test_an_id_of_another_run_begins_anew(id: str) -> None:
    at, _heard = journal()
    at.add(change(0))

    said = await read(at.follow(id), pieces=2)

    assert "event: gap" in said
    assert "id: run-1\n" in said


async def test_readers_have_a_bound() -> None:
    at, _heard = journal()
    readers = [at.follow("") for _ in range(100)]
    with pytest.raises(TooManyReaders):
        at.follow("")

    await readers[0].aclose()  # type: ignore[attr-defined]

    at.follow("")
