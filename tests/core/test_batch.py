"""Many requests: a bounded number at work, each with one result, and nothing left running."""

from __future__ import annotations

import asyncio
import gc
import itertools
import random
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from pointsman.batch import Batch, BatchResult
from pointsman.errors import InvalidRequest, Unavailable
from pointsman.testing import run
from pointsman.types import ChatRequest, ChatResponse, Message


def request(n: int) -> ChatRequest:
    return ChatRequest("m", (Message.user(str(n)),))


def requests(numbers: Iterable[int]) -> Iterator[ChatRequest]:
    return map(request, numbers)


def number(given: ChatRequest) -> int:
    return int(given.messages[0].text)


def now() -> float:
    return asyncio.get_running_loop().time()


class Upstream:
    """Answers each request after `seconds(n)` with its number, and knows who is with it."""

    def __init__(
        self,
        seconds: Callable[[int], float] = lambda n: 1.0,
        *,
        fails: Callable[[int], bool] = lambda n: False,
    ) -> None:
        self._seconds = seconds
        self._fails = fails
        self.begun: list[tuple[int, float]] = []
        self.inside = self.most = self.cancelled = 0

    async def chat(self, given: ChatRequest) -> ChatResponse:
        n = number(given)
        self.begun.append((n, now()))
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await asyncio.sleep(self._seconds(n))
            if self._fails(n):
                raise Unavailable(f"{n} failed")
            return ChatResponse(str(n))
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.inside -= 1


async def drained(batch: Batch) -> list[BatchResult]:
    return [result async for result in batch]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0, 9.0]), st.booleans()), max_size=12),
    st.integers(1, 5),
    st.booleans(),
    st.sampled_from([0.0, 0.7, 3.0]),
)
def test_every_request_has_its_one_result_and_no_more_than_so_many_run_at_once(
    jobs: list[tuple[float, bool]], concurrency: int, ordered: bool, rest: float
) -> None:
    upstream = Upstream(lambda n: jobs[n][0], fails=lambda n: jobs[n][1])

    async def work() -> list[BatchResult]:
        results = []
        async for each in Batch(
            upstream.chat, requests(range(len(jobs))), concurrency=concurrency, ordered=ordered
        ):
            results.append(each)
            await asyncio.sleep(rest)
        return results

    results = run(work())

    assert sorted(each.index for each in results) == list(range(len(jobs)))
    assert not ordered or [each.index for each in results] == list(range(len(jobs)))
    assert upstream.most <= concurrency
    assert upstream.inside == upstream.cancelled == 0
    for each in results:
        assert number(each.request) == each.index
        assert (each.response is None) == (each.error is not None) == jobs[each.index][1]
        assert each.response is None or each.response.text == str(each.index)
        assert each.error is None or each.error.message == f"{each.index} failed"


def test_results_come_as_they_finish_or_in_the_order_of_the_requests() -> None:
    def order(ordered: bool) -> list[int]:
        upstream = Upstream(lambda n: 10.0 - n)
        return [
            each.index for each in run(drained(Batch(upstream.chat, requests(range(4)), ordered=ordered)))
        ]

    assert order(False) == [3, 2, 1, 0]
    assert order(True) == [0, 1, 2, 3]


def test_requests_are_taken_only_as_places_become_free_so_they_may_be_endless() -> None:
    taken = 0

    def endless() -> Iterator[ChatRequest]:
        nonlocal taken
        for n in itertools.count():
            taken += 1
            yield request(n)

    async def work() -> list[int]:
        batch = Batch(Upstream().chat, endless(), concurrency=3)
        assert taken == 0
        async with batch:
            return [(await anext(batch)).index for _ in range(5)]

    assert run(work()) == [0, 1, 2, 3, 4]
    assert taken <= 8


def test_a_slow_caller_does_not_leave_places_empty() -> None:
    upstream = Upstream(lambda n: 4.0)

    async def work() -> float:
        async for _ in Batch(upstream.chat, requests(range(16)), concurrency=4):
            await asyncio.sleep(1)
        return now()

    # The caller alone needs 16 seconds; four rounds, each of them only after the caller's, would be 32.
    assert run(work()) < 26


def test_one_at_a_time_lets_each_request_be_made_from_the_result_before_it() -> None:
    last = [0]

    def chain() -> Iterator[ChatRequest]:
        while last[0] < 5:
            yield request(last[0] + 1)

    async def work() -> None:
        async for each in Batch(Upstream().chat, chain(), concurrency=1):
            assert each.response is not None
            last[0] = int(each.response.text)

    run(work())
    assert last == [5]


def test_an_ordered_batch_begins_nothing_more_while_the_first_holds_back_the_rest() -> None:
    upstream = Upstream(lambda n: 100.0 if n == 0 else 1.0)

    async def work() -> None:
        async with Batch(upstream.chat, requests(itertools.count()), concurrency=3, ordered=True) as batch:
            assert (await anext(batch)).index == 0

    run(work())
    assert [n for n, _ in upstream.begun] == [0, 1, 2]


def test_leaving_early_cancels_what_runs_and_waits_until_it_is_gone() -> None:
    upstream = Upstream(lambda n: 1.0 if n == 0 else 60.0)

    async def work() -> float:
        async with Batch(upstream.chat, requests(range(100)), concurrency=4) as batch:
            async for _ in batch:
                break
        assert (upstream.inside, upstream.cancelled) == (0, 3)
        with pytest.raises(StopAsyncIteration):
            await anext(batch)
        return now()

    assert run(work()) < 2


def test_a_batch_that_is_dropped_cancels_what_runs() -> None:
    upstream = Upstream(lambda n: 1.0 if n == 0 else 1e6)

    async def work() -> float:
        async for _ in Batch(upstream.chat, requests(range(100)), concurrency=4):
            break
        gc.collect()
        await asyncio.sleep(1)
        assert (upstream.inside, upstream.cancelled) == (0, 3)
        return now()

    assert run(work()) < 5


def test_cancelling_the_caller_cancels_all_and_is_itself_not_lost() -> None:
    upstream = Upstream(lambda n: 60.0)

    async def work() -> None:
        batch = Batch(upstream.chat, requests(range(100)), concurrency=4)
        task = asyncio.ensure_future(drained(batch))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (upstream.inside, upstream.cancelled) == (0, 4)

    run(work())


def test_cancelling_the_one_who_closes_is_not_lost_either() -> None:
    async def stubborn(_request: ChatRequest) -> ChatResponse:
        try:
            await asyncio.sleep(1e6)
        except asyncio.CancelledError:
            await asyncio.sleep(5)
            raise
        raise AssertionError("unreachable")

    async def work() -> float:
        batch = Batch(stubborn, requests(range(2)))
        reader = asyncio.ensure_future(anext(batch))
        await asyncio.sleep(1)
        closer = asyncio.ensure_future(batch.aclose())
        await asyncio.sleep(1)
        closer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closer
        reader.cancel()
        await asyncio.wait([reader])
        return now()

    assert run(work()) < 10


def _chat_with_a_bug(n: int) -> Awaitable[ChatResponse]:
    raise TypeError(f"a bug at {n}")


@pytest.mark.parametrize("where", ["chat", "requests"])
def test_a_bug_ends_the_batch_and_leaves_nothing_running(where: str) -> None:
    upstream = Upstream(lambda n: 60.0)

    async def chat(given: ChatRequest) -> ChatResponse:
        if where == "chat" and number(given) == 2:
            await asyncio.sleep(1)
            await _chat_with_a_bug(2)
        return await upstream.chat(given)

    def numbers() -> Iterator[int]:
        yield from range(3)
        if where == "requests":
            raise TypeError("a bug in the requests")
        yield from range(3, 100)

    async def work() -> None:
        with pytest.raises(TypeError, match="a bug"):
            await drained(Batch(chat, requests(numbers()), concurrency=4))
        assert upstream.inside == 0
        assert len(asyncio.all_tasks()) == 1

    run(work())


@settings(deadline=None)
@given(st.sampled_from([6.0, 60.0, 90.0, 6000.0]), st.integers(1, 12), st.integers(0, 2**32))
def test_a_pace_is_kept_evenly_whatever_the_answers_take(per_minute: float, total: int, seed: int) -> None:
    note(f"seed {seed}")
    rng = random.Random(seed)
    upstream = Upstream(lambda n: rng.random())

    run(drained(Batch(upstream.chat, requests(range(total)), per_minute=per_minute, concurrency=total)))

    begun = [at for _, at in upstream.begun]
    gaps = [later - earlier for earlier, later in itertools.pairwise(begun)]
    assert len(begun) == total
    assert all(gap == pytest.approx(60 / per_minute, rel=0.05, abs=0.01) for gap in gaps)


@pytest.mark.parametrize(
    "wrong",
    [
        {"concurrency": 0},
        {"concurrency": -1},
        {"per_minute": 0},
        {"per_minute": -5},
        {"concurrency": float("nan")},
        {"concurrency": 2.5},
        {"concurrency": "8"},
        {"concurrency": None},
        {"per_minute": float("nan")},
        {"per_minute": float("inf")},
        {"per_minute": 10**400},
        {"per_minute": 1e-320},
        {"per_minute": "5"},
    ],
)
def test_what_cannot_be_right_is_refused_before_anything_starts(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Batch(Upstream().chat, [], **wrong)  # type: ignore[arg-type]
    gc.collect()


def test_a_batch_of_nothing_is_over_at_once() -> None:
    assert run(drained(Batch(Upstream().chat, []))) == []


@pytest.mark.parametrize("given", [["hi"], "hi", [{"role": "user", "content": "hi"}], [None]])
def test_what_is_no_request_is_refused_as_such(given: Any) -> None:
    async def main() -> None:
        upstream = Upstream()
        results = [result async for result in Batch(upstream.chat, given, ordered=True)]
        assert [each.index for each in results] == list(range(len(given)))
        for each in results:
            assert isinstance(each.error, InvalidRequest)
            assert re.fullmatch(
                rf"requests\[{each.index}\] is .*; expected a ChatRequest", each.error.message
            )
        assert upstream.begun == []

    run(main())
