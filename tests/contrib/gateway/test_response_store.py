"""Answers in a file: whose they are, how many there may be, and what happens where they cannot be written."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from pointsman_gateway.surfaces.response_store import KeptAnswer, ResponseStore

Made = Callable[..., ResponseStore]


class Time:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def made(tmp_path: Path, time: Time) -> AsyncIterator[Made]:
    stores = []

    def make(
        *, path: Path = tmp_path / "kept.db", max_age: float = 100.0, max_bytes: int = 10_000
    ) -> ResponseStore:
        log = logging.getLogger("pointsman.surface.openai")
        stores.append(ResponseStore(path, max_age=max_age, max_bytes=max_bytes, wall=time, log=log))
        return stores[-1]

    yield make
    for each in stores:
        await each.aclose()


def answer(id: str, *, caller: str = "a", previous: str = "", size: int = 0) -> KeptAnswer:
    return KeptAnswer(id, caller, previous, f'"{id}"'.encode(), b"x" * size)


async def test_what_is_kept_is_there_at_once(made: Made) -> None:
    store = made()

    store.keep(answer("r1", size=3))

    assert await store.body("r1", "a") == b"xxx"


async def test_nobody_sees_what_another_caller_was_answered(made: Made) -> None:
    store = made()
    store.keep(answer("r1"))

    assert await store.body("r1", "b") is None
    assert not await store.forget("r1", "b")
    history = await store.history("r1", "b")
    assert history is not None
    assert history.turns is None


async def test_an_id_that_two_callers_have_is_two_answers(made: Made) -> None:
    store = made()
    store.keep(answer("r1", size=1))
    store.keep(answer("r1", caller="b", size=2))

    assert (await store.body("r1", "a"), await store.body("r1", "b")) == (b"x", b"xx")


async def test_a_history_is_in_order_from_its_root(made: Made) -> None:
    store = made()
    for id, previous in (("r1", ""), ("r2", "r1"), ("r3", "r2"), ("other", "r1")):
        store.keep(answer(id, previous=previous))

    history = await store.history("r3", "a")

    assert history is not None
    assert history.root == "r1"
    assert history.turns == [b'"r1"', b'"r2"', b'"r3"']


async def test_a_history_without_its_beginning_is_none(made: Made) -> None:
    store = made()
    for id, previous in (("r1", ""), ("r2", "r1")):
        store.keep(answer(id, previous=previous))
    await store.forget("r1", "a")

    history = await store.history("r2", "a")

    assert history is not None
    assert history.turns is None
    assert await store.history("unknown", "a") is None


async def test_what_is_too_old_is_gone(made: Made, time: Time) -> None:
    store = made()
    store.keep(answer("old"))
    assert await store.body("old", "a") is not None
    time.now += 101

    assert await store.body("old", "a") is None
    store.keep(answer("new"))
    assert await store.body("new", "a") is not None
    assert await rows(store) == ["new"]


async def test_all_together_are_never_larger_than_they_may_be_and_the_oldest_go_first(made: Made) -> None:
    store = made()
    for n in range(30):
        store.keep(answer(f"r{n:02}", size=995))

    assert await store.body("r29", "a") is not None
    assert await rows(store) == [f"r{n:02}" for n in range(20, 30)]


async def test_size_is_counted_again_when_the_file_is_opened(made: Made) -> None:
    first = made()
    for n in range(10):
        first.keep(answer(f"r{n:02}", size=995))
    await first.aclose()
    second = made()

    second.keep(answer("r10", size=995))

    assert await second.body("r10", "a") is not None
    assert await rows(second) == [*(f"r{n:02}" for n in range(1, 11))]


async def test_what_is_larger_than_all_may_be_is_not_kept(
    made: Made, caplog: pytest.LogCaptureFixture
) -> None:
    store = made()

    store.keep(answer("r1", size=10_001))

    assert await store.body("r1", "a") is None
    assert "no room" in caplog.text


async def test_a_file_that_cannot_be_written_is_said_once_and_costs_nobody_an_answer(
    made: Made, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = made(path=tmp_path / "missing" / "kept.db")

    for n in range(5):
        store.keep(answer(f"r{n}"))
        with pytest.raises(OSError):
            await store.body(f"r{n}", "a")

    assert caplog.text.count("cannot be kept") == 1
    (tmp_path / "missing").mkdir()
    store.keep(answer("r9"))
    assert await store.body("r9", "a") is not None


async def test_a_file_of_another_version_is_left_alone(made: Made, tmp_path: Path) -> None:
    file = sqlite3.connect(tmp_path / "kept.db")
    file.execute("PRAGMA user_version = 99")
    file.close()

    with pytest.raises(sqlite3.DatabaseError, match="another version"):
        await made().body("r1", "a")


async def test_many_at_once_are_all_kept(made: Made) -> None:
    store = made(max_bytes=10_000_000)

    async def keep(n: int) -> bytes | None:
        store.keep(answer(f"r{n}", size=n))
        await asyncio.sleep(0)
        return await store.body(f"r{n}", "a")

    found = await asyncio.gather(*map(keep, range(300)))

    assert [len(each or b"") for each in found] == list(range(300))


async def rows(store: ResponseStore) -> list[str]:
    """The ids in its file, in order."""
    await store.aclose()
    file = sqlite3.connect(store.path)
    try:
        return [id for (id,) in file.execute("SELECT id FROM answer ORDER BY number")]
    finally:
        file.close()
