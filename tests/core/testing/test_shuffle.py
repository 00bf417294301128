"""The loop that shuffles: it shows what order hides, replays by its seed, and keeps what asyncio relies on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import pytest

from pointsman.testing import ShuffleLoop, explore, run, seeded


@pytest.fixture(autouse=True)
def no_seed_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POINTSMAN_SEED", raising=False)


async def planted(_seed: int = 0) -> None:
    """A race: the reader relies on the writer, who was started first, having run first."""
    shelf: dict[str, int] = {}

    async def write() -> None:
        shelf["book"] = 1

    async def read() -> int:
        return shelf["book"]

    await asyncio.gather(write(), read())


async def order(_seed: int = 0, *, tasks: int = 6, turns: int = 20) -> list[int]:
    """Who ran when."""
    ran: list[int] = []

    async def work(n: int) -> None:
        for _ in range(turns):
            ran.append(n)
            await asyncio.sleep(0)

    await asyncio.gather(*(work(n) for n in range(tasks)))
    return ran


def test_it_finds_a_race_that_the_order_of_asyncio_never_shows() -> None:
    for _ in range(100):
        run(planted())

    with pytest.raises(KeyError):
        explore(planted, 100)


def test_a_failure_names_the_seed_that_replays_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyError) as caught:
        explore(planted, 100)
    (note,) = caught.value.__notes__
    seed = note.rpartition("=")[2]
    assert note == f"seed {seed}; replay with POINTSMAN_SEED={seed}"

    seen: list[int] = []

    async def again(seed: int) -> None:
        seen.append(seed)
        await planted()

    monkeypatch.setenv("POINTSMAN_SEED", seed)
    with pytest.raises(KeyError):
        explore(again, 100)
    assert seen == [int(seed)]


def test_a_seed_replays_exactly_and_another_one_does_not() -> None:
    assert run(order(), partial(ShuffleLoop, 7)) == run(order(), partial(ShuffleLoop, 7))
    assert run(order(), partial(ShuffleLoop, 7)) != run(order(), partial(ShuffleLoop, 8))


def test_without_a_seed_the_order_is_that_of_asyncio() -> None:
    assert run(order(tasks=3, turns=2)) == [0, 1, 2, 0, 1, 2]


def test_every_order_of_a_turn_comes_up() -> None:
    seen = {tuple(run(order(tasks=4, turns=1), partial(ShuffleLoop, seed))) for seed in range(300)}

    assert len(seen) == 24


def test_nobody_is_put_off_to_a_later_turn() -> None:
    async def main(seed: int) -> None:
        ran = await order(tasks=5, turns=10)
        for turn in range(10):
            assert sorted(ran[turn * 5 : turn * 5 + 5]) == [0, 1, 2, 3, 4]

    explore(main, 20)


def test_timers_run_by_their_time_also_when_they_are_due_together() -> None:
    async def main(seed: int) -> None:
        loop = asyncio.get_running_loop()
        ran: list[float] = []
        for n in range(200):
            # Less than a turn takes, so that many of them meet.
            loop.call_later(1 + (n % 50) * 1e-8, lambda: ran.append(loop.time()))
            when = 2 + (n * 7 % 50) * 1e-8
            loop.call_at(when, ran.append, when)
        await asyncio.sleep(3)
        assert len(ran) == 400
        assert all(a <= b for a, b in pairwise(ran))

    explore(main, 20)


def test_timers_of_one_instant_change_places() -> None:
    async def main() -> list[int]:
        ran: list[int] = []
        for n in range(5):
            asyncio.get_running_loop().call_at(1.0, ran.append, n)
        await asyncio.sleep(2)
        return ran

    assert len({tuple(run(main(), partial(ShuffleLoop, seed))) for seed in range(20)}) > 10


def test_a_protocol_hears_of_its_connection_first_and_of_its_end_last() -> None:
    class Notes(asyncio.Protocol):
        def __init__(self) -> None:
            self.heard: list[str] = []

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.heard.append("made")

        def data_received(self, data: bytes) -> None:
            self.heard.append("data")

        def connection_lost(self, exc: Exception | None) -> None:
            self.heard.append("lost")

    async def main(seed: int) -> None:
        loop = asyncio.get_running_loop()
        notes = [Notes() for _ in range(10)]
        for each in notes:
            # What a transport does that is closed in the turn in which it was opened.
            loop.call_soon(each.connection_made, None)
            loop.call_soon(each.data_received, b"")
            loop.call_soon(each.connection_lost, None)
        await asyncio.sleep(0)  # in the turn of the callbacks, perhaps before them
        await asyncio.sleep(0)
        assert all(each.heard == ["made", "data", "lost"] for each in notes)

    explore(main, 50)


async def over_a_socket(_seed: int) -> None:
    """A real connection, with an end on either side."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read())
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    async def one(n: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"%d" % n)
        writer.write_eof()
        assert await reader.read() == b"%d" % n
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(one(n) for n in range(5)))
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("loop", [asyncio.SelectorEventLoop, lambda: VirtualTurns(3)])
def test_real_sockets_work_on_it(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(asyncio.wait_for(over_a_socket(0), 5))


class VirtualTurns(ShuffleLoop):
    """Shuffles, in real time: what comes over a socket takes some."""

    def time(self) -> float:
        return time.monotonic()


async def test_threads_may_hand_in_work_while_it_shuffles() -> None:
    async def main(seed: int) -> None:
        loop = asyncio.get_running_loop()
        done: list[int] = []

        def from_outside() -> None:
            for n in range(300):
                loop.call_soon_threadsafe(done.append, n)

        await asyncio.gather(*(asyncio.to_thread(from_outside) for _ in range(3)), order())
        await asyncio.sleep(1)
        assert len(done) == 900

    await asyncio.to_thread(explore, main, 3)


def test_an_hour_of_timers_passes_in_less_than_a_second() -> None:
    async def tick() -> int:
        ticks = 0
        while asyncio.get_running_loop().time() < 3600:
            await asyncio.sleep(1)
            ticks += 1
        return ticks

    async def main() -> list[int]:
        return await asyncio.gather(tick(), tick())

    began = time.process_time()
    ticks = run(main(), partial(ShuffleLoop, 1))
    assert time.process_time() - began < 1
    assert ticks == [3600, 3600]


def test_seeded_gives_a_new_seed_each_time_unless_one_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with seeded() as first, seeded() as second, seeded(5) as third:
        assert first != second
        assert third == 5
    monkeypatch.setenv("POINTSMAN_SEED", "17")
    with seeded() as given:
        assert given == 17
    with pytest.raises(AssertionError) as caught, seeded():
        raise AssertionError("no")
    assert caught.value.__notes__ == ["seed 17; replay with POINTSMAN_SEED=17"]
