"""The words of the house, as laws, and a router that a configuration file makes."""

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pointsman import Refused, Router
from pointsman_house_style.guard import HouseStyleSettings
from pointsman_house_style.words import Words
from pointsman_simulator import Reply, Simulator

CONFIGURATION = Path(__file__).parents[1] / "pointsman.yaml"
HOUSE = Words({"utilise": "use", "in order to": "to", "in": "inside", "e-mail": "letter", "ß": "ss"})
texts = st.lists(
    st.sampled_from(
        ["utilise", "UTILISE", "in order to", "In", "e-mail", "d", " ", ".", "ß", "ſ", "İ", "é", "_"]
    )
).map("".join)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("We utilise it.", "We use it."),
        ("Utilise it in order to live", "Use it to live"),
        ("utilised, disutilise, utilise_it", "utilised, disutilise, utilise_it"),
        ("by E-mail", "by Letter"),
        ("in order tomorrow", "inside order tomorrow"),
    ],
)
def test_whole_words_become_those_of_the_house(said: str, meant: str) -> None:
    assert HOUSE.in_whole(said) == meant


@settings(deadline=None)
@given(texts, st.lists(st.integers(0, 60)))
def test_a_text_in_pieces_becomes_what_it_becomes_as_a_whole(text: str, cuts: list[int]) -> None:
    places = sorted({0, *(each for each in cuts if each < len(text)), len(text)})
    pieces = HOUSE.in_pieces()

    out = [pieces.feed(text[a:b]) for a, b in pairwise(places)]

    assert "".join([*out, pieces.end()]) == HOUSE.in_whole(text)


@settings(deadline=None)
@given(texts)
def test_no_more_is_held_back_than_the_longest_word_has_characters(text: str) -> None:
    plain = Words({"in order to": "in order to"})
    pieces = plain.in_pieces()

    out = "".join(pieces.feed(each) for each in text)

    assert len(text) - len(out) <= plain.longest
    assert (out + pieces.end()).lower() == text.lower()


def played(monkeypatch: pytest.MonkeyPatch, *, stream: bool, prompt: str = "How?") -> tuple[str, list[Any]]:
    """The answer to a prompt, and what the upstream was asked."""

    async def play() -> tuple[str, list[Any]]:
        async with Simulator(seed=1) as simulator:
            reply = Reply(
                text="Utilise it in order to write an e-mail",
                chunks=("Util", "ise it in o", "rder to write an e-", "mail"),
            )
            upstream = await simulator.add("openai", name="one", models=["m"], default=reply)
            monkeypatch.setenv("UPSTREAM", upstream.base_url)
            async with Router.from_config(CONFIGURATION) as router:
                if stream:
                    async with router.stream("chat", prompt) as events:
                        text = "".join([event.text async for event in events])
                    assert events.response.text == text
                else:
                    text = (await router.chat("chat", prompt)).text
            return text, [each.body["messages"] for each in upstream.requests]

    return asyncio.run(play())


@pytest.mark.parametrize("stream", [False, True])
def test_questions_begin_and_answers_read_as_the_house_has_it(
    monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    text, asked = played(monkeypatch, stream=stream)

    assert text == "Use it to write an epistle"
    assert [[each["role"] for each in messages] for messages in asked] == [["system", "user"]]


def test_a_conversation_that_is_too_long_is_refused_with_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused, match="has 2001 characters, and may have 2000"):
        played(monkeypatch, stream=False, prompt="x" * 2001)


def test_an_empty_word_is_none_to_be_replaced() -> None:
    with pytest.raises(ValidationError):
        HouseStyleSettings.model_validate({"instead": {"": "x"}})
