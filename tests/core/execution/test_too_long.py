"""What is certainly too long for a deployment is not sent there, and goes where a fallback takes it."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given as law
from hypothesis import strategies as st
from routers import config

from pointsman import (
    AttemptEnded,
    ContextWindowExceeded,
    Image,
    Message,
    RequestEnded,
    Router,
    Text,
    Tool,
    Unavailable,
)
from pointsman.plugin import ChatRequest, EmbedRequest, GenerateRequest, Original
from pointsman.requests.call_options import CallOptions
from pointsman.requests.parsing import chat_request
from pointsman.resilience.token_estimate import input_estimate, least_tokens
from pointsman.testing import Scripted

FITS, LONG = "x" * 807, "x" * 808
"""For a window of 100 tokens: 8 characters to each, and the rest of one more."""


LATER = {"provider": "b", "model": "y", "priority": 1}


def small(provider: str = "a", window: int = 100) -> dict[str, Any]:
    return {"provider": provider, "model": "x", "context_window": window}


def given(*deployments: Any, **changes: Any) -> dict[str, Any]:
    made = config("abc", **changes)
    made["models"]["m"] = {"deployments": list(deployments)}
    return made


def sent(upstream: Scripted) -> list[str]:
    """Who was called, in order."""
    return [f"{provider}/{call.model}" for provider, _request, call in upstream.calls]


async def called(setting: dict[str, Any], text: str, upstream: Scripted | None = None) -> list[str]:
    """Who was called by a chat with that text, in order."""
    upstream = upstream or Scripted()
    async with Router.from_config(setting, plugins=[upstream]) as router:
        await router.chat("m", text)
    return sent(upstream)


async def test_what_may_fit_is_sent() -> None:
    assert await called(given(small()), FITS) == ["a/x"]


async def test_what_is_certainly_too_long_ends_without_a_call() -> None:
    upstream = Scripted()

    async with Router.from_config(given(small()), plugins=[upstream]) as router:
        with pytest.raises(ContextWindowExceeded) as error:
            await router.chat("m", LONG)

    assert upstream.calls == []
    assert "at least 101 tokens, and the context window of a/x is 100" in error.value.message
    assert (error.value.code, error.value.attempts, error.value.deployment) == (
        "context_window_exceeded",
        0,
        "a/x",
    )


@pytest.mark.parametrize("unsupported", ["refuse", "drop"])
async def test_its_caller_gets_the_very_error_that_an_upstream_would_have_told(unsupported: str) -> None:
    setting = given(small("a"), small("b"))
    setting["models"]["m"] |= {
        "unsupported": unsupported,
        "fallback": [{"to": "big", "on": ["context_window"]}],
    }
    setting["models"]["big"] = {"deployments": [small("c")]}
    told: list[Any] = []

    async def streamed(router: Router) -> None:
        async with router.stream("m", LONG):
            pass

    async with Router.from_config(setting, plugins=[Scripted()]) as router:
        router.listen(told.append, kinds=[AttemptEnded, RequestEnded])
        for call in (
            lambda: router.chat("m", LONG, seed=1),
            lambda: router.chat("m", LONG, fallbacks=()),
            lambda: router.embed("m", ["short", LONG]),
            lambda: streamed(router),
        ):
            with pytest.raises(ContextWindowExceeded) as error:
                await call()
            assert type(error.value) is ContextWindowExceeded
            assert pickle.loads(pickle.dumps(error.value)).message == error.value.message
            assert error.value.attempts == 0
            assert error.value.deployment in error.value.message
            assert error.value.request_id == told[-1].request_id

    assert {each.error for each in told} == {"context_window_exceeded"}


async def test_another_deployment_of_the_model_takes_it() -> None:
    assert await called(given(small("a"), LATER), LONG) == ["b/y"]
    assert await called(given(small("a"), small("b", 101)), LONG) == ["b/x"]


async def test_a_window_that_is_only_known_refuses_nothing() -> None:
    setting = config("a", prices=["shipped"])
    setting["providers"]["a"] = {"type": "scripted", "base_url": "https://api.openai.com/v1"}
    setting["models"]["m"] = {"deployments": ["a/gpt-4"]}  # 8,192

    assert await called(setting, "x" * 80_000) == ["a/gpt-4"]


@pytest.mark.parametrize("on", [["context_window"], ["context_window", "unavailable"]])
async def test_a_fallback_for_long_prompts_follows(on: list[str]) -> None:
    setting = given(small("a"), small("b"))
    setting["models"]["m"]["fallback"] = [{"to": "big", "on": on}]
    setting["models"]["big"] = {"deployments": ["c/z"]}

    assert await called(setting, LONG) == ["c/z"]
    assert await called(setting, FITS) in (["a/x"], ["b/x"])


async def test_a_fallback_for_what_is_unavailable_alone_does_not_follow() -> None:
    setting = given(small())
    setting["models"]["m"]["fallback"] = [{"to": "big", "on": ["unavailable"]}]
    setting["models"]["big"] = {"deployments": ["c/z"]}

    with pytest.raises(ContextWindowExceeded):
        await called(setting, LONG)


async def test_a_failure_beside_it_leads_to_the_fallback_for_failures() -> None:
    upstream = Scripted()
    upstream.default("b", Unavailable("down"))
    setting = given(small("a"), LATER, retry="none")
    setting["models"]["m"]["fallback"] = [{"to": "big", "on": ["unavailable"]}]
    setting["models"]["big"] = {"deployments": ["c/z"]}
    setting["retry"] = {"type": "exponential", "attempts": 3, "base_delay": "1ms"}

    assert (await called(setting, LONG, upstream))[-1] == "c/z"


async def test_it_costs_no_attempt_and_says_so_in_its_events() -> None:
    told: list[Any] = []

    async with Router.from_config(given(small("a"), LATER), plugins=[Scripted()]) as router:
        router.listen(told.append, kinds=[AttemptEnded, RequestEnded])
        reply = await router.chat("m", LONG)
        state = router.status().models["m"].deployments["a/x"]

    assert (reply.deployment, reply.attempts) == ("b/y", 1)
    passed, taken, ended = told
    assert (passed.deployment, passed.outcome, passed.error) == (
        "a/x",
        "client_fault",
        "context_window_exceeded",
    )
    assert (taken.deployment, taken.outcome, ended.attempts) == ("b/y", "ok", 1)
    assert (state.breaker.state, state.in_flight) == ("closed", 0)


async def test_a_stream_goes_elsewhere_too() -> None:
    upstream = Scripted()

    async with Router.from_config(given(small("a"), LATER), plugins=[upstream]) as router:
        async with router.stream("m", LONG) as stream:
            events = [event async for event in stream]
        with pytest.raises(ContextWindowExceeded):
            async with router.stream("a/x", LONG) as stream:
                _ = [event async for event in stream]

    assert events
    assert sent(upstream) == ["b/y"]


async def test_what_goes_on_as_it_was_written_is_looked_at_too() -> None:
    upstream = Scripted()
    original = Original("openai.chat", b"{}", ChatRequest("m", (Message.user(LONG),)))

    async with Router.from_config(given(small("a"), LATER), plugins=[upstream]) as router:
        await router.chat("m", LONG, call_options=CallOptions(original=original))
        async with router.stream("m", LONG, call_options=CallOptions(original=original)) as stream:
            _ = [event async for event in stream]

    assert sent(upstream) == ["b/y", "b/y"]


async def test_each_text_that_is_embedded_has_the_window_to_itself() -> None:
    async with Router.from_config(given(small()), plugins=[Scripted()]) as router:
        answer = await router.embed("m", [FITS, FITS, FITS])
        with pytest.raises(ContextWindowExceeded):
            await router.embed("m", ["short", LONG])

    assert len(answer.vectors) == 3


async def test_completions_count_their_prompt_and_system() -> None:
    async with Router.from_config(given(small()), plugins=[Scripted()]) as router:
        assert (await router.generate("m", FITS)).text
        with pytest.raises(ContextWindowExceeded):
            await router.generate("m", FITS, system="x")


# ── how long a request is at least ───────────────────────────────────────────────────────────────────


@law(st.lists(st.text(max_size=200), min_size=1, max_size=5))
def test_the_least_is_never_more_than_the_estimate(texts: list[str]) -> None:
    messages = [Message.user(each) for each in texts]

    for request in (
        chat_request("m", messages, {}),
        chat_request("m", [{"role": "user", "content": each} for each in texts], {}),
        EmbedRequest("m", tuple(texts)),
        GenerateRequest("m", texts[0], system=texts[-1]),
    ):
        assert least_tokens(request) <= input_estimate(request)


def test_what_nobody_can_count_is_left_out() -> None:
    picture = Image(data=b"x" * 100_000, media_type="image/png")
    tool = Tool("look", "x" * 10_000, {"type": "object"})
    request = ChatRequest("m", (Message.user([Text("x" * 80), picture]),), tools=(tool,))

    assert least_tokens(request) == 10


def test_it_is_the_same_for_texts_alone_and_for_messages() -> None:
    texts = chat_request("m", [{"role": "user", "content": "x" * 800}], {})

    assert least_tokens(texts) == least_tokens(ChatRequest("m", (Message.user("x" * 800),))) == 100
