"""What is read by the usual shapes is what the tolerant way would have made of the same bytes, state included.

`POINTSMAN_SHAPES=1000000` is how many damaged whole answers of each kind the long run reads, and a tenth of it
streams; `POINTSMAN_SEED` chooses others.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any

import pytest
from damage import nearly, piece, told
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from replay import (
    RECORDED,
    Exchange,
    Scripted,
    call_for,
    client_for,
    constructed,
    context_for,
    exchanges,
    recorded,
)

from pointsman._internal import jsonio
from pointsman.errors import BadResponse, CallError
from pointsman.http.framing import MAX_LINE, SseEvent
from pointsman.types import EmbedRequest, EmbedResponse, ReasoningDelta, StreamEvent, TextDelta
from pointsman_ollama import shapes
from pointsman_ollama.decode import (
    Lines,
    StreamDecoder,
    any_response,
    chat_response,
    embed_response,
    usual_embed_response,
)
from pointsman_ollama.provider import OllamaProvider
from pointsman_ollama.settings import OllamaSettings

CASES = int(os.environ.get("POINTSMAN_SHAPES", "3000"))
SEED = int(os.environ.get("POINTSMAN_SEED", "1"))

END = {
    "done": True,
    "done_reason": "stop",
    "total_duration": 4_883_583_458,
    "load_duration": 1_334_875,
    "prompt_eval_count": 26,
    "prompt_eval_duration": 342_546_000,
    "eval_count": 282,
    "eval_duration": 4_535_599_000,
}
BASE = {"model": "llama3.2", "created_at": "2026-08-10T10:00:01.123456Z"}
VECTORS = {
    "model": "m",
    "embeddings": [[0.5, -0.25], [1e-05, 1]],
    "total_duration": 9,
    "load_duration": 1,
    "prompt_eval_count": 8,
}


def outcome(read: Callable[[], Any]) -> Any:
    """What `read` returns or raises, so that whatever differs is unequal."""
    try:
        return told_of(read())
    except CallError as error:
        return type(error), str(error), error.upstream_code, error.status, error.retry_after


def told_of(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [told_of(each) for each in value]
    return type(value), {name: told(getattr(value, name)) for name in value.__struct_fields__}


def seeds(count: int, what: str) -> Iterable[Random]:
    return (Random(f"{SEED} {what} {n}") for n in range(count))


# ── whole answers ────────────────────────────────────────────────────────────────────────────────────


def holder(random: Random, *, thinking: bool) -> dict[str, Any]:
    """What says a piece of an answer: a message, or the members of a completion."""
    thought = {"thinking": piece(random)} if thinking else {}
    if random.random() < 0.3:
        return {"response": piece(random), **thought}
    message = {"role": "assistant", "content": piece(random), **thought}
    match random.randrange(12):
        case 0:
            message["tool_calls"] = [{"function": {"name": "f", "arguments": {"n": 2**70}}}]
        case 1:
            message["images"] = ["aGk="]
    return {"message": message}


def an_answer(random: Random) -> dict[str, Any]:
    answer = {**BASE, **holder(random, thinking=random.random() < 0.3), **END}
    answer["done_reason"] = random.choice(
        ["stop", "stop", "stop", "length", "load", "unload", "error", "New", "", None]
    )
    for name in END:
        if name != "done" and random.random() < 0.2:
            del answer[name]
    answer["done"] = random.random() < 0.9
    match random.randrange(8):
        case 0:
            answer["context"] = [1, 2, 3]
        case 1:
            answer |= {"remote_model": "big", "remote_host": "https://ollama.com:443"}
        case 2:
            answer["error"] = "the runner died"
    return answer


def check_answer(body: bytes, *, prompted: bool = True) -> bool:
    """Compare both ways of reading; whether `body` is a usual one."""
    way = outcome(lambda: chat_response(body, StreamDecoder("s", prompted=prompted)))
    assert way == outcome(lambda: any_response(body, StreamDecoder("s", prompted=prompted))), body
    return is_usual(shapes.whole, body)


def is_usual(read: Callable[[bytes], object], body: bytes) -> bool:
    try:
        read(body)
    except shapes.UNUSUAL:
        return False
    return True


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.randoms(use_true_random=False), st.booleans())
def test_a_whole_answer_is_read_as_the_tolerant_way_reads_it(random: Random, prompted: bool) -> None:
    check_answer(nearly(an_answer(random), random), prompted=prompted)


def test_so_are_very_many_of_which_a_good_part_is_usual_and_a_good_part_is_not() -> None:
    usual = sum(check_answer(nearly(an_answer(random), random)) for random in seeds(CASES, "answer"))

    assert CASES // 10 < usual < CASES * 9 // 10


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({**BASE, "message": {"role": "assistant", "content": "hi"}, **END}, indent=2).encode(),
        b'{"model":"m","created_at":"t","message":{"role":"a","content":"hi"}\n,"done":true}',
        b'{"model":"m","created_at":"t","message":{"role":"a","content":"hi"},"done":true}\r\n\r\n',
        b'\n{"model":"m","created_at":"t","message":{"role":"a","content":"hi"},"done":true}',
        b'{"model":"m","created_at":"t","message":{"role":"a","content":"hi","thinking":""},"done":true}',
        b'{"model":"m","created_at":"t","message":{"role":"a","content":"hi"},"done":true}\n{"error":"late"}',
        b'{"model":"m","created_at":"t","message":{"role":"a","content":"'
        + b"x" * MAX_LINE
        + b'"},"done":true}',
    ],
    ids=lambda body: repr(body[:60]),
)
def test_an_answer_over_several_lines_or_in_one_that_is_too_long_is_read_alike(body: bytes) -> None:
    check_answer(body)


# ── streams ──────────────────────────────────────────────────────────────────────────────────────────


def a_stream(random: Random) -> list[dict[str, Any]]:
    lines = [
        {**BASE, **holder(random, thinking=random.random() < 0.3), "done": False}
        for _ in range(random.randrange(8))
    ]
    if random.random() < 0.2:
        lines.insert(random.randint(0, len(lines)), {"error": "the runner died"})
    return [*lines, {**BASE, **holder(random, thinking=False), **END}]


def written(random: Random) -> list[bytes]:
    """The lines of a stream, some of them damaged."""
    wrong = random.choice((0, 0.1, 0.4))
    return [
        nearly(line, random) if random.random() < wrong else json.dumps(line).encode()
        for line in a_stream(random)
    ]


class Both:
    """One decoder that takes lines as they come from a read, and one that takes them one by one, tolerantly."""

    def __init__(self) -> None:
        self.either, self.tolerant = StreamDecoder("s"), StreamDecoder("s")

    def take(self, line: bytes) -> None:
        """Compare what they make of one line. Later ones tell what an earlier one left in the decoder.

        A line that raises ends a stream, but here it goes on: nothing may have been taken in by one alone.
        """
        assert outcome(lambda: self.plain([line])) == outcome(lambda: self.one(line)), line
        assert self.either.done == self.tolerant.done

    def plain(self, lines: Sequence[bytes]) -> list[StreamEvent]:
        events: list[StreamEvent] = []
        self.either.decode_plain(lines, events)
        return events

    def one(self, line: bytes) -> Sequence[StreamEvent]:
        return () if self.tolerant.done else self.tolerant.decode(SseEvent("", line))


def check_stream(lines: Iterable[bytes]) -> int:
    """Compare both ways, line by line; how many lines are usual."""
    both, usual = Both(), 0
    for line in lines:
        both.take(line)
        usual += is_usual(shapes.line, line)
    return usual


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.randoms(use_true_random=False))
def test_a_stream_gives_the_events_that_the_tolerant_way_gives(random: Random) -> None:
    check_stream(written(random))


def test_so_do_very_many_of_whose_lines_a_good_part_is_usual_and_a_good_part_is_not() -> None:
    streams = [written(random) for random in seeds(min(CASES, 30_000) // 10, "stream")]
    usual, lines = sum(map(check_stream, streams)), sum(map(len, streams))
    for random in seeds(CASES // 10 - len(streams), "more streams"):
        check_stream(written(random))

    assert lines // 10 < usual < lines * 9 // 10


def test_usual_lines_are_text_and_thinking() -> None:
    both = Both()
    lines = [
        {**BASE, "message": {"role": "assistant", "content": "", "thinking": "hm"}, "done": False},
        {**BASE, "message": {"role": "assistant", "content": "", "thinking": " hm"}, "done": False},
        {**BASE, "message": {"role": "assistant", "content": "a", "thinking": "b"}, "done": False},
        {**BASE, "response": "c", "thinking": "d", "done": False},
        {**BASE, "response": "", "done": False},
    ]

    events = both.plain([json.dumps(line).encode() for line in lines])

    thought, text = ReasoningDelta, TextDelta
    assert events[1:] == [thought("hm"), thought(" hm"), thought("b"), text("a"), thought("d"), text("c")]


# ── vectors ──────────────────────────────────────────────────────────────────────────────────────────


def vectors(random: Random) -> dict[str, Any]:
    dimensions = random.choice((1, 2, 3))
    rows = [
        [random.choice((*[random.gauss(0, 1)] * 20, *(1, 0) * 5, 2**53 + 1)) for _ in range(dimensions)]
        for _ in range(random.randrange(4))
    ]
    answer = {**VECTORS, "embeddings": rows}
    for name in ("total_duration", "load_duration", "prompt_eval_count"):
        if random.random() < 0.3:
            del answer[name]
    return answer


def check_vectors(body: bytes, *, count: int, dimensions: int | None) -> bool:
    """Compare both ways of reading; whether `body` is a usual one."""
    usual = usual_embed_response(body, count=count, dimensions=dimensions)
    if usual is not None:
        tolerant = embed_response(jsonio.loads(body), count=count, dimensions=dimensions)
        assert usual == tolerant, body
        # `raw` has floats where the server wrote whole numbers; what nobody wrote is in neither.
        assert outcome(lambda: replace(usual, raw=None)) == outcome(lambda: replace(tolerant, raw=None)), body
    return usual is not None


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.randoms(use_true_random=False))
def test_vectors_are_read_as_the_tolerant_way_reads_them(random: Random) -> None:
    value = vectors(random)
    check_vectors(nearly(value, random), count=len(value["embeddings"]), dimensions=random.choice((None, 2)))


def test_so_are_very_many_vectors_of_which_a_good_part_is_usual_and_a_good_part_is_not() -> None:
    usual = 0
    for random in seeds(CASES, "vectors"):
        value = vectors(random)
        count, dimensions = random.choice((len(value["embeddings"]), 2)), random.choice((None, None, 2))
        usual += check_vectors(nearly(value, random), count=count, dimensions=dimensions)

    assert CASES // 10 < usual < CASES * 9 // 10


def test_vectors_come_straight_from_the_bytes_in_order_and_as_floats() -> None:
    usual = usual_embed_response(json.dumps(VECTORS).encode(), count=2, dimensions=2)

    assert usual is not None
    assert usual.vectors == [[0.5, -0.25], [1e-05, 1.0]]
    assert {type(number) for each in usual.vectors for number in each} == {float}
    assert usual.raw == VECTORS
    assert usual.raw["embeddings"] is usual.vectors


def test_whole_numbers_are_floats_in_vectors_that_are_read_the_tolerant_way_too() -> None:
    response = embed_response({**VECTORS, "new": 1}, count=2, dimensions=None)

    assert {type(number) for each in response.vectors for number in each} == {float}


@pytest.mark.parametrize(
    "unusual",
    [
        {"embeddings": [[0.5, 0.5]]},
        {"embeddings": [[0.5], [0.5, 0.5]]},
        {"embeddings": [[], []]},
        {"embeddings": [[0.5, 0.5], [0.5, None]]},
        {"embeddings": [[0.5, 0.5], [0.5, True]]},
        {"embeddings": [[0.5, 0.5, 0.5], [0.5, 0.5, 0.5]]},
        {"embeddings": [[0.5, 2**53], [0.5, 0.5]]},
        {"error": "no"},
        {"prompt_eval_count": 1.0},
        {"prompt_eval_count": -1},
        {"prompt_eval_count": 1 << 63},
        {"model": None},
        {"new": 1},
    ],
    ids=repr,
)
def test_vectors_that_are_not_usual_are_left_to_the_tolerant_way(unusual: dict[str, Any]) -> None:
    assert usual_embed_response(json.dumps({**VECTORS, **unusual}).encode(), count=2, dimensions=2) is None


async def test_a_provider_reads_usual_vectors_and_names_what_others_lack() -> None:
    request = EmbedRequest("public", ["a", "b"])

    response = await embedded(json.dumps(VECTORS).encode(), request)

    assert response.vectors == [[0.5, -0.25], [1e-05, 1.0]]
    with pytest.raises(BadResponse, match="1 vectors for 2 texts"):
        await embedded(json.dumps({**VECTORS, "embeddings": [[1.0]]}).encode(), request)


async def embedded(body: bytes, request: EmbedRequest) -> EmbedResponse:
    upstream = Scripted([(200, body)])
    provider = OllamaProvider(context_for(upstream, settings=OllamaSettings(), base_url="http://up"))
    return await provider.embed(request, call_for(client_for(upstream, provider.endpoint), "m"))


# ── what servers send ────────────────────────────────────────────────────────────────────────────────


def succeeds(exchange: Exchange) -> bool:
    return exchange.path in ("/api/chat", "/api/generate", "/api/embed") and exchange.status < 400


@pytest.mark.parametrize("exchange", exchanges("ollama", where=succeeds))
def test_a_recorded_answer_is_read_alike(exchange: Exchange) -> None:
    if exchange.path == "/api/embed":
        assert check_vectors(exchange.body, count=len(exchange.json["embeddings"]), dimensions=None)
    elif exchange.streamed:
        check_stream(Lines().feed_plain(exchange.body))
    else:
        check_answer(exchange.body)


@pytest.mark.skipif(not RECORDED.is_dir(), reason="the recorded exchanges are not beside the project")
def test_most_recorded_lines_and_answers_without_calls_are_usual() -> None:
    lines: Counter[bool] = Counter()
    answers: Counter[bool] = Counter()
    for exchange in filter(succeeds, (*recorded("ollama"), *constructed("ollama"))):
        if exchange.streamed:
            lines.update(is_usual(shapes.line, line) for line in Lines().feed_plain(exchange.body))
        elif exchange.path != "/api/embed" and "tool_calls" not in (exchange.json.get("message") or {}):
            answers[is_usual(shapes.whole, exchange.body)] += 1

    assert lines[True] > lines[False] * 20
    assert answers[True] > answers[False] * 5
