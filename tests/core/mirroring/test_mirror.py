"""Copies of requests to another model: when they are made, what they may not touch, what is told of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from routers import Heard, config

from pointsman import (
    ChatResponse,
    ConfigError,
    Message,
    Mirrored,
    Overloaded,
    RequestEnded,
    Router,
    Unavailable,
    Unsupported,
    Usage,
    replace,
)
from pointsman.plugin import Answered, Guard, GuardFactory, PointsmanSpec, hookimpl
from pointsman.testing import Scripted, ScriptedAnswer, run

PRICE = {"input": 1, "output": 2}


def mirrored(mirror: dict[str, Any], **more: Any) -> dict[str, Any]:
    """`assistant` at `a`, mirrored to `candidate` at `b`."""
    candidate = {"provider": "b", "model": "m", **more.pop("deployment", {})}
    retry = {"retry": more.pop("retry")} if "retry" in more else {}
    models = {
        "assistant": {"deployments": ["a/m"], "mirror": {"to": "candidate", "share": 1, **mirror}, **more},
        "candidate": {"deployments": [candidate]},
    }
    return config("ab", models=models, **retry)


async def settled(_router: Router) -> None:
    """Return when no copy is under way."""
    while copies := [each for each in asyncio.all_tasks() if "Mirror._make" in repr(each)]:
        await asyncio.wait(copies)


def test_a_copy_goes_out_once_the_caller_has_its_answer() -> None:
    async def main() -> None:
        upstream = Scripted()
        upstream.script("a", ScriptedAnswer("from a", after=1))
        upstream.script("b", ScriptedAnswer("from b", after=5))
        async with Router.from_config(mirrored({}), plugins=[upstream]) as router:
            loop = asyncio.get_running_loop()
            reply = await router.chat("assistant", "hello")
            assert (reply.text, loop.time()) == ("from a", pytest.approx(1, abs=0.01))
            assert upstream.count("b") == 0
            await settled(router)
            assert loop.time() == pytest.approx(6, abs=0.01)
            told = router.status().models["assistant"].mirror
            assert told is not None
            assert (told.compared, told.same_finish) == (1, 1)
            assert told.asked.total_ms["p50"] == pytest.approx(1000, rel=0.06)
            assert told.copies.total_ms["p50"] == pytest.approx(5000, rel=0.06)
            asked = upstream.calls[1][1]
            assert asked.messages == upstream.calls[0][1].messages

    run(main())


@pytest.mark.parametrize("operation", ["chat", "stream", "generate", "embed"])
def test_whatever_is_asked_is_copied_as_that(operation: str) -> None:
    async def main() -> None:
        upstream, told = Scripted(), []
        async with Router.from_config(mirrored({}), plugins=[upstream]) as router:
            router.listen(told.append, kinds=[Mirrored])
            if operation == "stream":
                async with router.stream("assistant", "hello") as stream:
                    async for _ in stream:
                        pass
            else:
                await getattr(router, operation)("assistant", "hello")
            await settled(router)
        assert [each[0] for each in upstream.calls] == ["a", "b"]
        assert [(each.operation, each.result) for each in told] == [(operation, "ok")]

    run(main())


def test_only_the_copy_is_told_of_as_a_copy() -> None:
    """So that no caller pays for it, and nothing is counted twice."""

    async def main() -> None:
        upstream = Scripted()
        upstream.script("b", Unavailable("down"))
        async with Router.from_config(mirrored({}), plugins=[upstream]) as router:
            heard = Heard(router)
            reply = await router.chat("assistant", "hello", caller="alice")
            await settled(router)
        assert [type(each).__name__ for each in heard.events] == ["AttemptEnded", "RequestEnded", "Mirrored"]
        copy = heard.events[2]
        assert isinstance(copy, Mirrored)
        assert (copy.request_id, copy.to, copy.deployment) == (reply.request_id, "candidate", "b/m")
        assert (copy.result, copy.error, copy.asked_deployment) == ("error", "unavailable", "a/m")

    run(main())


def test_a_copy_is_one_attempt_and_leaves_the_books_of_callers_alone() -> None:
    async def main() -> None:
        upstream = Scripted()
        upstream.default("b", Overloaded("full", retry_after=60.0))
        async with Router.from_config(mirrored({}), plugins=[upstream]) as router:
            for _ in range(20):
                await router.chat("assistant", "hello")
                await settled(router)
            books = router.status().models["candidate"].deployments["b/m"]
            assert (books.blocked, books.last_error, books.in_flight) == (None, None, 0)
            assert sum(books.outcomes.values()) == 0
            told = router.status().models["assistant"].mirror
            assert told is not None
            # After the first the upstream is left alone for as long as it said.
            assert (dict(told.failed), dict(told.left_out)) == ({"overloaded": 1}, {"unready": 19})
            assert upstream.count("b") == 1
            await router.chat("candidate", "and callers still get through to it, or hear why")

    with pytest.raises(Overloaded):
        run(main())


def test_half_of_the_places_are_kept_for_callers() -> None:
    async def main() -> None:
        upstream = Scripted()
        upstream.default("b", ScriptedAnswer(after=10))
        document = mirrored({}, deployment={"max_in_flight": 4})
        async with Router.from_config(document, plugins=[upstream]) as router:
            for _ in range(4):
                await router.chat("assistant", "hello")
            await asyncio.sleep(1)
            assert upstream.in_flight["b"] == 2
            callers = [asyncio.ensure_future(router.chat("candidate", "hello")) for _ in range(4)]
            await asyncio.sleep(1)
            # The places are theirs: no copy keeps a caller waiting.
            assert upstream.in_flight["b"] == 6
            await asyncio.gather(*callers)
            await settled(router)
            told = router.status().models["assistant"].mirror
            assert told is not None
            assert dict(told.left_out) == {"unready": 2}

    run(main())


def test_of_many_requests_about_the_share_is_copied() -> None:
    async def main() -> None:
        upstream = Scripted()
        document = mirrored({"share": "5%", "max_in_flight": 100})
        async with Router.from_config(document, plugins=[upstream]) as router:
            for _ in range(2000):
                await router.chat("assistant", "hello")
            await settled(router)
        # 100 on the average, with a deviation of 9.7.
        assert 50 < upstream.count("b") < 150

    run(main())


def test_no_more_is_spent_than_the_budget_with_many_at_once() -> None:
    """A copy of 1000 and 1000 tokens costs 0.3 cents; 10 cents are for 33 of them, and each is bounded."""

    async def main() -> None:
        upstream = Scripted()
        usage = Usage(prompt=1000, completion=1000)
        for name in ("a", "b"):
            upstream.default(name, ScriptedAnswer(after=1, usage=usage))
        mirror = {"budget": "0.10 USD/day", "max_in_flight": 200}
        document = mirrored(mirror, deployment={"price": PRICE})
        async with Router.from_config(document, plugins=[upstream]) as router:
            for _ in range(5):
                await asyncio.gather(*(router.chat("assistant", "hello") for _ in range(200)))
                await settled(router)
            told = router.status().models["assistant"].mirror
            assert told is not None
            assert told.budget_left_microcents is not None
            assert told.budget_left_microcents >= 0
            assert told.copies.cost_microcents == 10_000_000 - told.budget_left_microcents
            assert 20 <= told.compared <= 33
            assert told.left_out["budget"] == 1000 - told.compared
            assert all(asked.max_tokens == 4000 for name, asked, _ in upstream.calls if name == "b")

    run(main())


def test_a_reload_keeps_what_was_spent_and_counted() -> None:
    async def main() -> None:
        upstream = Scripted()
        document = mirrored({"budget": "1 USD/day"}, deployment={"price": {**PRICE, "request": 0.5}})
        async with Router.from_config(document, plugins=[upstream]) as router:
            await router.chat("assistant", "hello")
            await settled(router)
            await router.reload(
                mirrored({"budget": "0.6 USD/day"}, deployment={"price": {**PRICE, "request": 0.5}})
            )
            await router.chat("assistant", "hello")
            await settled(router)
            told = router.status().models["assistant"].mirror
            assert told is not None
            assert (told.compared, dict(told.left_out)) == (1, {"budget": 1})

    run(main())


def test_what_may_not_leave_the_house_is_not_copied_out_of_it() -> None:
    async def main() -> None:
        upstream = Scripted()
        document = mirrored({})
        document["models"]["assistant"]["deployments"] = [
            {"provider": "a", "model": "m", "labels": {"local": True}}
        ]
        async with Router.from_config(document, plugins=[upstream]) as router:
            await router.chat("assistant", "hello", require={"local": True})
            await router.chat("assistant", "hello")
            await settled(router)
            told = router.status().models["assistant"].mirror
            assert told is not None
            assert (told.compared, dict(told.left_out)) == (1, {"rule": 1})

    run(main())


class Redacts(Guard):
    """Takes the word `secret` out, or answers what asks for the time."""

    async def before(self, request: Any, call: Any, /) -> Any:
        if request.messages[-1].text == "time?":
            return Answered(ChatResponse("noon"))
        return replace(
            request, messages=[Message("user", request.messages[-1].text.replace("secret", "***"))]
        )


class Redacting(PointsmanSpec):
    @hookimpl
    def pointsman_guards(self) -> list[GuardFactory]:
        return [GuardFactory("redacts", None, lambda _context: Redacts())]


def test_a_copy_is_of_what_the_guards_let_through() -> None:
    async def main() -> None:
        upstream = Scripted()
        plugins = [upstream, Redacting()]
        async with Router.from_config(mirrored({}, guards=["redacts"]), plugins=plugins) as router:
            await router.chat("assistant", "my secret")
            await router.chat("assistant", "time?")
            await settled(router)
        assert [each[1].messages[-1].text for each in upstream.calls] == ["my ***", "my ***"]

    run(main())


def test_nobody_waits_for_copies_at_the_end() -> None:
    async def main() -> None:
        upstream = Scripted()
        upstream.script("b", ScriptedAnswer(after=100))
        router = Router.from_config(mirrored({}), plugins=[upstream])
        async with router:
            await router.chat("assistant", "hello")
            await asyncio.sleep(1)
            before = asyncio.get_running_loop().time()
            assert await router.shutdown(grace=30)
            assert asyncio.get_running_loop().time() - before < 0.1
        assert (upstream.in_flight["b"], upstream.aborted["b"]) == (0, 1)
        told = router.status().models["assistant"].mirror
        assert told is not None
        assert dict(told.failed) == {"cancelled": 1}

    run(main())


def test_only_answered_requests_are_copied() -> None:
    async def main() -> None:
        upstream = Scripted()
        upstream.default("a", Unavailable("down"))
        document = mirrored({}, retry="none")
        async with Router.from_config(document, plugins=[upstream]) as router:
            with pytest.raises(Unavailable):
                await router.chat("assistant", "hello")
            stream = router.stream("assistant", "hello")
            with pytest.raises(Unavailable):
                await stream.__aenter__()
        assert Counter(each[0] for each in upstream.calls) == {"a": 2}

    run(main())


def test_what_the_caller_is_told_is_its_own() -> None:
    async def main() -> None:
        upstream, ended = Scripted(), []
        document = mirrored({}, deployment={"price": {**PRICE, "request": 1}})
        async with Router.from_config(document, plugins=[upstream]) as router:
            router.listen(ended.append, kinds=[RequestEnded])
            reply = await router.chat("assistant", "hello", caller="alice")
            await settled(router)
        assert (reply.cost_microcents, reply.deployment, reply.attempts) == (None, "a/m", 1)
        assert [(each.caller, each.cost_microcents) for each in ended] == [("alice", None)]

    run(main())


@pytest.mark.parametrize(
    ("mirror", "said"),
    [
        ({"to": "candidte"}, "did you mean 'candidate'"),
        ({"to": "assistant"}, "cannot be mirrored to itself"),
        ({"share": "150%"}, "a percentage"),
        ({"share": 0}, "above 0"),
        ({"budget": "2/day"}, "'2 USD/day'"),
        ({"budget": "2 USD/week"}, "'2 USD/day'"),
        ({"budget": "2 USD/day"}, "nobody knows what a call of b/m costs"),
        ({"max_in_flight": 0}, "1 or more"),
        ({"shares": 0.1}, "unknown key 'shares'"),
    ],
)
def test_what_cannot_be_is_refused(mirror: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Router.from_config(mirrored(mirror), plugins=[Scripted()])


def test_a_candidate_with_guards_of_its_own_is_refused_where_copies_would_miss_them() -> None:
    document = mirrored({})
    document["models"]["candidate"]["guards"] = ["redacts"]
    with pytest.raises(ConfigError, match=r"miss the guards of 'candidate' \(redacts\)"):
        Router.from_config(document, plugins=[Scripted(), Redacting()])
    document["models"]["assistant"]["guards"] = ["redacts"]
    Router.from_config(document, plugins=[Scripted(), Redacting()])


def test_the_other_model_may_be_one_that_is_found_later() -> None:
    document = mirrored({"to": "found-later"})
    document["providers"]["b"]["models"] = "discover"
    Router.from_config(document, plugins=[Scripted()])


def test_a_copy_with_an_option_that_the_other_model_cannot_do_is_left_out_as_that() -> None:
    async def main() -> None:
        upstream = Scripted()
        upstream.default("b", Unsupported("no temperature here", fields=("temperature",)))
        async with Router.from_config(mirrored({}), plugins=[upstream]) as router:
            await router.chat("assistant", "hello", temperature=0.5)
            await settled(router)
            told = router.status().models["assistant"].mirror
            assert told is not None
            assert dict(told.left_out) == {"option": 1}

    run(main())


def test_another_model_to_mirror_to_spends_on_the_same_budget() -> None:
    async def main() -> None:
        price = {"price": {**PRICE, "request": 0.5}}
        document = mirrored({"budget": "0.6 USD/day"}, deployment=price)
        document["models"]["other"] = {"deployments": [{"provider": "b", "model": "o", **price}]}
        async with Router.from_config(document, plugins=[Scripted()]) as router:
            await router.chat("assistant", "hello")
            await settled(router)
            document["models"]["assistant"]["mirror"]["to"] = "other"
            await router.reload(document)
            await router.chat("assistant", "hello")
            await settled(router)
            told = router.status().models["assistant"].mirror
            assert told is not None
            assert (told.compared, dict(told.left_out)) == (0, {"budget": 1})

    run(main())
