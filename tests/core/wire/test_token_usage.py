"""What an upstream says of tokens: never more is believed than the request could cost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from routers import in_flight

from pointsman import Router
from pointsman.errors import BadResponse, PluginError
from pointsman.plugin import PointsmanSpec, hookimpl
from pointsman.provider import Call, Provider, ProviderContext, ProviderFactory
from pointsman.requests.parsing import chat_request, embed_request, generate_request
from pointsman.testing import Scripted, ScriptedAnswer, run
from pointsman.types import ChatResponse, EmbedResponse, Finished, Image, Message, Text, Usage, UsageUpdate
from pointsman.wire.token_usage import LONGEST_ANSWER, plausible, unsound

ABSURD = 10**15


@pytest.mark.parametrize(
    ("usage", "wrong"),
    [
        ("12", "is a str, expected a Usage"),
        (None, "is a NoneType, expected a Usage"),
        (Usage("1", "2"), "counts in str, expected int"),  # type: ignore[arg-type]
        (Usage(1, 2.5), "counts in float, expected int"),  # type: ignore[arg-type]
        (Usage(True, 1), "counts in bool, expected int"),
        (Usage(1, 1, cached=[]), "counts in list, expected int"),  # type: ignore[arg-type]
        (Usage(1, 1, reasoning="x"), "counts in str, expected int"),  # type: ignore[arg-type]
        (Usage(), None),
        (Usage(1, 2, 3, 4, 5), None),
    ],
)
def test_a_usage_counts_in_whole_numbers(usage: object, wrong: str | None) -> None:
    assert unsound(usage) == wrong


@given(st.text(max_size=300), st.integers(-10, 10**18), st.integers(-10, 10**18))
def test_no_more_is_believed_than_the_request_could_cost(text: str, prompt: int, completion: int) -> None:
    size = len(text.encode())
    believed = plausible(Usage(prompt, completion), chat_request("m", text, {"max_tokens": 10}))
    assert believed.prompt is not None
    assert believed.completion is not None
    assert 0 <= believed.prompt <= size + 2000
    assert 0 <= believed.completion <= 10 + 2**14
    if 0 <= prompt <= size:
        assert believed.prompt == prompt


def test_what_holds_more_may_cost_more() -> None:
    absurd = Usage(ABSURD, ABSURD)
    plain = plausible(absurd, chat_request("m", "hi", {}))
    picture = Message.user([Text("hi"), Image(b"x" * 100)])
    assert plausible(absurd, chat_request("m", [picture], {})).prompt > (plain.prompt or 0) + 2**14  # type: ignore
    assert plain.completion == LONGEST_ANSWER
    assert plausible(absurd, embed_request("m", ["hi"], {})).completion == 0
    assert (plausible(absurd, generate_request("m", "hi", {})).prompt or 0) < 3000


def limited(**changes: Any) -> dict[str, Any]:
    return {
        "providers": {"a": {"type": "scripted"}},
        "models": {
            "m": {
                "deployments": [
                    {"provider": "a", "model": "x", "limits": {"tokens": "600000/min", **changes}}
                ]
            }
        },
        "queue": None,
    }


@pytest.mark.parametrize("usage", [Usage(ABSURD, 1), Usage(1, ABSURD), Usage(ABSURD, ABSURD)])
def test_an_absurd_count_does_not_lock_a_limit(usage: Usage) -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(usage=usage))

    async def main() -> None:
        async with Router.from_config(limited(), plugins=[upstream]) as router:
            for _ in range(30):
                assert (await router.chat("m", "hi", max_tokens=5)).usage == usage
            assert in_flight(router) == 0

    run(main())


def test_reset_empties_the_limits() -> None:
    upstream = Scripted()

    async def main() -> None:
        given = limited(requests="1/h")
        async with Router.from_config(given, plugins=[upstream]) as router:
            await router.chat("m", "hi")
            assert router.status().to_dict()["models"]["m"]["deployments"][0]["blocked"] is not None
            router.reset("a/x")
            assert router.status().to_dict()["models"]["m"]["deployments"][0]["blocked"] is None
            await router.chat("m", "hi")

    run(main())


# ── answers that are none ────────────────────────────────────────────────────────────────────────────


class Gives(PointsmanSpec):
    def __init__(self, answer: Any) -> None:
        self.answer = answer

    @hookimpl
    def pointsman_providers(self) -> list[ProviderFactory]:
        return [ProviderFactory("gives", BaseModel, lambda context: GivesProvider(context, self.answer))]


class GivesProvider(Provider):
    upstream_request_id = ""

    def __init__(self, context: ProviderContext, answer: Any) -> None:
        super().__init__(context)
        self._answer = answer

    async def chat(self, request: Any, call: Call) -> Any:
        return self._answer

    async def stream(self, request: Any, call: Call) -> Any:
        return self

    async def embed(self, request: Any, call: Call) -> Any:
        return self._answer

    async def next(self, until: float) -> Any:
        return [self._answer, Finished("stop")]

    def abort(self) -> None:
        """Nothing is open."""


def gives(answer: Any) -> Router:
    config = {
        "providers": {"a": {"type": "gives"}},
        "models": {"m": {"deployments": ["a/x"]}},
        "retry": "none",
    }
    return Router.from_config(config, plugins=[Gives(answer)])


@pytest.mark.parametrize(
    ("vectors", "error"),
    [
        ([[1.0]], BadResponse),
        ([[1.0]] * 3, BadResponse),
        ([], BadResponse),
        (None, PluginError),
        ("ab", PluginError),
        (b"ab", PluginError),
        ({1: 2, 2: 3}, PluginError),
    ],
)
def test_there_are_as_many_vectors_as_texts(vectors: Any, error: type[Exception]) -> None:
    async def main() -> None:
        async with gives(EmbedResponse(vectors)) as router:
            with pytest.raises(error, match="vectors"):
                await router.embed("m", ["one", "two"])
            assert in_flight(router) == 0

    run(main())


@pytest.mark.parametrize("usage", ["12", Usage("1", "2"), Usage(1, float("nan"))])  # type: ignore[arg-type]
def test_a_usage_of_another_kind_is_the_plugins_fault(usage: Any) -> None:
    async def main() -> None:
        async with gives(ChatResponse("ok", usage=usage)) as router:
            with pytest.raises(PluginError, match="usage"):
                await router.chat("m", "hi")
            assert in_flight(router) == 0
        async with gives(UsageUpdate(usage)) as router:
            with pytest.raises(PluginError):
                async with router.stream("m", "hi") as stream:
                    async for _ in stream:
                        pass
            assert in_flight(router) == 0

    run(main())
