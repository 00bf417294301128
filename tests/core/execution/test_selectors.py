"""Selectors: which model a request goes to, and what becomes of it when the selector does wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from routers import Heard, config

from pointsman import (
    ChatResponse,
    ConfigError,
    DeadlineExceeded,
    InvalidRequest,
    ModelSelected,
    Refused,
    Router,
    Unavailable,
)
from pointsman.plugin import (
    Answered,
    Candidate,
    Guard,
    GuardFactory,
    PointsmanSpec,
    Selection,
    Selector,
    SelectorCall,
    SelectorContext,
    SelectorFactory,
    hookimpl,
    replace,
)
from pointsman.testing import Scripted, run

Choose = Callable[[Any, Sequence[Candidate], SelectorCall], Any]


class Picks(Selector):
    """Picks what it is told to."""

    def __init__(self, choose: Choose) -> None:
        self._choose = choose

    async def choose(self, request: Any, candidates: Sequence[Candidate], call: SelectorCall, /) -> Any:
        given = self._choose(request, candidates, call)
        return await given if asyncio.iscoroutine(given) else given


class Picking(PointsmanSpec):
    """The selector `picks`, and the contexts that it was made with."""

    def __init__(self, choose: Choose) -> None:
        self.contexts: list[SelectorContext] = []
        self._choose = choose

    @hookimpl
    def pointsman_selectors(self) -> list[SelectorFactory]:
        def make(context: SelectorContext) -> Selector:
            self.contexts.append(context)
            return Picks(self._choose)

        return [SelectorFactory("picks", None, make)]


def given(**changes: Any) -> dict[str, Any]:
    made = config("ab", retry="none")
    made["models"] = {
        "small": {"deployments": ["a/x"]},
        "large": {"deployments": ["b/x"]},
        "auto": {"selector": "picks", "of": ["small", "large"], **changes},
    }
    return made


def made(choose: Choose, *more: object, upstream: Scripted | None = None, **changes: Any) -> Router:
    return Router.from_config(given(**changes), plugins=[upstream or Scripted(), Picking(choose), *more])


def selected(r: Router) -> list[ModelSelected]:
    told: list[ModelSelected] = []
    r.listen(told.append, kinds=[ModelSelected])
    return told


async def test_a_request_goes_to_the_model_that_its_selector_picks_and_says_why() -> None:
    async with made(lambda *_given: Selection("large", "a hard one")) as r:
        heard, told = Heard(r), selected(r)
        reply = await r.chat("auto", "hi", caller="me", tags={"a": "b"})
        vectors = await r.embed("auto", ["hi"])
        text = await r.generate("auto", "hi")

    assert {each.deployment for each in (reply, vectors, text)} == {"b/x"}
    assert [(each.model, each.pool, each.result, each.attempts) for each in heard.requests] == [
        ("auto", "large", "ok", 1)
    ] * 3
    assert told[0] == ModelSelected(
        reply.request_id, "auto", "large", "a hard one", False, told[0].seconds, "me", {"a": "b"}
    )


async def test_a_selector_sees_the_request_and_the_models_with_what_is_ready_of_them() -> None:
    seen: list[Any] = []

    def choose(*what: Any) -> str:
        seen.append(what)
        return "small"

    async with made(choose) as r:
        r.disable("b/x")
        reply = await r.chat("auto", "hi", caller="me", request_id="mine")

    ((request, candidates, call),) = seen
    assert (request.model, request.messages[0].text) == ("auto", "hi")
    assert list(candidates) == [Candidate("small", True, ("a/x",)), Candidate("large", False, ("b/x",))]
    assert (call.request_id, call.operation, call.model, call.caller) == ("mine", "chat", "auto", "me")
    assert reply.deployment == "a/x"
    assert "hi" not in repr(call)


def raises(error: BaseException) -> Choose:
    def raise_it(*_given: object) -> Any:
        raise error

    return raise_it


WRONG: dict[str, Choose] = {
    "failed: ValueError": raises(ValueError("my own")),
    "failed: Refused": raises(Refused("not its to say")),
    "failed: CancelledError": raises(asyncio.CancelledError()),
    "failed: Unavailable": raises(Unavailable("down")),
    "picked 'huge', which is none of small, large": lambda *_given: "huge",
    "picked 'auto', which is none of small, large": lambda *_given: Selection("auto"),
    "returned a NoneType": lambda *_given: None,
    "gave a int as its reason": lambda *_given: Selection("small", 5),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("default", [None, "small", "large"])
@pytest.mark.parametrize("did", WRONG)
async def test_a_selector_that_fails_leaves_the_default_with_the_reason(
    did: str, default: str | None
) -> None:
    async with made(WRONG[did], default=default) as r:
        told = selected(r)
        await r.chat("auto", "hi")

    (event,) = told
    assert (event.chosen, event.failed) == (default or "small", True)
    assert did in event.reason


def test_a_selector_that_is_late_leaves_the_default_after_its_own_time() -> None:
    async def late(*_given: object) -> str:
        await asyncio.get_running_loop().create_future()
        return "small"

    async def main() -> None:
        async with made(late, default="large", select_within="500ms") as r:
            told, began = selected(r), asyncio.get_running_loop().time()
            reply = await r.chat("auto", "hi")

            assert asyncio.get_running_loop().time() - began == pytest.approx(0.5, abs=1e-4)
            assert (reply.deployment, told[0].failed, told[0].seconds) == (
                "b/x",
                True,
                pytest.approx(0.5, abs=1e-4),
            )
            assert "within 0.5 s" in told[0].reason
            with pytest.raises(DeadlineExceeded, match="`timeout` of 0.1 s"):
                await r.chat("auto", "hi", timeout=0.1)

    run(main())


def test_a_selector_that_keeps_the_loop_to_itself_for_longer_is_late_too() -> None:
    def slow(*_given: object) -> str:
        asyncio.get_running_loop().now += 3.0  # type: ignore[attr-defined]  # and no timer of it rings
        return "small"

    async def main() -> None:
        async with made(slow, default="large", select_within="500ms") as r:
            told = selected(r)
            assert (await r.chat("auto", "hi")).deployment == "b/x"
            assert (told[0].failed, told[0].reason) == (True, "the selector did not pick within 0.5 s")

    run(main())


async def test_the_reason_of_a_selector_steers_no_terminal() -> None:
    async with made(lambda *_given: Selection("small", "\x1b[2Jeasy\n")) as r:
        told = selected(r)
        await r.chat("auto", "hi")

    assert told[0].reason == r"\x1b[2Jeasy\n"


async def test_a_caller_that_is_cancelled_while_the_selector_works_ends_as_cancelled() -> None:
    waiting = asyncio.Event()

    async def late(*_given: object) -> str:
        waiting.set()
        await asyncio.get_running_loop().create_future()
        return "small"

    upstream = Scripted()
    async with made(late, upstream=upstream) as r:
        heard = Heard(r)
        task = asyncio.ensure_future(r.chat("auto", "hi"))
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert [each.result for each in heard.requests] == ["cancelled"]
    assert upstream.calls == []


class Around(PointsmanSpec):
    """The guard `marks`, which writes its model where it comes by, and `knows`, which answers."""

    def __init__(self, seen: list[str]) -> None:
        self._seen = seen

    @hookimpl
    def pointsman_guards(self) -> list[GuardFactory]:
        seen = self._seen

        class Marks(Guard):
            def __init__(self, context: Any) -> None:
                self._at = context.model or "all"

            async def before(self, request: Any, call: Any) -> Any:
                seen.append(f">{self._at} of {call.model}")
                return request

            async def after(self, response: Any, call: Any) -> Any:
                seen.append(f"<{self._at}")
                return replace(response, text=response.text)

        class Knows(Guard):
            async def before(self, request: Any, call: Any) -> Any:
                return Answered(ChatResponse("known"))

        return [GuardFactory("marks", None, Marks), GuardFactory("knows", None, lambda _: Knows())]


async def test_guards_of_all_and_of_the_name_come_before_the_choice_and_those_of_the_chosen_after() -> None:
    seen: list[str] = []

    def choose(*_given: object) -> str:
        seen.append("chosen")
        return "large"

    setting = given(guards=["marks"])
    setting["guards"] = ["marks"]
    setting["models"]["large"]["guards"] = ["marks"]
    setting["models"]["small"]["guards"] = ["marks"]
    async with Router.from_config(setting, plugins=[Scripted(), Picking(choose), Around(seen)]) as r:
        await r.chat("auto", "hi")

    assert seen == [
        *(">all of auto", ">auto of auto", "chosen", ">large of auto"),
        *("<large", "<auto", "<all"),
    ]


async def test_the_chosen_model_s_guard_may_have_the_answer() -> None:
    setting = given()
    setting["models"]["large"]["guards"] = ["knows"]
    upstream = Scripted()
    plugins = [upstream, Picking(lambda *_given: "large"), Around([])]
    async with Router.from_config(setting, plugins=plugins) as r:
        heard = Heard(r)
        reply = await r.chat("auto", "hi")

    assert (reply.text, upstream.calls) == ("known", [])
    assert [(each.result, each.pool) for each in heard.requests] == [("answered", "")]


async def test_the_chosen_model_falls_back_and_retries_as_if_it_had_been_asked_for() -> None:
    setting = given()
    setting["models"]["small"]["fallback"] = ["large"]
    upstream = Scripted()
    upstream.default("a", Unavailable("down"))
    async with Router.from_config(setting, plugins=[upstream, Picking(lambda *_given: "small")]) as r:
        heard = Heard(r)
        reply = await r.chat("auto", "hi")

    assert (reply.deployment, reply.attempts) == ("b/x", 2)
    assert [(each.model, each.pool) for each in heard.requests] == [("auto", "large")]


async def test_what_a_selector_asks_is_booked_to_the_caller_under_its_label() -> None:
    picking: Picking

    async def choose(_request: Any, _candidates: Any, call: SelectorCall) -> str:
        (context,) = picking.contexts
        with pytest.raises(InvalidRequest, match="has a selector itself"):
            await context.ask(call, "auto", "which?")
        said = {"caller": "another", "tags": {"selector": "none", "step": "1"}, "timeout": 3600}
        assert (await context.ask(call, "small", "which?", **said)).text == "large"
        return (await context.ask(call, "small", "which?")).text

    picking = Picking(choose)
    upstream = Scripted()
    upstream.default("a", "large")
    async with Router.from_config(given(), plugins=[upstream, picking]) as r:
        heard = Heard(r)
        reply = await r.chat("auto", "hi", caller="me", tags={f"t{n}": "" for n in range(16)})

    assert reply.deployment == "b/x"
    *asks, own = heard.requests
    for asked in asks:
        booked = asked.model, asked.caller, asked.tags["selector"], len(asked.tags)
        assert booked == ("small", "me", "auto", 16)
    assert (own.model, own.pool, "selector" in own.tags) == ("auto", "large", False)
    (context,) = picking.contexts
    assert (context.model, tuple(context.models), context.default) == ("auto", ("small", "large"), "small")


async def test_what_a_selector_asks_goes_only_where_the_request_may_go() -> None:
    picking: Picking

    async def choose(_request: Any, _candidates: Any, call: SelectorCall) -> str:
        seen.append(call.require)
        (context,) = picking.contexts
        return (await context.ask(call, "small", "which?", require={"size": "s"})).text

    seen: list[Any] = []
    picking, upstream = Picking(choose), Scripted()
    setting = given(default="large")
    setting["providers"]["b"]["labels"] = {"local": True}
    async with Router.from_config(setting, plugins=[upstream, picking]) as r:
        told = selected(r)
        reply = await r.chat("auto", "hi", require={"local": True})

    assert seen == [{"local": ("true",)}]
    assert upstream.count("a") == 0  # it has no such label, so not even the selector may ask it
    assert (reply.deployment, told[0].reason) == ("b/x", "the selector failed: RuleNotMet")


async def test_a_selector_s_model_is_listed_and_can_be_asked_for_as_any_other() -> None:
    async with made(lambda *_given: "small") as r:
        listed = {each.id: each.raw for each in await r.models()}
        results = [each async for each in r.batch([])]

    assert listed["auto"] == {"deployments": [], "of": ["small", "large"]}
    assert results == []


async def test_explaining_asks_no_selector_and_says_what_it_could_pick_and_where_the_default_would_go() -> (
    None
):
    setting = given(default="large", guards=["marks"])
    setting["guards"] = ["marks"]
    setting["models"]["small"]["guards"] = ["knows"]
    plugins = [Scripted(), Picking(raises(AssertionError())), Around([])]
    async with Router.from_config(setting, plugins=plugins) as r:
        r.disable("a/x")
        told, plain = r.explain("auto", "hi").to_dict(), r.explain("small", "hi").to_dict()

    assert told["guards"] == ["marks", "marks"]
    assert told["selector"] == {
        "selector": "picks",
        "default": "large",
        "within": 2.0,
        "candidates": [
            {"model": "small", "ready": False, "guards": ["knows"]},
            {"model": "large", "ready": True, "guards": []},
        ],
    }
    assert (told["model"], told["pick"], [each["model"] for each in told["chain"]]) == (
        "auto",
        "b/x",
        ["large"],
    )
    assert (plain["guards"], "selector" in plain) == (["marks", "knows"], False)


async def test_the_status_says_what_stands_before_each_model() -> None:
    setting = given()
    setting["models"]["small"]["guards"] = ["marks"]
    plugins = [Scripted(), Picking(lambda *_given: "small"), Around([])]
    async with Router.from_config(setting, plugins=plugins) as r:
        status = r.status().to_dict()

    assert {name: each["guards"] for name, each in status["models"].items()} == {
        "small": ["marks"],
        "large": [],
    }
    assert status["selectors"] == {
        "auto": {
            "selector": "picks",
            "of": ["small", "large"],
            "default": "small",
            "within": 2.0,
            "guards": [],
        }
    }


async def test_a_stream_goes_to_the_model_that_the_selector_picks() -> None:
    async with made(lambda *_given: "large") as r:
        heard = Heard(r)
        async with r.stream("auto", "hi") as stream:
            text = "".join([event.text async for event in stream])

    assert (text, stream.response.deployment, stream.deployment) == ("ok", "b/x", "b/x")
    assert [(each.model, each.pool, each.operation) for each in heard.requests] == [
        ("auto", "large", "stream")
    ]


async def test_a_reload_keeps_a_selector_that_stays_what_it_is() -> None:
    class Counts(Selector):
        def __init__(self) -> None:
            self._seen = 0

        async def choose(self, request: Any, candidates: Any, call: Any, /) -> Selection:
            self._seen += 1
            return Selection("small", str(self._seen))

    class Plugin(PointsmanSpec):
        @hookimpl
        def pointsman_selectors(self) -> list[SelectorFactory]:
            return [SelectorFactory("picks", None, lambda _context: Counts())]

    async with Router.from_config(given(), plugins=[Scripted(), Plugin()]) as r:
        told = selected(r)
        await r.chat("auto", "hi")
        await r.reload(given(select_within="1s"))
        await r.chat("auto", "hi")
        await r.reload(given(of=["small"]))
        await r.chat("auto", "hi")

    assert [each.reason for each in told] == ["1", "2", "1"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"of": []}, "models.auto.of: a selector needs at least one model to pick"),
        ({"of": ["small", "larg"]}, "models.auto.of[1]: no model is named 'larg'; did you mean 'large'?"),
        ({"of": ["small", "small"]}, "models.auto.of[1]: 'small' is listed twice"),
        ({"of": ["small", "auto"]}, "models.auto.of[1]: the selectors form a circle: auto → auto"),
        ({"default": "smal"}, "models.auto.default: 'smal' is none of the models under `of`"),
        ({"deployments": ["a/x"]}, "models.auto.deployments: has no place beside a `selector`"),
        ({"strategy": "round_robin"}, "models.auto.strategy: has no place beside a `selector`"),
        ({"require": {"local": True}}, "models.auto.require: has no place beside a `selector`"),
        ({"timeouts": {"idle": "1s"}}, "models.auto.timeouts.idle: has no place beside a `selector`"),
        ({"selector": "nobody"}, "no plugin offers selector 'nobody'"),
        ({"selector": {"type": "picks", "x": 1}}, "picks takes no settings"),
        ({"select_within": 0}, "models.auto.select_within: must be above 0"),
        ({"guards": ["nobody"]}, "no plugin offers guard 'nobody'"),
        ({"guards": [{"type": "marks", "on_error": "alow"}]}, "models.auto.guards[0].on_error"),
        ({"guards": [{"type": "marks", "on_eror": "allow"}]}, "marks takes no settings"),
    ],
)
def test_what_cannot_be_right_about_a_selector_is_said_with_its_place(changes: Any, said: str) -> None:
    plugins = [Scripted(), Picking(lambda *_given: "small"), Around([])]
    with pytest.raises(ConfigError) as caught:
        Router.check(given(**changes), plugins=plugins)

    assert said in str(caught.value)


def test_selectors_in_a_circle_or_in_a_fallback_and_keys_without_one_are_refused() -> None:
    setting = given(of=["small", "other"])
    setting["models"]["other"] = {"selector": "picks", "of": ["auto"]}
    setting["models"]["third"] = {"selector": "picks", "of": ["other"]}
    setting["models"]["small"] |= {"fallback": ["auto"], "of": ["large"], "default": "large"}
    with pytest.raises(ConfigError) as caught:
        Router.check(setting, plugins=[Scripted(), Picking(lambda *_given: "small")])

    said = str(caught.value)
    assert "models.auto.of[1]: the selectors form a circle: auto → other → auto" in said
    assert "models.third.of[0]: 'other' has a selector itself" in said
    assert "models.small.fallback[0]: 'auto' has a selector" in said
    assert "models.small.of: does nothing without a `selector`" in said
    assert "models.small.default: does nothing without a `selector`" in said
