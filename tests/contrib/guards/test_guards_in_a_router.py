"""The four guards where they work: around the requests of a router, named in its configuration."""

from __future__ import annotations

from typing import Any

import pytest

from pointsman import ConfigError, MidStreamError, Refused, RequestEnded, Router
from pointsman.testing import Scripted, ScriptedAnswer
from pointsman_guards.contracts import OfCache, OfRedact, OfSize, OfWords

KEY = "sk-" + "a1B2" * 6
MAIL = "anna@example.org"


def config(*guards: Any, **model: Any) -> dict[str, Any]:
    return {
        "providers": {"a": {"type": "scripted"}},
        "models": {"m": {"deployments": ["a/x"], **model}},
        "guards": list(guards),
        "retry": "none",
    }


class Heard(list[RequestEnded]):
    def __init__(self, router: Router) -> None:
        router.listen(self.append, kinds=[RequestEnded])

    @property
    def results(self) -> list[tuple[str, int]]:
        return [(each.result, each.attempts) for each in self]


async def streamed(router: Router, prompt: str) -> str:
    async with router.stream("m", prompt) as stream:
        said = "".join([event.text async for event in stream])
        assert stream.response.text == stream.text == said
    return said


async def test_a_repeated_question_is_answered_from_the_cache_as_chat_and_as_stream() -> None:
    upstream = Scripted()
    upstream.script("a", "it is blue", "it is grey")
    async with Router.from_config(config("cache"), plugins=[upstream]) as router:
        heard = Heard(router)

        said = [
            await streamed(router, "sky?"),
            await streamed(router, "sky?"),
            (await router.chat("m", "sky?")).text,
        ]
        other = await router.chat("m", "sky today?")

    assert said == ["it is blue"] * 3
    assert other.text == "it is grey"
    assert len(upstream.calls) == 2
    assert heard.results == [("ok", 1), ("cached", 0), ("cached", 0), ("ok", 1)]


async def test_a_cache_survives_a_reload_that_leaves_its_settings_alone() -> None:
    upstream = Scripted()
    upstream.script("a", "one", "two")
    async with Router.from_config(config("cache"), plugins=[upstream]) as router:
        await router.chat("m", "hello")
        await router.reload(config("cache", strategy="weighted"))
        assert (await router.chat("m", "hello")).text == "one"
        await router.reload(config({"type": "cache", "ttl": "1m"}))
        assert (await router.chat("m", "hello")).text == "two"


async def test_a_stream_that_broke_is_not_kept() -> None:
    upstream = Scripted()
    upstream.script("a", ScriptedAnswer("it is blue", words=1, cut=True), "it is grey")
    async with Router.from_config(config("cache"), plugins=[upstream]) as router:
        with pytest.raises(MidStreamError):
            await streamed(router, "sky?")
        assert (await router.chat("m", "sky?")).text == "it is grey"


async def test_a_stream_that_was_left_is_not_kept() -> None:
    upstream = Scripted()
    upstream.script("a", "it is blue", "it is grey")
    async with Router.from_config(config("cache"), plugins=[upstream]) as router:
        async with router.stream("m", "sky?") as stream:
            await anext(stream)
        assert (await router.chat("m", "sky?")).text == "it is grey"


async def test_neither_the_upstream_nor_the_caller_sees_what_is_redacted_also_out_of_the_cache() -> None:
    upstream = Scripted()
    upstream.script("a", f"ask {MAIL} now")
    async with Router.from_config(config("redact", "cache"), plugins=[upstream]) as router:
        said = [
            (await router.chat("m", f"with {KEY}")).text,
            await streamed(router, f"with {KEY}"),
            (await router.chat("m", f"with {KEY[:-1]}3")).text,
        ]

    assert said == ["ask [email] now"] * 3
    ((_, asked, _),) = upstream.calls
    assert asked.messages[0].text == "with [api_key]"


async def test_a_stream_with_a_forbidden_word_breaks_before_it_and_says_what_had_gone_out() -> None:
    upstream = Scripted()
    upstream.default("a", "the plan is called Chimera and secret")
    guards = {"type": "words", "words": ["chimera"], "say": "That is confidential."}
    async with Router.from_config(config(guards), plugins=[upstream]) as router:
        heard, said = Heard(router), ""
        with pytest.raises(MidStreamError, match="That is confidential") as caught:
            async with router.stream("m", "tell me") as stream:
                async for event in stream:
                    said += event.text
        with pytest.raises(Refused):
            await router.chat("m", "what is Chimera?")

    assert said == caught.value.text == "the plan is called "
    assert isinstance(caught.value.cause, Refused)
    assert [(each.result, each.attempts, each.rule) for each in heard] == [
        ("error", 1, "words"),
        ("error", 0, "words"),
    ]
    assert "himera" not in repr(list(heard))
    assert len(upstream.calls) == 1


async def test_too_large_a_prompt_asks_nobody() -> None:
    upstream = Scripted()
    async with Router.from_config(
        config({"type": "size", "prompt_characters": 5}), plugins=[upstream]
    ) as router:
        with pytest.raises(Refused, match=r"6 characters.*lets 5 through"):
            await router.chat("m", "hello!")
        assert (await router.chat("m", "hello")).text

    assert len(upstream.calls) == 1


def test_wrong_settings_are_named_at_their_place() -> None:
    with pytest.raises(ConfigError) as caught:
        Router.from_config(
            config({"type": "redact", "patterns": {"x": "a+"}}, {"type": "size"}), plugins=[Scripted()]
        )

    said = str(caught.value)
    assert "guards[0].patterns.x" in said
    assert "bound what repeats" in said
    assert "guards[1]" in said
    assert "bounds nothing" in said


class TestCache(OfCache):
    pass


class TestRedact(OfRedact):
    pass


class TestSize(OfSize):
    pass


class TestWords(OfWords):
    pass
