"""Guards around streams: what the caller gets is what the filters let through, in events, text and response."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given as always
from hypothesis import strategies as st
from routers import Heard, config

from pointsman import (
    CallError,
    ChatRequest,
    ChatResponse,
    Done,
    Message,
    MidStreamError,
    PluginError,
    Refused,
    RequestStarted,
    Router,
    SyncRouter,
    TextDelta,
    ToolCall,
    Unavailable,
    Usage,
)
from pointsman.execution.filtering import Filters
from pointsman.execution.guarded_stream import events_of
from pointsman.execution.guards_at_work import GuardAtWork
from pointsman.plugin import (
    Answered,
    Finished,
    Guard,
    GuardCall,
    GuardFactory,
    PointsmanSpec,
    RawDelta,
    ReasoningDelta,
    RefusalDelta,
    StreamEvent,
    ToolCallDelta,
    UsageUpdate,
    hookimpl,
)
from pointsman.routing.entrance import ConfiguredGuard
from pointsman.testing import Scripted, ScriptedAnswer, run
from pointsman.wire.assembly import Assembly

SECRET = "secret"


class Hiding:
    """Dots in place of the secret; holds back what may be its beginning."""

    def __init__(self, secret: str = SECRET) -> None:
        self._secret = secret
        self._held = ""

    def feed(self, event: StreamEvent, /) -> Sequence[StreamEvent]:
        if not isinstance(event, TextDelta):
            return [event]
        text = (self._held + event.text).replace(self._secret, "***")
        longest = min(len(text), len(self._secret) - 1)
        kept = next((n for n in range(longest, 0, -1) if self._secret.startswith(text[-n:])), 0)
        self._held = text[len(text) - kept :]
        return [TextDelta(text[: len(text) - kept])] if kept < len(text) else ()

    def end(self) -> Sequence[StreamEvent]:
        return [TextDelta(self._held)] if self._held else []


class Own:
    """A filter of what it is given."""

    def __init__(self, feed: Any = None, end: Any = None) -> None:
        self.feed = feed or (lambda event: [event])
        self.end = end or list


class Filtering(Guard):
    def __init__(self, make: Callable[[GuardCall], Any], before: Any = None, after: Any = None) -> None:
        self._make = make
        self._before = before

    async def before(self, request: Any, call: GuardCall, /) -> Any:
        if self._before is None:
            return request
        given = self._before(request, call)
        return await given if asyncio.iscoroutine(given) else given

    def stream(self, call: GuardCall, /) -> Any:
        return self._make(call)


class Guards(PointsmanSpec):
    def __init__(self, *guards: Guard) -> None:
        self._guards = guards

    @hookimpl
    def pointsman_guards(self) -> list[GuardFactory]:
        return [
            GuardFactory(f"g{n}", None, lambda _context, each=each: each)
            for n, each in enumerate(self._guards)
        ]


def made(*guards: Guard, upstream: Scripted | None = None, allow: bool = False, **changes: Any) -> Router:
    named = [{"type": f"g{n}", "on_error": "allow" if allow else "refuse"} for n in range(len(guards))]
    plugins = [upstream or Scripted(), Guards(*guards)]
    return Router.from_config(config("a", retry="none", guards=named, **changes), plugins=plugins)


def says(text: str, **more: Any) -> Scripted:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(text, **more))
    return upstream


async def test_events_text_and_response_are_what_the_filters_let_through() -> None:
    async with made(Filtering(lambda _call: Hiding()), upstream=says("my secret secretary is sec ret")) as r:
        heard = Heard(r)
        async with r.stream("m", "hi") as stream:
            events = [event async for event in stream]

    shown = "my *** ***ary is sec ret"
    assert "".join(event.text for event in events) == shown == stream.text == stream.response.text
    assert isinstance(events[-1], Done)
    assert events[-1].response is stream.response
    assert isinstance(events[-2], Finished)
    assert (stream.response.deployment, stream.response.attempts) == ("a/x", 1)
    assert stream.response.request_id == heard.requests[0].request_id
    assert [(each.result, each.attempts) for each in heard.requests] == [("ok", 1)]


async def test_what_is_held_back_until_the_end_comes_before_why_it_ends() -> None:
    async with made(Filtering(lambda _call: Hiding()), upstream=says("it is sec")) as r:
        async with r.stream("m", "hi") as stream:
            events = [event async for event in stream]

    assert [type(event).__name__ for event in events[-3:]] == ["TextDelta", "Finished", "Done"]
    assert events[-3].text == "sec"
    assert stream.response.text == "it is sec"


async def test_filters_of_several_guards_work_in_reverse_order_of_the_guards() -> None:
    def adds(mark: str) -> Guard:
        def feed(event: StreamEvent) -> Sequence[StreamEvent]:
            return [TextDelta(event.text + mark)] if isinstance(event, TextDelta) else [event]

        return Filtering(lambda _call: Own(feed, lambda: [TextDelta(f"|{mark}")]))

    async with made(adds("1"), adds("2"), upstream=says("ok")) as r:
        async with r.stream("m", "hi") as stream:
            text = "".join([event.text async for event in stream])

    assert text == "ok21|21|1" == stream.response.text


async def test_every_kind_of_event_passes_the_filters() -> None:
    seen: list[type] = []

    def feed(event: StreamEvent) -> Sequence[StreamEvent]:
        seen.append(type(event))
        return [] if isinstance(event, ReasoningDelta | ToolCallDelta) else [event]

    answer = ChatResponse(
        "hi",
        (ToolCall("c", "f", "{}"),),
        reasoning="so",
        refusal="no",
        extra={"x": 1},
        usage=Usage(1, 2),
        finish_reason="tool_calls",
    )
    knows = Filtering(lambda _call: None, before=lambda _request, _call: Answered(answer, "cached"))
    async with made(Filtering(lambda _call: Own(feed)), knows) as r:
        async with r.stream("m", "hi") as stream:
            events = [event async for event in stream]

    kinds = {TextDelta, ReasoningDelta, RefusalDelta, ToolCallDelta, RawDelta, UsageUpdate, Finished}
    assert kinds <= set(seen)
    assert not {ReasoningDelta, ToolCallDelta} & {type(event) for event in events}
    response = stream.response
    assert (response.text, response.refusal, response.extra) == ("hi", "no", {"x": 1})
    assert (response.reasoning, response.tool_calls, response.usage) == (None, (), Usage(1, 2))
    assert (response.finish_reason, response.attempts, response.deployment) == ("tool_calls", 0, "")


@pytest.mark.parametrize("result", ["answered", "cached"])
async def test_a_stream_that_a_guard_answers_costs_nothing_and_is_told_as_events(result: Any) -> None:
    upstream = Scripted()
    answer = ChatResponse("known secret", raw={"x": 1}, request_id="another", usage=Usage(1, 1))
    knows = Filtering(lambda _call: 1 / 0, before=lambda _request, _call: Answered(answer, result))
    async with made(Filtering(lambda _call: Hiding()), knows, upstream=upstream) as r:
        heard, started = Heard(r), []
        r.listen(started.append, kinds=[RequestStarted])
        async with r.stream("m", "hi", request_id="mine") as stream:
            text = "".join([event.text async for event in stream])
        assert (stream.deployment, stream.request_id) == ("", "mine")
        unread = r.stream("m", "hi")
        async with unread:
            pass

    assert text == "known ***" == stream.text == stream.response.text
    assert (stream.response.request_id, stream.response.raw) == ("mine", None)
    assert (upstream.calls, heard.attempts, len(started)) == ([], [], 2)
    assert [(each.result, each.attempts, each.usage) for each in heard.requests] == [(result, 0, None)] * 2


async def test_an_answered_stream_that_nobody_filters_keeps_its_raw() -> None:
    answer = ChatResponse("known", raw={"x": 1})
    knows = Filtering(lambda _call: None, before=lambda _request, _call: Answered(answer))
    async with made(knows) as r:
        async with r.stream("m", "hi") as stream:
            assert [event async for event in stream]

    assert stream.response.raw == {"x": 1}


def refuses(word: str) -> Callable[[GuardCall], Own]:
    def make(_call: GuardCall) -> Own:
        def feed(event: StreamEvent) -> Sequence[StreamEvent]:
            if word in event.text:
                raise Refused("not that word")
            return [event]

        return Own(feed)

    return make


async def test_a_stream_that_is_refused_before_anything_went_out_raises_the_refusal() -> None:
    upstream = says("bad words", gap=1)
    async with made(Filtering(refuses("bad")), upstream=upstream) as r:
        heard = Heard(r)
        with pytest.raises(Refused, match="not that word"):
            async with r.stream("m", "hi"):
                pytest.fail("entered")

        assert (upstream.aborted["a"], upstream.in_flight["a"], r.status().in_flight) == (1, 0, 0)
    assert [(each.result, each.error) for each in heard.requests] == [("error", "refused")]
    assert [each.error for each in heard.attempts] == ["refused"]


async def test_a_stream_that_is_refused_in_the_midst_breaks_with_the_refusal_as_its_cause() -> None:
    upstream = says("good secret bad words")
    async with made(Filtering(refuses("bad")), Filtering(lambda _call: Hiding()), upstream=upstream) as r:
        heard = Heard(r)
        async with r.stream("m", "hi") as stream:
            with pytest.raises(MidStreamError, match="not that word") as caught:
                [event async for event in stream]

        assert (upstream.aborted["a"], r.status().in_flight) == (1, 0)
        assert r.status().to_dict()["models"]["m"]["deployments"][0]["breaker"]["state"] == "closed"
    error = caught.value
    assert isinstance(error.cause, Refused)
    assert error.text == "good ***" == stream.text
    assert error.events == 2
    assert [(each.result, each.error) for each in heard.requests] == [("error", "stream_broken")]


async def test_a_stream_that_breaks_says_only_what_went_out_and_never_ends_its_filters() -> None:
    ended: list[bool] = []

    class Watched(Hiding):
        def end(self) -> Sequence[StreamEvent]:
            ended.append(True)
            return super().end()

    upstream = says("my sec ret is", error=Unavailable("down"), words=2)
    async with made(Filtering(lambda _call: Watched()), upstream=upstream) as r:
        async with r.stream("m", "hi") as stream:
            with pytest.raises(MidStreamError) as caught:
                [event async for event in stream]

    assert (caught.value.text, stream.text, ended) == ("my ", "my ", [])


async def test_filters_see_only_the_attempt_that_answers() -> None:
    upstream = Scripted()
    upstream.script("a", ScriptedAnswer("", error=Unavailable("down"), words=0), "se cret")
    fed: list[str] = []

    def make(_call: GuardCall) -> Own:
        def feed(event: StreamEvent) -> Sequence[StreamEvent]:
            fed.append(event.text)
            return [event]

        return Own(feed)

    retry = {"type": "exponential", "base_delay": "1ms"}
    named = [{"type": "g0"}]
    given = config("a", retry=retry, guards=named)
    async with Router.from_config(given, plugins=[upstream, Guards(Filtering(make))]) as r:
        async with r.stream("m", "hi") as stream:
            text = "".join([event.text async for event in stream])

    assert text == "se cret"
    assert "".join(fed) == "se cret"
    assert stream.response.attempts == 2


def test_of_two_hedged_attempts_only_the_winner_is_filtered() -> None:
    fed: list[str] = []

    def make(_call: GuardCall) -> Own:
        def feed(event: StreamEvent) -> Sequence[StreamEvent]:
            fed.append(event.text)
            return [event]

        return Own(feed)

    hedging = {"quantile": "50%", "floor": "1s", "budget": "100%", "minimum_samples": 1}

    async def main() -> None:
        upstream = Scripted()
        upstream.script("a", "warm")
        upstream.script("b", "warm")
        upstream.default("a", ScriptedAnswer("slow one", after=30))
        upstream.default("b", ScriptedAnswer("slow one", after=30))
        given = config("ab", hedging=hedging, guards=["g0"])
        async with Router.from_config(given, plugins=[upstream, Guards(Filtering(make))]) as r:
            for _ in range(2):
                async with r.stream("m", "hi") as stream:
                    assert [event async for event in stream]
            fed.clear()
            upstream.script("a", ScriptedAnswer("late one", after=20))
            upstream.script("b", ScriptedAnswer("late one", after=20))
            upstream.script("a", ScriptedAnswer("late one", after=20))
            heard = Heard(r)
            async with r.stream("m", "hi") as stream:
                text = "".join([event.text async for event in stream])
            assert len(heard.attempts) == 2
            assert "".join(fed) == text
            assert r.status().in_flight == 0

    run(main())


def test_the_first_token_is_not_later_than_what_the_filter_holds_back() -> None:
    async def first_text(guards: Sequence[Guard], text: str) -> float:
        async with made(*guards, upstream=says(text, after=1, gap=1)) as r:
            async with r.stream("m", "hi") as stream:
                async for event in stream:
                    if event.text:
                        return asyncio.get_running_loop().time()
        return -1

    plain = run(first_text([], "hello my dear friend"))
    guarded = run(first_text([Filtering(lambda _call: Hiding())], "hello my dear friend"))
    held = run(first_text([Filtering(lambda _call: Hiding())], "s my dear friend"))

    assert guarded == pytest.approx(plain, abs=1e-4)
    assert held == pytest.approx(plain + 1, abs=1e-4)


WRONG: dict[str, Callable[[GuardCall], Any]] = {
    "failed in stream(): ZeroDivisionError": lambda _call: 1 / 0,
    "returned a int without feed()": lambda _call: 5,
    "failed in feed(): ValueError": lambda _call: Own(lambda event: int("x")),
    "gave a NoneType": lambda _call: Own(lambda event: None),
    "gave a TextDelta": lambda _call: Own(lambda event: event),
    "gave a str": lambda _call: Own(lambda event: ["text"]),
    "gave a Done": lambda _call: Own(lambda event: [Done()]),
    "that is none": lambda _call: Own(lambda event: [ReasoningDelta(5)]),  # type: ignore[arg-type]
    "gave a coroutine": lambda _call: Own(asyncio.sleep),
    "failed in feed(): CancelledError": lambda _call: Own(cancels),
}


def cancels(_event: StreamEvent) -> Any:
    raise asyncio.CancelledError


@pytest.mark.parametrize("did", WRONG)
async def test_what_a_filter_does_wrong_is_the_guard_s_error_and_blames_no_upstream(did: str) -> None:
    async with made(Filtering(WRONG[did]), upstream=says("two words")) as r:
        heard = Heard(r)
        with pytest.raises(PluginError) as caught:
            async with r.stream("m", "hi") as stream:
                [event async for event in stream]

        assert did in caught.value.message
        assert (caught.value.kind, caught.value.plugin) == ("guard", "g0")
        assert r.status().in_flight == 0
    assert [each.error for each in heard.requests] == ["plugin"]
    assert {each.outcome for each in heard.attempts} == {"neutral"}


@pytest.mark.parametrize("did", WRONG)
async def test_a_filter_that_may_fail_is_left_out_and_nothing_of_the_answer_is_lost(
    did: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with made(Filtering(WRONG[did]), upstream=says("two words"), allow=True) as r:
        async with r.stream("m", "hi") as stream:
            text = "".join([event.text async for event in stream])

    assert text == "two words" == stream.response.text
    (line,) = [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
    assert "goes on without it" in line


async def test_a_filter_that_fails_at_the_end_does_not_undo_what_the_upstream_did_well() -> None:
    bad = Filtering(lambda _call: Own(end=lambda: 1 / 0))
    async with made(bad, upstream=says("two words")) as r:
        heard = Heard(r)
        async with r.stream("m", "hi") as stream:
            with pytest.raises(MidStreamError, match="failed in end"):
                [event async for event in stream]

    assert [each.outcome for each in heard.attempts] == ["ok"]
    assert [each.result for each in heard.requests] == ["error"]


async def test_a_filter_that_loses_what_it_held_back_breaks_the_stream_also_where_it_may_fail() -> None:
    class Loses(Hiding):
        def end(self) -> Sequence[StreamEvent]:
            raise ValueError

    async with made(Filtering(lambda _call: Loses()), upstream=says("my sec"), allow=True) as r:
        async with r.stream("m", "hi") as stream:
            with pytest.raises(MidStreamError, match="failed in end"):
                [event async for event in stream]


# ── giving it up ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_stream_that_is_closed_while_a_guard_works_never_asks_anybody() -> None:
    waiting, upstream = asyncio.Event(), Scripted()

    async def forever(_request: Any, _call: Any) -> Any:
        waiting.set()
        await asyncio.get_running_loop().create_future()

    async with made(Filtering(lambda _call: None, before=forever), upstream=upstream) as r:
        heard = Heard(r)
        stream = r.stream("m", "hi")
        opening = asyncio.ensure_future(stream.__aenter__())
        await waiting.wait()
        await stream.aclose()
        with pytest.raises(CallError, match="closed while it was being opened"):
            await opening

        assert [each.result for each in heard.requests] == ["cancelled"]
        assert upstream.calls == []


async def test_a_filtered_stream_that_is_left_early_ends_at_the_upstream_at_once() -> None:
    upstream = says("many words are to come", gap=1)
    async with made(Filtering(lambda _call: Hiding()), upstream=upstream) as r:
        heard = Heard(r)
        async with r.stream("m", "hi") as stream:
            await anext(stream)

        assert (upstream.aborted["a"], r.status().in_flight) == (1, 0)
        assert [each.result for each in heard.requests] == ["cancelled"]


async def test_a_filtered_stream_that_is_dropped_is_abandoned(caplog: pytest.LogCaptureFixture) -> None:
    upstream = says("many words are to come", gap=1)
    async with made(Filtering(lambda _call: Hiding()), upstream=upstream) as r:
        heard = Heard(r)
        stream = r.stream("m", "hi")
        await anext(stream)
        del stream
        gc.collect()
        await asyncio.sleep(0.01)

        assert [each.result for each in heard.requests] == ["abandoned"]
        assert r.status().in_flight == 0
    assert "was dropped" in caplog.text


# ── wherever it is cut ───────────────────────────────────────────────────────────────────────────────


CALL = GuardCall("r", "stream", "m", "", {}, 0.0)
NOBODY: Any = None
"""An execution that nothing is asked of."""


def pieces(text: str, cuts: Sequence[int]) -> list[str]:
    at = [0, *sorted(n for n in cuts if n <= len(text)), len(text)]
    return [text[start:end] for start, end in zip(at, at[1:], strict=False)]


@always(
    st.text(alphabet="secrt x", max_size=40),
    st.lists(st.integers(0, 40), max_size=20),
    st.integers(0, 20),
)
def test_a_text_is_filtered_as_if_it_had_come_in_one_piece(text: str, cuts: list[int], usage_at: int) -> None:
    parts: list[StreamEvent] = [TextDelta(each) for each in pieces(text, cuts)]
    parts.insert(min(usage_at, len(parts)), UsageUpdate(Usage(1, 1)))
    guards = [Filtering(lambda _call: Hiding()), Filtering(lambda _call: Hiding("x t"))]
    at_work = [GuardAtWork(ConfiguredGuard(each, "g", None, None), CALL) for each in guards]
    filters, out = Filters(NOBODY, at_work), ""

    for part in parts:
        out += "".join(event.text for event in filters.feed([part]))
        assert SECRET not in out
    out += "".join(event.text for event in filters.end())

    assert out == text.replace("x t", "***").replace(SECRET, "***")


def test_the_events_of_an_answer_say_all_of_it() -> None:
    answer = ChatResponse(
        "hi", (ToolCall("c", "f", "{}"),), reasoning="so", extra={"x": 1}, model="m", id="i"
    )

    assembly = Assembly()
    assembly.extend(list(events_of(answer)))
    assert assembly.response() == answer


def test_what_a_guard_keeps_back_is_a_sign_of_life_of_the_upstream() -> None:
    def drops_all_but_the_last(_call: GuardCall) -> Own:
        return Own(lambda event: [] if event.text and "end" not in event.text else [event])

    async def main() -> str:
        upstream = says("word " * 20 + "end", gap=1)
        given = {"upstream": upstream, "timeouts": {"idle": "2s"}}
        async with made(Filtering(drops_all_but_the_last), **given) as r:
            async with r.stream("m", "hi") as stream:
                return "".join([event.text async for event in stream])

    assert run(main()) == " end"


def test_a_blocking_router_and_a_batch_go_through_guards() -> None:
    async def batched() -> list[str]:
        async with made(Filtering(lambda _call: Hiding(), before=refuses_plums)) as r:
            requests = [ChatRequest("m", (Message.user(text),)) for text in ("hi", "plum")]
            return [type(each.error).__name__ async for each in r.batch(requests, ordered=True)]

    plugins = [says("my secret"), Guards(Filtering(lambda _call: Hiding(), before=refuses_plums))]
    with SyncRouter.from_config(config("a", guards=["g0"]), plugins=plugins) as r:
        with r.stream("m", "hi") as stream:
            text = "".join(event.text for event in stream)
        with pytest.raises(Refused, match="no plums"):
            r.chat("m", "plum")

    assert text == "my ***" == stream.text
    assert run(batched()) == ["NoneType", "Refused"]


def refuses_plums(request: Any, _call: GuardCall) -> Any:
    if "plum" in request.messages[0].text:
        raise Refused("no plums")
    return request


@pytest.mark.parametrize("seed", range(2))
def test_however_requests_are_given_up_each_ends_once_and_nothing_is_left_in_flight(seed: int) -> None:
    rng = random.Random(seed)

    class Slow(Guard):
        """Waits in each method, and sometimes refuses, answers or fails."""

        async def before(self, request: Any, call: GuardCall, /) -> Any:
            await asyncio.sleep(rng.random())
            return self._does(Answered(ChatResponse("known secret"))) or request

        async def after(self, response: Any, call: GuardCall, /) -> Any:
            await asyncio.sleep(rng.random())
            self._does(None)
            return response

        def stream(self, call: GuardCall, /) -> Any:
            self._does(None)
            return Hiding()

        def _does(self, answer: Any) -> Any:
            if (chance := rng.random()) < 0.1:
                raise Refused("no")
            if chance < 0.2:
                raise ValueError
            return answer if chance < 0.3 else None

    async def one(r: Router, model: str) -> None:
        if rng.random() < 0.5:
            await r.chat(model, "hi")
            return
        async with r.stream(model, "hi") as stream:
            async for _ in stream:
                if rng.random() < 0.1:
                    return

    async def given_up(r: Router, model: str) -> None:
        task = asyncio.ensure_future(one(r, model))
        await asyncio.sleep(rng.random() * 8)
        task.cancel()
        await asyncio.wait([task])
        error = None if task.cancelled() else task.exception()
        assert error is None or isinstance(error, CallError), error

    async def main() -> None:
        upstream = says("my secret is not a secret", after=0.5, gap=0.3)
        upstream.script("a", *[Unavailable("down")] * 10)
        given = config("a", guards=["g0", "g1"], circuit_breaker={"enabled": False})
        given["models"]["auto"] = {
            "selector": {"type": "rules", "rules": [{"use": "m"}]},
            "of": ["m"],
            "guards": ["g0"],
        }
        async with Router.from_config(given, plugins=[upstream, Guards(Slow(), Slow())], rng=rng) as r:
            heard, started = Heard(r), list[Any]()
            r.listen(started.append, kinds=[RequestStarted])
            await asyncio.gather(*(given_up(r, rng.choice(("m", "auto"))) for _ in range(80)))

            assert r.status().in_flight == 0 == upstream.in_flight["a"]
            ended = [each.request_id for each in heard.requests]
            assert sorted(ended) == sorted(each.request_id for each in started)
            assert len(set(ended)) == len(ended) == 80
            assert len({each.result for each in heard.requests}) >= 4

    run(main())
