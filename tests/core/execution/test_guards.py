"""Guards: what they may do to a request and its answer, and what becomes of it when they do wrong."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakSet

import pytest
from pydantic import BaseModel
from routers import Heard, config

from pointsman import (
    CallError,
    ChatRequest,
    ChatResponse,
    DeadlineExceeded,
    EmbedResponse,
    PluginError,
    Refused,
    RequestStarted,
    Router,
    ToolCall,
    Unavailable,
    Usage,
)
from pointsman.plugin import (
    Answered,
    Guard,
    GuardCall,
    GuardContext,
    GuardFactory,
    Message,
    PointsmanSpec,
    hookimpl,
    replace,
)
from pointsman.testing import Scripted, run


class Name(BaseModel):
    of: str = ""


class Guards(PointsmanSpec):
    """Guards by name, each made once for every place where a configuration names it."""

    def __init__(self, **makes: Callable[[GuardContext], Guard]) -> None:
        self._makes = makes

    @hookimpl
    def pointsman_guards(self) -> list[GuardFactory]:
        return [GuardFactory(name, Name, make) for name, make in self._makes.items()]


class Marks(Guard):
    """Puts its name behind whatever passes."""

    def __init__(self, context: GuardContext) -> None:
        self.name = context.settings.of

    async def before(self, request: Any, call: GuardCall) -> Any:
        if isinstance(request, ChatRequest):
            text = request.messages[-1].text
            return replace(request, messages=(Message.user(f"{text}>{self.name}"),))
        return request

    async def after(self, response: Any, call: GuardCall) -> Any:
        if isinstance(response, EmbedResponse):
            return response
        return replace(response, text=f"{response.text}<{self.name}")


class Does(Guard):
    """Does in its methods what it is told."""

    def __init__(self, before: Any = None, after: Any = None) -> None:
        self._before = before
        self._after = after

    async def before(self, request: Any, call: GuardCall) -> Any:
        if self._before is None:
            return request
        given = self._before(request, call)
        return await given if asyncio.iscoroutine(given) else given

    async def after(self, response: Any, call: GuardCall) -> Any:
        if self._after is None:
            return response
        given = self._after(response, call)
        return await given if asyncio.iscoroutine(given) else given


def raises(error: BaseException) -> Callable[..., Any]:
    def raise_it(*_given: object) -> Any:
        raise error

    return raise_it


def echo(request: Any, _call: object) -> str:
    return str(request.messages[-1].text) if isinstance(request, ChatRequest) else "ok"


def made(
    guard: Guard | None = None, *, upstream: Scripted | None = None, **changes: Any
) -> tuple[Router, Scripted]:
    """A router with `marks` and, as `does`, the guard that is given."""
    upstream = upstream or Scripted()
    plugins = [upstream, Guards(marks=Marks, does=lambda _context: guard or Does())]
    given = config("ab", retry="none", **changes)
    for each in given["providers"].values():
        each["labels"] = {"local": True}
    return Router.from_config(given, plugins=plugins), upstream


def marks(name: str) -> Mapping[str, str]:
    return {"type": "marks", "of": name}


async def test_guards_see_a_request_in_order_and_its_answer_in_reverse() -> None:
    given = config("a", guards=[marks("1"), marks("2")])
    given["models"]["m"]["guards"] = [marks("3")]
    upstream = Scripted()
    upstream.default("a", echo)

    async with Router.from_config(given, plugins=[upstream, Guards(marks=Marks)]) as r:
        reply = await r.chat("m", "hi")

    assert reply.text == "hi>1>2>3<3<2<1"


async def test_a_model_s_own_guards_do_not_stand_around_others_nor_around_full_names() -> None:
    given = config("a", guards=[marks("all")])
    given["models"]["m"]["guards"] = [marks("own")]
    given["models"]["n"] = {"deployments": ["a/x"]}
    upstream = Scripted()
    upstream.default("a", echo)

    async with Router.from_config(given, plugins=[upstream, Guards(marks=Marks)]) as r:
        texts = [(await r.chat(name, "hi")).text for name in ("m", "n", "a/x", "a/unlisted")]

    assert texts == ["hi>all>own<own<all", *["hi>all<all"] * 3]


async def test_a_guard_stands_around_every_kind_of_whole_answer() -> None:
    seen: list[tuple[str, str]] = []

    def note(what: str) -> Callable[[Any, GuardCall], Any]:
        def seeing(value: Any, call: GuardCall) -> Any:
            seen.append((what, call.operation))
            return value

        return seeing

    r, _ = made(Does(note("before"), note("after")), guards=["does"])
    async with r:
        await r.chat("m", "hi")
        await r.chat(ChatRequest("m", (Message.user("hi"),)))
        await r.generate("m", "hi")
        await r.embed("m", ["hi"])

    kinds = ("chat", "chat", "generate", "embed")
    assert seen == [(what, kind) for kind in kinds for what in ("before", "after")]


async def test_what_is_refused_costs_no_attempt_and_ends_with_the_guard_s_words() -> None:
    r, upstream = made(Does(raises(Refused("no names, please"))), guards=["does"])
    async with r:
        heard, started = Heard(r), []
        r.listen(started.append, kinds=[RequestStarted])
        with pytest.raises(Refused, match="no names, please") as caught:
            await r.chat("m", "hi", request_id="mine")

        assert upstream.calls == []
        (ended,) = heard.requests
        assert (ended.result, ended.error, ended.attempts, ended.request_id) == (
            "error",
            "refused",
            0,
            "mine",
        )
        assert (caught.value.request_id, len(started)) == ("mine", 1)
        assert r.status().in_flight == 0


async def test_an_answer_that_is_refused_was_an_attempt_that_went_well() -> None:
    r, _ = made(Does(after=raises(Refused("not that"))), guards=["does"])
    async with r:
        heard = Heard(r)
        with pytest.raises(Refused, match="not that"):
            await r.chat("m", "hi")

    assert [each.outcome for each in heard.attempts] == ["ok"]
    assert [(each.result, each.error, each.attempts) for each in heard.requests] == [("error", "refused", 1)]


@pytest.mark.parametrize("result", ["answered", "cached"])
async def test_what_a_guard_answers_costs_no_attempt_lease_limit_or_budget(result: Any) -> None:
    known = ChatResponse(
        "known", usage=Usage(5, 5), request_id="another", id="x", deployment="b/x", attempts=3
    )
    limits = {"requests": "1/h", "tokens": "100/h"}
    r, upstream = made(
        Does(lambda _request, _call: Answered(known, result)), guards=["does"], limits={"few": limits}
    )
    async with r:
        heard = Heard(r)
        before = r.status()
        replies = [await r.chat("m", "hi") for _ in range(5)]

        assert upstream.calls == []
        assert r.status() == before
        assert heard.attempts == []
    assert {(each.result, each.attempts, each.usage, each.error) for each in heard.requests} == {
        (result, 0, None, "")
    }
    assert [(each.text, each.deployment, each.attempts, each.usage) for each in replies] == [
        ("known", "", 0, Usage(5, 5))
    ] * 5
    assert [each.request_id for each in replies] == [each.request_id for each in heard.requests]
    assert known.request_id == "another"  # what it answers with is its own


async def test_an_answer_passes_the_guards_before_the_one_that_had_it() -> None:
    guard = Does(lambda _request, _call: Answered(ChatResponse("known")), raises(AssertionError()))
    r, _ = made(guard, guards=[marks("1"), marks("2"), "does", marks("3")])
    async with r:
        reply = await r.chat("m", "hi")

    assert reply.text == "known<2<1"


def changed(**changes: Any) -> Callable[[Any, GuardCall], Any]:
    return lambda value, _call: replace(value, **changes)


class Panic(BaseException):
    """As libraries in Rust raise it: no `Exception`, and no wish to end either."""


WRONG_BEFORE = {
    "returned a NoneType": lambda _request, _call: None,
    "returned a str": lambda _request, _call: "hi",
    "returned a request for 'other'": changed(model="other"),
    "returned a request that is none": changed(messages=("hi", 5)),
    "expected a ChatResponse": lambda _request, _call: Answered(EmbedResponse([[0.0]])),
    **{
        says: lambda _request, _call, members=members: Answered(ChatResponse("known", **members))
        for says, members in {
            "`tool_calls` is a NoneType": {"tool_calls": None},
            "a tool call that is none, a str": {"tool_calls": ("look",)},
            "a tool call that is none, a ToolCall": {"tool_calls": (ToolCall("c", "f", None),)},  # type: ignore[arg-type]
            "`reasoning_blocks` is a int": {"reasoning_blocks": 5},
            "`extra` is a list": {"extra": [1]},
            "`id` is a int": {"id": 5},
            "usage is a NoneType": {"usage": None},
        }.items()
    },
    "ValueError": raises(ValueError("my own")),
    "Panic": raises(Panic("of a library")),
    "CancelledError": raises(asyncio.CancelledError()),
    "Unavailable": raises(Unavailable("not mine to say")),
    "no number of seconds": raises(Refused("odd", retry_after=-1.0)),
}
WRONG_AFTER = {
    "returned a NoneType": lambda _response, _call: None,
    "returned a EmbedResponse": lambda _response, _call: EmbedResponse([[0.0]]),
    "another `deployment`": changed(deployment="c/x"),
    "another `attempts`": changed(attempts=7),
    "another `request_id`": changed(request_id="mine"),
    "another `usage`": changed(usage=Usage(0, 0)),
    "`text` is a NoneType": changed(text=None),
    "`tool_calls` is a str": changed(tool_calls="look"),
    "StopAsyncIteration": raises(StopAsyncIteration()),
    "CancelledError": raises(asyncio.CancelledError()),
}


@pytest.mark.parametrize("did", WRONG_BEFORE)
async def test_what_a_guard_does_wrong_before_is_its_error_and_asks_nobody(did: str) -> None:
    r, upstream = made(Does(WRONG_BEFORE[did]), guards=["does"])
    async with r:
        heard = Heard(r)
        with pytest.raises(PluginError, match=did) as caught:
            await r.chat("m", "hi")

    error = caught.value
    assert (error.kind, error.plugin, error.method) == ("guard", "does", "before")
    assert upstream.calls == []
    assert [(each.result, each.error) for each in heard.requests] == [("error", "plugin")]


@pytest.mark.parametrize("did", [each for each in WRONG_BEFORE if "is a" in each or "is none" in each])
async def test_a_stream_that_is_answered_with_what_is_no_answer_is_the_guard_s_error_too(did: str) -> None:
    r, _ = made(Does(WRONG_BEFORE[did]), guards=["does"])
    async with r:
        with pytest.raises(PluginError, match=did):
            async with r.stream("m", "hi"):
                pass


@pytest.mark.parametrize("did", WRONG_AFTER)
async def test_what_a_guard_does_wrong_after_is_its_error(did: str) -> None:
    r, _ = made(Does(after=WRONG_AFTER[did]), guards=["does"])
    async with r:
        heard = Heard(r)
        with pytest.raises(PluginError, match=did) as caught:
            await r.chat("m", "hi")

    error = caught.value
    assert (error.kind, error.plugin, error.method) == ("guard", "does", "after")
    assert [each.outcome for each in heard.attempts] == ["ok"]
    assert [(each.result, each.error) for each in heard.requests] == [("error", "plugin")]


@pytest.mark.parametrize(
    "guard",
    [
        *(Does(before=each) for each in WRONG_BEFORE.values()),
        *(Does(after=each) for each in WRONG_AFTER.values()),
    ],
)
async def test_a_guard_that_may_fail_is_left_out_with_one_log_line(
    guard: Guard, caplog: pytest.LogCaptureFixture
) -> None:
    allowed = {"type": "does", "on_error": "allow"}
    r, upstream = made(guard, guards=[marks("1"), allowed, marks("2")])
    for name in "ab":
        upstream.default(name, echo)
    async with r:
        heard = Heard(r)
        reply = await r.chat("m", "hi")

    assert reply.text == "hi>1>2<2<1"
    assert [each.result for each in heard.requests] == ["ok"]
    (line,) = [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
    assert "goes on without it" in line.splitlines()[0]


async def test_what_refuses_refuses_also_where_a_guard_may_fail() -> None:
    r, _ = made(Does(raises(Refused("no"))), guards=[{"type": "does", "on_error": "allow"}])
    async with r:
        with pytest.raises(Refused):
            await r.chat("m", "hi")


@pytest.mark.parametrize("on_error", ["refuse", "allow"])
@pytest.mark.parametrize("method", ["before", "after"])
def test_a_guard_that_never_returns_ends_with_the_deadline_of_the_request(method: str, on_error: str) -> None:
    async def forever(*_given: object) -> Any:
        await asyncio.get_running_loop().create_future()

    async def main() -> None:
        guard = Does(**{method: forever})
        r, _ = made(guard, guards=[{"type": "does", "on_error": on_error}])
        async with r:
            heard, began = Heard(r), asyncio.get_running_loop().time()
            with pytest.raises(
                DeadlineExceeded, match="while the guard 'does' was at work: `timeout` of 3 s"
            ):
                await r.chat("m", "hi", timeout=3)

            assert asyncio.get_running_loop().time() - began == pytest.approx(3, abs=1e-4)
            assert [each.error for each in heard.requests] == ["deadline_exceeded"]

    run(main())


@pytest.mark.parametrize("method", ["before", "after"])
async def test_a_caller_that_is_cancelled_while_a_guard_works_ends_as_cancelled(method: str) -> None:
    waiting = asyncio.Event()

    async def forever(*_given: object) -> Any:
        waiting.set()
        await asyncio.get_running_loop().create_future()

    r, _ = made(Does(**{method: forever}), guards=["does"])
    async with r:
        heard = Heard(r)
        task = asyncio.ensure_future(r.chat("m", "hi"))
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert [each.result for each in heard.requests] == ["cancelled"]
        assert [each.outcome for each in heard.attempts] == ["ok"] * (method == "after")
        assert r.status().in_flight == 0


async def test_a_request_whose_guard_is_at_work_runs_and_is_ended_when_the_router_closes() -> None:
    release = asyncio.Event()

    async def wait(request: Any, _call: object) -> Any:
        await release.wait()
        return request

    r, upstream = made(Does(wait), guards=["does"])
    heard = Heard(r)
    async with r:
        task = asyncio.ensure_future(r.chat("m", "hi"))
        await asyncio.sleep(0)
        assert not await r.shutdown(grace=0)
    release.set()
    with pytest.raises(CallError, match="shutting down"):
        await task

    assert len(heard.requests) == 1
    assert upstream.calls == []


def test_the_time_of_guards_is_not_that_of_the_attempt() -> None:
    async def slow(request: Any, _call: object) -> Any:
        await asyncio.sleep(5)
        return request

    async def main() -> None:
        r, _ = made(Does(slow), guards=["does"])
        async with r:
            heard = Heard(r)
            await r.chat("m", "hi")
            ((attempt,), (request,)) = heard.attempts, heard.requests
            assert (attempt.seconds, request.seconds) == pytest.approx((0, 5), abs=1e-4)
            assert attempt.wall - request.wall == pytest.approx(5, abs=1e-4)

    run(main())


async def test_a_fallback_s_own_guards_are_not_added_and_that_is_a_warning() -> None:
    given = config("ab", retry="none")
    given["models"] = {
        "m": {"deployments": ["a/x"], "fallback": ["n"], "guards": [marks("m")]},
        "n": {"deployments": ["b/x"], "guards": [marks("n")]},
    }
    upstream = Scripted()
    upstream.default("a", Unavailable("down"))
    upstream.default("b", echo)
    plugins = [upstream, Guards(marks=Marks)]

    (warning,) = Router.check(given, plugins=plugins).warnings
    async with Router.from_config(given, plugins=plugins) as r:
        reply = await r.chat("m", "hi")

    assert reply.text == "hi>m<m"
    assert "what falls back on 'n' misses its guards (marks)" in str(warning)


async def test_what_the_upstream_sent_does_not_go_out_when_a_guard_changed_its_text() -> None:
    raw = {"choices": ["secret"]}
    answer = ChatResponse("secret", raw=raw)
    for change, goes_out in (({}, True), ({"text": "***"}, False), ({"model": "x"}, True)):
        outer = Does(after=changed(**change))
        plugins = [
            Scripted(),
            Guards(
                inner=lambda _context: Does(lambda _request, _call: Answered(answer)),
                does=lambda _context, outer=outer: outer,
            ),
        ]
        async with Router.from_config(config("a", guards=["does", "inner"]), plugins=plugins) as r:
            reply = await r.chat("m", "hi")

        assert reply.raw == (raw if goes_out else None)


async def test_a_guard_is_told_whose_request_it_is_and_what_it_requires() -> None:
    calls: list[GuardCall] = []

    def note(value: Any, call: GuardCall) -> Any:
        calls.append(call)
        return value

    r, _ = made(Does(note, note), guards=["does"])
    async with r:
        said = {"caller": "me", "tags": {"a": "b"}, "request_id": "mine", "require": {"local": True}}
        await r.chat("m", "hi", **said)

    first, second = calls
    assert first is second
    assert (first.request_id, first.operation, first.model, first.caller) == ("mine", "chat", "m", "me")
    assert (first.tags, first.require, first.notes) == ({"a": "b"}, {"local": ("true",)}, {})
    assert "hi" not in repr(first)


async def test_what_a_guard_makes_of_a_request_is_read_as_a_caller_s() -> None:
    guard = Does(changed(messages=[{"role": "user", "content": "as a mapping"}]))
    r, upstream = made(guard, guards=["does"])
    async with r:
        await r.chat("m", "hi")

    ((_, request, _),) = upstream.calls
    assert request.messages[0] == Message.user("as a mapping")


async def test_a_reload_keeps_the_guards_that_stay_what_they_are() -> None:
    counted: dict[str, int] = {}

    class Counts(Guard):
        def __init__(self, context: GuardContext) -> None:
            self.name, self.seen = context.settings.of, 0

        async def before(self, request: Any, call: GuardCall) -> Any:
            self.seen += 1
            counted[self.name] = self.seen
            return request

    def guards(*names: str) -> list[dict[str, str]]:
        return [{"type": "counts", "of": name} for name in names]

    async with Router.from_config(
        config("a", guards=guards("1", "2")), plugins=[Scripted(), Guards(counts=Counts)]
    ) as r:
        await r.chat("m", "hi")
        await r.reload(config("a", guards=guards("2", "3")))
        await r.chat("m", "hi")
        await r.reload(config("a"))
        await r.chat("m", "hi")

    assert counted == {"1": 1, "2": 2, "3": 1}


async def test_a_guard_that_a_reload_takes_away_is_freed() -> None:
    alive = WeakSet[Guard]()

    def make(context: GuardContext) -> Guard:
        alive.add(guard := Marks(context))
        return guard

    async with Router.from_config(
        config("a", guards=[marks("1")]), plugins=[Scripted(), Guards(marks=make)]
    ) as r:
        await r.chat("m", "hi")
        await r.reload(config("a"))
        await asyncio.sleep(0)
        gc.collect()
        assert not alive
