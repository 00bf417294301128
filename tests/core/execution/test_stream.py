"""Streams: failing over before the first content, never silently after it, and giving everything back."""

from __future__ import annotations

import asyncio
import gc
import random
import time
from collections import Counter
from typing import Any

import pytest
from routers import Heard, config, in_flight, router

from pointsman import Router
from pointsman.errors import (
    DeadlineExceeded,
    IdleTimeout,
    InvalidRequest,
    MidStreamError,
    Outcome,
    Truncated,
    Unavailable,
)
from pointsman.events import AttemptEnded, Event
from pointsman.testing import Scripted, ScriptedAnswer, run
from pointsman.types import Done, Finished, Started, StreamEvent, TextDelta, Usage

NO_BREAKER = {"circuit_breaker": {"enabled": False}}
WORDS = "the sky is blue because of air"


def test_a_stream_gives_all_events_in_order_and_then_the_whole_answer() -> None:
    upstream = Scripted()
    upstream.script("a", ScriptedAnswer(text=WORDS))

    async def main() -> None:
        async with router(upstream, config("a")) as r:
            async with r.stream("m", "why?") as stream:
                with pytest.raises(RuntimeError, match="not at its end"):
                    _ = stream.response
                events = [event async for event in stream]
            assert "".join(event.text for event in events) == WORDS
            assert [type(event) for event in events[-2:]] == [Finished, Done]
            assert stream.response.text == WORDS
            assert stream.response.deployment == "a/x"
            assert in_flight(r) == 0

    run(main())


def test_a_stream_can_be_read_without_entering_it() -> None:
    async def main() -> None:
        async with router(Scripted(), config("a")) as r:
            stream = r.stream("m", "hi")
            assert "".join([event.text async for event in stream]) == "ok"
            assert [event async for event in stream] == []

    run(main())


def test_a_stream_that_was_left_is_not_entered_again() -> None:
    async def main() -> None:
        async with router(Scripted(), config("a")) as r:
            left, unused = r.stream("m", "hi"), r.stream("m", "hi")
            async with left:
                pass
            await unused.aclose()
            for stream in (left, unused):
                with pytest.raises(
                    RuntimeError, match=r"this stream is closed; call `stream\(\)` for a new one"
                ):
                    async with stream:
                        pass

    run(main())


def test_a_stream_that_was_not_entered_gives_its_first_event_at_once() -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(text=WORDS, gap=1))

    async def main() -> None:
        async with router(upstream, config("a")) as r:
            loop = asyncio.get_running_loop()
            began = loop.time()
            async with r.stream("m", "hi"):
                entered = loop.time() - began
            began = loop.time()
            stream = r.stream("m", "hi")
            await anext(stream)
            assert loop.time() - began == entered
            await stream.aclose()

    run(main())


def test_what_was_read_is_not_delivered_after_the_end_of_a_stream_that_is_closed() -> None:
    class AtOnce:
        upstream_request_id = ""

        async def next(self, until: float) -> list[TextDelta]:
            return [TextDelta("came in"), TextDelta(" the same read")]

        def abort(self) -> None: ...

        async def aclose(self) -> None: ...

    async def at_once(_request: object, _call: object) -> AtOnce:
        return AtOnce()

    async def main() -> None:
        async with router(Scripted(), config("a")) as r:
            r.provider("a").stream = at_once
            async with r.stream("m", "hi") as stream:
                assert (await anext(stream)).text == "came in"
                await stream.aclose()
                assert [event async for event in stream] == []

    run(main())


@pytest.mark.parametrize(
    "failure",
    [
        Unavailable("503"),
        ScriptedAnswer(error=Unavailable("after 200")),
        ScriptedAnswer(cut=True),
        ScriptedAnswer(after=99),
    ],
)
def test_before_the_first_content_a_stream_fails_over_silently(failure: Any) -> None:
    upstream = Scripted()
    upstream.default("a", failure)

    async def main() -> None:
        async with router(upstream, config("ab")) as r:
            for _ in range(4):
                async with r.stream("m", "hi") as stream:
                    texts = [event.text async for event in stream]
                assert texts[0] == "ok"
                assert stream.response.deployment == "b/x"
            assert in_flight(r) == 0

    run(main())
    assert upstream.count("a") > 0
    assert sum(upstream.in_flight.values()) == 0


class Preface:
    """An event source: some events that are no content, one at a time, and then an error."""

    upstream_request_id = ""

    def __init__(self, events: list[StreamEvent]) -> None:
        self._events = iter(events)

    async def next(self, until: float) -> list[StreamEvent]:
        for event in self._events:
            return [event]
        raise Unavailable("down")

    def abort(self) -> None:
        pass

    async def aclose(self) -> None:
        pass


@pytest.mark.parametrize(
    ("count", "size", "committed"), [(16, 10, False), (17, 10, True), (2, 30_000, False), (3, 30_000, True)]
)
def test_what_comes_before_the_content_is_held_back_up_to_16_events_and_64_kib(
    count: int, size: int, committed: bool
) -> None:
    async def preface(*_: Any) -> Preface:
        return Preface([Started(id="x" * size)] * count)

    async def main() -> None:
        async with router(Scripted(), config("ab", strategy="round_robin")) as r:
            r.provider("a").stream = preface
            seen = []
            try:
                async with r.stream("m", "hi") as stream:
                    async for event in stream:
                        seen.append(event)
            except MidStreamError:
                assert committed
                assert len(seen) == count
            else:
                assert not committed
                assert stream.deployment == "b/x"

    run(main())


@pytest.mark.parametrize(
    ("failure", "cause", "outcome"),
    [
        (ScriptedAnswer(text=WORDS, words=3, error=Unavailable("boom")), Unavailable, Outcome.UPSTREAM_FAULT),
        (ScriptedAnswer(text=WORDS, words=3, cut=True), Truncated, Outcome.UPSTREAM_FAULT),
        (ScriptedAnswer(text=WORDS, gap=61), IdleTimeout, Outcome.UPSTREAM_FAULT),
        (ScriptedAnswer(text=WORDS, gap=59), DeadlineExceeded, Outcome.NEUTRAL),
        (
            ScriptedAnswer(text=WORDS, words=3, error=InvalidRequest("no")),
            InvalidRequest,
            Outcome.CLIENT_FAULT,
        ),
    ],
)
def test_after_the_first_content_there_is_one_typed_error_with_what_was_delivered(
    failure: ScriptedAnswer, cause: type[Exception], outcome: Outcome
) -> None:
    upstream = Scripted()
    upstream.default("a", failure)
    upstream.default("b", failure)

    async def main() -> None:
        async with router(upstream, config("ab", timeouts={"total": "200s"})) as r:
            heard = Heard(r)
            received = ""
            with pytest.raises(MidStreamError) as caught:
                async with r.stream("m", "hi") as stream:
                    async for event in stream:
                        received += event.text
            assert isinstance(caught.value.cause, cause)
            assert caught.value.text == received
            assert WORDS.startswith(received)
            assert received
            assert caught.value.deployment
            assert caught.value.attempts == 1
            assert [each.outcome for each in heard.attempts] == [outcome]
            assert [each.result for each in heard.requests] == ["error"]
            assert in_flight(r) == 0

    run(main())
    assert len(upstream.calls) == 1


def test_a_slow_caller_is_not_an_idle_upstream() -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(text=WORDS, gap=1))

    async def main() -> None:
        async with router(upstream, config("a", timeouts={"idle": "5s", "total": "1h"})) as r:
            async with r.stream("m", "hi") as stream:
                async for _ in stream:
                    await asyncio.sleep(300)
            assert stream.response.text == WORDS

    run(main())


def test_a_thousand_streams_ended_in_every_way_leave_nothing_behind() -> None:
    """Finish, error, cancel, timeout, abandon half-read, drop unstarted, leave early, close twice."""
    seed = time.time_ns() % 1_000_000
    print(f"seed {seed}")
    chance = random.Random(seed)
    upstream = Scripted()
    ends: Counter[str] = Counter()

    def scripted(_request: Any, _call: Any) -> ScriptedAnswer:
        return chance.choice(
            [
                ScriptedAnswer(text=WORDS, gap=0.5),
                ScriptedAnswer(text=WORDS, gap=0.5, words=3, error=Unavailable("boom")),
                ScriptedAnswer(error=Unavailable("down")),
                ScriptedAnswer(text=WORDS, gap=70.0),
            ]
        )

    for name in "abc":
        upstream.default(name, scripted)

    async def read(r: Router, way: str) -> None:
        stream = r.stream("m", "hi")
        if way == "drop unstarted":
            return
        if way == "abandon":
            await anext(stream)
            return
        async with stream:
            async for n, _ in _numbered(stream):
                if way == "leave early" and n == 2:
                    break
        if way == "close twice":
            await stream.aclose()
            await stream.aclose()

    async def main() -> None:
        async with router(upstream, config("abc", **NO_BREAKER), seed=seed) as r:
            heard = Heard(r)
            ways = ["finish", "cancel", "abandon", "drop unstarted", "leave early", "close twice"]
            tasks = []
            for n in range(1_000):
                way = ways[n % len(ways)]
                task = asyncio.ensure_future(read(r, way))
                if way == "cancel":
                    asyncio.get_running_loop().call_later(chance.random() * 3, task.cancel)
                tasks.append(task)
            for end in await asyncio.gather(*tasks, return_exceptions=True):
                ends[type(end).__name__] += 1
            gc.collect()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            states = r.status().to_dict()["models"]["m"]["deployments"]
            assert [each["in_flight"] for each in states] == [0, 0, 0]
            started = 1_000 - len(range(3, 1_000, len(ways)))
            assert len(heard.requests) == started
            assert sum(upstream.in_flight.values()) == 0

    run(main())
    print(dict(ends))
    assert ends["CancelledError"] > 50
    assert ends["MidStreamError"] > 50
    assert ends["NoneType"] > 200


async def _numbered(stream: Any) -> Any:
    n = 0
    async for event in stream:
        yield n, event
        n += 1


def test_a_dropped_stream_is_released_at_once_and_named_in_one_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(text=WORDS, gap=1))

    async def main() -> None:
        async with router(upstream, config("a")) as r:
            heard = Heard(r)
            stream = r.stream("m", "hi")
            await anext(stream)
            request_id = stream.request_id
            assert in_flight(r) == 1
            del stream
            gc.collect()
            await asyncio.sleep(0)
            assert in_flight(r) == 0
            await asyncio.sleep(0)
            assert upstream.aborted["a"] == 1
            assert [each.result for each in heard.requests] == ["abandoned"]
            assert [request_id in record.getMessage() for record in caplog.records] == [True]

    run(main())


def test_a_stream_that_is_dropped_in_the_midst_of_anothers_bookkeeping_waits_for_its_end() -> None:
    """The collector may come by anywhere; nobody may see a count that is neither before nor after."""
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(text=WORDS, gap=1))

    async def main() -> None:
        async with router(upstream, config("a")) as r:
            kept = [r.stream("m", "hi"), r.stream("m", "hi")]
            for each in kept:
                await anext(each)
            del each
            told: list[tuple[int, int]] = []

            def listener(event: Event) -> None:
                if isinstance(event, AttemptEnded):
                    kept.clear()  # as the collector would, while the end of the first is being told
                    told.append((len(told) + 1, in_flight(r)))

            r.listen(listener)
            first = kept.pop(0)
            await first.aclose()
            assert told == [(1, 1)]
            await asyncio.sleep(0)
            assert told == [(1, 1), (2, 0)]

    run(main())


def test_usage_that_was_counted_before_the_break_is_in_the_error() -> None:
    from pointsman.types import ReasoningDelta, Started, ToolCallDelta, UsageUpdate
    from pointsman.wire.assembly import Assembly

    assembly = Assembly()
    for event in (
        Started("id-1", "model-1"),
        ReasoningDelta("hm"),
        TextDelta("a"),
        ToolCallDelta(0, "call_1", "f", '{"x"'),
        ToolCallDelta(1, "call_2", "g", ""),
        ToolCallDelta(0, "", "", ":1}"),
        UsageUpdate(Usage(prompt=3)),
        UsageUpdate(Usage(prompt=3, completion=9)),
        Finished("tool_calls", "tool_use"),
        Finished("stop", "end"),
    ):
        assembly.add(event)
    response = assembly.response()
    assert response.id == "id-1"
    assert response.model == "model-1"
    assert (response.text, response.reasoning) == ("a", "hm")
    assert [(c.id, c.name, c.arguments, c.index) for c in response.tool_calls] == [
        ("call_1", "f", '{"x":1}', 0),
        ("call_2", "g", "", 1),
    ]
    assert response.usage == Usage(prompt=3, completion=9)
    assert (response.finish_reason, response.native_finish_reason) == ("tool_calls", "tool_use")


def test_a_batch_is_what_one_read_brought_and_the_last_one_is_empty() -> None:
    class InTwo:
        upstream_request_id = ""

        def __init__(self) -> None:
            self._reads = [[TextDelta("a"), TextDelta("b")], [], [TextDelta("c"), Finished()]]

        async def next(self, until: float) -> list[StreamEvent] | None:
            return self._reads.pop(0) if self._reads else None  # type: ignore[return-value]

        def abort(self) -> None: ...

        async def aclose(self) -> None: ...

    async def in_two(_request: object, _call: object) -> InTwo:
        return InTwo()

    async def main() -> None:
        async with router(Scripted(), config("a")) as r:
            r.provider("a").stream = in_two
            async with r.stream("m", "hi") as stream:
                assert await stream.batch() == [TextDelta("a"), TextDelta("b")]
                assert await stream.batch() == [TextDelta("c"), Finished()]
                assert [type(event) for event in await stream.batch()] == [Done]
                assert await stream.batch() == []

    run(main())
