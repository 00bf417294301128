"""Options that nobody can do are left out of requests for models with `unsupported: drop`."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from routers import Heard, config, in_flight, router

from pointsman.errors import CallError, InvalidRequest, Unavailable, Unsupported
from pointsman.execution.dropping import DROPPABLE
from pointsman.requests.options import OPTIONS_OF
from pointsman.testing import Scripted, run
from pointsman.testing.scripted import Step
from pointsman.types import ChatRequest, ChatResponse

TOOLS = [{"name": "f"}]


def cannot(*fields: str, at_once: bool = True, words: tuple[str, ...] | None = None) -> Step:
    """Refuses what a request says of these, all of it at once or one after the other; answers what is left."""

    def step(request: Any, _call: Any) -> Step:
        said = [name for name in fields if getattr(request, name) not in (None, ())]
        if not said:
            return "ok"
        return Unsupported("cannot", fields=words if words is not None else said if at_once else said[:1])

    return step


def given_for(names: str, unsupported: str = "drop", **model: Any) -> dict[str, Any]:
    found = config(names, retry="none")
    found["models"]["m"] |= {"unsupported": unsupported, **model}
    return found


def chat(
    upstream: Scripted, given: dict[str, Any], *, stream: bool = False, **options: Any
) -> ChatResponse | str:
    """The answer, or the code of the error."""

    async def main() -> ChatResponse | str:
        async with router(upstream, given) as r:
            try:
                if not stream:
                    return await r.chat("m", "hi", **options)
                async with r.stream("m", "hi", **options) as events:
                    early = events.dropped
                    async for _ in events:
                        pass
                    assert events.dropped == events.response.dropped == early
                    return events.response
            except CallError as error:
                assert error.attempts == 0
                return error.code
            finally:
                assert in_flight(r) == 0

    return run(main())


def asked(upstream: Scripted, *names: str) -> list[tuple[Any, ...]]:
    """Which provider was asked, and what of these options."""
    return [(who, *(getattr(request, name) for name in names)) for who, request, _ in upstream.calls]


@pytest.mark.parametrize("stream", [False, True])
def test_what_the_one_deployment_cannot_do_is_left_out_and_said(stream: bool) -> None:
    upstream = Scripted()
    upstream.default("a", cannot("seed", "temperature"))

    reply = chat(upstream, given_for("a"), stream=stream, seed=1, temperature=0, top_p=0.5)

    assert isinstance(reply, ChatResponse)
    assert (reply.text, reply.dropped, reply.attempts) == ("ok", ("temperature", "seed"), 1)
    assert asked(upstream, "temperature", "seed", "top_p") == [("a", 0, 1, 0.5), ("a", None, None, 0.5)]


def test_a_call_that_succeeds_at_once_leaves_nothing_out() -> None:
    reply = chat(Scripted(), given_for("a"), seed=1)

    assert isinstance(reply, ChatResponse)
    assert reply.dropped == ()


def test_without_it_the_request_is_refused() -> None:
    upstream = Scripted()
    upstream.default("a", cannot("seed"))

    assert chat(upstream, given_for("a", "refuse"), seed=1) == "unsupported"
    assert len(upstream.calls) == 1


def test_whoever_can_do_all_of_it_comes_first_a_fallback_too() -> None:
    given = given_for("abc", fallback=["n"])
    given["models"] = {
        "m": {**given["models"]["m"], "deployments": ["a/x", "b/x"]},
        "n": {"deployments": ["c/x"]},
    }
    upstream = Scripted()
    upstream.default("a", cannot("seed"))
    upstream.default("b", cannot("seed"))

    reply = chat(upstream, given, seed=1)

    assert isinstance(reply, ChatResponse)
    assert (reply.deployment, reply.dropped) == ("c/x", ())
    assert sorted(asked(upstream, "seed")) == [("a", 1), ("b", 1), ("c", 1)]


def test_each_is_asked_for_all_that_it_can_do() -> None:
    upstream = Scripted()
    upstream.default("a", cannot("seed"))
    upstream.default("b", cannot("top_k"))
    given = given_for("ab", deployments=["a/x", {"provider": "b", "model": "x", "priority": 1}])

    reply = chat(upstream, given, seed=1, top_k=2)

    assert isinstance(reply, ChatResponse)
    assert (reply.deployment, reply.dropped) == ("a/x", ("seed",))
    assert asked(upstream, "seed", "top_k") == [("a", 1, 2), ("b", 1, 2), ("a", None, 2)]


def test_one_that_tells_one_option_at_a_time_is_asked_until_it_has_told_all() -> None:
    upstream = Scripted()
    upstream.default("a", cannot("seed", "top_k", "user", at_once=False))

    reply = chat(upstream, given_for("a"), seed=1, top_k=2, user="u")

    assert isinstance(reply, ChatResponse)
    assert reply.dropped == ("top_k", "seed", "user")
    assert len(upstream.calls) == 4


@pytest.mark.parametrize(
    ("fields", "words", "options"),
    [
        (("tools",), None, {"tools": TOOLS}),
        (("max_tokens",), None, {"max_tokens": 1}),
        (("stop",), None, {"stop": ["x"]}),
        (("response_format",), None, {"response_format": "json"}),
        (("seed", "tools"), None, {"seed": 1, "tools": TOOLS}),
        (("seed",), (), {"seed": 1}),
        (("seed",), ("novelty",), {"seed": 1}),
        (("seed",), ("temperature",), {"seed": 1}),
        (("seed",), ("temperature",), {"seed": 1, "temperature": 1}),
    ],
)
def test_what_would_not_help_or_change_what_is_asked_for_is_refused(
    fields: tuple[str, ...], words: tuple[str, ...] | None, options: dict[str, Any]
) -> None:
    upstream = Scripted()
    upstream.default("a", cannot(*fields, words=words))

    assert chat(upstream, given_for("a"), **options) == "unsupported"


def test_a_default_may_go_and_what_is_forced_stays() -> None:
    upstream = Scripted()
    upstream.default("a", cannot("seed"))

    with_default = chat(upstream, given_for("a", defaults={"seed": 1}))
    forced = chat(upstream, given_for("a", forced={"seed": 1}), seed=2)

    assert isinstance(with_default, ChatResponse)
    assert (with_default.dropped, forced) == (("seed",), "unsupported")


def test_logprobs_go_together() -> None:
    upstream = Scripted()
    upstream.default("a", cannot("logprobs"))

    reply = chat(upstream, given_for("a"), logprobs=True, top_logprobs=2)

    assert isinstance(reply, ChatResponse)
    assert reply.dropped == ("logprobs", "top_logprobs")


def test_the_model_that_is_asked_for_says_so_for_its_fallbacks_too() -> None:
    given = given_for("ab", fallback=["n"])
    given["models"] = {"m": {**given["models"]["m"], "deployments": ["a/x"]}, "n": {"deployments": ["b/x"]}}
    upstream = Scripted()
    upstream.default("a", Unavailable("down"))
    upstream.default("b", cannot("seed"))
    given["retry"] = {"type": "exponential", "attempts": 2}

    reply = chat(upstream, given, seed=1)

    assert isinstance(reply, ChatResponse)
    assert (reply.deployment, reply.dropped) == ("b/x", ("seed",))


def test_a_failure_after_that_is_retried_without_it_too() -> None:
    upstream = Scripted()
    refuses = cannot("seed")
    upstream.script("a", refuses, Unavailable("down"))
    upstream.default("a", refuses)
    given = given_for("a")
    given["retry"] = "exponential"

    reply = chat(upstream, given, seed=1)

    assert isinstance(reply, ChatResponse)
    assert (reply.dropped, reply.attempts) == (("seed",), 2)
    assert asked(upstream, "seed") == [("a", 1), ("a", None), ("a", None)]


def test_another_error_after_that_is_the_one_that_counts() -> None:
    upstream = Scripted()
    upstream.script("a", cannot("seed"), InvalidRequest("no"))

    async def main() -> str:
        async with router(upstream, given_for("a")) as r:
            with pytest.raises(InvalidRequest) as caught:
                await r.chat("m", "hi", seed=1)
            return caught.value.code

    assert run(main()) == "invalid_request"


def test_every_round_is_told_as_attempts_and_the_request_once() -> None:
    upstream = Scripted()
    upstream.default("a", cannot("seed"))

    async def main() -> tuple[list[str], list[str]]:
        async with router(upstream, given_for("a")) as r:
            heard = Heard(r)
            await r.chat("m", "hi", seed=1)
            return [each.outcome.value for each in heard.attempts], [each.result for each in heard.requests]

    assert run(main()) == (["client_fault", "ok"], ["ok"])


def test_only_options_of_requests_may_go() -> None:
    assert set(OPTIONS_OF[ChatRequest]) >= DROPPABLE
    assert not DROPPABLE & {"tools", "tool_choice", "response_format", "max_tokens", "stop", "extra"}


SOME = {"seed": st.just(1), "top_k": st.just(2), "user": st.just("u"), "max_tokens": st.just(3)}
refused = st.lists(st.sampled_from(sorted(SOME)), max_size=4, unique=True)


@settings(deadline=None, max_examples=40)
@given(st.fixed_dictionaries({}, optional=SOME), refused, refused, st.booleans())
def test_an_answer_comes_exactly_where_somebody_can_do_all_that_must_stay(
    options: dict[str, Any], of_a: list[str], of_b: list[str], at_once: bool
) -> None:
    upstream = Scripted()
    upstream.default("a", cannot(*of_a, at_once=at_once))
    upstream.default("b", cannot(*of_b, at_once=at_once))

    reply = chat(upstream, given_for("ab"), **options)

    can = [each for each in (of_a, of_b) if "max_tokens" not in each or "max_tokens" not in options]
    assert isinstance(reply, ChatResponse) == bool(can)
    if isinstance(reply, ChatResponse):
        lacks = of_a if reply.deployment == "a/x" else of_b
        assert set(reply.dropped) == set(lacks) & options.keys()
        assert not (reply.dropped and any(not set(each) & options.keys() for each in can))


@pytest.mark.parametrize(("status", "answered"), [(None, 2), (400, 1)])
def test_a_refusal_counts_as_a_request_where_the_upstream_was_asked(
    status: int | None, answered: int
) -> None:
    upstream = Scripted()
    upstream.script("a", Unsupported("no such option", status=status))
    given = config("a", retry="none", queue=None)
    given["models"]["m"]["deployments"] = [
        {"provider": "a", "model": "x", "limits": {"requests": "2/min", "burst_requests": 2}}
    ]

    async def main() -> list[str]:
        ends = []
        async with router(upstream, given) as r:
            for _ in range(4):
                try:
                    ends.append((await r.chat("m", "hi")).text)
                except CallError as error:
                    ends.append(error.code)
        return ends

    assert run(main()) == ["unsupported", *["ok"] * answered, *["no_deployment_available"] * (3 - answered)]
