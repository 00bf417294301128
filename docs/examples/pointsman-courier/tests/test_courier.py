"""The provider against the small server, by way of a router that a configuration file makes."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from pointsman import Message, MidStreamError, Router, Tool
from pointsman.plugin import BadResponse, Truncated
from pointsman_courier.parcels import ParcelFramer, vectors_of
from pointsman_courier.server import Courier, parcel

CONFIGURATION = Path(__file__).parents[1] / "pointsman.yaml"
Scene = Callable[[Callable[[Router], Coroutine[Any, Any, Any]]], Any]


@pytest.fixture
def courier() -> Iterator[Courier]:
    with Courier() as courier:
        thread = Thread(target=courier.serve_forever, args=(0.01,))
        thread.start()
        yield courier
        courier.shutdown()
        thread.join()


@pytest.fixture
def scene(courier: Courier, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """Plays a scene with a router that knows where the Courier is."""
    monkeypatch.setenv("COURIER_URL", courier.url)
    monkeypatch.setenv("COURIER_KEY", "stamp")

    async def played(play: Callable[[Router], Coroutine[Any, Any, Any]]) -> Any:
        async with Router.from_config(CONFIGURATION) as router:
            return await play(router)

    return lambda play: asyncio.run(played(play))


def test_a_letter_is_written_by_whoever_has_time(scene: Scene, courier: Courier) -> None:
    answer = scene(lambda router: router.chat("letters", "good morning", temperature=0.5))

    assert (answer.text, answer.deployment, answer.attempts) == ("good morning", "city/echo", 2)
    assert (answer.usage.prompt, answer.usage.completion) == (2, 2)
    assert courier.bodies[-1] == {
        "writer": "echo",
        "lines": [{"from": "user", "text": "good morning"}],
        "warmth": 0.5,
        "sender": "desk-7",
    }


def test_a_streamed_letter_comes_word_by_word_with_its_usage_under_the_seal(scene: Scene) -> None:
    async def play(router: Router) -> tuple[list[str], Any]:
        async with router.stream("letters", "one two three") as stream:
            return [event.text async for event in stream if event.text], stream.response

    words, whole = scene(play)

    assert words == ["one", " two", " three"]
    assert whole.usage.completion == 3


def test_the_writer_calls_a_tool_and_goes_on_with_its_answer(scene: Scene) -> None:
    async def play(router: Router) -> tuple[Any, Any]:
        asked = await router.chat("letters", "Rome", tools=[Tool("weather")])
        turn: list[Message | dict[str, Any]] = [
            {"role": "user", "content": "Rome"},
            asked.message,
            {"role": "tool", "tool_call_id": asked.tool_calls[0].id, "content": "rain"},
        ]
        return asked, await router.chat("letters", turn, tools=[Tool("weather")])

    asked, then = scene(play)

    assert asked.finish_reason == "tool_calls"
    assert asked.tool_calls[0].parsed() == {"of": "Rome"}
    assert then.text == "rain"


def test_a_letter_that_breaks_off_keeps_what_was_written(scene: Scene) -> None:
    async def play(router: Router) -> None:
        async with router.stream("shaky", "good morning") as stream:
            async for _ in stream:
                pass

    with pytest.raises(MidStreamError, match="the hand will not write") as caught:
        scene(play)
    assert caught.value.text == "good"


def test_texts_become_vectors(scene: Scene) -> None:
    answer = scene(lambda router: router.embed("vectors", ["a", "abc"], dimensions=2))

    assert [list(each) for each in answer.vectors] == [[1.0, 2.0], [3.0, 4.0]]
    assert answer.usage.prompt == 2


def test_a_length_that_is_a_lie_is_refused_once_what_came_before_is_told() -> None:
    framer = ParcelFramer()

    assert [each.data for each in framer.feed(parcel("T", b"Good") + b"T\xff\xff\xff\xff")] == [b"Good"]
    with pytest.raises(BadResponse):
        framer.feed(b"more")


def test_vectors_without_a_seal_or_of_broken_floats_are_none() -> None:
    with pytest.raises(Truncated):
        vectors_of(parcel("V", b"\0" * 8))
    with pytest.raises(BadResponse):
        vectors_of(parcel("V", b"\0" * 7) + parcel("Z", {}))
